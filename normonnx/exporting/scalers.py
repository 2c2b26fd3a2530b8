"""A fitted scaler of scikit-learn as an ONNX model."""

from __future__ import annotations

from typing import Any, Final

import onnx_ir as ir

from normonnx.exporting.assembling import Wanted, model_of
from normonnx.exporting.estimators import scaling_of

OPSET: Final = 17  # of a scaler on its own; IR version 8, which ONNX Runtime reads since 1.10


def scaler_model(fitted: Any, wanted: Wanted) -> ir.Model:  # noqa: ANN401  # an estimator, not imported
    """What a fitted scaler's transform does, as a model from X (N, features) to Y.

    Raises:
        UsageError: It is not fitted, can't be exported, or not as wanted.
    """
    return model_of(scaling_of(fitted), wanted)
