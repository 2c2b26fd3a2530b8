"""Operators that are a normalization by themselves, and which one.

Source: ONNX operator specification, opsets 7 to 26, and ONNX Runtime's contrib operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NORM_OPERATORS: Final[Mapping[tuple[str, str], str]] = {
    ("", "BatchNormalization"): "BatchNorm",
    ("", "GroupNormalization"): "GroupNorm",
    ("", "InstanceNormalization"): "InstanceNorm",
    ("", "LRN"): "LocalResponseNorm",
    ("", "LayerNormalization"): "LayerNorm",
    ("", "LpNormalization"): "LpNorm",
    ("", "MeanVarianceNormalization"): "MeanVarianceNorm",
    ("", "RMSNormalization"): "RMSNorm",
    ("", "SimplifiedLayerNormalization"): "RMSNorm",
    ("ai.onnx.ml", "Normalizer"): "Normalizer",
    ("ai.onnx.ml", "Scaler"): "Scaler",
    ("com.microsoft", "GroupNorm"): "GroupNorm",
    ("com.microsoft", "SkipGroupNorm"): "GroupNorm",
    ("com.microsoft", "SkipLayerNormalization"): "LayerNorm",
    ("com.microsoft", "SkipSimplifiedLayerNormalization"): "RMSNorm",
}


def norm_of(domain: str, op_type: str) -> str | None:
    """Name of the normalization that an operator is; None when it is none."""
    return NORM_OPERATORS.get(("" if domain == "ai.onnx" else domain, op_type))
