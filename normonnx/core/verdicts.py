"""The outcome of a validation, as data.

Two questions are never mixed: "computes" asks whether a backend computes this model rightly
(backend(model) against oracle(model)); "equivalent" asks whether two models are the same function
(oracle(model) against oracle(reference)).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Self

from normonnx.core.errors import ExitCode
from normonnx.core.node_errors import NodeErrors


class Verdict(StrEnum):
    """What can be said after comparing; equal to its plain string."""

    PASS = "pass"  # noqa: S105  # a verdict, not a password
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"
    UNAVAILABLE = "unavailable"
    INVALID = "invalid"

    @property
    def exit_code(self) -> ExitCode:
        """The command line's exit code for this verdict."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.PASS: ExitCode.OK,
    Verdict.MISMATCH: ExitCode.MISMATCH,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.UNAVAILABLE: ExitCode.UNAVAILABLE,
    Verdict.INVALID: ExitCode.INVALID,
}

_WORST_FIRST = (
    Verdict.INVALID,
    Verdict.MISMATCH,
    Verdict.UNAVAILABLE,
    Verdict.INCONCLUSIVE,
    Verdict.PASS,
)


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several verdicts; inconclusive for none, since nothing was compared."""
    return min(verdicts, key=_WORST_FIRST.index, default=Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A plain tolerance: every entry must satisfy |found - truth| <= atol + rtol * |truth|.

    Attributes:
        rtol: Relative part, a number.
        atol: Absolute part, in the output's own unit.
    """

    rtol: float = 0.0
    atol: float = 0.0

    @classmethod
    def of(cls, rtol: float | None, atol: float | None) -> Self | None:
        """A tolerance of the parts that are given; None where neither is."""
        return None if rtol is None and atol is None else cls(rtol or 0.0, atol or 0.0)


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the errors of one output are distributed, over entries that are finite on both sides.

    Attributes:
        mean_abs: Mean absolute difference.
        percentiles: Percent to the absolute difference that so many entries stay within; 50, 90,
            99 and 99.9.
        cosine: 1 - cos of the angle between output and truth; 0 when they are parallel.
        max_rel: Largest absolute difference over absolute truth, where the truth is not 0.
        ulps: Upper bound to the number of entries whose error in units in the last place of the
            truth is at most that, and above the bound before.
    """

    mean_abs: float = float("nan")
    percentiles: Mapping[float, float] = field(default_factory=dict)
    cosine: float = float("nan")
    max_rel: float = float("nan")
    ulps: Mapping[float, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One output of one run, judged.

    Attributes:
        question: "computes" (backend against oracle) or "equivalent" (model against reference).
        backend: What ran the model, for example "ort:cpu"; "oracle" for the second question.
        case: Name of the inputs, for example "random" or "shifted-mean".
        output: Name of the graph output.
        verdict: What the comparison says.
        reason: Why, as a sentence for users; empty on a plain pass.
        error: rms(difference) / rms(truth) in units of u, the roundoff of the output's own dtype.
        floor: The model's own noise floor, in the same unit: how far the truth moves when inputs
            and weights are perturbed by one roundoff.
        max_abs: Largest absolute difference.
        u: The unit roundoff used, for example 2**-24 for float32.
        statistics: How the errors are distributed; None where they could not be measured.
        allowed: Error over noise floor up to which it passes.
        narrow: Whether types below float32 rounded when the models were evaluated.
    """

    question: Literal["computes", "equivalent"]
    backend: str
    case: str
    output: str
    verdict: Verdict
    reason: str = ""
    error: float = float("nan")
    floor: float = float("nan")
    max_abs: float = float("nan")
    u: float = float("nan")
    statistics: Statistics | None = None
    allowed: float = float("nan")
    narrow: bool = False

    @property
    def ratio(self) -> float:
        """Error over noise floor; what the verdict is taken on."""
        if self.error == 0:
            return 0.0
        return self.error / self.floor if self.floor else float("inf")


