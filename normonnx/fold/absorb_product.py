"""Gemm and MatMul absorb an affine of their output columns (or rows).

Gemm: Y = alpha A' B' + beta C. Scaling column n scales column n of B'; the new bias is s (beta C)
+ t with beta 1, which is also right for beta 0, where C is not read. MatMul: Y = X W. Scaling the
last axis of Y scales the last axis of W; with the constant at the left, Y = W X, scaling the axis
before the last scales that axis of W. MatMul has no bias: a shift is left over.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.absorb import Absorbed, Weight, refuse_parameters, weight_of
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.plan import Edit, NewConstant, Refusal, ScaledWeight, SetAttribute, SetInput
from normonnx.fold.surroundings import Surroundings

_MATRIX = 2


def gemm(surroundings: Surroundings, node: ir.Node, affine: ChannelAffine) -> Absorbed | Refusal:
    """Scale the columns of B and rewrite C."""
    weight = weight_of(surroundings, node, 1)
    if isinstance(weight, Refusal):
        return weight
    if len(weight.shape) != _MATRIX:
        return Refusal(f"Gemm: B has shape {list(weight.shape)}, expected two dimensions")
    unknown = refuse_parameters(node, "transB", "beta")
    if unknown is not None:
        return unknown
    columns = 0 if _transposes_b(node) else 1
    along = affine.over(1, weight.shape[columns])
    if along is None:
        return Refusal(
            f"Gemm: its {weight.shape[columns]} columns are axis 1, but the affine has shape "
            f"{list(affine.scale.shape)} over axes {affine.axes}"
        )
    edits: list[Edit] = []
    if not along.is_shift:
        edits.append(SetInput(node, 1, _scaled(weight, columns, along.scale)))
    bias = _gemm_bias(surroundings, node, weight, along)
    if isinstance(bias, Refusal):
        return bias
    return Absorbed((*edits, *bias))


def _gemm_bias(
    surroundings: Surroundings, node: ir.Node, weight: Weight, along: ChannelAffine
) -> tuple[Edit, ...] | Refusal:
    value = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    beta = _beta(node)
    dtype = weight.dtype
    instead_of = None
    bias: FloatArray = along.shift
    if value is not None and value.name and beta != 0:
        old = surroundings.constants.get(value)
        if old is None:
            return Refusal(f"Gemm: {surroundings.why_not_constant(value, 'bias C')}")
        dtype, instead_of = old.dtype, value
        bias = along.scale * (beta * old.astype(np.float64)) + along.shift
    elif along.is_scale:
        return ()
    name = (value.name if value is not None else "") or f"{weight.value.name}_bias"
    edit = SetInput(node, 2, NewConstant(bias, dtype, name, instead_of=instead_of))
    return (edit, SetAttribute(node, "beta", None)) if "beta" in node.attributes else (edit,)


def matmul(surroundings: Surroundings, node: ir.Node, affine: ChannelAffine) -> Absorbed | Refusal:
    """Scale the constant operand along the axis that becomes the affine's axis of the output."""
    right = weight_of(surroundings, node, 1)
    left = weight_of(surroundings, node, 0)
    weight = right if not isinstance(right, Refusal) else left
    if isinstance(weight, Refusal):
        return Refusal("MatMul: neither operand is a constant weight")
    if not isinstance(right, Refusal) and not isinstance(left, Refusal):
        return Refusal("MatMul: both operands are constants", quiet=True)
    if len(weight.shape) < _MATRIX:
        return Refusal("MatMul: its weight is a vector, which has no output axis to scale")
    left_over = (
        None
        if affine.is_scale
        else ChannelAffine(affine.axes, np.ones_like(affine.scale), affine.shift)
    )
    if affine.is_shift:
        return Absorbed((), left_over, weight.dtype)
    index = 1 if weight is right else 0
    axis = _weight_axis(surroundings, node, weight, (index, affine))
    if isinstance(axis, Refusal):
        return axis
    scaled = _scaled(weight, axis, affine.scale)
    return Absorbed((SetInput(node, index, scaled),), left_over, weight.dtype)


def _weight_axis(
    surroundings: Surroundings,
    node: ir.Node,
    weight: Weight,
    wanted: tuple[int, ChannelAffine],
) -> int | Refusal:
    """The axis of the weight that is the affine's axis of the output."""
    index, affine = wanted
    weight_rank = len(weight.shape)
    own_axis = weight_rank - 1 if index == 1 else weight_rank - 2
    if not affine.axes:
        return own_axis
    other = surroundings.ranks.rank(node.inputs[1 - index])
    if other is None:
        return Refusal("MatMul: the number of dimensions of its input is unknown")
    if other < _MATRIX:
        return Refusal("MatMul: its input is a vector, so the weight's axes are not the output's")
    axis = affine.axes[0] - (max(other, weight_rank) - weight_rank)
    shared = weight_rank - 2 if index == 1 else weight_rank - 1  # summed over
    if len(affine.axes) > 1 or axis < 0 or axis == shared:
        return Refusal(
            f"MatMul: the affine varies along axes {affine.axes} of its output, "
            "which is not an axis of the weight"
        )
    if weight.shape[axis] != affine.scale.size:
        return Refusal(
            f"MatMul: the weight has {weight.shape[axis]} entries along that axis, "
            f"the affine {affine.scale.size}"
        )
    return axis


def _scaled(weight: Weight, axis: int, scale: FloatArray) -> ScaledWeight:
    shape = [1] * len(weight.shape)
    shape[axis] = scale.size
    return ScaledWeight(weight.value, weight.shape, scale.reshape(shape))


def _beta(node: ir.Node) -> float:
    return node.attributes["beta"].as_float() if "beta" in node.attributes else 1.0


def _transposes_b(node: ir.Node) -> bool:
    return "transB" in node.attributes and node.attributes["transB"].as_int() != 0
