"""Conv and ConvTranspose absorb an affine of their output channels.

Conv: y[m] = sum W[m] x + b[m], so s y + t has weight s[m] W[m] and bias s[m] b[m] + t[m]. The
weight is [M, C/group, k...]: axis 0, whatever the group. ConvTranspose: the weight is [C, M/group,
k...]. Output channel m = g * (M/group) + j belongs to group g, whose inputs are the rows g *
(C/group) ... of axis 0. Seen as [group, C/group, M/group, k...] the factor varies along axes 0 and
2. Padding and stride are on the input side: nothing else changes.
"""

from __future__ import annotations

import onnx_ir as ir

from normonnx.fold.absorb import Absorbed, Weight, channel_bias, refuse_parameters, weight_of
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.plan import Edit, Refusal, ScaledWeight, SetInput
from normonnx.fold.surroundings import Surroundings

_CHANNEL_AXIS = 1
_LEAST_RANK = 3


def conv(surroundings: Surroundings, node: ir.Node, affine: ChannelAffine) -> Absorbed | Refusal:
    """Scale the weight along its first axis and move the bias."""
    weight = weight_of(surroundings, node, 1)
    if isinstance(weight, Refusal):
        return weight
    if len(weight.shape) < _LEAST_RANK:
        return Refusal(
            f"Conv: its weight has shape {list(weight.shape)}, expected (M, C/group, k...)"
        )
    channels = weight.shape[0]
    view = (channels, *weight.shape[1:])
    shape = (channels, *[1] * (len(view) - 1))
    return _absorbed(surroundings, node, affine, (weight, channels, view, shape))


def conv_transpose(
    surroundings: Surroundings, node: ir.Node, affine: ChannelAffine
) -> Absorbed | Refusal:
    """Scale the weight along its second axis, group by group, and move the bias."""
    weight = weight_of(surroundings, node, 1)
    if isinstance(weight, Refusal):
        return weight
    unknown = refuse_parameters(node, "group")
    if unknown is not None:
        return unknown
    group = int(node.attributes["group"].as_int()) if "group" in node.attributes else 1
    shape = weight.shape
    if len(shape) < _LEAST_RANK or group < 1 or shape[0] % group:
        return Refusal(
            f"ConvTranspose: its weight has shape {list(shape)} with group {group}, "
            "expected (C, M/group, k...) with C divisible by group"
        )
    view = (group, shape[0] // group, *shape[1:])
    factors = (group, 1, shape[1], *[1] * (len(shape) - 2))
    return _absorbed(surroundings, node, affine, (weight, group * shape[1], view, factors))


def _absorbed(
    surroundings: Surroundings,
    node: ir.Node,
    affine: ChannelAffine,
    layout: tuple[Weight, int, tuple[int, ...], tuple[int, ...]],
) -> Absorbed | Refusal:
    weight, channels, view, shape = layout
    along = affine.over(_CHANNEL_AXIS, channels)
    if along is None:
        return Refusal(
            f"{node.op_type}: it has {channels} output channels on axis 1, "
            f"but the affine has shape {list(affine.scale.shape)} over axes {affine.axes}"
        )
    edits: list[Edit] = []
    if not along.is_shift:
        scaled = ScaledWeight(weight.value, view, along.scale.reshape(shape))
        edits.append(SetInput(node, 1, scaled))
    bias = channel_bias(surroundings, node, weight, along)
    if isinstance(bias, Refusal):
        return bias
    if bias is not None:
        edits.append(bias)
    return Absorbed(tuple(edits))
