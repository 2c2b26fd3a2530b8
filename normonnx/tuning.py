"""The forms of a model's own normalizations, measured on this machine.

Sizes that the shapes of the inputs don't settle are those of one run in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.core.costs import CostTable
from normonnx.core.errors import NormonnxError, UsageError
from normonnx.graph import checks
from normonnx.graph.source import ModelLike, as_model, own_model
from normonnx.graph.walk import label
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found
from normonnx.runtime.oracle import evaluate
from normonnx.timing import forms, tuning
from normonnx.validation.drawing import check_names, chosen_shapes, drawn, required_inputs

_IMAGE_RANK: Final = 4
_IMAGE: Final = (1, 224)  # a batch of one, and the size of any other dynamic dimension
_SEQUENCE: Final = (1, 128)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A normalization that was not measured.

    Attributes:
        node: Name of the node that gives its result; its first output's name where it has none.
        norm: Which normalization it is.
        reason: Why it was not measured, as a sentence for users.
    """

    node: str
    norm: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was measured of a model.

    Attributes:
        table: Each distinct use of a normalization.
        left_out: The normalizations without an entry.
    """

    table: CostTable
    left_out: tuple[LeftOut, ...]


def tune_model(  # noqa: PLR0913
    model: ModelLike,
    *,
    target: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
    seconds: float,
    threads: int,
    told: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
) -> Tuned:
    """Measure the forms of every normalization of a model; see `normonnx.tune`.

    `told` hears how many of how many distinct uses are measured.

    Raises:
        UnavailableError: What runs the target is not here.
        UsageError: The target can't be measured, or a shape doesn't fit.
        InvalidModelError: As `normonnx.load`.
    """
    tuning.backend_of(target)
    given = as_model(model)
    opset = checks.opset_of(given)
    found = _calls(_sized(given, shapes or {}))
    reasons = [_hindrance(call, opset) for _, call in found]
    able = [call for (_, call), reason in zip(found, reasons, strict=True) if not reason]
    total = len({forms.entry_of(call, opset).use for call in able})
    done = count(1)
    table = tuning.tune(
        able,
        opset,
        target,
        seconds=seconds,
        threads=threads,
        told=lambda entry: told(entry.norm, next(done), total),
    )
    uses = {entry.use for entry in table.entries}
    left_out = []
    for (node, call), hindrance in zip(found, reasons, strict=True):
        reason = hindrance
        if not reason and forms.entry_of(call, opset).use not in uses:
            reason = f"none of its forms runs on {target}"
        if reason:
            left_out.append(LeftOut(node, call.norm.name, reason))
    return Tuned(table, tuple(left_out))


def _sized(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> ir.Model:
    """A copy whose inputs have no dynamic dimension."""
    check_names(model, shapes)
    sized = own_model(model)
    inputs = required_inputs(sized)
    sizes = _IMAGE if any(map(_is_image, inputs)) else _SEQUENCE
    chosen = chosen_shapes(inputs, sizes, shapes)
    for value in inputs:
        value.shape = ir.Shape(chosen[value.name or ""])
    return sized


def _calls(model: ir.Model) -> list[tuple[str, NormCall]]:
    """Each normalization with the name of its node, of known sizes as far as can be."""
    norms = find(model).norms
    unknown = {id(each.root) for each in norms if not _is_static(each.call)}
    ran = _sizes_in_a_run(model, unknown) if unknown else {}
    return [
        (label(each.node), _at(each, ran[id(each.root)]) if id(each.root) in ran else each.call)
        for each in norms
    ]


def _sizes_in_a_run(model: ir.Model, wanted: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Shapes of values by their id, as they are on inputs that are drawn; none where none are."""
    found: dict[int, tuple[int, ...]] = {}

    def look(node: ir.Node, inputs: Sequence[Any], _results: Sequence[Any]) -> None:
        for value, array in zip(node.inputs, inputs, strict=False):
            if id(value) in wanted:
                found[id(value)] = np.shape(array)

    try:
        evaluate(model, drawn(model, _IMAGE, {}, seed=0)[0].feeds, watch=look, inside=True)
    except NormonnxError:
        return found  # what was seen before
    return found


def _at(found: Found, shape: tuple[int, ...]) -> NormCall:
    """A use with the sizes that its X was seen to have; as it was where nothing was in it."""
    if 0 in shape:
        return found.call
    if found.surplus.channels_last:
        shape = (shape[0], shape[-1], *shape[1:-1])
    return replace(found.call, shape=shape)


def _is_static(call: NormCall) -> bool:
    return all(isinstance(dim, int) for dim in call.shape)


def _is_image(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) >= _IMAGE_RANK


def _hindrance(call: NormCall, opset: int) -> str:
    """Why a use can't be measured; empty where it can."""
    if not call.forms_at(opset):
        return f"it has no form at opset {opset}"
    try:
        forms.entry_of(call, opset)
    except UsageError as error:
        return f"{error}; give the shapes of the inputs"
    return ""
