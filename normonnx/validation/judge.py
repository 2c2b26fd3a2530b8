"""The two questions: does a backend compute this model rightly, and are two models the same function?

Both are judged against the float64 oracle with the model's own noise floor as the yardstick (`measures`).
An output behind a decision (ArgMax, rounding, comparison, ...) that differs is tried again with inputs and weights
moved by the allowed factor: if the truth itself changes as much, the decision was a near tie and the
comparison inconclusive. Random operators make what depends on them inconclusive.

Over several cases an output passes when one case proves it and none refutes it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    ValidationReport,
    Verdict,
    conclusion,
    worst_verdict,
)
from normonnx.graph import files
from normonnx.graph.source import ModelLike, as_model
from normonnx.runtime import backends as runtime_backends
from normonnx.runtime.invocation import Array
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.validation import drawing
from normonnx.validation.dependence import DECISIONS, RANDOM, depends_on
from normonnx.validation.drawing import Case
from normonnx.validation.measures import FACTOR, Judgement, judge_output, proves_something, relative_error

DRAWS: Final = 2
_MORE_DRAWS: Final = 6
_TIE_DRAWS: Final = 4

Inputs = str | os.PathLike[str] | Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Truth:
    """What a model computes in float64 on one case, and how that moves."""

    case: Case
    outputs: Mapping[str, Array]
    moved: tuple[Mapping[str, Array], ...]


@dataclass(frozen=True, slots=True)
class _Settings:
    seed: int
    factor: float
    kernels: bool = False


def validate(  # noqa: PLR0913
    model: ModelLike,
    *,
    against: ModelLike | None = None,
    backends: Sequence[str] = ("ort:cpu",),
    inputs: Inputs = None,
    shapes: drawing.Shapes | None = None,
    seed: int = 0,
    factor: float = FACTOR,
    timeout: float = 600.0,
) -> ValidationReport:
    """Judge backends on a model, and a model against a reference; see `normonnx.validate`."""
    settings = _Settings(seed, _checked_factor(factor), kernels=True)
    loaded = as_model(model)
    reference = None if against is None else as_model(against)
    comparisons: list[Comparison] = []
    runs: list[BackendRun] = []
    try:
        truths = _truths(loaded, inputs, shapes or {}, settings)
    except UnsupportedOperatorError as error:
        return _unknown(loaded, backends, str(error), settings)
    with _on_disk(model, loaded) as path:
        for backend in backends:
            request = runtime_backends.Request(path, [t.case.feeds for t in truths], timeout)
            outcome = runtime_backends.run(backend, request)
            found = _judged_backend(loaded, truths, outcome, settings)
            comparisons += found
            runs.append(_with_verdict(outcome.run, found))
    if reference is not None:
        comparisons += _equivalent(reference, loaded, truths, replace(settings, kernels=False))
    return _report(comparisons, runs, settings)


def equivalence(
    original: ir.Model, rewritten: ir.Model, *, seed: int = 0, factor: float = FACTOR
) -> ValidationReport:
    """Judge whether `rewritten` is the same function as `original`, in float64, without a backend.

    Args:
        original: The reference; its noise floor is the yardstick.
        rewritten: What became of it.
        seed: Seed of drawn inputs and perturbations.
        factor: Error over noise floor up to which an output passes.
    """
    settings = _Settings(seed, _checked_factor(factor))
    try:
        truths = _truths(original, None, {}, settings)
    except (UnsupportedOperatorError, UsageError) as error:  # no inputs, so nothing to compare
        return _unknown(original, (), str(error), settings)
    found = _compared(original, rewritten, truths, settings)
    return _report(found, (), settings)


def _checked_factor(factor: float) -> float:
    if not factor > 0:
        message = f"factor {factor} must be positive; the calibrated value is {FACTOR:g}"
        raise UsageError(message)
    return factor


def _truths(
    model: ir.Model, inputs: Inputs, shapes: drawing.Shapes, settings: _Settings
) -> list[_Truth]:
    """Evaluate a model on the inputs given, or on the first drawn ones that it accepts."""
    drawing.check_names(model, shapes)
    if inputs is not None:
        return [_truth(model, case, settings) for case in drawing.given(model, inputs)]
    problem: InvalidModelError | None = None
    for sizes in drawing.attempts(model, shapes):
        try:
            cases = drawing.drawn(model, sizes, shapes, settings.seed)
            first = _truth(model, cases[0], settings)
        except InvalidModelError as error:
            problem = problem or error
            continue
        if all(np.size(output) for output in first.outputs.values()) or problem is None:
            more = cases[1:]
            if not _all_prove_something(model, first, settings):
                page = drawing.page(model, cases[0], settings.seed)
                more = (*more, page) if page is not None else more
            return [first, *(_truth(model, case, settings, draws=1) for case in more)]
    message = f"no inputs were found that the model accepts; give --shape or --inputs ({problem})"
    raise UnsupportedOperatorError(message)


def _all_prove_something(model: ir.Model, truth: _Truth, settings: _Settings) -> bool:
    """Whether every output is varied enough on this case for agreement to mean anything."""
    for value in model.graph.outputs:
        name = value.name or ""
        expected = truth.outputs[name]
        if value.dtype is None or not isinstance(expected, np.ndarray):
            continue
        moved = [draw[name] for draw in truth.moved]
        dtype = np.dtype(value.dtype.numpy())
        if not proves_something(expected, dtype, moved, settings.factor):
            return False
    return True


def _truth(model: ir.Model, case: Case, settings: _Settings, draws: int = DRAWS) -> _Truth:
    outputs = evaluate(model, case.feeds)
    seeds = [settings.seed * 1000 + draw for draw in range(draws)]
    noises = [Perturbation(seed, kernels=settings.kernels) for seed in seeds]
    moved = tuple(evaluate(model, case.feeds, perturb=noise) for noise in noises)
    return _Truth(case, outputs, moved)


def _judged_backend(
    model: ir.Model,
    truths: Sequence[_Truth],
    outcome: runtime_backends.Outcome,
    settings: _Settings,
) -> list[Comparison]:
    found = []
    for truth, outputs in zip(truths, outcome.outputs, strict=False):
        where = ("computes", outcome.run.backend, truth.case.name)
        found += _comparisons(model, truth, outputs, (where, settings))
    return found


def _equivalent(
    reference: ir.Model, model: ir.Model, truths: Sequence[_Truth], settings: _Settings
) -> list[Comparison]:
    """Compare a model, whose truths are known, with a reference on the same inputs."""
    difference = _interface_difference(reference, model)
    if difference:
        return [_refused(difference)]
    known = {value.name for value in reference.graph.inputs}
    try:
        of_reference = [
            _truth(reference, _only(truth.case, known), settings) for truth in truths
        ]
    except UnsupportedOperatorError as error:
        return [_refused(f"of the reference: {error}", Verdict.INCONCLUSIVE)]
    except InvalidModelError as error:
        return [_refused(f"the reference does not accept the model's inputs: {error}")]
    found = []
    for ours, theirs in zip(truths, of_reference, strict=True):
        where = ("equivalent", "oracle", ours.case.name)
        found += _comparisons(reference, theirs, ours.outputs, (where, settings))
    return found


def _compared(
    original: ir.Model, rewritten: ir.Model, truths: Sequence[_Truth], settings: _Settings
) -> list[Comparison]:
    """Evaluate the rewritten model and compare it with the original's truths."""
    difference = _interface_difference(original, rewritten)
    if difference:
        return [_refused(difference)]
    known = {value.name for value in rewritten.graph.inputs}
    found = []
    for truth in truths:
        where = ("equivalent", "oracle", truth.case.name)
        try:
            outputs = evaluate(rewritten, _only(truth.case, known).feeds)
        except InvalidModelError as error:
            return [*found, _refused(f"the rewritten model fails: {error}")]
        found += _comparisons(original, truth, outputs, (where, settings))
    return found