def conclusion(comparisons: Iterable[Comparison]) -> Verdict:
    """What several comparisons say together.

    The worst over the outputs, where an output passes when one case proves it and none refutes it:
    constant inputs that prove nothing don't spoil random ones that do. Inconclusive for none.
    """
    by_output: dict[str, set[Verdict]] = {}
    for comparison in comparisons:
        by_output.setdefault(comparison.output, set()).add(comparison.verdict)
    proven = {Verdict.PASS, Verdict.INCONCLUSIVE}
    return worst_verdict(
        Verdict.PASS if Verdict.PASS in seen and seen <= proven else worst_verdict(seen)
        for seen in by_output.values()
    )


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where a backend, or a rewritten model, first leaves the truth.

    Attributes:
        node: Name of the node; its first output's name where the node has none.
        op_type: Operator of that node.
        tensor: Name of the tensor that is off.
        local: Error the node adds by itself, in u, when it is fed what the truth has there.
        upstream: Error that it inherits from its inputs, in u.
        question: As in `Comparison`.
        backend: As in `Comparison`.
        case: Name of the inputs that it was found on.
        floor: How far roundoff moves the tensor, in u.
        counterpart: Name of the reference's tensor that it was held against; empty where the model
            was held against itself.
        note: What else a reader must know; that no node is at fault by itself, for example.
        repro: File of the node as a model of its own, where one was written; inputs and what is
            expected lie beside it in an .npz.
    """

    node: str
    op_type: str
    tensor: str
    local: float
    upstream: float
    question: Literal["computes", "equivalent"] = "computes"
    backend: str = ""
    case: str = ""
    floor: float = float("nan")
    counterpart: str = ""
    note: str = ""
    repro: str = ""


@dataclass(frozen=True, slots=True)
class NodePlacement:
    """Where one node ran, after the runtime's own rewriting of the graph.

    Attributes:
        node: The runtime's name of the node.
        op_type: Operator, as the runtime calls it.
        where: Execution provider or device, for example "CUDAExecutionProvider".
        precision: Floating-point format it computed in, for example "f32"; empty where the runtime
            does not tell.
    """

    node: str
    op_type: str
    where: str
    precision: str = ""


@dataclass(frozen=True, slots=True)
class BackendRun:
    """What ran a model, and how it ended.

    Attributes:
        backend: The name asked for, for example "ort:cpu".
        verdict: Worst verdict over its comparisons; unavailable or invalid when it could not run.
        reason: Why it could not run, in one line; empty when it ran.
        asked: Execution provider or device that was asked for, as `NodePlacement.where` names it.
        nodes: Where each node really ran; empty where the runtime does not tell.
        settings: What changes numerics: versions, optimization level, TF32 and so on.
        reduced: Kinds of precision below the model's own that were in use, for example "TF32".
        notes: What else a reader must know, as sentences.
    """

    backend: str
    verdict: Verdict
    reason: str = ""
    asked: str = ""
    nodes: tuple[NodePlacement, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    reduced: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def placement(self) -> Mapping[str, int]:
        """Number of nodes that each execution provider or device really ran."""
        return dict(Counter(node.where for node in self.nodes))

    @property
    def elsewhere(self) -> tuple[NodePlacement, ...]:
        """Nodes that ran somewhere else than what was asked for."""
        return tuple(node for node in self.nodes if node.where != self.asked)

    @property
    def coverage(self) -> float:
        """Share of the nodes that ran where they were asked to, 0 to 1; NaN where not known."""
        if not self.nodes:
            return float("nan")
        return (len(self.nodes) - len(self.elsewhere)) / len(self.nodes)


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The outcome of `normonnx.validate`.

    Attributes:
        verdict: Worst verdict over all comparisons and backends; inconclusive for none.
        comparisons: Every output of every case on every backend, judged.
        backends: What ran.
        divergence: Where the error begins; None when there is none or it was not located.
        factor: Error over noise floor up to which a backend passes; see also
            `Comparison.allowed`.
        tolerance: The plain tolerance that was judged by instead; None for the noise floor.
        seed: Seed of the random inputs and of the perturbations.
        notes: What else a reader must know, as sentences: profiles of inputs that were left out.
        node_errors: How far off each node is, for each backend that can tell; empty unless that
            was asked for.
    """

    verdict: Verdict
    comparisons: tuple[Comparison, ...] = ()
    backends: tuple[BackendRun, ...] = ()
    divergence: Divergence | None = None
    factor: float = float("nan")
    seed: int = 0
    tolerance: Tolerance | None = None
    notes: tuple[str, ...] = ()
    node_errors: tuple[NodeErrors, ...] = ()

    @property
    def passed(self) -> bool:
        """True only when something was compared and everything that was compared is right."""
        return self.verdict is Verdict.PASS and bool(self.comparisons)


@dataclass(frozen=True, slots=True)
class RewritesJudged:
    """The rewrites of a model, each judged over the nodes that it changed.

    Attributes:
        total: Number of rewrites.
        checked: Of those that were proven right. The others could not be compared.
        wrong: Number, from 0, and report of each that was found wrong.
    """

    total: int = 0
    checked: int = 0
    wrong: tuple[tuple[int, ValidationReport], ...] = ()
