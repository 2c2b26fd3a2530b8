"""From a model to an optimized one: which passes run, in which order, and what they report.

The pipeline never judges its own work: where a result is to be verified, it is handed a callable
that compares two models, and where each rewrite is, one that makes an overseer.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import onnx_ir as ir

from normonnx.core.collecting import rarely_collecting
from normonnx.core.errors import UsageError
from normonnx.core.events import Event, OptimizeReport
from normonnx.core.kernels import Kernels
from normonnx.core.verdicts import RewritesJudged, ValidationReport, Verdict
from normonnx.fold.rules import fold_first, rewrite
from normonnx.graph import checks, walk
from normonnx.graph.source import ModelLike, as_model, copied
from normonnx.lower import hints, opsets, stored
from normonnx.lower.choosing import Style, Wanted
from normonnx.lower.targets import TARGETS, kernels_of
from normonnx.lowering import Lowered, lower
from normonnx.recognize.passes import Recognition, recognize

PASSES: Final[Mapping[str, str]] = {
    "recognize": "each normalization, however spelled, into one call of normonnx::NAME",
    "lower": "each normalization, however spelled, into the form that its target runs best",
    "fold-affine": "per-channel affines, such as BatchNormalization, into linear operators",
    "merge-parallel": "Convs or matrix products of one input, summed, into one, identity included",
    "merge-sequential": "Convs or matrix products in a row into one, where it multiplies less",
    "reduce-early": "maxima and minima before what keeps the order of elements, not after",
    "reduce-last": "maxima and minima of products along the last axis, of the transpose",
    "remove-views": "Transposes and Reshapes that undo, repeat or follow one another",
}
_FOLDS: Final = frozenset(PASSES) - {"recognize", "lower"}
BATCH_NORM: Final = ("BatchNormalization",)

STYLES: Final = ("function", "native", "primitive")
PREFERENCES: Final = ("speed", "accuracy")
_ROUNDS: Final = 4  # folding and lowering make room for each other
Verify = Literal["final", "each"]
Verifier = Callable[[ir.Model, ir.Model], ValidationReport]


class Overseer(Protocol):
    """Judges the rewrites of one model, each over the nodes that it changed."""

    def note(self) -> None:
        """Look at what the last rewrite changed."""

    def judged(self) -> RewritesJudged:
        """Judge all that was noted."""


@dataclass(frozen=True, slots=True)
class Judges:
    """What the work is judged by.

    Attributes:
        final: Compares the original, then what became of it.
        each: Makes an overseer of the original and its copy, before the first rewrite.
    """

    final: Verifier
    each: Callable[[ir.Model, ir.Model], Overseer]


@dataclass(frozen=True, slots=True, eq=False)
class OptimizeResult:
    """An optimized model and how it came about.

    Attributes:
        model: The optimized model. Unchanged weights are still read from the source file: keep it.
        report: What was done, what was refused and why, and the outcome of the check.
    """

    model: ir.Model
    report: OptimizeReport


@dataclass(frozen=True, slots=True)
class Options:
    """How to optimize; see `normonnx.optimize`."""

    target: str = "portable"
    style: str | None = None
    prefer: str = "speed"
    opset: int | None = None
    kernels: Kernels | None = None
    highest: int | None = None  # opset that the target loads
    keep: tuple[str, ...] = ()
    keep_inputs: tuple[str, ...] = ()
    passes: tuple[str, ...] | None = None
    only: tuple[str, ...] | None = None
    verify: Verify | None = None


@dataclass(frozen=True, slots=True)
class Rewrites:
    """What was done and what was refused."""

    applied: tuple[Event, ...]
    refused: tuple[Event, ...]


@rarely_collecting()
def run(model: ModelLike, options: Options, judges: Judges) -> OptimizeResult:
    """Optimize a model; what was passed in stays as it is.

    Raises:
        UsageError: An option has no such value.
        InvalidModelError: The model is damaged or no legal ONNX model.
    """
    check_options(options)
    original = as_model(model)
    # Rewriting replaces tensors and never changes one, so a copy of the graph suffices.
    kept = original is model or options.verify is not None
    work = copied(original) if kept else original
    options = _with_names(work, options)
    before, opset = count_operators(work), checks.opset_of(work)
    overseer = judges.each(original, work) if options.verify == "each" else None
    found = _rewritten(work, options, None if overseer is None else lambda _: overseer.note())
    judged = None if overseer is None else overseer.judged()
    verification = None if judged is None else _blaming(judged, found.applied)
    if verification is None and options.verify is not None:
        verification = judges.final(original, work)
    if verification is not None and judged is not None:
        verification = replace(verification, notes=(*verification.notes, _coverage(judged)))
    report = OptimizeReport(
        applied=found.applied,
        refused=found.refused,
        nodes_before=before,
        nodes_after=count_operators(work),
        opset_before=opset,
        opset_after=checks.opset_of(work),
        target=options.target,
        verification=verification,
        checked=None if judged is None else judged.checked,
    )
    return OptimizeResult(work, report)


@rarely_collecting()
def rewrite_in_place(model: ir.Model, options: Options) -> Rewrites:
    """Optimize a model itself; nothing is checked.

    Args:
        model: Changed in place.
        options: How; `verify` and `opset` do nothing here.

    Raises:
        UsageError: An option has no such value.
        InvalidModelError: The model is no legal ONNX model.
    """
    check_options(options)
    work = as_model(model)
    return _rewritten(work, replace(_with_names(work, options), opset=None), None)


def _rewritten(
    work: ir.Model, options: Options, observer: Callable[[Event], None] | None
) -> Rewrites:
    """Run the passes in their order."""
    if options.only is not None:
        return _folded(work, options, observer)
    if options.style == "function" or "recognize" in (options.passes or ()):
        return _as_functions(work, options, observer)
    return _in_forms(work, options, observer)


def _folded(work: ir.Model, options: Options, observer: Callable[[Event], None] | None) -> Rewrites:
    found = rewrite(
        work,
        keep=options.keep,
        keep_inputs=options.keep_inputs,
        passes=options.passes,
        only=options.only,
        observer=observer,
    )
    return Rewrites(found.applied, found.refused)


def _as_functions(
    work: ir.Model, options: Options, observer: Callable[[Event], None] | None
) -> Rewrites:
    """What is recognised first is not folded into pieces.

    A scale and a shift fold first, and are recognised where they stay.
    """
    moved = _moved(work, options, observer)

    def recognized(*, affine: bool | None) -> Recognition:
        keep = {"keep": options.keep, "keep_inputs": options.keep_inputs}
        return recognize(work, **keep, affine=affine, observer=observer)

    if not _folds(options):
        return _joined([moved, recognized(affine=None)])
    first = recognized(affine=False)
    found = _folded(work, options, observer)
    if not first.left and not found.applied:
        return _joined([moved, first, found])
    return _joined([moved, first, found, recognized(affine=True)])


def _folds(options: Options) -> bool:
    """Whether one of the passes that fold is to run."""
    return options.passes is None or any(name in _FOLDS for name in options.passes)


def _in_forms(
    work: ir.Model, options: Options, observer: Callable[[Event], None] | None
) -> Rewrites:
    """Folding and the choice of forms take turns, since each may make room for the other.

    So does a norm that was written as a chain: together with what is around it it may be another.
    """
    passes = PASSES if options.passes is None else options.passes
    if "lower" not in passes:
        return _joined([_moved(work, options, observer), _folded(work, options, observer)])
    wanted = _wanted(options)
    keep = {"keep": options.keep, "keep_inputs": options.keep_inputs}

    def lowered(limit: int | None) -> Lowered:
        return lower(work, wanted, limit=limit, observer=observer, **keep)

    opset, done = options.opset, list[Event]()
    if opset is not None and opset < checks.opset_of(work):
        done += lowered(opset).applied  # what the lower opset lacks is taken apart before
    done += _moved(work, options, observer).applied
    folds = _folds(options)
    if "fold-affine" in passes:
        done += fold_first(work, observer=observer, **keep).applied
    for _ in range(_ROUNDS):
        formed = lowered(None)
        folded = _folded(work, options, observer) if folds else Rewrites((), ())
        done += [*formed.applied, *folded.applied]
        if not folded.applied and not formed.in_chains:
            break
    hints.record(work, TARGETS[options.target])
    left = tuple(event for event in folded.refused if event.node not in formed.nodes)
    return Rewrites(tuple(done), (*formed.refused, *left))


def _moved(work: ir.Model, options: Options, observer: Callable[[Event], None] | None) -> Rewrites:
    if options.opset is None or options.opset == checks.opset_of(work):
        return Rewrites((), ())
    moved = opsets.move(work, options.opset, keep=options.keep, observer=observer)
    return Rewrites(moved.applied, ())


def _joined(parts: Sequence[Rewrites | Recognition]) -> Rewrites:
    return Rewrites(
        tuple(event for part in parts for event in part.applied),
        tuple(event for part in parts for event in part.refused),
    )


def _wanted(options: Options) -> Wanted:
    target = TARGETS[options.target]
    style = Style(options.style) if options.style in ("native", "primitive") else Style.ANY
    return Wanted(
        target,
        style=style,
        accurate=options.prefer == "accuracy",
        kernels=kernels_of(target, options.kernels),
        tables=stored.tables_for(target.name),
    )


def _blaming(judged: RewritesJudged, applied: Sequence[Event]) -> ValidationReport | None:
    """What was found wrong, naming the rewrites; None where nothing was."""
    if not judged.wrong:
        return None
    comparisons = [
        replace(
            found,
            reason=f"after this rewrite: {applied[number].reason}; {found.reason}".rstrip("; "),
        )
        for number, report in judged.wrong
        for found in report.comparisons
        if found.verdict is Verdict.MISMATCH
    ]
    return replace(judged.wrong[0][1], comparisons=tuple(comparisons))


def _coverage(judged: RewritesJudged) -> str:
    """How many rewrites were checked by themselves."""
    if not judged.total:
        return "there was no rewrite to check by itself"
    said = f"{judged.checked} of {judged.total} rewrites were checked over the nodes they changed"
    if judged.checked == judged.total:
        return said
    return f"{said}; only the check of the whole model speaks for the others"


def count_operators(model: ir.Model) -> dict[str, int]:
    """Number of nodes per operator type, over all graphs and functions, sorted by name."""
    counts: Counter[str] = Counter()
    for graph in walk.all_graphs(model):
        counts.update(
            node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"
            for node in graph
        )
    return dict(sorted(counts.items()))


def check_options(options: Options) -> None:
    """Look at the values of options.

    Raises:
        UsageError: One has no such value.
    """
    _check_choice("target", options.target, TARGETS)
    for name in options.passes or ():
        _check_choice("pass", name, PASSES)
    if options.style is not None:
        _check_choice("style", options.style, STYLES)
    _check_choice("preference", options.prefer, PREFERENCES)
    if options.highest is not None and (options.opset or 0) > options.highest:
        message = (
            f"opset {options.opset} is newer than {options.target} loads; choose {options.highest} "
            "or an earlier one, or another target"
        )
        raise UsageError(message)
    if options.verify not in (None, "final", "each"):
        message = f"verify {options.verify!r} is unknown; expected 'final', 'each' or None"
        raise UsageError(message)


def _check_choice(what: str, found: str, known: Collection[str]) -> None:
    if found not in known:
        message = f"{what} {found!r} is unknown; expected one of {', '.join(sorted(known))}"
        raise UsageError(message)


def _with_names(model: ir.Model, options: Options) -> Options:
    """The options with patterns replaced by the names they match.

    A name, or pattern, that nothing in the model has is refused: a typing error would go unnoticed.
    """
    inputs = {value.name or "" for value in model.graph.inputs}
    _refuse_unknown("input to keep", options.keep_inputs, inputs)
    if not options.keep:
        return options
    names: set[str] = set(inputs)
    for graph in walk.all_graphs(model):
        names.update(graph.initializers)
        for node in graph:
            names.add(node.name or "")
            names.update(value.name or "" for value in node.outputs)
    names.discard("")
    kept: set[str] = set()
    for wanted in options.keep:
        found = [name for name in names if fnmatch.fnmatchcase(name, wanted)]
        matched = {wanted} if wanted in names else set(found)
        if not matched:
            _refuse_unknown("name to keep", [wanted], names)
        kept |= matched
    return replace(options, keep=tuple(sorted(kept)))


def _refuse_unknown(what: str, wanted: Collection[str], known: Collection[str]) -> None:
    for name in wanted:
        if name in known and name:
            continue
        close = difflib.get_close_matches(name, sorted(known), n=3)
        hint = (
            f"did you mean {', '.join(close)}?"
            if close
            else "see the names with `normonnx inspect`"
        )
        message = f"{what} {name!r} is not in the model; {hint}"
        raise UsageError(message)
