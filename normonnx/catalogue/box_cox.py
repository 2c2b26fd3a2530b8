"""BoxCox: each positive feature bent by a power so that it is near a normal distribution.

(x^lambda - 1) / lambda, log(x) at lambda = 0; then standardized: (y - mean) / scale.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Array, Norm
from normonnx.catalogue.power import PARAMETERS, STASH, forms, power, power_of
from normonnx.catalogue.scaling import FITTED
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError


def formula(x: Array, lambdas: Array, mean: Array, scale: Array, **_: Any) -> Array:
    """Transformed, then standardized."""
    return (power(x, np.log(x), lambdas) - mean) / scale


def _transformed(op: Tracer, x: ir.Value, lambdas: ir.Value) -> ir.Value:
    return power_of(op, x, op("Log", x), lambdas)


def check_data(call: NormCall, x: Array) -> None:
    """All of X is greater than 0, or missing (NaN).

    Raises:
        UsageError: A number is not.
    """
    wrong = x.astype(np.float64) <= 0
    if wrong.any():
        place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
        message = (
            f"{call.norm.name}: X is {float(x[place]):g} at {list(place)}; expected numbers "
            "greater than 0: shift the data, or use YeoJohnson, which takes any sign"
        )
        raise UsageError(message)


BOX_COX: Final = Norm(
    name="BoxCox",
    parameters=PARAMETERS,
    attributes=(STASH,),
    formula=formula,
    forms=forms(_transformed),
    equation="y = ((x^lambda - 1) / lambda - mean) / scale; the logarithm at lambda = 0",
    region=FITTED,
    source=(
        "Box and Cox, An analysis of transformations, 1964; scikit-learn, "
        "sklearn.preprocessing.PowerTransformer(method='box-cox')"
    ),
    use=(
        "skewed features that are always positive (incomes, durations, concentrations), ahead of "
        "models that want them near a normal distribution"
    ),
    min_rank=1,
    check_data=check_data,
)
