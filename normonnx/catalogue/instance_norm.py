"""InstanceNorm: each channel of each sample standardized over its positions.

y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import along_channels, spatial, standardized
from normonnx.catalogue.layers import affine_of, array, check_rank
from normonnx.catalogue.norm import (
    ONNX_EPSILON,
    Array,
    Dim,
    Extent,
    Form,
    Norm,
    Operator,
    Parameter,
    Reading,
    Region,
    Share,
    epsilon,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, scale: Array, bias: Array, *, epsilon: float, **_: object) -> Array:
    """Standardized over positions, then scaled and shifted by channel."""
    y = standardized(x, spatial(x.ndim), epsilon)
    return y * along_channels(scale, x.ndim) + along_channels(bias, x.ndim)


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.corrected(op, steps.rows_of_channels(op, op.wide(x)), 2)
    return steps.by_channel_of_rows(op, x, z, scale, bias)


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.chain(op, op.wide(x), *spatial(op.rank))
    return steps.by_channel(op, x, z, scale, bias)


def _corrected(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.corrected(op, op.wide(x), *spatial(op.rank))
    return steps.by_channel(op, x, z, scale, bias)


def _operator(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    full = [steps.per_channel(op, each) for each in (scale, bias)]
    return op("InstanceNormalization", x, *full, epsilon=op.slot("epsilon"))


def _native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return op.back(_operator(op, op.wide(x), scale, bias), x)


def _centered_native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    wide = op.wide(x)
    centre = op("Sub", wide, op.mean(wide, spatial(op.rank)))
    return op.back(_operator(op, centre, scale, bias), x)


def _layer_norm(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    one = op.numbers(np.ones(math.prod(cast("tuple[int, ...]", op.facts.shape[2:]))))
    rows = op.reshape(op.wide(x), 0, 0, -1)
    z = op("LayerNormalization", rows, one, axis=-1, epsilon=op.slot("epsilon"), v=op.stash())
    return steps.by_channel(op, x, op.like(z, x), scale, bias)


def _group_norm(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    full = [steps.per_channel(op, each) for each in (scale, bias)]
    groups, added, stash = op.size(1), op.slot("epsilon"), op.stash()
    y = op("GroupNormalization", op.wide(x), *full, num_groups=groups, epsilon=added, v=stash)
    return op.back(y, x)


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """InstanceNormalization 6 and 22."""
    _, scale, bias = (cast("Array", each) for each in inputs[:3])
    return Reading(
        "InstanceNorm",
        {"scale": scale, "bias": bias},
        {"epsilon": op.float("epsilon", ONNX_EPSILON)},
    )


def layer(  # module: a torch module
    module: Any, shape: Sequence[Dim], *, rank: int
) -> tuple[str, dict[str, Any]]:
    """torch's InstanceNorm layers; with running statistics, in eval mode, they are a BatchNorm."""
    check_rank(module, shape, rank)
    given = {**affine_of(module), "epsilon": module.eps}
    if module.training or module.running_mean is None:
        return "InstanceNorm", given
    statistics = {"mean": array(module.running_mean), "var": array(module.running_var)}
    return "BatchNorm", {**given, **statistics}


INSTANCE_NORM: Final = Norm(
    name="InstanceNorm",
    aliases=("IN", "ContrastNorm"),
    parameters=(
        Parameter("scale", Extent.CHANNELS, "multiplies each channel (gamma)", 1.0),
        Parameter("bias", Extent.CHANNELS, "added to each channel (beta)", 0.0),
    ),
    attributes=(epsilon(), stash_type()),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            native=True,
            requires=conditions.every(conditions.not_double, conditions.knows_channels),
            operators=("InstanceNormalization",),
        ),
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form(
            "centered, then native",
            _centered_native,
            centered=True,
            requires=conditions.every(conditions.not_double, conditions.knows_channels),
            operators=("InstanceNormalization",),
        ),
        Form("chain", _chain),
        Form("corrected chain", _corrected, centered=True),
        Form(
            "Reshape-LayerNorm-Reshape-Mul-Add",
            _layer_norm,
            since=17,
            requires=conditions.every(
                conditions.knows_all_but_batch,
                conditions.has_short_filler(lambda call: steps.product(call.shape[2:])),
            ),
            operators=("LayerNormalization",),
        ),
        Form(
            "GroupNormalization",
            _group_norm,
            since=21,
            requires=conditions.knows_channels,
            operators=("GroupNormalization",),
        ),
    ),
    equation="y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ONE, Share.ONE, Share.ALL),
    source="Ulyanov et al., Instance Normalization, 2016; ONNX InstanceNormalization-6",
    use=(
        "style transfer and image generation, where the contrast of a single image is to be "
        "removed; any batch size"
    ),
    centered=True,
    min_rank=3,
    check=lambda call: steps.check_more_than(call, call.shape[2:]),
    readers={("", "InstanceNormalization"): read},
    layers={f"torch.nn.InstanceNorm{n}d": partial(layer, rank=n + 2) for n in (1, 2, 3)},
)
