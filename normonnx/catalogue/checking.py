"""Is this a legal use of a normalization? Types, shapes, numbers and lengths, one by one.

Each check raises UsageError with the name, the value found and the value expected.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.layers import array as as_array
from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Dim,
    Extent,
    Norm,
    Number,
    Parameter,
)
from normonnx.core.dtypes import is_float
from normonnx.core.errors import UsageError

TYPES: Final = tuple(
    np.dtype(kind) for kind in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)
)
Given = Array | tuple[Dim, ...]
_LEAST_INT, _MOST_INT = -(2**63), 2**63 - 1  # ONNX keeps whole numbers in int64


def as_numbers(norm: Norm, name: str, found: Any) -> Array:  # whatever was given
    """Whatever was given as an array."""
    try:
        return as_array(found)
    except ValueError as error:  # rows of several lengths
        message = f"{norm.name}: {name} is no array: {error}"
        raise UsageError(message) from error


def checked_outputs(norm: Norm, wanted: Any) -> int:  # whatever was given
    """How many outputs are wanted, of those that there are."""
    known = len(norm.outputs)
    if not isinstance(wanted, (int, np.integer)) or not 1 <= wanted <= known:
        expected = "1" if known == 1 else f"1 to {known}"
        message = (
            f"{norm.name}: outputs is {wanted!r}; expected {expected}: {', '.join(norm.outputs)}"
        )
        raise UsageError(message)
    return int(wanted)


def checked_type(norm: Norm, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The type of X: a floating-point type that is computed in."""
    kind = _as_dtype(dtype)
    if kind is None or kind not in TYPES:
        message = (
            f"{norm.name}: X is {kind or dtype}; expected float16, bfloat16, float32 or float64: "
            "cast it"
        )
        raise UsageError(message)
    return kind


def _as_dtype(dtype: Any) -> np.dtype[Any] | None:  # whatever was given
    """What numpy or torch call it; None where it is no type."""
    for name in (dtype, str(dtype).removeprefix("torch.")):
        with contextlib.suppress(TypeError):
            return np.dtype(name)
    return None


def _is_size(dim: object) -> bool:
    return dim is None or isinstance(dim, (int, np.integer, str))


def checked_shape(norm: Norm, shape: Any) -> tuple[Dim, ...]:
    """The shape of X: sizes, and names or None for what is not known; nothing empty."""
    if isinstance(shape, str) or not isinstance(shape, Iterable) or not all(map(_is_size, shape)):
        message = (
            f"{norm.name}: the shape of X is {shape!r}; expected a tuple of sizes: whole numbers, "
            "and names or None for what is not known"
        )
        raise UsageError(message)
    dims = tuple(int(dim) if isinstance(dim, (int, np.integer)) else dim for dim in shape)
    if len(dims) < norm.min_rank:
        message = (
            f"{norm.name}: X has shape {_shown(dims)}, rank {len(dims)}; "
            f"expected rank {norm.min_rank} or more"
        )
        raise UsageError(message)
    for axis, dim in enumerate(dims):
        if isinstance(dim, int) and dim <= 0:
            what = "the batch is empty" if axis == 0 else f"axis {axis} is empty"
            message = (
                f"{norm.name}: X has shape {_shown(dims)}: {what}; expected sizes of 1 or more"
            )
            raise UsageError(message)
    return dims


def _shown(dims: Sequence[Dim]) -> str:
    return "(" + ", ".join("?" if dim is None else str(dim) for dim in dims) + ")"


def check_axis(norm: Norm, axis: int, rank: int) -> None:
    """X has that axis."""
    if not -rank <= axis < rank:
        message = f"{norm.name}: axis is {axis}; expected {-rank} to {rank - 1} for rank {rank}"
        raise UsageError(message)


def checked_number(norm: Norm, attribute: Attribute, found: Any) -> Number:  # whatever was given
    """An attribute: what was given, or its default, as ONNX will keep it."""
    name = f"{norm.name}: {attribute.name}"
    if found is None:
        if attribute.default is None:
            message = f"{name} is missing: {attribute.meaning}"
            raise UsageError(message)
        return attribute.default
    if isinstance(found, str) and found in attribute.choices:
        return attribute.choices[found]
    number = _of_kind(attribute, found)
    legal = set(attribute.choices.values()) if attribute.closed else None
    if number is None or (legal is not None and number not in legal):
        kind = "a number" if attribute.kind == ir.AttributeType.FLOAT else "a whole number"
        kind = "a list of whole numbers" if attribute.kind == ir.AttributeType.INTS else kind
        named = " or ".join(f"{key!r} ({value})" for key, value in attribute.choices.items())
        message = f"{name} is {found!r}; expected {named or kind}"
        raise UsageError(message)
    if attribute.least is not None and not cast("float", number) >= attribute.least:
        message = f"{name} is {found!r}; expected {attribute.least:g} or more"
        raise UsageError(message)
    if number not in attribute.choices.values():
        _check_range(name, number)
    return number


def _check_range(name: str, number: Number) -> None:
    """ONNX keeps floating-point attributes in float32, where 1e-50 is 0 and 1e50 infinite."""
    if not isinstance(number, float):
        return
    with np.errstate(all="ignore"):
        stored = float(np.float32(number))
    if math.isinf(stored) or (stored == 0) != (number == 0):
        message = (
            f"{name} is {number:g}, which is {stored:g} in float32, as ONNX keeps it; expected a "
            "finite number that float32 holds"
        )
        raise UsageError(message)


