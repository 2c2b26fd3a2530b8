"""What power transforms share: (base^p - 1) / p, which is log(base) at p = 0.

Subtracting 1 cancels wherever base^p is near 1, and at p = 0 it is 0 / 0. With L = log(base),
z = p L and g(z) = expm1(z) / z, it is also L g(z), and g is smooth through g(0) = 1: no branch at
p = 0. So for |z| <= 1 it is L g(z), and beyond, where nothing cancels, (base^p - 1) / p, whose Pow
rounds less than exp(p L) does.

ONNX has neither expm1 nor log1p. With u = exp(z) and w = 1 + a as they were rounded, both

    g(z) = (u - 1) / log(u),    log1p(a) = a log(w) / (w - 1)

are right to the last digits, as the roundings of u and w cancel (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., section 1.14.1). At u = 1 and w = 1 both are 0 / 0 and should be 1: a
number far below one roundoff, added above and below, makes it so and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
from normonnx.catalogue.norm import DOUBLE, Array, Dim, Extent, Form, Parameter, stash_type
from normonnx.catalogue.scaling import fitted, given
from normonnx.catalogue.tracing import Tracer

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall

_TINY: Final = 2.0**-100  # normal in float32, and nothing beside its 2**-24
_CANCELS: Final = 16.0

PARAMETERS: Final = (
    Parameter("lambdas", Extent.FEATURES, "power of each feature", statistic=True),
    Parameter("mean", Extent.FEATURES, "mean of each feature after the power", 0.0, statistic=True),
    Parameter(
        "scale",
        Extent.FEATURES,
        "standard deviation of each feature after the power",
        1.0,
        statistic=True,
        positive=True,
    ),
)
STASH: Final = stash_type(DOUBLE)
Transformed = Callable[[Tracer, ir.Value, ir.Value], ir.Value]


def power(base: Array, log: Array, exponent: Array) -> Array:
    """(base^exponent - 1) / exponent in float64, given log(base)."""
    z = exponent * log
    large = np.abs(z) > 1
    far = np.where(large, exponent, 1)
    near = np.where(large, 0, z)
    growth = np.where(near == 0, 1, np.expm1(near) / np.where(near == 0, 1, near))
    return np.where(large, (base**far - 1) / far, log * growth)


def power_of(op: Tracer, base: ir.Value, log: ir.Value, exponent: ir.Value) -> ir.Value:
    """`power`, as ONNX. Neither branch is infinite where the other is taken."""
    zero, one = op.numbers(0.0), op.numbers(1.0)
    z = op("Mul", exponent, log)
    large = op("Greater", op("Abs", z), one)
    far = op.choose(large, exponent, one)
    beyond = op("Div", op("Sub", op("Pow", base, far), one), far)
    near = op("Mul", log, _growth(op, op.choose(large, zero, z)))
    return op.choose(large, beyond, near)


def _growth(op: Tracer, z: ir.Value) -> ir.Value:
    """expm1(z) / z."""
    u = op("Exp", z)
    return _ratio(op, op("Sub", u, op.numbers(1.0)), op("Log", u))


def log1p_of(op: Tracer, a: ir.Value, w: ir.Value) -> ir.Value:
    """log(1 + a), given w = 1 + a."""
    return op("Mul", a, _ratio(op, op("Log", w), op("Sub", w, op.numbers(1.0))))


def _ratio(op: Tracer, one: ir.Value, other: ir.Value) -> ir.Value:
    """One over the other, and 1 where both are 0."""
    tiny = op.numbers(_TINY)
    return op("Div", op("Add", one, tiny), op("Add", other, tiny))


def forms(transformed: Transformed) -> tuple[Form, ...]:
    """In float64, and in float32 for what has no float64."""

    def build(
        op: Tracer, x: ir.Value, lambdas: ir.Value, mean: ir.Value, scale: ir.Value
    ) -> ir.Value:
        y = transformed(op, op.wide(x), op.wide(lambdas))
        return op.back(steps.divided(op, steps.lowered(op, y, mean), scale), x)

    return (
        Form("in float64", build, generic=True, requires=_stashes_double),
        Form("in float32", build, working=ir.DataType.FLOAT, requires=_float32_will_do),
    )


def _stashes_double(call: NormCall) -> str | None:
    """The type computed in is float64."""
    return None if call.attributes["stash_type"] == DOUBLE else "stash_type is float32"


def _float32_will_do(call: NormCall) -> str | None:
    """X is no float64, and subtracting the mean leaves enough digits."""
    if call.dtype == "float64":
        return "X is float64"
    mean, scale = (call.parameters[name] for name in ("mean", "scale"))
    if isinstance(mean, tuple) or isinstance(scale, tuple):
        return None
    times = float(np.max(np.abs(mean.astype(np.float64)) / scale.astype(np.float64)))
    if times <= _CANCELS:
        return None
    return f"a mean is {times:.0f} times its scale: subtracting it from float32 leaves too little"


def layer(estimator: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """sklearn.preprocessing.PowerTransformer, of either method."""
    name = {"yeo-johnson": "YeoJohnson", "box-cox": "BoxCox"}[estimator.method]
    lambdas = fitted(estimator, "lambdas_")["lambdas_"]
    if not estimator.standardize:
        return name, given(lambdas=lambdas)
    found = fitted(estimator._scaler, "mean_", "scale_")  # noqa: SLF001  # it is kept nowhere else
    return name, given(lambdas=lambdas, mean=found["mean_"], scale=found["scale_"])
