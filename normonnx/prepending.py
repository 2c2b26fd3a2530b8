"""A scaler in front of a model: folded into its first layers where that is exact, else kept.

A linear scaler is y = scale x + shift for each feature. What reads the input absorbs it as it would
absorb any affine: W y + b = (W scale) x + (W shift + b), computed in float64 and rounded once. The
terms of W shift cancel those of (W scale) x: where shift is large beside y, a runtime loses as many
digits in the sum as shift has more than y, so that a scaler whose mean is far above the spread
stays. So does one that the judge does not prove to be the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.norm import DOMAIN
from normonnx.core.dtypes import is_narrow
from normonnx.core.errors import UsageError
from normonnx.core.events import Event, OptimizeReport
from normonnx.core.verdicts import ValidationReport, Verdict
from normonnx.exporting.assembling import DType, ScalerStyle
from normonnx.exporting.attaching import attach, copy_notes
from normonnx.exporting.fronts import Front, chosen_input, front_of, match, scaler_type
from normonnx.exporting.rows import Rows
from normonnx.exporting.scalers import OPSET
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.passes import applier_of
from normonnx.fold.plan import Refusal, merge
from normonnx.fold.planner import Planner
from normonnx.fold.quantized import settled
from normonnx.fold.sources import Source, affine_of
from normonnx.fold.surroundings import Surroundings, described
from normonnx.graph import checks
from normonnx.graph.source import ModelLike, as_model, own_model
from normonnx.graph.walk import label
from normonnx.pipeline import count_operators

RULE: Final = "prepend"
_CANCELS: Final = 64.0  # shift beside a spread of 1: six of the 24 digits of float32
_WIDTH: Final = 6  # of rows, where any number of features will do
_POSITIVE: Final = ("BoxCox", "Log")
_ABOVE_ZERO: Final = 0.01
_WIDE: Final = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE})


@dataclass(frozen=True, slots=True)
class Compared:
    """What a judge of a scaler in front of a model compares.

    Attributes:
        model: The model without the scaler.
        scaler: The scaler alone.
        kept: The scaler in front of the model, with nothing folded.
        result: What is judged.
        target: Name of the input.
        transform: What the scaler makes of rows, in Python; None where only `scaler` knows.
        draw: Rows of that number such as the scaler was fitted to.
    """

    model: ir.Model
    scaler: ir.Model
    kept: ir.Model
    result: ir.Model
    target: str
    transform: Callable[[Rows], Rows] | None
    draw: Callable[[int], Rows]


Judge = Callable[[Compared], ValidationReport]


@dataclass(frozen=True, slots=True)
class Options:
    """How to put a scaler in front of a model; see `normonnx.prepend`."""

    input: str | None = None
    style: ScalerStyle = "function"
    stash_type: DType = "float64"
    fold: bool = True
    verify: Literal["final"] | None = "final"


@dataclass(frozen=True, slots=True, eq=False)
class PrependResult:
    """A model with a scaler in front of it.

    Attributes:
        model: Takes the features as they are before scaling, under the name of the model's input.
        folded: Whether the scaler went into the model's own weights.
        report: What was done, why it was not folded, and the outcome of the check.
    """

    model: ir.Model
    folded: bool
    report: OptimizeReport


def run(scaler: Any, model: ModelLike, options: Options, judge: Judge) -> PrependResult:  # noqa: ANN401  # an estimator, or a model
    """Put a scaler in front of a model; what was passed in stays as it is.

    Raises:
        UsageError: They don't fit, or one of them is no such thing.
        InvalidModelError: The model is damaged or no legal ONNX model.
    """
    if options.verify not in (None, "final"):
        message = f"verify {options.verify!r} is unknown; expected 'final' or None"
        raise UsageError(message)
    original = as_model(model)
    front = front_of(scaler, options.style, options.stash_type)
    kept = own_model(original)
    target = chosen_input(kept, options.input)
    name = target.name or ""
    match(front, target)
    alone = front.write(checks.opset_of(kept) or OPSET, scaler_type(target))
    affine = _affine_through(front.spelled)
    folding = _why_not(target, options) or _Folding.of(original, name, front, affine, alone)
    draw = front.draw if front.incoming is not None else None
    draw = draw or _draw_of(_width(front, target), affine, alone)
    attach(kept, target, own_model(alone), front.title.partition("(")[0])
    compared = Compared(original, alone, kept, kept, name, front.transform, draw)
    return _decided(compared, folding, front.title, judge if options.verify else None)


def _decided(
    compared: Compared, folding: _Folding | str, title: str, judge: Judge | None
) -> PrependResult:
    """Folded where that is proven, or is not to be; else kept in front."""
    original, name = compared.model, compared.target
    if isinstance(folding, _Folding):
        found = None if judge is None else judge(replace(compared, result=folding.model))
        if found is None or found.verdict is Verdict.PASS:
            report = _report(original, folding.model, (folding.event,), (), found)
            return PrependResult(folding.model, folded=True, report=report)
        folding = f"folded, it would not be proven the same: {_said(found)}"
    applied = Event(RULE, name, title, f"{title} put in front of input {name!r}")
    refused = Event(RULE, name, title, f"not folded: {folding}")
    found = None if judge is None else judge(compared)
    report = _report(original, compared.kept, (applied,), (refused,), found)
    return PrependResult(compared.kept, folded=False, report=report)


def _width(front: Front, target: ir.Value) -> int:
    """Number of features to try a scaler on."""
    known = front.incoming or (None if target.shape is None else target.shape[1])
    return known if isinstance(known, int) else _WIDTH


def _draw_of(width: int, affine: ChannelAffine | str, alone: ir.Model) -> Callable[[int], Rows]:
    """Makes rows to try a scaler on of which only a model is known."""

    def draw(count: int) -> Rows:
        rows = np.random.default_rng(0).standard_normal((count, width))
        if not isinstance(affine, str):
            rows = (rows - affine.shift) / affine.scale
        elif any(node.op_type in _POSITIVE for node in alone.graph):
            rows = np.abs(rows) + _ABOVE_ZERO
        return rows.astype(np.float32).astype(np.float64)

    return draw


def _why_not(target: ir.Value, options: Options) -> str | None:
    if not options.fold:
        return "as asked for"
    if target.dtype is not None and is_narrow(np.dtype(target.dtype.numpy())):
        return (
            f"the model takes {target.dtype.name.lower()}, which features before scaling may not "
            "fit; they are scaled in float32"
        )
    return None


def _said(verification: ValidationReport) -> str:
    reasons = [each.reason for each in verification.comparisons if each.reason]
    return reasons[0] if reasons else verification.verdict.value


def _report(
    original: ir.Model,
    result: ir.Model,
    applied: tuple[Event, ...],
    refused: tuple[Event, ...],
    verification: ValidationReport | None,
) -> OptimizeReport:
    return OptimizeReport(
        applied=applied,
        refused=refused,
        nodes_before=count_operators(original),
        nodes_after=count_operators(result),
        opset_before=checks.opset_of(original),
        opset_after=checks.opset_of(result),
        verification=verification,
    )


@dataclass(frozen=True, slots=True)
class _Folding:
    """A model that has absorbed a scaler, and what took it."""

    model: ir.Model
    event: Event

    @classmethod
    def of(
        cls,
        original: ir.Model,
        name: str,
        front: Front,
        affine: ChannelAffine | str,
        alone: ir.Model,
    ) -> _Folding | str:
        """Fold into a copy of the model; the reason where it can't be."""
        if isinstance(affine, str):
            return affine
        far = int(np.argmax(np.abs(affine.shift)))
        if abs(affine.shift[far]) > _CANCELS:
            return (
                f"feature {far} is shifted by {abs(affine.shift[far]):.0f} times its spread; "
                f"folded, more than {_CANCELS:.0f} would cancel in the sum of the first layer"
            )
        work = own_model(original)
        target = chosen_input(work, name)
        match(front, target)
        with np.errstate(all="ignore"):  # numbers that are not finite are refused by name
            found = _absorbed(work, target, affine)
        if isinstance(found, str):
            return found
        copy_notes(alone, work)
        reason = f"{front.title} folded into {' and '.join(map(described, found))}"
        if not found:
            reason = f"{front.title} changes nothing, so nothing was added"
        event = Event(RULE, label(found[0]) if found else name, front.title, reason)
        return cls(work, event)