def _of_kind(attribute: Attribute, found: Any) -> Number | None:  # whatever was given
    """What was given as the number that ONNX will keep; None where it is of another kind."""
    if attribute.kind == ir.AttributeType.INTS:
        if isinstance(found, (int, np.integer)):
            return (int(found),)
        if not isinstance(found, (list, tuple, range, np.ndarray)):
            return None
        whole = [each for each in found if isinstance(each, (int, np.integer))]
        return tuple(int(each) for each in whole) if len(whole) == len(found) else None
    if attribute.kind == ir.AttributeType.INT:
        is_whole = isinstance(found, (bool, int, np.integer))
        return int(found) if is_whole and _LEAST_INT <= found <= _MOST_INT else None
    if isinstance(found, bool) or not isinstance(found, (int, float, np.integer, np.floating)):
        return None
    return None if math.isnan(float(found)) else float(found)


def as_parameter(
    norm: Norm,
    parameter: Parameter,
    found: Any,  # an array, a shape, or None
    kind: np.dtype[Any],
) -> Given:
    """A parameter: an array, or a shape where it is an input; its default where left out."""
    if found is None:
        if parameter.default is None:
            message = f"{norm.name}: {parameter.name} is missing: {parameter.meaning}"
            raise UsageError(message)
        return np.full(1, parameter.default, kind)
    if isinstance(found, tuple):
        if not all(map(_is_size, found)):
            message = (
                f"{norm.name}: {parameter.name} is {found}; a tuple is a shape, of an input at run "
                "time, so its sizes are whole numbers or names: give numbers as an array"
            )
            raise UsageError(message)
        return cast("tuple[Dim, ...]", found)
    array = as_numbers(norm, parameter.name, found)
    if isinstance(found, (int, float, list)) and array.dtype.kind in "bif":
        array = array.astype(kind)
    if not is_float(array.dtype):
        message = (
            f"{norm.name}: {parameter.name} is {array.dtype}; expected floating-point numbers "
            f"like X's {kind}: cast it"
        )
        raise UsageError(message)
    return array.reshape(1) if array.ndim == 0 else array


def expected_shape(parameter: Parameter, dims: tuple[Dim, ...], axis: int) -> tuple[Dim, ...]:
    """The shape of a parameter that is given in full, for X of those sizes."""
    extents: dict[Extent, tuple[Dim, ...]] = {
        Extent.CHANNELS: dims[1:2],
        Extent.FEATURES: dims[-1:],
        Extent.TRAILING: dims[axis % len(dims) :],
        Extent.ALONG_AXIS: (dims[axis],),
        Extent.SAMPLE_CHANNELS: dims[:2],
        Extent.SAMPLE_FEATURES: (dims[0], dims[-1]),
        Extent.ONE: (1,),
    }
    return extents[parameter.extent]


def check_extent(
    norm: Norm,
    parameter: Parameter,
    found: Given,
    dims: tuple[Dim, ...],
    attributes: Mapping[str, Number],
) -> None:
    """A parameter is as long as X wants it, or 1."""
    shape: tuple[Dim, ...] = found if isinstance(found, tuple) else found.shape
    if shape == (1,):
        return
    expected = expected_shape(parameter, dims, int(cast("int", attributes.get("axis", -1))))
    if parameter.extent is Extent.TRAILING:
        padded = (1,) * (len(expected) - len(shape)) + tuple(shape)
        fits = len(shape) <= len(expected) and all(
            size == 1 or _may_equal(size, want) for size, want in zip(padded, expected, strict=True)
        )
    else:
        fits = len(shape) == len(expected) and all(
            _may_equal(size, want) for size, want in zip(shape, expected, strict=True)
        )
    if not fits:
        message = (
            f"{norm.name}: {parameter.name} has shape {_shown(shape)}; "
            f"expected {_shown(expected)} for X of shape {_shown(dims)}, or (1)"
        )
        raise UsageError(message)


def _may_equal(one: Dim, other: Dim) -> bool:
    return not isinstance(one, int) or not isinstance(other, int) or one == other


def check_values(norm: Norm, parameter: Parameter, found: Given) -> None:
    """What was measured is finite, and what divides is positive."""
    if isinstance(found, tuple):
        return
    values = found.astype(np.float64)
    if parameter.statistic and not np.isfinite(values).all():
        wrong = values.reshape(-1)[int(np.argmin(np.isfinite(values.reshape(-1))))]
        message = (
            f"{norm.name}: {parameter.name} holds {wrong} at place "
            f"{int(np.argmin(np.isfinite(values.reshape(-1))))}; expected finite numbers: "
            "the statistics of a model that diverged in training can't be repaired"
        )
        raise UsageError(message)
    if parameter.positive and not (values > 0).all():
        place = int(np.argmin(values.reshape(-1) > 0))
        message = (
            f"{norm.name}: {parameter.name} is {values.reshape(-1)[place]:g} at place {place}; "
            "expected numbers greater than 0, since X is divided by it"
        )
        raise UsageError(message)
