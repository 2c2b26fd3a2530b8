"""MinMaxScaler: each feature moved from the range of the training data to a given range.

y = scale x + shift, with scale = (maximum - minimum) / (data_max - data_min), where a data range of
0 counts as 1, and shift = minimum - data_min scale: the two numbers that scikit-learn fits and the
order that it computes in. With a clip y is kept in [minimum, maximum]. Features on the last axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Dim,
    Extent,
    Form,
    Norm,
    Parameter,
    stash_type,
)
from normonnx.catalogue.scaling import FITTED, check_above, fitted, given
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError


def formula(
    x: Array, scale: Array, shift: Array, minimum: Array, maximum: Array, **_: Any
) -> Array:
    """scale x + shift, kept in [minimum, maximum]."""
    return np.asarray(np.clip(x * scale + shift, minimum, maximum))


def _body(  # as many as there are inputs
    op: Tracer,
    x: ir.Value,
    scale: ir.Value,
    shift: ir.Value,
    minimum: ir.Value,
    maximum: ir.Value,
) -> ir.Value:
    y = steps.affine(op, op.wide(x), scale, shift)
    y = _clipped(op, y, minimum, maximum)
    made = op("Identity", y) if y is op.wide(x) else y
    return op.back(made, x)


def _clipped(op: Tracer, y: ir.Value, minimum: ir.Value, maximum: ir.Value) -> ir.Value:
    """By comparing: Clip has no float64 before opset 12, and NaN stays NaN."""
    if not op.is_all(minimum, -np.inf):
        low = op.wide(minimum)
        y = op.choose(op("Less", y, low), low, y)
    if not op.is_all(maximum, np.inf):
        high = op.wide(maximum)
        y = op.choose(op("Greater", y, high), high, y)
    return y


def check(call: NormCall) -> None:
    """Ranges are not upside down.

    Raises:
        UsageError: scale is not above 0, or minimum is not below maximum.
    """
    check_above("scale")(call)
    low, high = (call.parameters[name] for name in ("minimum", "maximum"))
    if isinstance(low, tuple) or isinstance(high, tuple):
        return
    least, most = float(low.reshape(-1)[0]), float(high.reshape(-1)[0])
    if not least < most:
        message = (
            f"{call.norm.name}: minimum is {least:g} and maximum {most:g}; "
            "expected minimum < maximum"
        )
        raise UsageError(message)


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.MinMaxScaler; without clip=True its range bounds nothing."""
    found = fitted(estimator, "scale_", "min_")
    bounds: tuple[Array | None, Array | None] = (None, None)
    if estimator.clip:
        kind = cast("Array", found["scale_"]).dtype
        wide = np.promote_types(kind, np.float64)
        low, high = estimator.feature_range
        bounds = np.array([low], wide), np.array([high], wide)
    return "MinMaxScaler", given(
        scale=found["scale_"], shift=found["min_"], minimum=bounds[0], maximum=bounds[1]
    )


MIN_MAX_SCALER: Final = Norm(
    name="MinMaxScaler",
    aliases=("MinMax",),
    parameters=(
        Parameter(
            "scale",
            Extent.FEATURES,
            "length of the range over that of the training data, for each feature",
            statistic=True,
        ),
        Parameter("shift", Extent.FEATURES, "what 0 becomes", 0.0, statistic=True),
        Parameter("minimum", Extent.ONE, "what smaller results become; -inf for no bound", -np.inf),
        Parameter("maximum", Extent.ONE, "what larger results become; inf for no bound", np.inf),
    ),
    attributes=(stash_type(),),
    formula=formula,
    forms=(Form("Mul-Add", _body, generic=True),),
    equation=(
        "y = min(max(scale x + shift, minimum), maximum), "
        "scale = (maximum - minimum) / (data_max - data_min)"
    ),
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
