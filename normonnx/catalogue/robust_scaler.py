"""RobustScaler: each feature shifted by its median and divided by its interquartile range.

y = (x - center) / scale, both measured when the scaler was fitted; features on the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from normonnx.catalogue.norm import Array, Dim, Extent, Norm, Parameter, stash_type
from normonnx.catalogue.scaling import CHAIN, FITTED, NATIVE, fitted, given


def formula(x: Array, center: Array, scale: Array, **_: Any) -> Array:
    """(x - center) / scale."""
    return (x - center) / scale


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.RobustScaler; quantile_range and unit_variance are in scale_."""
    found = fitted(estimator, "center_", "scale_")
    return "RobustScaler", given(center=found["center_"], scale=found["scale_"])


ROBUST_SCALER: Final = Norm(
    name="RobustScaler",
    aliases=("Robust",),
    parameters=(
        Parameter("center", Extent.FEATURES, "median of each feature", 0.0, statistic=True),
        Parameter(
            "scale",
            Extent.FEATURES,
            "interquartile range of each feature",
            1.0,
            statistic=True,
            positive=True,
        ),
    ),
    attributes=(stash_type(),),
    formula=formula,
    forms=(CHAIN, NATIVE),
    equation="y = (x - center) / scale",
    region=FITTED,
    source="scikit-learn, sklearn.preprocessing.RobustScaler",
    use=(
        "tabular data with outliers, which move median and quartiles little; they stay outliers "
        "in the result"
    ),
    min_rank=1,
    layers={"sklearn.preprocessing.RobustScaler": layer},
)
