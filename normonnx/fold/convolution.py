"""Conv and ConvTranspose absorb an affine of their output channels, or of their input channels.

Conv: y[m] = sum W[m, c] x[c] + b[m]. The weight is [M, C/group, k...]; output channel m belongs to
group m // (M/group), which reads the input channels of that group.
Up: s y + t has weight s[m] W[m] and bias s[m] b[m] + t[m].
Down: of s x + t, the weight is W[m, c] s[c] and the bias b[m] + sum W[m, c, k] t[c]; the shift only
where no window reaches into the zero padding, which gets no shift.
ConvTranspose: the weight is [C, M/group, k...]. Output channel m = g * (M/group) + j belongs to
group g, whose inputs are the rows g * (C/group) ... of axis 0. Down, a shift reaches each place of
the output through another part of the kernel, so it is uniform only for kernels of one element.
"""

from __future__ import annotations

import onnx_ir as ir

from normonnx.fold.affine import ChannelAffine
from normonnx.fold.biases import bias_after, bias_before
from normonnx.fold.moving import (
    Draft,
    Planner,
    Weight,
    elsewhere,
    refuse_parameters,
    weight_of,
)
from normonnx.fold.plan import Edit, Refusal, ScaledWeight, SetInput
from normonnx.fold.surroundings import Surroundings
from normonnx.fold.window import window_of
from normonnx.graph.attributes import int_of, ints_of, text_of

_CHANNEL_AXIS = 1
_LEAST_RANK = 3


def conv_up(planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine) -> Draft | Refusal:
    """Scale the weight along its first axis and move the bias."""
    weight = grouped_weight(planner.surroundings, node, integers=True)
    if isinstance(weight, Refusal):
        return weight
    channels = weight.shape[0]
    shape = (channels, *[1] * (len(weight.shape) - 1))
    return _absorbed_up(planner, node, affine, (weight, weight.shape, shape))


def conv_transpose_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Scale the weight along its second axis, group by group, and move the bias."""
    weight = grouped_weight(planner.surroundings, node, integers=True)
    if isinstance(weight, Refusal):
        return weight
    group = int_of(node, "group", 1)
    shape = weight.shape
    view = (group, shape[0] // group, *shape[1:])
    factors = (group, 1, shape[1], *[1] * (len(shape) - 2))
    return _absorbed_up(planner, node, affine, (weight, view, factors))


def grouped_weight(
    surroundings: Surroundings, node: ir.Node, *, integers: bool = False
) -> Weight | Refusal:
    """The weight of a Conv or ConvTranspose, if it fits the number of groups.

    Args:
        surroundings: The model.
        node: The operator.
        integers: Whether it may be stored as integers, behind a DequantizeLinear.
    """
    weight = weight_of(surroundings, node, 1, integers=integers)
    if isinstance(weight, Refusal):
        return weight
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    group = int_of(node, "group", 1)
    shape = weight.shape
    if len(shape) < _LEAST_RANK or group < 1 or shape[0] % group:
        layout = "(M, C/group, k...)" if node.op_type == "Conv" else "(C, M/group, k...)"
        return Refusal(
            f"{node.op_type}: its weight has shape {list(shape)} with group {group}, "
            f"expected {layout} with the first divisible by group"
        )
    return weight


def _absorbed_up(
    planner: Planner,
    node: ir.Node,
    affine: ChannelAffine,
    layout: tuple[Weight, tuple[int, ...], tuple[int, ...]],
) -> Draft | Refusal:
    weight, view, shape = layout
    channels = shape[0] * shape[2] if node.op_type == "ConvTranspose" else shape[0]
    along = affine.over(_CHANNEL_AXIS, channels)
    if along is None:
        return elsewhere(node, f"it has {channels} output channels on axis 1", affine)
    edits: list[Edit] = []
    if not along.is_shift:
        scaled = ScaledWeight(weight.value, view, along.scale.reshape(shape))
        edits.append(SetInput(node, 1, scaled))
    bias = bias_after(planner.surroundings, node, weight, along)
    if isinstance(bias, Refusal):
        return bias
    return Draft((*edits, *bias), into=(node,))


def conv_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Scale the weight along its input channels; the shift becomes a bias."""
    weight = _data_weight(planner, node, index)
    if isinstance(weight, Refusal):
        return weight
    group, (outputs, inputs, *kernel) = int_of(node, "group", 1), weight.shape
    along = affine.over(_CHANNEL_AXIS, group * inputs)
    if along is None:
        return elsewhere(node, f"it has {group * inputs} input channels on axis 1", affine)
    if not along.is_scale and _reaches_padding(node, kernel):
        return Refusal(
            f"{node.op_type}: its zero padding would not be shifted, so only a scale could go in"
        )
    view = (group, outputs // group, inputs, *kernel)
    factors = (group, 1, inputs, *[1] * len(kernel))
    summed = (2, *range(3, len(view)))
    return _absorbed_down(
        planner, node, along, (weight, view, factors, summed, (group, outputs // group))
    )


def conv_transpose_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Scale the weight along its first axis; a shift only through a kernel of one element."""
    weight = _data_weight(planner, node, index)
    if isinstance(weight, Refusal):
        return weight
    group, (inputs, outputs, *kernel) = int_of(node, "group", 1), weight.shape
    along = affine.over(_CHANNEL_AXIS, inputs)
    if along is None:
        return elsewhere(node, f"it has {inputs} input channels on axis 1", affine)
    if not along.is_scale and not _is_pointwise(node, kernel):
        return Refusal(
            "ConvTranspose: a shift of its input would reach the output differently from place "
            "to place, so only a scale could go in"
        )
    view = (group, inputs // group, outputs, *kernel)
    factors = (group, inputs // group, 1, *[1] * len(kernel))
    summed = (1, *range(3, len(view)))
    return _absorbed_down(planner, node, along, (weight, view, factors, summed, (group, outputs)))


def _data_weight(planner: Planner, node: ir.Node, index: int) -> Weight | Refusal:
    if index != 0:
        return Refusal(f"{node.op_type}: it reads it as its weight or bias", quiet=True)
    return grouped_weight(planner.surroundings, node)


_Layout = tuple[Weight, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _absorbed_down(
    planner: Planner, node: ir.Node, along: ChannelAffine, layout: _Layout
) -> Draft | Refusal:
    weight, view, shape, summed, sum_shape = layout
    edits: list[Edit] = []
    if not along.is_shift:
        edits.append(
            SetInput(node, 1, ScaledWeight(weight.value, view, along.scale.reshape(shape)))
        )
    if not along.is_scale:
        product = ScaledWeight(weight.value, view, along.shift.reshape(shape))
        bias = bias_before(planner.surroundings, node, weight, (product, summed, sum_shape))
        if isinstance(bias, Refusal):
            return bias
        edits += bias
    return Draft(tuple(edits), into=(node,))


def _reaches_padding(node: ir.Node, kernel: list[int]) -> bool:
    """Whether a window may cover zeros beyond the border of the input."""
    window = window_of(node, kernel)
    return isinstance(window, Refusal) or any(taps.is_padded for taps in window)


def _is_pointwise(node: ir.Node, kernel: list[int]) -> bool:
    """Whether each output element of a ConvTranspose comes from exactly one of the input."""
    plain = ("NOTSET", "VALID")
    return (
        all(size == 1 for size in kernel)
        and all(stride == 1 for stride in ints_of(node, "strides") or ())
        and not any(ints_of(node, "pads") or ())
        and not any(ints_of(node, "output_padding") or ())
        and "output_shape" not in node.attributes
        and text_of(node, "auto_pad", "NOTSET") in plain
    )