def _absorbed(work: ir.Model, target: ir.Value, affine: ChannelAffine) -> tuple[ir.Node, ...] | str:
    """Let what reads an input absorb an affine, in place; what took it, or why nothing did."""
    planner = Planner(Surroundings.of(work))
    draft = planner.down(target, affine)
    if not isinstance(draft, Refusal):
        draft = settled(planner.surroundings, draft)
    if isinstance(draft, Refusal):
        return draft.reason
    if not draft.edits:
        return ()
    plan = merge(draft.edits[0].node, draft.edits, "")
    if isinstance(plan, Refusal):
        return plan.reason
    into = draft.into
    applier = applier_of(work)
    problem = applier.apply(plan)
    if problem is not None:
        return problem.reason
    applier.editor.finish()
    return tuple(node for node in into if node.graph is not None) or into


def _affine_through(scaler: ir.Model) -> ChannelAffine | str:
    """A scaler as one scale and shift for each feature; why it is none."""
    surroundings = Surroundings.of(scaler)
    value, end = scaler.graph.inputs[0], scaler.graph.outputs[0]
    width = None if value.shape is None else value.shape[1]
    if not isinstance(width, int):
        return "the number of its features is not known"
    total = ChannelAffine((1,), np.ones(width), np.zeros(width))
    while value is not end:
        readers = [use.node for use in value.uses()]
        if len(readers) != 1:
            return "it takes features apart and joins them again"
        found = _affine_at(surroundings, readers[0])
        if isinstance(found, str):
            return found
        along = found.over(1, width)
        if along is None:
            return f"{described(readers[0])} is no scale and shift of each feature"
        total = along.after(total)
        value = readers[0].outputs[0]
    return total


