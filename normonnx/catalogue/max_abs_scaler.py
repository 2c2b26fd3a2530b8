"""MaxAbsScaler: each feature divided by its largest absolute value, so that it lies in [-1, 1].

y = x / max_abs, measured when the scaler was fitted and 1 where it is 0; features on the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import onnx_ir as ir

from normonnx.catalogue.norm import Array, Dim, Extent, Form, Norm, Parameter, stash_type
from normonnx.catalogue.scaling import FITTED, check_least, fitted, given, nonzero, nonzero_of
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, max_abs: Array, **_: Any) -> Array:
    """X / max_abs, or x where that is 0."""
    return x / nonzero(max_abs)


def _divided(op: Tracer, x: ir.Value, max_abs: ir.Value) -> ir.Value:
    return op.back(op("Div", op.wide(x), nonzero_of(op, op.wide(max_abs))), x)


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.MaxAbsScaler; scale_ is max_abs_ with 1 where that is as good as 0."""
    return "MaxAbsScaler", given(max_abs=fitted(estimator, "scale_")["scale_"])


MAX_ABS_SCALER: Final = Norm(
    name="MaxAbsScaler",
    aliases=("MaxAbs",),
    parameters=(
        Parameter(
            "max_abs", Extent.FEATURES, "largest absolute value of each feature", statistic=True
        ),
    ),
    attributes=(stash_type(),),
    formula=formula,
    forms=(Form("Div", _divided, generic=True),),
    equation="y = x / max_abs",
    region=FITTED,
    source="scikit-learn, sklearn.preprocessing.MaxAbsScaler",
    use=(
        "sparse data, and data that is centred at 0 already: nothing is shifted, so zeros stay "
        "zeros. One outlier squeezes all the rest"
    ),
    min_rank=1,
    check=check_least("max_abs"),
    layers={"sklearn.preprocessing.MaxAbsScaler": layer},
)
