"""MaxAbsScaler: each feature divided by its largest absolute value, so that it lies in [-1, 1].

y = x / max_abs, measured when the scaler was fitted and 1 where it is 0; features on the last axis.
With clip, what new data exceeds it by is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Dim,
    Extent,
    Form,
    Norm,
    Parameter,
    stash_type,
)
from normonnx.catalogue.scaling import FITTED, check_least, fitted, given, nonzero, nonzero_of
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, max_abs: Array, *, clip: int, **_: Any) -> Array:
    """X / max_abs, or x where that is 0; kept in [-1, 1] with clip."""
    y = x / nonzero(max_abs)
    return np.clip(y, -1, 1) if clip else y


def _divided(op: Tracer, x: ir.Value, max_abs: ir.Value) -> ir.Value:
    y = op("Div", op.wide(x), nonzero_of(op, op.wide(max_abs)))
    if op.is_number("clip", 0):
        return op.back(y, x)
    if op.is_number("clip", 1):
        return op.back(_clipped(op, y), x)
    wanted = op("Cast", op.index("clip"), to=int(ir.DataType.BOOL))
    return op.back(op("Where", wanted, _clipped(op, y), y), x)


def _clipped(op: Tracer, y: ir.Value) -> ir.Value:
    """By comparing: NaN stays NaN."""
    low, high = op.numbers(-1.0), op.numbers(1.0)
    above = op.choose(op("Less", y, low), low, y)
    return op.choose(op("Greater", above, high), high, above)


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.MaxAbsScaler; scale_ is max_abs_ with 1 where that is as good as 0."""
    clip = int(getattr(estimator, "clip", False))  # which scikit-learn has since 1.8
    return "MaxAbsScaler", {
        **given(max_abs=fitted(estimator, "scale_")["scale_"]),
        "clip": clip,
    }


MAX_ABS_SCALER: Final = Norm(
    name="MaxAbsScaler",
    aliases=("MaxAbs",),
    parameters=(
        Parameter(
            "max_abs", Extent.FEATURES, "largest absolute value of each feature", statistic=True
        ),
    ),
    attributes=(
        Attribute.int(
            "clip",
            0,
            "1 to keep what lies outside of the training data within [-1, 1]",
            choices={"no": 0, "yes": 1},
            closed=True,
        ),
        stash_type(),
    ),
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
