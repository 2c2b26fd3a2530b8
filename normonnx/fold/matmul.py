"""MatMul absorbs a scale of its output or of its other operand; it has no bias for a shift.

Up: Y = X W. Scaling the last axis of Y scales the last axis of W, a batch axis of Y that axis of W;
with the constant at the left, Y = W X, scaling the axis before the last scales that axis of W.
Down: scaling X along the axis summed over scales W along it. A shift t of X adds the constant t W
to the output: it moves on down, or turns the MatMul of two matrices into a Gemm, which has a bias.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, Weight, joined, weight_of
from normonnx.fold.plan import (
    Refusal,
    ReplaceNode,
    ScaledWeight,
    SetInput,
    SummedWeight,
)
from normonnx.fold.scaled import summed

_MATRIX = 2


def matmul_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Scale the constant operand along the axis that becomes the affine's axis of the output."""
    right = weight_of(planner.surroundings, node, 1, integers=True)
    left = weight_of(planner.surroundings, node, 0, integers=True)
    weight = right if not isinstance(right, Refusal) else left
    if isinstance(weight, Refusal):
        return Refusal("MatMul: neither operand is a constant weight", quiet=affine.is_shift)
    if not isinstance(right, Refusal) and not isinstance(left, Refusal):
        return Refusal("MatMul: both operands are constants", quiet=True)
    if affine.is_shift:
        return Refusal("MatMul: it has no bias for a shift", quiet=True)
    if len(weight.shape) < _MATRIX:
        return Refusal("MatMul: its weight is a vector, which has no output axis to scale")
    index = 1 if weight is right else 0
    axis = _output_axis(planner, node, weight, (index, affine))
    if isinstance(axis, Refusal):
        return axis
    if not affine.is_scale:
        return Refusal("MatMul: it has no bias for a shift", lacks_bias=True)
    return Draft((SetInput(node, index, _scaled(weight, axis, affine.scale)),), into=(node,))


def _output_axis(
    planner: Planner,
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
    other = planner.surroundings.ranks.rank(node.inputs[1 - index])
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


def matmul_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Scale the constant operand along the axis summed over; a shift moves on, or makes a Gemm."""
    weight = weight_of(planner.surroundings, node, 1 - index)
    if isinstance(weight, Refusal):
        return Refusal("MatMul: its other operand is no constant weight", quiet=True)
    rank = planner.surroundings.ranks.rank(node.inputs[index])
    if rank is None:
        return Refusal("MatMul: the number of dimensions of its input is unknown")
    data_axis = rank - 1 if index == 0 else max(rank - _MATRIX, 0)
    own = max(len(weight.shape) - _MATRIX, 0) if index == 0 else len(weight.shape) - 1
    along = affine.over(data_axis, weight.shape[own])
    if along is None:
        return Refusal(
            f"MatMul: the affine varies along axes {affine.axes} of its input, expected "
            f"({data_axis},), which is summed over, with {weight.shape[own]} entries"
        )
    scaled = _scaled(weight, own, along.scale)
    edits = () if along.is_shift else (SetInput(node, 1 - index, scaled),)
    own_edits = Draft(edits, into=(node,))
    if along.is_scale:
        return own_edits
    contribution = _scaled(weight, own, along.shift)
    beyond = _shift_beyond(planner, node, (index, own, rank), contribution)
    if isinstance(beyond, Refusal):
        return _as_gemm(planner, node, (index, own, rank), (scaled, contribution)) or beyond
    return joined([own_edits, beyond])


def _shift_beyond(
    planner: Planner, node: ir.Node, place: tuple[int, int, int], contribution: ScaledWeight
) -> Draft | Refusal:
    """Add what the shift contributes to the output further down."""
    index, own, rank = place
    shape = contribution.view
    batch = shape[:-2]
    if any(length != 1 for length in batch):
        return Refusal("MatMul: its weight differs along the batch, so a shift can't move on")
    if len(shape) < _MATRIX or rank < _MATRIX:
        return Refusal("MatMul: a shift can't move on through a product with a vector")
    constants = planner.surroundings.constants
    zero = np.zeros(())
    outer = shape[-1] if index == 0 else shape[-2]
    probe = SummedWeight(contribution, (own,), zero, (outer,), np.dtype(np.float64), "shift")
    array = None
    if not constants.is_initializer(contribution.value):
        array = constants.get(contribution.value)
    vector = summed(probe, array)
    output_rank = max(rank, len(shape))
    axis = output_rank - 1 if index == 0 else output_rank - 2
    return planner.down(node.outputs[0], ChannelAffine((axis,), np.ones(outer), vector))


def _as_gemm(
    planner: Planner,
    node: ir.Node,
    place: tuple[int, int, int],
    tensors: tuple[ScaledWeight, ScaledWeight],
) -> Draft | None:
    """The product of two matrices as a Gemm with the shift as its bias; None for other products."""
    index, own, rank = place
    scaled, contribution = tensors
    kind = planner.surroundings.kind(scaled.value)
    if rank != _MATRIX or len(scaled.view) != _MATRIX or kind is None:
        return None
    outer = scaled.view[1 - own]
    shape = (outer,) if index == 0 else (outer, 1)
    name = f"{scaled.value.name}_bias"
    bias = SummedWeight(contribution, (own,), np.zeros(()), shape, kind[1], name)
    weight = 1 - index if np.all(scaled.factors == 1.0) else scaled
    product = (index, weight) if index == 0 else (weight, index)
    return Draft((ReplaceNode(node, "Gemm", (*product, bias)),), into=(node,))


def _scaled(weight: Weight, axis: int, scale: FloatArray) -> ScaledWeight:
    shape = [1] * len(weight.shape)
    if scale.size != 1 or scale.ndim:
        shape[axis] = scale.size
    return ScaledWeight(weight.value, weight.shape, scale.reshape(shape))
