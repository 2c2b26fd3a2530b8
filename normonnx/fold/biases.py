"""How the bias of an operator changes when it absorbs an affine.

Of its output (up): s (b) + t. Of its input (down): b + what the constant input t contributes
through the weight.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Weight
from normonnx.fold.plan import Edit, NewConstant, Refusal, ScaledWeight, SetInput, SummedWeight
from normonnx.fold.stored import dequantized
from normonnx.fold.surroundings import Surroundings
from normonnx.graph.attributes import is_given

_BIAS = 2  # input of Conv, ConvTranspose, InstanceNormalization...


def bias_after(
    surroundings: Surroundings, node: ir.Node, weight: Weight, affine: ChannelAffine
) -> tuple[Edit, ...] | Refusal:
    """The new bias (input 2) when the output's channels get `affine`; none where it needs none."""
    old = old_bias(surroundings, node, affine.scale.size)
    if isinstance(old, Refusal):
        return old
    if old is None and affine.is_scale:
        return ()
    if old is not None and affine.is_identity:
        return ()
    bias = affine.shift if old is None else affine.scale * old + affine.shift
    value = node.inputs[_BIAS] if old is not None else None
    name = _name(value, weight)
    return (SetInput(node, _BIAS, NewConstant(bias, weight.dtype, name, instead_of=value)),)


def bias_before(
    surroundings: Surroundings,
    node: ir.Node,
    weight: Weight,
    contribution: tuple[ScaledWeight, tuple[int, ...], tuple[int, ...]],
) -> tuple[Edit, ...] | Refusal:
    """The new bias (input 2) when a shift of the input goes through the weight.

    Args:
        surroundings: The model.
        node: The operator.
        weight: Its weight.
        contribution: The weight times the shift, the axes to sum over, and the shape of that sum.
    """
    product, axes, shape = contribution
    channels = int(np.prod(shape))
    old = old_bias(surroundings, node, channels)
    if isinstance(old, Refusal):
        return old
    value = node.inputs[_BIAS] if old is not None else None
    plus: FloatArray = np.zeros(shape) if old is None else old.reshape(shape)
    name = _name(value, weight)
    new = SummedWeight(product, axes, plus, (channels,), weight.dtype, name, instead_of=value)
    return (SetInput(node, _BIAS, new),)


def old_bias(
    surroundings: Surroundings, node: ir.Node, channels: int
) -> FloatArray | Refusal | None:
    """The bias in float64, one entry for each channel; None where there is none."""
    if not is_given(node, _BIAS):
        return None
    value = node.inputs[_BIAS]
    old = surroundings.constants.get(value)
    if old is None:
        old = dequantized(surroundings, value)
    if old is None:
        return Refusal(f"{node.op_type}: {surroundings.why_not_constant(value, 'bias')}")
    if old.size != channels:
        return Refusal(f"{node.op_type}: its bias has shape {list(old.shape)}, expected (M)")
    return old.reshape(-1).astype(np.float64)


def _name(value: ir.Value | None, weight: Weight) -> str:
    return (value.name if value is not None else f"{weight.value.name}_bias") or "bias"
