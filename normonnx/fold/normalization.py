"""Normalizations with a scale and bias of their own absorb an affine that follows.

s (S n + B) + t has scale s S and bias s B + t, where n is the normalized input: LayerNormalization
(scale and B over the normalized axes), InstanceNormalization (C), GroupNormalization ((G) in opset
18 to 20, (C) from 21 on), RMSNormalization (scale only). Downwards, a shift that the normalization
subtracts with the mean vanishes: uniform over what it normalizes together.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, Weight, elsewhere, refuse_parameters, weight_of
from normonnx.fold.plan import Edit, NewConstant, Refusal, SetInput
from normonnx.graph.attributes import int_of, is_given

_PER_CHANNEL = 21  # first opset in which GroupNormalization has a scale for each channel


def channel_norm_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """InstanceNormalization and GroupNormalization: one scale and B for each channel, or group."""
    weight = weight_of(planner.surroundings, node, 1, "scale")
    if isinstance(weight, Refusal):
        return weight
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    length = weight.shape[0] if len(weight.shape) == 1 else 0
    if node.op_type == "GroupNormalization":
        grouped = _by_group(planner, node, affine, length)
        if isinstance(grouped, Refusal):
            return grouped
        affine = grouped
    along = affine.over(1, length)
    if along is None:
        return elsewhere(node, f"its scale has shape {list(weight.shape)}", affine)
    return _absorbed(planner, node, weight, (along.scale, along.shift))


def _by_group(
    planner: Planner, node: ir.Node, affine: ChannelAffine, length: int
) -> ChannelAffine | Refusal:
    """Where the parameters are per group, the affine as well, if it is the same within each."""
    if planner.surroundings.opset(node) >= _PER_CHANNEL or affine.axes != (1,):
        return affine
    if length == 0 or affine.scale.size % length:
        return affine
    scale, shift = (v.reshape(length, -1) for v in (affine.scale, affine.shift))
    if np.all(scale == scale[:, :1]) and np.all(shift == shift[:, :1]):
        return ChannelAffine((1,), scale[:, 0], shift[:, 0])
    return Refusal(
        "GroupNormalization: before opset 21 it has one scale for each group, and the affine "
        "differs within a group"
    )


def layer_norm_up(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """LayerNormalization: scale and B over the normalized axes."""
    if index != 0:
        return Refusal("LayerNormalization: it is the mean or the deviation", quiet=True)
    return _normalized_axes_up(planner, node, affine)


def rms_norm_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """RMSNormalization: a scale over the normalized axes."""
    if not affine.is_scale:
        return Refusal("RMSNormalization: it has no bias for a shift", lacks_bias=True)
    return _normalized_axes_up(planner, node, affine)


def _normalized_axes_up(planner: Planner, node: ir.Node, affine: ChannelAffine) -> Draft | Refusal:
    weight = weight_of(planner.surroundings, node, 1, "scale")
    if isinstance(weight, Refusal):
        return weight
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    dims = planner.surroundings.ranks.dims(node.inputs[0])
    if dims is None:
        return Refusal(f"{node.op_type}: the number of dimensions of its input is unknown")
    first = len(dims) - len(weight.shape)
    own = dict(enumerate(weight.shape, start=first))
    if first < 0 or any(own.get(axis) != n for axis, n in affine.lengths.items()):
        return elsewhere(node, f"its scale has shape {list(weight.shape)}", affine)
    shape = [affine.lengths.get(axis, 1) for axis in range(first, len(dims))]
    return _absorbed(
        planner, node, weight, (affine.scale.reshape(shape), affine.shift.reshape(shape))
    )


def _absorbed(
    planner: Planner, node: ir.Node, weight: Weight, vectors: tuple[FloatArray, FloatArray]
) -> Draft | Refusal:
    scale, shift = vectors
    constants = planner.surroundings.constants
    old = constants.get(weight.value)
    if old is None:
        return Refusal(
            f"{node.op_type}: {planner.surroundings.why_not_constant(weight.value, 'scale')}"
        )
    edits: list[Edit] = []
    if np.any(scale != 1.0):
        name = weight.value.name or "scale"
        product = scale * old.astype(np.float64)
        new = NewConstant(product, weight.dtype, name, instead_of=weight.value, is_factor=True)
        edits.append(SetInput(node, 1, new))
    bias, value = np.zeros(weight.shape), None
    if is_given(node, 2):
        value = node.inputs[2]
        array = constants.get(value)
        if array is None:
            return Refusal(f"{node.op_type}: {planner.surroundings.why_not_constant(value, 'B')}")
        bias = array.astype(np.float64)
    if value is not None or np.any(shift):
        name = (value.name if value is not None else f"{weight.value.name}_bias") or "bias"
        moved = NewConstant(scale * bias + shift, weight.dtype, name, instead_of=value)
        edits.append(SetInput(node, 2, moved))
    return Draft(tuple(edits), into=(node,))


def instance_norm_down(
    _planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """A shift of a channel is subtracted again with the channel's mean."""
    if index == 0 and affine.is_shift and set(affine.axes) <= {0, 1}:
        return Draft(into=(node,))
    return _not_shift_invariant(node)


def layer_norm_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """A shift that is uniform over the normalized axes is subtracted again with the mean."""
    rank = planner.surroundings.ranks.rank(node.inputs[0])
    mean_is_read = any(value.name for value in node.outputs[1:])
    if index != 0 or not affine.is_shift or mean_is_read or rank is None:
        return _not_shift_invariant(node)
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    first = int_of(node, "axis", -1)
    first += rank if first < 0 else 0
    if any(axis >= first for axis in affine.axes):
        return _not_shift_invariant(node)
    return Draft(into=(node,))


def _not_shift_invariant(node: ir.Node) -> Refusal:
    return Refusal(
        f"{node.op_type}: its statistics change with its input, except for a shift of all that "
        "it normalizes together",
        quiet=True,
    )


def own_affine(planner: Planner, node: ir.Node) -> tuple[ChannelAffine, tuple[Edit, ...]] | None:
    """The scale and bias of a LayerNormalization, and the edits that take them away.

    None without a bias: the scale is an input that must stay, so nothing would be saved.
    """
    surroundings = planner.surroundings
    if node.op_type != "LayerNormalization" or not is_given(node, 2) or surroundings.is_kept(node):
        return None
    weight = weight_of(surroundings, node, 1, "scale")
    dims = surroundings.ranks.dims(node.inputs[0])
    bias = surroundings.constants.get(node.inputs[2])
    if isinstance(weight, Refusal) or dims is None or bias is None:
        return None
    scale = surroundings.constants.get(weight.value)
    first = len(dims) - len(weight.shape)
    if scale is None or bias.shape != scale.shape or first < 0:
        return None
    if any(dims[first + axis] != n for axis, n in enumerate(scale.shape)):
        return None
    affine = ChannelAffine(
        tuple(range(first, len(dims))), scale.astype(np.float64), bias.astype(np.float64)
    )
    ones = NewConstant(
        np.ones(weight.shape), weight.dtype, weight.value.name or "scale", instead_of=weight.value
    )
    return affine.simplified(), (SetInput(node, 1, ones), SetInput(node, 2, None))
