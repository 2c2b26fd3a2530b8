"""Gemm absorbs an affine of its output, or of the operand that is not constant.

Y = alpha A' B' + beta C, where A' is [M, K] and B' is [K, N].
Up: with B constant, scaling column n of Y scales column n of B'; with A constant, scaling row m
scales row m of A'. The new bias is s (beta C) + t with beta 1, which is also right for beta 0,
where C is not read.
Down: scaling A' along K scales the rows of B', and a shift t of A' adds alpha t B' to the bias;
with A constant, B' is scaled along K by the columns of A', and a shift adds alpha A' t.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import (
    Draft,
    Planner,
    Weight,
    elsewhere,
    refuse_parameters,
    weight_of,
)
from normonnx.fold.plan import (
    Edit,
    NewConstant,
    Refusal,
    ScaledWeight,
    SetAttribute,
    SetInput,
    SummedWeight,
)
from normonnx.fold.stored import dequantized
from normonnx.fold.surroundings import Surroundings
from normonnx.graph.attributes import float_of, int_of, is_given

_MATRIX = 2
_BIAS = 2
_FLAG = ("transA", "transB")


def gemm_up(planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine) -> Draft | Refusal:
    """Scale the columns of B, or the rows of A, and rewrite C."""
    found = _constant_operand(planner, node)
    if isinstance(found, Refusal):
        return found
    index, weight = found
    axis = index  # the rows of A are axis 0 of the output, the columns of B axis 1
    own = axis if int_of(node, _FLAG[index], 0) == 0 else 1 - axis
    along = affine.over(axis, weight.shape[own])
    if along is None:
        what = ("rows", "columns")[index]
        return elsewhere(node, f"its {weight.shape[own]} {what} are axis {axis}", affine)
    edits: list[Edit] = []
    if not along.is_shift:
        edits.append(SetInput(node, index, _scaled(weight, own, along.scale)))
    bias = _bias_after(planner.surroundings, node, weight, along)
    if isinstance(bias, Refusal):
        return bias
    return Draft((*edits, *bias), into=(node,))


def gemm_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Scale the constant operand along the axis summed over; the shift goes into C."""
    if index == _BIAS:
        return Refusal("Gemm: it reads it as its bias", quiet=True)
    weight = _matrix(planner, node, 1 - index)
    if isinstance(weight, Refusal):
        return weight
    inner = 1 - index  # axis of the data, before transposition, that is summed over
    axis = inner if int_of(node, _FLAG[index], 0) == 0 else 1 - inner
    own = index if int_of(node, _FLAG[1 - index], 0) == 0 else 1 - index
    along = affine.over(axis, weight.shape[own])
    if along is None:
        return elsewhere(node, f"it sums {weight.shape[own]} entries along axis {axis}", affine)
    edits: list[Edit] = []
    if not along.is_shift:
        edits.append(SetInput(node, 1 - index, _scaled(weight, own, along.scale)))
    if not along.is_scale:
        factor = float_of(node, "alpha", 1.0)
        product = _scaled(weight, own, factor * along.shift)
        shape = (1, weight.shape[1 - own]) if index == 0 else (weight.shape[1 - own], 1)
        bias = _bias_before(planner.surroundings, node, weight, (product, own, shape))
        if isinstance(bias, Refusal):
            return bias
        edits += bias
    return Draft(tuple(edits), into=(node,))


def _constant_operand(planner: Planner, node: ir.Node) -> tuple[int, Weight] | Refusal:
    """Which operand is the weight; B where both are."""
    right = _matrix(planner, node, 1, integers=True)
    if not isinstance(right, Refusal):
        return 1, right
    left = _matrix(planner, node, 0, integers=True)
    return right if isinstance(left, Refusal) else (0, left)


def _matrix(
    planner: Planner, node: ir.Node, index: int, *, integers: bool = False
) -> Weight | Refusal:
    weight = weight_of(planner.surroundings, node, index, integers=integers)
    if isinstance(weight, Refusal):
        return weight
    if len(weight.shape) != _MATRIX:
        name = "AB"[index]
        return Refusal(f"Gemm: {name} has shape {list(weight.shape)}, expected two dimensions")
    return refuse_parameters(node) or weight


def _bias_after(
    surroundings: Surroundings, node: ir.Node, weight: Weight, along: ChannelAffine
) -> tuple[Edit, ...] | Refusal:
    old = _old_bias(surroundings, node)
    if isinstance(old, Refusal):
        return old
    if old is None and along.is_scale:
        return ()
    value = node.inputs[_BIAS] if old is not None else None
    shift, scale = (_aligned(vector, along.axes) for vector in (along.shift, along.scale))
    bias = shift if old is None else scale * old + shift
    name = _bias_name(node, weight)
    return _set_bias(node, NewConstant(bias, weight.dtype, name, instead_of=value))


def _bias_before(
    surroundings: Surroundings,
    node: ir.Node,
    weight: Weight,
    contribution: tuple[ScaledWeight, int, tuple[int, int]],
) -> tuple[Edit, ...] | Refusal:
    product, axis, shape = contribution
    old = _old_bias(surroundings, node)
    if isinstance(old, Refusal):
        return old
    dtype, name = weight.dtype, _bias_name(node, weight)
    value = node.inputs[_BIAS] if old is not None else None
    if shape[0] == 1 and (old is None or old.ndim < _MATRIX or old.shape[0] == 1):
        plus: FloatArray = np.zeros(()) if old is None else old.reshape(-1)
        width = max(shape[1], plus.size)  # of a single row the shift is the same for each column
        new = SummedWeight(product, (axis,), plus, (width,), dtype, name, instead_of=value)
        return _set_bias(node, new)
    if old is None or old.size == 1:
        plus = np.zeros(()) if old is None else old.reshape(())
        new = SummedWeight(product, (axis,), plus, shape, dtype, name, instead_of=value)
        return _set_bias(node, new)
    return Refusal("Gemm: its bias C varies along rows, the shift along columns, or both")


def _old_bias(surroundings: Surroundings, node: ir.Node) -> FloatArray | Refusal | None:
    """The term beta C in float64; None where there is none."""
    beta = float_of(node, "beta", 1.0)
    if not is_given(node, _BIAS) or beta == 0:
        return None
    value = node.inputs[_BIAS]
    old = surroundings.constants.get(value)
    if old is None:
        old = dequantized(surroundings, value)
    if old is None:
        return Refusal(f"Gemm: {surroundings.why_not_constant(value, 'bias C')}")
    return np.asarray(beta * old.astype(np.float64))


def _bias_name(node: ir.Node, weight: Weight) -> str:
    """What to call the new bias: as the old one, even where that is not read."""
    value = node.inputs[_BIAS] if is_given(node, _BIAS) else None
    return (value.name if value is not None else "") or f"{weight.value.name}_bias"


def _set_bias(node: ir.Node, new: NewConstant | SummedWeight) -> tuple[Edit, ...]:
    edit = SetInput(node, _BIAS, new)
    return (edit, SetAttribute(node, "beta", None)) if "beta" in node.attributes else (edit,)


def _aligned(vector: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    return vector[:, None] if axes == (0,) else vector


def _scaled(weight: Weight, axis: int, scale: FloatArray) -> ScaledWeight:
    shape = [1] * len(weight.shape)
    shape[axis] = scale.size
    return ScaledWeight(weight.value, weight.shape, scale.reshape(shape))
