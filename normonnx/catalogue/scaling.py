"""What scalers share: rows of features, each feature shifted and divided by numbers fitted to data.

scikit-learn divides by 1 where a divisor is 0, so that a constant feature stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.layers import array
from normonnx.catalogue.norm import DOUBLE, Array, Form, Region, Share
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall

ML: Final = "ai.onnx.ml"
FITTED: Final = Region(Share.ALL, Share.ONE, Share.ONE, layout="NC", fixed=True)
_MATRIX: Final = 2


def nonzero(divisor: Array) -> Array:
    """The divisor, with 1 where it is 0."""
    return np.where(divisor == 0, 1, divisor)


def nonzero_of(op: Tracer, divisor: ir.Value) -> ir.Value:
    """The divisor, with 1 where it is 0; NaN stays, as it is no zero either."""
    mask = op("Cast", divisor, to=int(ir.DataType.BOOL))
    return op.choose(mask, divisor, op.numbers(1.0))


def fitted(estimator: Any, *names: str) -> dict[str, Array | None]:
    """What an estimator of scikit-learn has learned, by name; None where it was told not to.

    Raises:
        UsageError: It has learned nothing yet.
    """
    for name in names:
        if not hasattr(estimator, name):
            kind = type(estimator).__name__
            message = (
                f"this {kind} is not fitted: it has no {name}; "
                f"call {kind}.fit(X) with the training data first"
            )
            raise UsageError(message)
    found = {name: getattr(estimator, name) for name in names}
    return {name: None if value is None else array(value) for name, value in found.items()}


def given(**found: Array | None) -> dict[str, Array]:
    """The parameters that there are."""
    return {name: value for name, value in found.items() if value is not None}


def divided(op: Tracer, x: ir.Value, centre: ir.Value, scale: ir.Value) -> ir.Value:
    """(x - centre) / scale, features on the last axis."""
    return op.back(standard(op, op.wide(x), centre, scale), x)


def standard(op: Tracer, y: ir.Value, centre: ir.Value, scale: ir.Value) -> ir.Value:
    """(y - centre) / scale, in the type that is computed in."""
    found = steps.divided(op, steps.lowered(op, y, centre), scale)
    return op("Identity", y) if found is y else found


def _scaler(op: Tracer, x: ir.Value, centre: ir.Value, scale: ir.Value) -> ir.Value:
    """The operator has its numbers as attributes, both of one length, and multiplies."""
    offset, divisor = np.broadcast_arrays(_numbers(centre), _numbers(scale))
    factor = (1 / divisor).astype(np.float32)
    return op(
        "Scaler",
        x,
        domain=ML,
        offset=offset.astype(np.float32).tolist(),
        scale=factor.tolist(),
    )


def _numbers(value: ir.Value) -> Array:
    if value.const_value is None:
        message = f"{value.name} is not known; the operator has it as an attribute"
        raise TypeError(message)
    return value.const_value.numpy().astype(np.float64)


def knows_parameters(call: NormCall) -> str | None:
    """No parameter is an input at run time."""
    unknown = [name for name, found in call.parameters.items() if isinstance(found, tuple)]
    return f"{unknown[0]} is an input and the operator has it as an attribute" if unknown else None


def _fits_float32(call: NormCall) -> str | None:
    """Neither the numbers nor 1 / scale leave the range of float32, subnormal numbers left out."""
    least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    for name, found in call.parameters.items():
        if isinstance(found, tuple):
            continue
        size = np.abs(found.astype(np.float64))
        size = size[size != 0]
        if size.size and (size.max() > min(most, 1 / least) or size.min() < max(least, 1 / most)):
            return f"{name} or its reciprocal leaves the range of float32"
    return None


def in_float32(call: NormCall) -> str | None:
    """Not computed in float64: a mean far above the spread would take digits away."""
    wide = call.attributes["stash_type"] == DOUBLE
    return "it is computed in float64 and the operator in float32" if wide else None


NATIVE: Final = Form(
    "native",
    _scaler,
    native=True,
    requires=conditions.every(
        conditions.float32_only,
        in_float32,
        conditions.rank_of(1, _MATRIX),
        knows_parameters,
        _fits_float32,
    ),
    operators=(f"{ML}::Scaler",),
)
CHAIN: Final = Form("Sub-Div", divided, generic=True)


def check_least(name: str) -> Callable[[NormCall], None]:
    """A check that a parameter, if known, is nowhere negative."""
    return _check(name, lambda values: values >= 0, "0 or more")


def check_above(name: str) -> Callable[[NormCall], None]:
    """A check that a parameter, if known, is everywhere above 0."""
    return _check(name, lambda values: values > 0, "numbers greater than 0")


def _check(
    name: str, holds: Callable[[Array], npt.NDArray[np.bool_]], expected: str
) -> Callable[[NormCall], None]:
    def check(call: NormCall) -> None:
        found = call.parameters[name]
        if isinstance(found, tuple):
            return
        values = found.astype(np.float64).reshape(-1)
        wrong = ~holds(values)
        if wrong.any():
            place = int(np.argmax(wrong))
            message = (
                f"{call.norm.name}: {name} is {values[place]:g} at place {place}; "
                f"expected {expected}"
            )
            raise UsageError(message)

    return check
