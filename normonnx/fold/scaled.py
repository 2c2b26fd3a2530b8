"""A weight times factors plus offsets, in float64 when it is read, never held as a copy.

Saving streams it block by block. Scaling it once more multiplies the factors, so the product is
rounded once however many rewrites touch the same weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core import dtypes
from normonnx.core.dtypes import FloatArray
from normonnx.fold.plan import (
    MirroredIntegers,
    NewConstant,
    Refusal,
    ScaledWeight,
    SummedWeight,
)
from normonnx.graph.tensors import StreamedTensor

BLOCK: Final = 1 << 19  # elements multiplied at once
NARROW: Final = 2  # bytes; formats in which range is lost easily
TOLERANCE: Final = 2.0  # in u: rounding alone stays below 1


class ScaledTensor(StreamedTensor):
    """`base` times `factors` plus `offsets`; see the module."""

    def __init__(  # noqa: PLR0913
        self,
        base: npt.NDArray[Any],
        factors: FloatArray,
        offsets: FloatArray | None,
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
        self.offsets = offsets

    def numpy(self) -> npt.NDArray[Any]:
        """The result, rounded to the weight's own type: a new array at each call."""
        product = np.empty(self.base.shape, self.base.dtype)
        if self.offsets is None:
            _multiply(self.base, self.factors, product)
        else:
            start = 0
            for rows in self._exact():
                product[start : start + len(rows)] = once_rounded(rows, product.dtype)
                start += len(rows)
        return product.reshape(tuple(self.shape.numpy()))

    def chunks(self) -> Iterator[memoryview]:
        """The bytes of the result, block by block."""
        if self.offsets is not None:
            for rows in self._exact():
                yield once_rounded(rows, self.base.dtype).reshape(-1).view(np.uint8).data
            return
        for block, factors in blocks(self.base, self.factors):
            product = np.empty(block.shape, block.dtype)
            _multiply(block, factors, product)
            yield product.reshape(-1).view(np.uint8).data

    def _exact(self) -> Iterator[FloatArray]:
        """The result before it is rounded, block by block along the first axis."""
        added = iter(()) if self.offsets is None else blocks(self.base, self.offsets)
        with np.errstate(all="ignore"):
            for block, factors in blocks(self.base, self.factors):
                exact = np.multiply(block, factors, dtype=np.float64, casting="unsafe")
                for _, offset in islice(added, 1):
                    exact += offset
                yield exact


