"""AdaptiveInstanceNorm: InstanceNorm whose scale and bias come from a style, one row a sample.

y = (offset + scale) (x - mean(x)) / sqrt(var(x) + epsilon) + bias over positions, scale and bias of
shape (N, C).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import per_sample, spatial, standardized
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Attribute,
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


def formula(
    x: Array, scale: Array, bias: Array, *, epsilon: float, offset: float, **_: object
) -> Array:
    """Standardized over positions, then scaled and shifted by sample and channel."""
    factor, shift = (per_sample(each, x.ndim) for each in (scale, bias))
    return (offset + factor) * standardized(x, spatial(x.ndim), epsilon) + shift


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.corrected(op, steps.rows_of_channels(op, op.wide(x)), 2)

    def stand(parameter: ir.Value) -> ir.Value:
        return op.unsqueeze(parameter, -1)

    return op.back(op.like(steps.adapted(op, z, scale, bias, (stand, stand)), x), x)


def _finish(op: Tracer, x: ir.Value, z: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    stands = _stand_of(op, scale), _stand_of(op, bias)
    return op.back(steps.adapted(op, z, scale, bias, stands), x)


def _stand_of(op: Tracer, given: ir.Value) -> steps.Stand:
    """(N, C) stands on axes 0 and 1; a single number stands anywhere."""
    if given.shape is not None and len(given.shape) == 1:
        return steps.as_it_is
    return lambda parameter: op.unsqueeze(parameter, *range(2, op.rank))


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.chain(op, op.wide(x), *spatial(op.rank)), scale, bias)


def _corrected(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.corrected(op, op.wide(x), *spatial(op.rank)), scale, bias)


def _operator(op: Tracer, x: ir.Value) -> ir.Value:
    one, zero = op.numbers(np.ones(op.size(1))), op.numbers(np.zeros(op.size(1)))
    return op("InstanceNormalization", x, one, zero, epsilon=op.slot("epsilon"))


def _native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, _operator(op, op.wide(x)), scale, bias)


def _centered_native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    wide = op.wide(x)
    centre = op("Sub", wide, op.mean(wide, spatial(op.rank)))
    return _finish(op, x, _operator(op, centre), scale, bias)


def _not_fused(call: NormCall) -> str | None:
    """With one spatial axis, and numbers for scale and bias, it is a LayerNorm of rows."""
    one_axis = conditions.rank_of(3, 3)(call) is None
    return conditions.not_fused_through_a_cast(call) if one_axis else None


_OPERATOR: Final = conditions.every(conditions.not_double, conditions.knows_channels)

ADAPTIVE_INSTANCE_NORM: Final = Norm(
    name="AdaptiveInstanceNorm",
    aliases=("AdaIN",),
    parameters=(
        Parameter("scale", Extent.SAMPLE_CHANNELS, "from the style, (N, C)", 1.0),
        Parameter("bias", Extent.SAMPLE_CHANNELS, "from the style, (N, C)", 0.0),
    ),
    attributes=(
        Attribute.float("offset", 0.0, "added to scale: 1 where it is a change, as in StyleGAN"),
        epsilon(),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form("chain", _chain, requires=_not_fused),
        Form("corrected chain", _corrected, centered=True),
        Form(
            "InstanceNormalization, then Mul-Add",
            _native,
            requires=_OPERATOR,
            operators=("InstanceNormalization",),
        ),
        Form(
            "centered, InstanceNormalization, then Mul-Add",
            _centered_native,
            centered=True,
            requires=_OPERATOR,
            operators=("InstanceNormalization",),
        ),
    ),
    equation="y = (offset + scale) (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ONE, Share.ONE, Share.ALL),
    source="Huang and Belongie, Arbitrary Style Transfer in Real-time, 2017",
    use="style transfer to any style, and generators that a style steers (StyleGAN)",
    centered=True,
    min_rank=3,
    check=lambda call: steps.check_more_than(call, call.shape[2:]),
)
