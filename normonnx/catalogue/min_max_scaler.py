"""MinMaxScaler: each feature moved from the range of the training data to a given range.

y = (x - data_min) (maximum - minimum) / (data_max - data_min) + minimum; a data range of 0 counts
as 1. Features on the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
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
from normonnx.catalogue.scaling import FITTED, fitted, nonzero, nonzero_of
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError


def formula(
    x: Array,
    data_min: Array,
    data_max: Array,
    *,
    minimum: float,
    maximum: float,
    clip: int,
    **_: Any,
) -> Array:
    """Moved to [minimum, maximum], and kept there with clip."""
    factor = (maximum - minimum) / nonzero(data_max - data_min)
    y = (x - data_min) * factor + minimum
    return np.clip(y, minimum, maximum) if clip else y


def _scaled(op: Tracer, wide: ir.Value, data_min: ir.Value, data_max: ir.Value) -> ir.Value:
    low, minimum = op.wide(data_min), op.scalar("minimum")
    span = op("Sub", op.scalar("maximum"), minimum)
    factor = op("Div", span, nonzero_of(op, op("Sub", op.wide(data_max), low)))
    return op("Add", op("Mul", op("Sub", wide, low), factor), minimum)


def _clipped(op: Tracer, y: ir.Value) -> ir.Value:
    """By comparing: Clip has no float64 before opset 12, and NaN stays NaN."""
    minimum, maximum = op.scalar("minimum"), op.scalar("maximum")
    above = op.choose(op("Less", y, minimum), minimum, y)
    return op.choose(op("Greater", above, maximum), maximum, above)


def _body(op: Tracer, x: ir.Value, data_min: ir.Value, data_max: ir.Value) -> ir.Value:
    y = _scaled(op, op.wide(x), data_min, data_max)
    wanted = op("Cast", op.index("clip"), to=int(ir.DataType.BOOL))
    return op.back(op("Where", wanted, _clipped(op, y), y), x)


def _affine(op: Tracer, x: ir.Value, data_min: ir.Value, data_max: ir.Value) -> ir.Value:
    y = _scaled(op, op.wide(x), data_min, data_max)
    return op.back(_clipped(op, y) if op.known("clip") else y, x)


def check(call: NormCall) -> None:
    """Ranges are not upside down.

    Raises:
        UsageError: minimum is not below maximum, or data_min is above data_max.
    """
    low, high = (cast("float", call.attributes[name]) for name in ("minimum", "maximum"))
    if not low < high:
        message = (
            f"{call.norm.name}: minimum is {low:g} and maximum {high:g}; expected minimum < maximum"
        )
        raise UsageError(message)
    least, most = (call.parameters[name] for name in ("data_min", "data_max"))
    if isinstance(least, tuple) or isinstance(most, tuple):
        return
    span = most.astype(np.float64) - least.astype(np.float64)
    if span.min() < 0:
        place = int(np.argmin(span))
        message = (
            f"{call.norm.name}: data_max is {-span[place]:g} below data_min at place {place}; "
            "expected data_min <= data_max"
        )
        raise UsageError(message)


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.MinMaxScaler, which takes a range within roundoff for 0."""
    found = fitted(estimator, "data_min_", "data_max_")
    least, most = (cast("Array", found[name]) for name in ("data_min_", "data_max_"))
    constant = most - least < 10 * np.finfo(least.dtype).eps  # as _handle_zeros_in_scale
    minimum, maximum = estimator.feature_range
    return "MinMaxScaler", {
        "data_min": least,
        "data_max": np.where(constant, least, most),
        "minimum": float(minimum),
        "maximum": float(maximum),
        "clip": int(estimator.clip),
    }


MIN_MAX_SCALER: Final = Norm(
    name="MinMaxScaler",
    aliases=("MinMax",),
    parameters=(
        Parameter("data_min", Extent.FEATURES, "smallest value of each feature", statistic=True),
        Parameter("data_max", Extent.FEATURES, "largest value of each feature", statistic=True),
    ),
    attributes=(
        Attribute.float("minimum", 0.0, "where data_min goes"),
        Attribute.float("maximum", 1.0, "where data_max goes"),
        Attribute.int(
            "clip",
            0,
            "1 to keep what lies outside of the training data within the range",
            choices={"no": 0, "yes": 1},
            closed=True,
        ),
        stash_type(),
    ),
    formula=formula,
    forms=(Form("Sub-Mul-Add", _affine), Form("with a clip", _body, since=13, generic=True)),
    equation="y = (x - data_min) (maximum - minimum) / (data_max - data_min) + minimum",
    region=FITTED,
    source="scikit-learn, sklearn.preprocessing.MinMaxScaler",
    use=(
        "features with hard bounds: pixels, percentages, inputs of networks that want [0, 1]. One "
        "outlier squeezes all the rest"
    ),
    min_rank=1,
    check=check,
    layers={"sklearn.preprocessing.MinMaxScaler": layer},
)
