"""Inputs of one normalization that its forms are judged on, and the truth of each.

- random: N(0, 1); forms are timed on it, too.
- mean 1e2, mean 1e4: N(0, 1) plus that; a variance by E[x²] - E[x]² cancels there.
- tiny, huge: N(0, 1) times 1e-4, where epsilon decides, and times 1e4, whose squares leave float16.
- constant: 3.3 everywhere; a variance of 0.
- zero rows: N(0, 1) with zeros in the first place of every axis, so that what is divided by the
  size of X divides by 0; only for what subtracts no mean.

X is rounded to its type first, and the truth is that of the rounded one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.checking import expected_shape
from normonnx.core.distances import relative_error, rms
from normonnx.core.dtypes import Array, largest, unit_roundoff
from normonnx.core.errors import UsageError

RANDOM: Final = "random"
CONSTANT: Final = "constant"
ZERO_ROWS: Final = "zero rows"
_CONSTANT: Final = 3.3  # no short sum of powers of two, so that sums of it are rounded
_HEADROOM: Final = 0.9  # of the largest number
_SEED: Final = 11

Shape = tuple[int, ...]
_Draw = Callable[[np.random.Generator, Shape], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One set of inputs.

    Attributes:
        feeds: X, and parameters that are inputs at run time, by name.
        truth: The result in float64.
        size: What errors are relative to.
    """

    feeds: Mapping[str, Array]
    truth: Array
    size: float


def cases(call: NormCall) -> dict[str, Case]:
    """Inputs by the name of their profile; those that are none for the norm are left out.

    Args:
        call: A use of a normalization, all sizes known.

    Raises:
        UsageError: A size is not known.
    """
    shape = concrete(call)
    runtime = _runtime_parameters(call, shape)
    found: dict[str, Case] = {}
    for name, draw in _PROFILES.items():
        if name == ZERO_ROWS and not _divides_by_size(call):
            continue
        top = _HEADROOM * largest(call.dtype)
        drawn = np.clip(draw(np.random.default_rng(_SEED), shape), -top, top)
        x = np.asarray(drawn).astype(call.dtype)
        try:
            truth = call.reference(x, **runtime)
        except UsageError:  # the logarithm of a negative number, say
            x = np.abs(x)
            try:
                truth = call.reference(x, **runtime)
            except UsageError:
                continue
        # Of a constant mostly 0 is left, to which nothing is relative.
        size = max(rms(truth), found[RANDOM].size) if name == CONSTANT else rms(truth)
        found[name] = Case({"X": x, **runtime}, truth, size)
    return found


def concrete(call: NormCall) -> Shape:
    """The shape of X, where all of it is known.

    Raises:
        UsageError: It is not.
    """
    known = tuple(dim for dim in call.shape if isinstance(dim, int))
    if len(known) != len(call.shape):
        shown = ", ".join("?" if dim is None else str(dim) for dim in call.shape)
        message = f"{call.norm.name}: X has shape ({shown}); expected a number for each size"
        raise UsageError(message)
    return known


def error_of(found: Array, truth: Array, size: float, dtype: np.dtype[Any]) -> float:
    """Error of a result in roundoffs u of its type, rms.

    Infinite where the result has NaN or infinity, and the truth is a number that the type holds.
    """
    if found.shape != truth.shape:
        return float("inf")
    numbers = found.astype(np.float64)
    if (~np.isfinite(numbers) & (np.abs(truth) <= largest(dtype))).any():
        return float("inf")
    return relative_error(numbers, truth, unit_roundoff(dtype), size)


def _divides_by_size(call: NormCall) -> bool:
    norm = call.norm
    return norm.region.measures and not norm.region.fixed and not norm.centered


def _runtime_parameters(call: NormCall, shape: Shape) -> dict[str, Array]:
    """Numbers for the parameters that are inputs at run time."""
    source = np.random.default_rng(_SEED + 1)
    found = {}
    axis = call.attributes.get("axis", -1)
    for parameter in call.norm.parameters:
        given = call.parameters[parameter.name]
        if isinstance(given, tuple):
            full = expected_shape(parameter, shape, axis if isinstance(axis, int) else -1)
            dims = _sized(given, full)
            found[parameter.name] = source.uniform(0.5, 1.5, dims).astype(call.dtype)
    return found


def _sized(given: tuple[int | str | None, ...], full: tuple[int | str | None, ...]) -> Shape:
    """The shape of a parameter, with what it doesn't tell from the shape that X asks for."""
    whole = full[len(full) - len(given) :]
    pairs = zip(given, whole, strict=True)
    return tuple(int(own) if isinstance(own, int) else int(want or 1) for own, want in pairs)


def _normal(mean: float = 0.0, deviation: float = 1.0) -> _Draw:
    return lambda source, shape: source.standard_normal(shape) * deviation + mean


def _with_zero_rows(source: np.random.Generator, shape: Shape) -> Array:
    found = source.standard_normal(shape)
    for axis, size in enumerate(shape):
        if size > 1:
            np.moveaxis(found, axis, 0)[0] = 0
    return found


_PROFILES: Final[Mapping[str, _Draw]] = {
    RANDOM: _normal(),
    "mean 1e2": _normal(1e2),
    "mean 1e4": _normal(1e4),
    "tiny": _normal(0.0, 1e-4),
    "huge": _normal(0.0, 1e4),
    CONSTANT: lambda _source, shape: np.full(shape, _CONSTANT),
    ZERO_ROWS: _with_zero_rows,
}
