"""LayerNorm2d: LayerNorm over the channels of each position, channels first.

y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias over axis 1
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import along_channels, standardized
from normonnx.catalogue.norm import (
    Array,
    Extent,
    Form,
    Norm,
    Parameter,
    Region,
    Share,
    epsilon,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, scale: Array, bias: Array, *, epsilon: float, **_: object) -> Array:
    """Standardized over channels, then scaled and shifted by channel."""
    y = standardized(x, (1,), epsilon)
    return y * along_channels(scale, x.ndim) + along_channels(bias, x.ndim)


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.corrected(op, steps.rows_of_channels(op, op.wide(x)), 1)
    return steps.by_channel_of_rows(op, x, z, scale, bias)


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return steps.by_channel(op, x, steps.chain(op, op.wide(x), 1), scale, bias)


def _corrected(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return steps.by_channel(op, x, steps.corrected(op, op.wide(x), 1), scale, bias)


def _transposed(
    op: Tracer, wide: ir.Value, scale: ir.Value, bias: ir.Value, *, centered: bool
) -> ir.Value:
    """Channels last, where LayerNormalization wants them, and back."""
    behind = range(2, op.rank)
    rows = op.transpose(wide, 0, *behind, 1)
    if centered:
        rows = op("Sub", rows, op.mean(rows, (-1,)))
    full = steps.per_channel(op, scale), steps.bias_of(op, bias, steps.per_channel)
    z = op("LayerNormalization", rows, *full, axis=-1, epsilon=op.slot("epsilon"), v=op.stash())
    return op.transpose(z, 0, op.rank - 1, *range(1, op.rank - 1))


def _native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return op.back(_transposed(op, op.wide(x), scale, bias, centered=False), x)


def _centered_native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return op.back(_transposed(op, op.wide(x), scale, bias, centered=True), x)


LAYER_NORM_2D: Final = Norm(
    name="LayerNorm2d",
    aliases=("ChannelsFirstLayerNorm",),
    parameters=(
        Parameter("scale", Extent.CHANNELS, "multiplies each channel (gamma)", 1.0),
        Parameter("bias", Extent.CHANNELS, "added to each channel (beta)", 0.0),
    ),
    attributes=(epsilon(1e-6), stash_type()),
    formula=formula,
    forms=(
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form("chain", _chain, requires=conditions.not_fused_through_a_cast),
        Form("corrected chain", _corrected, centered=True),
        Form(
            "Transpose-LayerNorm-Transpose",
            _native,
            since=17,
            requires=conditions.knows_channels,
            operators=("LayerNormalization",),
        ),
        Form(
            "Transpose-Sub-LayerNorm-Transpose",
            _centered_native,
            since=17,
            centered=True,
            requires=conditions.knows_channels,
            operators=("LayerNormalization",),
        ),
    ),
    equation="y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ONE, Share.ALL, Share.ONE),
    source="Liu et al., A ConvNet for the 2020s (ConvNeXt), 2022",
    use="convolutional networks built like transformers (ConvNeXt, SAM's neck), channels first",
    centered=True,
    check=lambda call: steps.check_more_than(call, call.shape[1:2]),
)
