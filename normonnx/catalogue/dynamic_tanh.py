"""DynamicTanh: a saturating curve in place of a normalization; no statistic of the input.

y = scale tanh(alpha x) + bias, features on the last axis
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
from normonnx.catalogue.norm import (
    Array,
    Extent,
    Form,
    Norm,
    Parameter,
    Region,
    Share,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, alpha: Array, scale: Array, bias: Array, **_: object) -> Array:
    """Scale tanh(alpha x) + bias."""
    return np.asarray(scale * np.tanh(alpha * x) + bias)


def _tanh(op: Tracer, x: ir.Value, alpha: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    curve = op("Tanh", steps.scaled(op, op.wide(x), alpha))
    return op.back(steps.affine(op, curve, scale, bias), x)


DYNAMIC_TANH: Final = Norm(
    name="DynamicTanh",
    aliases=("DyT",),
    parameters=(
        Parameter("alpha", Extent.ONE, "slope, one for the layer", 0.5),
        Parameter("scale", Extent.FEATURES, "multiplies each feature (gamma)", 1.0),
        Parameter("bias", Extent.FEATURES, "added to each feature (beta)", 0.0),
    ),
    attributes=(stash_type(),),
    formula=formula,
    forms=(Form("Mul-Tanh-Mul-Add", _tanh, generic=True),),
    equation="y = scale tanh(alpha x) + bias",
    region=Region(Share.ONE, Share.ONE, Share.ONE, layout="N*C"),
    source="Zhu et al., Transformers without Normalization, 2025",
    use="transformers, in place of LayerNorm: nothing is measured, so it fuses with its neighbours",
    min_rank=1,
)
