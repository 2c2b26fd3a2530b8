"""Weights and biases that are stored as integers: what scales them scales their DequantizeLinear.

A weight is w = scale (q - zero_point). A factor f for each output channel makes the scale of that
channel |f| scale, with an entry for each channel where there was one for all. Where f is negative
the integers are mirrored about the zero point, 2 zero_point - q, which must stay within their type;
where f is 0 they become the zero point.
A bias is 32-bit integers times the product of the input's and the weight's scale, as kernels for
integers assume: it keeps them, under the new scale, if they express the new bias up to roundoff,
and becomes floating point otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray, unit_roundoff
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner
from normonnx.fold.plan import (
    Edit,
    MirroredIntegers,
    NewConstant,
    Refusal,
    ScaledWeight,
    SetAttribute,
    SetInput,
)
from normonnx.fold.stored import SCALE, ZERO_POINT, Stored, along, stored
from normonnx.fold.surroundings import Surroundings, described

_PER_AXIS_SINCE: Final = 13
_EXACT: Final = 4.0  # roundoffs that integers may be off


def refuse_between(
    _planner: Planner, node: ir.Node, _index: int, _affine: ChannelAffine
) -> Refusal:
    """Numbers that are quantized on the way have scales of their own."""
    return Refusal(f"{described(node)}: numbers are rounded to integers in between")


def settled(surroundings: Surroundings, draft: Draft) -> Draft | Refusal:
    """The same draft with every change of a constant stored as integers made where it is stored."""
    edits: list[Edit] = []
    factors: dict[int, FloatArray] = {}  # of the output channels, by node
    for edit in sorted(draft.edits, key=_biases_last):
        old = _constant_of(edit)
        found = stored(surroundings, old)
        if found is None or old is None or not isinstance(edit, SetInput):
            edits.append(edit)
            continue
        if isinstance(edit.tensor, ScaledWeight):
            made = _weight(surroundings, found, old, edit.tensor)
            factors[id(edit.node)] = edit.tensor.factors.reshape(-1)
        elif isinstance(edit.tensor, NewConstant):
            factor = factors.get(id(edit.node), np.ones(()))
            made = _bias(found, old, edit, (edit.tensor, factor))
        else:
            return Refusal(f"{old.name!r} is stored as integers, which can't hold a sum")
        if isinstance(made, Refusal):
            return made
        edits += made
    return replace(draft, edits=tuple(edits))


def _constant_of(edit: Edit) -> ir.Value | None:
    """The constant that an edit changes."""
    if not isinstance(edit, SetInput) or edit.tensor is None:
        return None
    tensor = edit.tensor
    if isinstance(tensor, ScaledWeight | MirroredIntegers):
        return tensor.value
    return tensor.instead_of


def _biases_last(edit: Edit) -> bool:
    return not (isinstance(edit, SetInput) and isinstance(edit.tensor, ScaledWeight))


def _weight(
    surroundings: Surroundings, found: Stored, value: ir.Value, tensor: ScaledWeight
) -> list[Edit] | Refusal:
    """Multiply a weight: its scale, and its integers where a factor is not positive."""
    shared = _refuse_shared(surroundings, found, value)
    if shared is not None:
        return shared
    varies = _by_axis(tensor, found.shape)
    if isinstance(varies, Refusal):
        return varies
    axis, factors = varies
    scaled = _scaled(surroundings, found, axis, factors)
    if isinstance(scaled, Refusal):
        return scaled
    edits = scaled
    if np.any(factors <= 0):
        shape = [1] * len(found.shape)
        shape[axis if axis is not None else 0] = factors.size
        integers = found.node.inputs[0]
        if integers is None:
            return Refusal(f"{described(found.node)} has no input")
        zero = np.zeros((), found.integers) if found.zero_point is None else found.zero_point
        signs = np.sign(factors).reshape(shape if axis is not None else ())
        mirrored = MirroredIntegers(integers, signs, along(np.asarray(zero), found))
        edits = [*edits, SetInput(found.node, 0, mirrored)]
    return edits


def _scaled(
    surroundings: Surroundings, found: Stored, axis: int | None, factors: FloatArray
) -> list[Edit] | Refusal:
    """The new scale, and zero point where that needs another shape."""
    size = np.where(factors == 0, 1.0, np.abs(factors))
    node = found.node
    if np.all(size == 1.0):
        return []
    if axis is None or found.axis == axis:
        if found.blocked and axis is not None:
            return Refusal(
                f"{described(node)}: its scales are for blocks along axis {axis}, which the "
                "affine varies along"
            )
        return [_set_scale(found, found.scale * (size if axis is not None else size.reshape(())))]
    if found.blocked:
        shape = [1] * len(found.shape)
        shape[axis] = size.size
        return [_set_scale(found, found.scale * size.reshape(shape))]
    if found.axis is not None:
        return Refusal(
            f"{described(node)}: its scales are for axis {found.axis} of the weight, and the "
            f"affine varies along axis {axis}"
        )
    if surroundings.opset(node) < _PER_AXIS_SINCE:
        return Refusal(
            f"{described(node)}: one scale for each channel takes opset {_PER_AXIS_SINCE}; "
            "move the model up first"
        )
    edits: list[Edit] = [_set_scale(found, found.scale.reshape(-1) * size)]
    edits.append(SetAttribute(node, "axis", axis))
    if found.zero_point is not None:
        same = np.full(size.shape, found.zero_point.reshape(-1)[0])
        edits.append(_set_constant(node, ZERO_POINT, same, same.dtype))
    return edits


def _set_scale(found: Stored, scale: FloatArray) -> SetInput:
    return _set_constant(found.node, SCALE, scale, found.dtype, is_factor=True)


def _set_constant(
    node: ir.Node,
    index: int,
    array: npt.NDArray[Any],
    dtype: np.dtype[Any],
    *,
    is_factor: bool = False,
) -> SetInput:
    old = node.inputs[index]
    name = (old.name if old is not None else None) or "constant"
    exact = array.astype(np.float64)
    return SetInput(node, index, NewConstant(exact, dtype, name, old, is_factor=is_factor))


def _bias(
    found: Stored, value: ir.Value, edit: SetInput, wanted: tuple[NewConstant, FloatArray]
) -> list[Edit]:
    """Give a bias new integers under the new scale; floating point where these can't hold it."""
    tensor, factor = wanted
    plain = replace(tensor, dtype=found.dtype, name=f"{tensor.name}_float", instead_of=None)
    alone = len(value.uses()) == 1 and not value.is_graph_output()
    zero = found.zero_point is None or not np.any(found.zero_point)
    if (
        not alone
        or not zero
        or tensor.array.ndim != 1
        or not np.issubdtype(found.integers, np.integer)
    ):
        return [SetInput(edit.node, edit.index, plain)]
    size = np.where(factor == 0, 1.0, np.abs(factor))
    scale = (found.scale.reshape(-1) * size).astype(found.dtype).astype(np.float64)
    scale = np.broadcast_to(scale, tensor.array.shape)
    with np.errstate(all="ignore"):
        integers = np.rint(tensor.array / scale)
    off = np.abs(integers * scale - tensor.array)
    allowed = _EXACT * unit_roundoff(found.dtype) * np.abs(tensor.array)
    top = np.iinfo(found.integers).max
    if not np.all((off <= allowed) & (np.abs(integers) <= top)):
        return [SetInput(edit.node, edit.index, plain)]
    edits: list[Edit] = [_set_constant(found.node, 0, integers, found.integers)]
    if np.all(size == 1.0):
        return edits
    if size.size == 1 or found.axis is not None:
        return [*edits, _set_scale(found, found.scale * size.reshape(found.scale.shape))]
    if found.zero_point is not None:
        edits.append(
            _set_constant(found.node, ZERO_POINT, np.zeros(integers.shape), found.integers)
        )
    return [*edits, _set_scale(found, scale), SetAttribute(found.node, "axis", 0)]


def _by_axis(
    tensor: ScaledWeight, shape: tuple[int, ...]
) -> tuple[int | None, FloatArray] | Refusal:
    """The one axis of the weight that factors vary along, and the factors; None for no axis."""
    factors = tensor.factors
    if len(tensor.view) == len(shape) + 1:  # by groups along the first axis
        if np.any(factors != factors[:1]):
            return Refusal("the affine differs between groups, which share the scales")
        factors = factors[0]
    axes = [axis for axis, length in enumerate(factors.shape) if length > 1]
    if len(axes) > 1:
        return Refusal("the affine varies along several axes of a weight stored as integers")
    flat = factors.reshape(-1)
    return (axes[0] if axes else None), flat


def _refuse_shared(surroundings: Surroundings, found: Stored, value: ir.Value) -> Refusal | None:
    """A Refusal where something else reads the weight, or it must stay."""
    if surroundings.is_kept(found.node):
        return Refusal(f"{described(found.node)} is kept as asked for")
    if len(value.uses()) > 1 or value.is_graph_output():
        return Refusal(f"the weight that {described(found.node)} makes is also read elsewhere")
    return None
