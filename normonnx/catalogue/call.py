"""One use of a normalization, checked when it is made: shapes, types, lengths and numbers.

What is wrong is said here, with the value found and the value expected, and not by a runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.checking import (
    Given,
    as_numbers,
    as_parameter,
    check_axis,
    check_extent,
    check_values,
    checked_number,
    checked_outputs,
    checked_shape,
    checked_type,
)
from normonnx.catalogue.norm import (
    DOUBLE,
    Array,
    Dim,
    Form,
    Norm,
    Number,
)
from normonnx.core.errors import UsageError

LOWEST: Final = 7
_BFLOAT16_SINCE: Final = 13


@dataclass(frozen=True, slots=True, eq=False)
class NormCall:
    """One use of a normalization.

    Attributes:
        norm: The normalization.
        shape: Of X; names or None for sizes that are not known.
        dtype: Of X.
        parameters: By name, all of the norm's: arrays where they are known, shapes where they are
            inputs at run time.
        attributes: By name, all of the norm's.
    """

    norm: Norm
    shape: tuple[Dim, ...]
    dtype: np.dtype[Any]
    parameters: Mapping[str, Given]
    attributes: Mapping[str, Number]

    @classmethod
    def of(
        cls, norm: Norm, shape: Sequence[Dim], dtype: npt.DTypeLike, given: Mapping[str, Any]
    ) -> NormCall:
        """Check what is given, and fill in what is left out.

        Raises:
            UsageError: It is no legal use of the normalization.
        """
        norm, given = chosen(norm, given)
        kind = checked_type(norm, dtype)
        names = {each.name for each in norm.parameters} | {each.name for each in norm.attributes}
        for name in given:
            if name not in names:
                message = f"{norm.name} has no {name!r}; it takes {', '.join(sorted(names))}"
                raise UsageError(message)
        dims = checked_shape(norm, shape)
        attributes = {
            each.name: checked_number(norm, each, given.get(each.name)) for each in norm.attributes
        }
        if kind == np.float64:
            attributes["stash_type"] = DOUBLE  # never narrower than X
        if "axis" in attributes:
            check_axis(norm, int(cast("int", attributes["axis"])), len(dims))
        parameters: dict[str, Given] = {}
        for each in norm.parameters:
            found = as_parameter(norm, each, given.get(each.name), kind)
            check_extent(norm, each, found, dims, attributes)
            check_values(norm, each, found)
            parameters[each.name] = found
        call = cls(norm, dims, kind, parameters, attributes)
        norm.check(call)
        return call

    @property
    def stored(self) -> dict[str, Number]:
        """The attributes as a model keeps them: floating-point ones in float32."""
        return {
            name: float(np.float32(value)) if isinstance(value, float) else value
            for name, value in self.attributes.items()
        }

    @property
    def given(self) -> frozenset[str]:
        """Names of the parameters that are given; the others are their defaults everywhere."""
        return frozenset(
            each.name
            for each in self.norm.parameters
            if not _is_default(self.parameters[each.name], each.default)
        )

    @property
    def lowest_opset(self) -> int:
        """The lowest opset that knows the types of X and of the parameters."""
        found = [
            self.dtype,
            *(v.dtype for v in self.parameters.values() if not isinstance(v, tuple)),
        ]
        return _BFLOAT16_SINCE if ml_dtypes.bfloat16 in found else LOWEST

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms that this call may take at some opset."""
        return tuple(form for form in self.norm.forms if form.requires(self) is None)

    def forms_at(self, opset: int) -> tuple[Form, ...]:
        """The forms that this call may take at one opset."""
        if opset < self.lowest_opset:
            return ()
        return tuple(
            form
            for form in self.forms
            if form.since <= opset and (form.until is None or opset <= form.until)
        )

    def model(self, form: str = "function", *, opset: int = 17) -> ir.Model:
        """A model of this normalization alone: X and what is known at run time are its inputs.

        Args:
            form: "function" for a call of the ONNX function, or the name of a form.
            opset: Version of the default operator set.

        Raises:
            UsageError: There is no such form, or it doesn't exist at that opset or for this call.
        """
        from normonnx.catalogue.emitting import model

        return model(self, form, opset)

    def reference(self, x: npt.ArrayLike, **runtime: npt.ArrayLike) -> Any:  # as Norm.reference
        """The truth in float64, with the parameters as they are stored.

        Args:
            x: The input.
            runtime: Parameters that are inputs at run time.
        """
        known = {k: v for k, v in self.parameters.items() if not isinstance(v, tuple)}
        return self.norm.reference(x, **{**known, **runtime, **self.stored})


def _is_default(found: Given, default: float | None) -> bool:
    return default is not None and not isinstance(found, tuple) and bool((found == default).all())


def chosen(norm: Norm, given: Mapping[str, Any]) -> tuple[Norm, Mapping[str, Any]]:
    """The normalization that is meant, and the rest: training_mode=1 makes BatchNorm another.

    Raises:
        UsageError: Such an attribute is neither 0 nor 1.
    """
    for name in norm.alternatives:
        value = given.get(name) or 0
        if not isinstance(value, (bool, int, np.integer)) or value not in {0, 1}:
            message = f"{norm.name}: {name} is {value!r}; expected 0 or 1"
            raise UsageError(message)
    rest = {name: value for name, value in given.items() if name not in norm.alternatives}
    meant = [other for name, other in norm.alternatives.items() if given.get(name)]
    return (meant[0] if meant else norm), rest


def reference(
    norm: Norm,
    x: npt.ArrayLike,
    parameters: Sequence[npt.ArrayLike | None],
    given: Mapping[str, Any],
) -> Any:  # an array or a tuple of arrays
    """`Norm.reference`."""
    norm, given = chosen(norm, given)
    array = as_numbers(norm, "X", x)
    if len(parameters) > len(norm.parameters):
        names = ", ".join(["X", *(each.name for each in norm.parameters)])
        message = f"{norm.name} takes {names}; {len(parameters) + 1} inputs were given"
        raise UsageError(message)
    wanted = dict(given)
    outputs = checked_outputs(norm, wanted.pop("outputs", 1))
    for each, found in zip(norm.parameters, parameters, strict=False):
        if found is None:
            continue
        if each.name in wanted:
            message = f"{norm.name}: {each.name} was given twice, by place and by name"
            raise UsageError(message)
        wanted[each.name] = found
    inputs = {each.name for each in norm.parameters}
    wanted = {
        name: as_numbers(norm, name, found) if name in inputs else found
        for name, found in wanted.items()
        if found is not None
    }
    call = NormCall.of(norm, array.shape, array.dtype, wanted)
    norm.check_data(call, array)
    values = [np.asarray(call.parameters[each.name], np.float64) for each in norm.parameters]
    with np.errstate(all="ignore"):
        found = norm.formula(array.astype(np.float64), *values, **call.attributes)
    results = found if isinstance(found, tuple) else (found,)
    _refuse_division_by_zero(call, array, results[0])
    return results[0] if outputs == 1 else results[:outputs]


def _refuse_division_by_zero(call: NormCall, x: Array, y: Array) -> None:
    if call.attributes.get("epsilon") != 0 or not np.isfinite(x.astype(np.float64)).all():
        return
    if not np.isfinite(y).all():
        message = (
            f"{call.norm.name} with epsilon 0 divides by zero: what it normalizes is constant "
            f"somewhere in X; expected epsilon > 0, for example 1e-5"
        )
        raise UsageError(message)