def once_rounded(exact: FloatArray, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Numbers in a type, in C order; what does not fit becomes infinite."""
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(exact.astype(dtype))


def _multiply(base: npt.NDArray[Any], factors: FloatArray, product: npt.NDArray[Any]) -> None:
    """Product = base * factors, computed in float64 and rounded once."""
    with np.errstate(all="ignore"):
        np.multiply(base, factors, out=product, dtype=np.float64, casting="unsafe")


def fitting(weight: ScaledWeight, array: npt.NDArray[Any] | None) -> ScaledTensor | Refusal:
    """`scaled`, or a Refusal, naming the channels, when the product does not fit its type.

    A weight that was scaled before, in a narrow type, may fit only when it is rounded in between,
    which is what another run would find in the file.
    """
    product = scaled(weight, array)
    problem = check_scaled(product)
    if problem is not None and isinstance(weight.value.const_value, ScaledTensor):
        product = scaled(weight, array, afresh=True)
        problem = check_scaled(product)
    return problem or product


def scaled(
    weight: ScaledWeight, array: npt.NDArray[Any] | None, *, afresh: bool = False
) -> ScaledTensor:
    """A constant times factors plus offsets, seen in the shape of the weight's view.

    Args:
        weight: What to make; the tensor of its constant may itself be a ScaledTensor.
        array: The constant's content, needed where it is not an initializer.
        afresh: Start from the rounded content of a ScaledTensor.
    """
    tensor = weight.value.const_value
    factors, offsets = weight.factors, weight.offsets
    external = isinstance(tensor, StreamedTensor) and tensor.external
    name = weight.value.name
    if isinstance(tensor, ScaledTensor) and tensor.base.shape == weight.view and not afresh:
        shape = tuple(tensor.shape.numpy())
        inner = None if tensor.offsets is None else tensor.offsets * factors
        offsets = inner if offsets is None else offsets if inner is None else inner + offsets
        factors = tensor.factors * factors
        return ScaledTensor(
            tensor.base, factors, offsets, shape=shape, external=external, name=name
        )
    found = array if tensor is None else tensor.numpy()
    if found is None:
        message = f"{name!r} is no constant"
        raise ValueError(message)
    base = found.reshape(weight.view)
    return ScaledTensor(base, factors, offsets, shape=found.shape, external=external, name=name)


def summed(constant: SummedWeight, array: npt.NDArray[Any] | None) -> FloatArray:
    """What a SummedWeight holds, in float64; the weight is never copied as a whole.

    Args:
        constant: What to make.
        array: The weight's content, needed where it is not an initializer.
    """
    product = scaled(constant.weight, array)
    axes = constant.axes
    parts = [rows.sum(axis=axes) for rows in product._exact()]  # noqa: SLF001  # of this module
    if not parts:
        kept = [n for axis, n in enumerate(product.base.shape) if axis not in axes]
        total: FloatArray = np.zeros(kept)
    elif 0 in axes:
        total = np.asarray(np.sum(parts, axis=0))
    else:
        total = np.concatenate(parts, axis=0)
    return np.asarray(constant.plus + total).reshape(constant.shape)


def blocks(
    base: npt.NDArray[Any], factors: FloatArray
) -> Iterator[tuple[npt.NDArray[Any], FloatArray]]:
    """Pieces of `base` along its first axis with their factors."""
    rows = max(1, BLOCK // max(1, math.prod(base.shape[1:])))
    for start in range(0, base.shape[0], rows):
        part = factors if factors.shape[0] == 1 else factors[start : start + rows]
        yield base[start : start + rows], part


def check_scaled(tensor: ScaledTensor) -> Refusal | None:
    """A Refusal, naming the channels, when the product does not fit its type."""
    base, factors = tensor.base, tensor.factors
    if base.size == 0:
        return None
    if tensor.offsets is not None:
        return _check_offset(tensor)
    narrow = base.dtype.itemsize <= NARROW
    bad = _poorly_rounded(base, factors) if narrow else _out_of_range(base, factors)
    if not np.any(bad):
        return None
    return Refusal(
        f"the product would not fit {base.dtype} in {listed(bad)} of weight {tensor.name!r}"
    )


def _check_offset(tensor: ScaledTensor) -> Refusal | None:
    """A Refusal when an entry of the sum overflows its type."""
    top = dtypes.largest(tensor.base.dtype)
    for rows in tensor._exact():  # noqa: SLF001  # of this module
        if not np.all(np.abs(rows) <= top):
            return Refusal(f"the sum would not fit {tensor.base.dtype} in weight {tensor.name!r}")
    return None


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

    allowed = TOLERANCE * dtypes.unit_roundoff(base.dtype)
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
            allowed = TOLERANCE * dtypes.unit_roundoff(constant.dtype)
            bad |= np.abs(back - exact) > allowed * np.abs(exact)
    if np.any(bad):
        return Refusal(f"{constant.name!r} would not fit {constant.dtype} in {listed(bad)}")
    return found


def mirrored(tensor: MirroredIntegers, array: npt.NDArray[Any]) -> npt.NDArray[Any] | Refusal:
    """Integers about their zero point; a Refusal where one leaves its type."""
    name, dtype = tensor.value.name, array.dtype
    zero = tensor.zero_point.astype(np.float32)  # exact for all that weights are stored as
    wide = array.astype(np.float32)
    exact = zero + tensor.signs.astype(np.float32) * (wide - zero)
    found: npt.NDArray[Any] = np.asarray(np.clip(exact, *_bounds(dtype)).astype(dtype))
    off = found.astype(np.float32) != exact
    if np.any(off):
        return Refusal(
            f"{np.count_nonzero(off)} of the integers of {name!r} would leave {dtype} when the "
            "sign of their channel changes"
        )
    return found


def _bounds(dtype: np.dtype[Any]) -> tuple[float, float]:
    if np.issubdtype(dtype, np.integer):
        return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    if dtypes.is_float(dtype):
        return -dtypes.largest(dtype), dtypes.largest(dtype)
    return float(ml_dtypes.iinfo(dtype).min), float(ml_dtypes.iinfo(dtype).max)


def listed(bad: npt.NDArray[np.bool_]) -> str:
    """Name the channels that are true."""
    indices = np.flatnonzero(bad)
    shown = ", ".join(str(index) for index in indices[:5])
    more = f" and {indices.size - 5} more" if indices.size > 5 else ""  # noqa: PLR2004
    return f"channel {shown}" if indices.size == 1 else f"channels {shown}{more}"