def _only(case: Case, names: Collection[str | None]) -> Case:
    return Case(case.name, {name: array for name, array in case.feeds.items() if name in names})


def _interface_difference(reference: ir.Model, model: ir.Model) -> str:
    """How the inputs or outputs of two models differ; empty when they don't."""
    pairs = (
        ("inputs", drawing.required_inputs(reference), drawing.required_inputs(model)),
        ("outputs", list(reference.graph.outputs), list(model.graph.outputs)),
    )
    for what, expected, found in pairs:
        ours = {value.name: value.dtype for value in found}
        theirs = {value.name: value.dtype for value in expected}
        if set(ours) != set(theirs):
            return f"{what} are {sorted(map(str, ours))}, expected {sorted(map(str, theirs))}"
        for name, dtype in theirs.items():
            if None not in (dtype, ours[name]) and dtype != ours[name]:
                return f"{what[:-1]} {name!r} has type {ours[name]}, expected {dtype}"
    return ""


_Where = tuple[str, str, str]


def _comparisons(
    model: ir.Model,
    truth: _Truth,
    outputs: Mapping[str, Any],
    how: tuple[_Where, _Settings],
) -> list[Comparison]:
    """Judge every output of one case; `model` is the one that the truth is of."""
    (question, backend, case), settings = how
    found = []
    for value in model.graph.outputs:
        name = value.name or ""
        judgement = _judgement(model, value, truth, (outputs, settings))
        found.append(
            Comparison(
                "computes" if question == "computes" else "equivalent",
                backend,
                case,
                name,
                judgement.verdict,
                judgement.reason,
                judgement.error,
                judgement.floor,
                judgement.max_abs,
                judgement.u,
            )
        )
    return found


