"""A weight times factors, multiplied in float64 when it is read, never held as a copy.

Saving streams it block by block. Scaling it once more multiplies the factors, so the product is
rounded once however many rewrites touch the same weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core import dtypes
from normonnx.core.dtypes import FloatArray
from normonnx.fold.plan import NewConstant, Refusal
from normonnx.graph.tensors import StreamedTensor

_BLOCK: Final = 1 << 19  # elements multiplied at once
_NARROW: Final = 2  # bytes; formats in which range is lost easily
_TOLERANCE: Final = 2.0  # in u: rounding alone stays below 1


class ScaledTensor(StreamedTensor):
    """`base` times `factors`; see the module."""

    def __init__(
        self,
        base: npt.NDArray[Any],
        factors: FloatArray,
        *,
        shape: tuple[int, ...],
        external: bool,
        name: str | None,
    ) -> None:
        super().__init__(
            lambda: self.numpy().reshape(-1).view(np.uint8).data,
            ir.DataType.from_numpy(base.dtype),
            ir.Shape(shape),
            external=external,
            name=name,
        )
        self.base = base
        self.factors = factors

    def numpy(self) -> npt.NDArray[Any]:
        """The product, rounded to the weight's own type: a new array at each call."""
        product = np.empty(self.base.shape, self.base.dtype)
        _multiply(self.base, self.factors, product)
        return product.reshape(tuple(self.shape.numpy()))

    def chunks(self) -> Iterator[memoryview]:
        """The bytes of the product, block by block."""
        for block, factors in blocks(self.base, self.factors):
            product = np.empty(block.shape, block.dtype)
            _multiply(block, factors, product)
            yield product.reshape(-1).view(np.uint8).data


def _multiply(base: npt.NDArray[Any], factors: FloatArray, product: npt.NDArray[Any]) -> None:
    """Product = base * factors, computed in float64 and rounded once."""
    with np.errstate(all="ignore"):
        np.multiply(base, factors, out=product, dtype=np.float64, casting="unsafe")


def scaled(
    value: ir.Value, array: npt.NDArray[Any] | None, view: tuple[int, ...], factors: FloatArray
) -> ScaledTensor:
    """The constant `value` times `factors`, seen in the shape `view`.

    Args:
        value: The constant; its tensor may itself be a ScaledTensor.
        array: Its content, needed where it is not an initializer.
        view: Shape to look at it in.
        factors: What to multiply by; broadcast against `view`.
    """
    tensor = value.const_value
    external = isinstance(tensor, StreamedTensor) and tensor.external
    if isinstance(tensor, ScaledTensor) and tensor.base.shape == view:
        base, factors = tensor.base, tensor.factors * factors
        shape = tuple(tensor.shape.numpy())
    else:
        found = array if tensor is None else tensor.numpy()
        if found is None:
            message = f"{value.name!r} is no constant"
            raise ValueError(message)
        base, shape = found.reshape(view), found.shape
    return ScaledTensor(base, factors, shape=shape, external=external, name=value.name)


