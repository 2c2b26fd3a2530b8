"""StandardScaler: each feature shifted by its mean and divided by its standard deviation.

y = (x - mean) / scale, both measured when the scaler was fitted; features on the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np

from normonnx.catalogue.norm import (
    Array,
    Dim,
    Extent,
    Norm,
    Operator,
    Parameter,
    Reading,
    stash_type,
)
from normonnx.catalogue.scaling import CHAIN, FITTED, ML, NATIVE, fitted, given
from normonnx.core.errors import UnsupportedOperatorError

_MATRIX: Final = 2


def formula(x: Array, mean: Array, scale: Array, **_: Any) -> Array:
    """(x - mean) / scale."""
    return (x - mean) / scale


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """Scaler of ai.onnx.ml: (x - offset) scale, so what divides is 1 / scale.

    Raises:
        UnsupportedOperatorError: X has more axes than [N, C], and which one is the features' is
            nowhere said: ONNX Runtime takes axis 1.
    """
    offset = np.array(op.floats("offset") or [0.0], np.float64)
    factor = np.array(op.floats("scale") or [1.0], np.float64)
    rank = cast("Array", inputs[0]).ndim
    if rank > _MATRIX and max(offset.size, factor.size) > 1:
        message = f"Scaler is defined for X of shape [N, C] or [C]; X has rank {rank}"
        raise UnsupportedOperatorError(message)
    with np.errstate(divide="ignore"):  # a factor of 0: x / infinity is 0, too
        return Reading("StandardScaler", {"mean": offset, "scale": 1 / factor}, {})


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.StandardScaler; with_mean=False keeps mean_ and doesn't use it."""
    found = fitted(estimator, "mean_", "scale_")
    mean = found["mean_"] if estimator.with_mean else None
    return "StandardScaler", given(mean=mean, scale=found["scale_"])


STANDARD_SCALER: Final = Norm(
    name="StandardScaler",
    aliases=("ZScore", "ZScoreScaler", "Standard"),
    parameters=(
        Parameter("mean", Extent.FEATURES, "mean of each feature", 0.0, statistic=True),
        Parameter(
            "scale",
            Extent.FEATURES,
            "standard deviation of each feature",
            1.0,
            statistic=True,
            positive=True,
        ),
    ),
    attributes=(stash_type(),),
    formula=formula,
    forms=(CHAIN, NATIVE),
    equation="y = (x - mean) / scale",
    region=FITTED,
    source="scikit-learn, sklearn.preprocessing.StandardScaler; ONNX ai.onnx.ml Scaler-1",
    use=(
        "the default for tabular data ahead of linear models, SVMs, k-means, PCA and networks; "
        "outliers move mean and deviation: RobustScaler stands them"
    ),
    min_rank=1,
    readers={(ML, "Scaler"): read},
    layers={"sklearn.preprocessing.StandardScaler": layer},
)
