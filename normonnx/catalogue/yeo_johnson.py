"""YeoJohnson: each feature bent by a power so that it is near a normal distribution; any sign.

For x >= 0 it is ((1 + x)^lambda - 1) / lambda, log(1 + x) at lambda = 0; for x < 0 the mirror
image with 2 - lambda: -((1 - x)^(2 - lambda) - 1) / (2 - lambda), -log(1 - x) at lambda = 2. So,
with p = lambda or 2 - lambda, both are sign(x) ((1 + |x|)^p - 1) / p. Then standardized:
(y - mean) / scale.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.norm import Array, Norm
from normonnx.catalogue.power import (
    PARAMETERS,
    STASH,
    forms,
    layer,
    log1p_of,
    power,
    power_of,
)
from normonnx.catalogue.scaling import FITTED
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, lambdas: Array, mean: Array, scale: Array, **_: Any) -> Array:
    """Transformed, then standardized."""
    size = np.abs(x)
    exponent = np.where(x < 0, 2 - lambdas, lambdas)
    y = np.copysign(power(1 + size, np.log1p(size), exponent), x)
    return (y - mean) / scale


def _transformed(op: Tracer, x: ir.Value, lambdas: ir.Value) -> ir.Value:
    one = op.numbers(1.0)
    negative = op("Less", x, op.numbers(0.0))
    exponent = op.choose(negative, op("Sub", op.numbers(2.0), lambdas), lambdas)
    size = op("Abs", x)
    base = op("Add", size, one)
    y = power_of(op, base, log1p_of(op, size, base), exponent)
    return op("Mul", op.choose(negative, op.numbers(-1.0), one), y)


YEO_JOHNSON: Final = Norm(
    name="YeoJohnson",
    aliases=("PowerTransformer", "Power"),
    parameters=PARAMETERS,
    attributes=(STASH,),
    formula=formula,
    forms=forms(_transformed),
    equation=(
        "y = (sign(x) ((1 + |x|)^p - 1) / p - mean) / scale, p = lambda for x >= 0 and 2 - lambda "
        "for x < 0; the logarithm at p = 0"
    ),
    region=FITTED,
    source=(
        "Yeo and Johnson, A new family of power transformations to improve normality or symmetry, "
        "2000; scikit-learn, sklearn.preprocessing.PowerTransformer"
    ),
    use=(
        "skewed features of any sign, ahead of models that want them near a normal distribution: "
        "linear and Gaussian ones"
    ),
    min_rank=1,
    layers={"sklearn.preprocessing.PowerTransformer": layer},
)