def blocks(
    base: npt.NDArray[Any], factors: FloatArray
) -> Iterator[tuple[npt.NDArray[Any], FloatArray]]:
    """Pieces of `base` along its first axis with their factors."""
    rows = max(1, _BLOCK // max(1, math.prod(base.shape[1:])))
    for start in range(0, base.shape[0], rows):
        part = factors if factors.shape[0] == 1 else factors[start : start + rows]
        yield base[start : start + rows], part


def check_scaled(tensor: ScaledTensor) -> Refusal | None:
    """A Refusal, naming the channels, when the product does not fit its type."""
    base, factors = tensor.base, tensor.factors
    if base.size == 0:
        return None
    narrow = base.dtype.itemsize <= _NARROW
    bad = _poorly_rounded(base, factors) if narrow else _out_of_range(base, factors)
    if not np.any(bad):
        return None
    return Refusal(
        f"the product would not fit {base.dtype} in {_listed(bad)} of weight {tensor.name!r}"
    )


def _reduced_axes(factors: FloatArray) -> tuple[int, ...]:
    return tuple(axis for axis, length in enumerate(factors.shape) if length == 1)


_Measure = Callable[[npt.NDArray[Any], FloatArray, tuple[int, ...]], npt.NDArray[Any]]


def _by_channel(
    base: npt.NDArray[Any],
    factors: FloatArray,
    measure: _Measure,
    combine: np.ufunc,
) -> FloatArray:
    """Reduce `measure(block, factors)` over everything but the channels."""
    axes = _reduced_axes(factors)
    found = [
        np.asarray(measure(block, part, axes), dtype=np.float64)
        for block, part in blocks(base, factors)
    ]
    if 0 in axes:
        return np.asarray(combine.reduce(found), dtype=np.float64)
    return np.concatenate(found, axis=0)


def _largest(block: npt.NDArray[Any], axes: tuple[int, ...]) -> npt.NDArray[Any]:
    highest = block.max(axis=axes, keepdims=True)
    lowest = block.min(axis=axes, keepdims=True)
    return np.asarray(np.maximum(highest, -lowest))


def _out_of_range(base: npt.NDArray[Any], factors: FloatArray) -> npt.NDArray[np.bool_]:
    """Channels whose largest entry overflows, or falls where precision is lost."""
    largest = _by_channel(base, factors, lambda block, _, axes: _largest(block, axes), np.maximum)
    product = largest * np.abs(factors)
    top, bottom = dtypes.largest(base.dtype), dtypes.smallest_normal(base.dtype)
    lost = (product < bottom) & (largest > 0) & (factors != 0)
    return np.asarray(~np.isfinite(product) | (product > top) | lost)


def _poorly_rounded(base: npt.NDArray[Any], factors: FloatArray) -> npt.NDArray[np.bool_]:
    """Channels whose rounded product is further off than rounding alone explains."""

    def error(block: npt.NDArray[Any], part: FloatArray, axes: tuple[int, ...]) -> FloatArray:
        with np.errstate(all="ignore"):
            exact = block.astype(np.float64) * part
            rounded = exact.astype(base.dtype).astype(np.float64)
            return np.asarray(np.sum((rounded - exact) ** 2, axis=axes, keepdims=True))

    def norm(block: npt.NDArray[Any], part: FloatArray, axes: tuple[int, ...]) -> FloatArray:
        with np.errstate(all="ignore"):
            exact = block.astype(np.float64) * part
            return np.asarray(np.sum(exact**2, axis=axes, keepdims=True))

    allowed = _TOLERANCE * dtypes.unit_roundoff(base.dtype)
    off = np.sqrt(_by_channel(base, factors, error, np.add))
    size = np.sqrt(_by_channel(base, factors, norm, np.add))
    return np.asarray(~(off <= allowed * size))


def rounded(constant: NewConstant) -> npt.NDArray[Any] | Refusal:
    """A new constant in its own type; a Refusal, naming the entries, when it does not fit."""
    exact = constant.array
    with np.errstate(all="ignore"):
        found: npt.NDArray[Any] = np.asarray(exact.astype(constant.dtype))
        back = found.astype(np.float64)
        bad = ~np.isfinite(back)
        if constant.is_factor:
            allowed = _TOLERANCE * dtypes.unit_roundoff(constant.dtype)
            bad |= np.abs(back - exact) > allowed * np.abs(exact)
    if np.any(bad):
        return Refusal(f"{constant.name!r} would not fit {constant.dtype} in {_listed(bad)}")
    return found


def _listed(bad: npt.NDArray[np.bool_]) -> str:
    indices = np.flatnonzero(bad)
    shown = ", ".join(str(index) for index in indices[:5])
    more = f" and {indices.size - 5} more" if indices.size > 5 else ""  # noqa: PLR2004
    return f"channel {shown}" if indices.size == 1 else f"channels {shown}{more}"