def _affine_at(surroundings: Surroundings, node: ir.Node) -> ChannelAffine | str:
    nothing = ChannelAffine((), np.ones(()), np.zeros(()))
    if node.domain == DOMAIN:
        return _affine_of_call(surroundings, node)
    if node.op_type == "Identity":
        return nothing
    if node.op_type == "Cast" and node.attributes["to"].as_int() in {int(kind) for kind in _WIDE}:
        return nothing
    found = affine_of(surroundings, node)
    if isinstance(found, Source):
        return found.affine
    return (
        f"{described(node)} is no scale and shift of each feature"
        if found is None
        else found.reason
    )


def _affine_of_call(surroundings: Surroundings, node: ir.Node) -> ChannelAffine | str:
    """Of a call of the catalogue's function, whose numbers are constants."""
    read = _CALLS.get(node.op_type)
    arrays = [surroundings.constants.get(value) for value in node.inputs[1:]]
    known = [array.astype(np.float64).reshape(-1) for array in arrays if array is not None]
    if read is None or len(known) != len(arrays):
        return f"{node.op_type} is not linear"
    clip = node.attributes["clip"].as_int() if "clip" in node.attributes else 0
    bounds = known[2:] if node.op_type == "MinMaxScaler" else []
    if clip or not all(np.isinf(each).all() for each in bounds):
        return f"{node.op_type} keeps its result within bounds, so it is not linear"
    scale, shift = np.broadcast_arrays(*read(*known[:2]))
    if scale.size == 1:
        return ChannelAffine((), scale.reshape(()), shift.reshape(()))
    return ChannelAffine((1,), scale, shift)


_Numbers = Callable[..., tuple[Any, Any]]
_CALLS: Final[Mapping[str, _Numbers]] = {
    "StandardScaler": lambda mean, scale: (1 / scale, -mean / scale),
    "RobustScaler": lambda center, scale: (1 / scale, -center / scale),
    "MinMaxScaler": lambda scale, shift: (scale, shift),
    "MaxAbsScaler": lambda most: (1 / np.where(most == 0, 1, most), np.zeros_like(most)),
}
