"""AdaptiveLayerNorm: LayerNorm whose scale and bias come from a condition, a row a sample.

y = (offset + scale) (x - mean(x)) / sqrt(var(x) + epsilon) + bias over the last axis, with scale
and bias of shape (N, D). DiT has offset 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import standardized
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
    """Standardized over the last axis, then scaled and shifted by sample and feature."""
    factor, shift = (_by_sample(each, x.ndim) for each in (scale, bias))
    return (offset + factor) * standardized(x, (-1,), epsilon) + shift


def _by_sample(rows: Array, rank: int) -> Array:
    """(N, D) to stand on the first and the last axis."""
    if rows.ndim == 1:
        return rows
    return rows.reshape(rows.shape[0], *[1] * (rank - 2), rows.shape[1])


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    width = op("Gather", op("Shape", x), op.ints(-1))
    z = steps.corrected(op, op.reshape(op.wide(x), 0, -1, width), 2)
    return op.back(op.like(_adapted(op, z, scale, bias, 1), x), x)


def _adapted(op: Tracer, z: ir.Value, scale: ir.Value, bias: ir.Value, *between: int) -> ir.Value:
    """Parameters stand on the first and the last axis."""

    def stand(parameter: ir.Value) -> ir.Value:
        return op.unsqueeze(parameter, *between)

    return steps.adapted(op, z, scale, bias, (stand, stand))


def _finish(op: Tracer, x: ir.Value, z: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return op.back(_adapted(op, z, scale, bias, *range(1, op.rank - 1)), x)


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.chain(op, op.wide(x), -1), scale, bias)


def _fused(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    """ONNX Runtime makes one LayerNormalization of the chain with a Mul and an Add behind it."""
    one, zero = op.numbers(np.ones(op.size(-1))), op.numbers(np.zeros(op.size(-1)))
    z = op("Add", op("Mul", steps.chain(op, op.wide(x), -1), one), zero)
    return _finish(op, x, z, scale, bias)


def _corrected(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.corrected(op, op.wide(x), -1), scale, bias)


def _operator(op: Tracer, rows: ir.Value) -> ir.Value:
    one = op.numbers(np.ones(op.size(-1)))
    return op("LayerNormalization", rows, one, axis=-1, epsilon=op.slot("epsilon"), v=op.stash())


def _native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, _operator(op, op.wide(x)), scale, bias)


def _centered_native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    wide = op.wide(x)
    return _finish(op, x, _operator(op, op("Sub", wide, op.mean(wide, (-1,)))), scale, bias)


ADAPTIVE_LAYER_NORM: Final = Norm(
    name="AdaptiveLayerNorm",
    aliases=("AdaLN", "ConditionalLayerNorm"),
    parameters=(
        Parameter("scale", Extent.SAMPLE_FEATURES, "from the condition, (N, D)", 1.0),
        Parameter("bias", Extent.SAMPLE_FEATURES, "from the condition, (N, D)", 0.0),
    ),
    attributes=(
        Attribute.float("offset", 0.0, "added to scale: 1 in DiT, whose scale is a change"),
        epsilon(1e-6),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form("chain", _chain, requires=conditions.not_fused_through_a_cast),
        Form("corrected chain", _corrected, centered=True),
        Form(
            "chain with Mul and Add, then Mul-Add",
            _fused,
            requires=conditions.every(
                conditions.not_fused_through_a_cast, conditions.knows_features
            ),
        ),
        Form(
            "LayerNormalization, then Mul-Add",
            _native,
            since=17,
            requires=conditions.knows_features,
            operators=("LayerNormalization",),
        ),
        Form(
            "centered, LayerNormalization, then Mul-Add",
            _centered_native,
            since=17,
            centered=True,
            requires=conditions.knows_features,
            operators=("LayerNormalization",),
        ),
    ),
    equation="y = (offset + scale) (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ONE, Share.ALL, Share.ONE, layout="N*C"),
    source="Peebles and Xie, Scalable Diffusion Models with Transformers (DiT), 2023",
    use="diffusion transformers, where time step and prompt steer every layer",
    centered=True,
    check=lambda call: steps.check_more_than(call, call.shape[-1:]),
)