def _judgement(
    model: ir.Model,
    value: ir.Value,
    truth: _Truth,
    how: tuple[Mapping[str, Any], _Settings],
) -> Judgement:
    outputs, settings = how
    name = value.name or ""
    if name not in outputs:
        return Judgement(Verdict.MISMATCH, "is missing")
    expected, found = truth.outputs[name], outputs[name]
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        return Judgement(Verdict.INCONCLUSIVE, "is no tensor, so it was not compared")
    if depends_on(value, RANDOM):
        return Judgement(Verdict.INCONCLUSIVE, "depends on a random operator")
    dtype = expected.dtype if value.dtype is None else np.dtype(value.dtype.numpy())
    moved = [draw[name] for draw in truth.moved]
    judgement = judge_output(found, expected, dtype, moved, settings.factor)
    if judgement.verdict is Verdict.MISMATCH and np.isfinite(judgement.error):
        moved += _more_draws(model, truth, name, settings)
        judgement = judge_output(found, expected, dtype, moved, settings.factor)
    if judgement.verdict is Verdict.MISMATCH and found.shape == expected.shape:
        tie = depends_on(value, DECISIONS) and _is_tie(model, truth, (name, found), settings)
        if tie:
            reason = "differs, but a decision on the way is a near tie"
            return Judgement(Verdict.INCONCLUSIVE, reason, judgement.error, judgement.floor)
    return judgement


def _more_draws(
    model: ir.Model, truth: _Truth, name: str, settings: _Settings
) -> list[Array]:
    """The truth moved a few times more: before anything is called wrong, the floor must be sure.

    An output that hangs on few numbers, a softmax for example, can move very little by chance.
    """
    seeds = [settings.seed * 1000 + 100 + draw for draw in range(_MORE_DRAWS)]
    noises = [Perturbation(seed, kernels=settings.kernels) for seed in seeds]
    return [evaluate(model, truth.case.feeds, perturb=noise)[name] for noise in noises]


def _is_tie(
    model: ir.Model, truth: _Truth, output: tuple[str, Array], settings: _Settings
) -> bool:
    """Whether the truth changes as much when inputs and weights move by the allowed factor."""
    name, found = output
    expected = truth.outputs[name]
    differing = found != expected
    unstable = np.zeros(expected.shape, dtype=bool)
    largest = 0.0
    for draw in range(_TIE_DRAWS):
        noise = Perturbation(
            settings.seed * 1000 + 500 + draw, settings.factor, kernels=settings.kernels
        )
        moved = evaluate(model, truth.case.feeds, perturb=noise)[name]
        if moved.shape != expected.shape:
            return True
        unstable |= moved != expected
        if expected.dtype.kind == "f":
            largest = max(largest, relative_error(moved, expected, 1.0))
    if expected.dtype.kind == "f":
        return relative_error(found.astype(np.float64), expected, 1.0) <= 2 * largest
    return bool(np.all(unstable[differing]))


def _refused(reason: str, verdict: Verdict = Verdict.MISMATCH) -> Comparison:
    return Comparison("equivalent", "oracle", "", "", verdict, reason)


def _unknown(
    model: ir.Model, backends: Sequence[str], reason: str, settings: _Settings
) -> ValidationReport:
    """Nothing can be compared: the oracle can't evaluate the model."""
    found = [
        Comparison("equivalent", "oracle", "", value.name or "", Verdict.INCONCLUSIVE, reason)
        for value in model.graph.outputs
    ]
    runs = [BackendRun(name, Verdict.INCONCLUSIVE, reason) for name in backends]
    return _report(found, runs, settings)


def _with_verdict(run: BackendRun, found: Sequence[Comparison]) -> BackendRun:
    if run.verdict is not Verdict.PASS:
        return run
    verdict = conclusion(found)
    return BackendRun(run.backend, verdict, run.reason, run.placement, run.settings)


def _report(
    comparisons: Sequence[Comparison], runs: Sequence[BackendRun], settings: _Settings
) -> ValidationReport:
    verdicts = [run.verdict for run in runs]
    rest = [found for found in comparisons if found.question == "equivalent"]
    if rest or not runs:
        verdicts.append(conclusion(rest))
    return ValidationReport(
        worst_verdict(verdicts),
        tuple(comparisons),
        tuple(runs),
        factor=settings.factor,
        seed=settings.seed,
    )


@contextmanager
def _on_disk(model: ModelLike, loaded: ir.Model) -> Iterator[Path]:
    """The file that a model was given as, or a temporary one that holds it."""
    if isinstance(model, str | os.PathLike):
        yield Path(model)
        return
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        path = Path(folder) / "model.onnx"
        files.save(loaded, path)
        yield path


