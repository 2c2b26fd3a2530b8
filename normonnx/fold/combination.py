"""A weight computed from other weights, in float64 and block by block, when it is read.

Every matrix here is anything with a `shape` that can give `rows(start, stop)` of its first axis in
float64. A sum of weights at their places is W[m, c, i] = sum over b of W_b[m, c - c_b, (i - i_b) /
step_b]; a product is W[m, ...] = sum over j of L[m, j] R[j, ...]. However many weights take part,
the result is rounded once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core import dtypes
from normonnx.core.dtypes import FloatArray
from normonnx.fold.plan import Refusal, Rows
from normonnx.fold.scaled import BLOCK, NARROW, TOLERANCE, ScaledTensor, listed, once_rounded
from normonnx.graph.tensors import StreamedTensor


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """An array times factors that broadcast against it."""

    base: npt.NDArray[Any]
    factors: FloatArray

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.base.shape

    def rows(self, start: int, stop: int) -> FloatArray:
        """Rows of the product."""
        varies = self.factors.ndim == self.base.ndim and self.factors.shape[0] > 1
        factors = self.factors[start:stop] if varies else self.factors
        return np.asarray(self.base[start:stop].astype(np.float64) * factors)

    def transposed(self) -> Scaled:
        """The transpose of a matrix."""
        return Scaled(self.base.T, self.factors.T)

    def times(self, factor: float) -> Scaled:
        """All of it times a number."""
        return Scaled(self.base, self.factors * factor)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A kernel of `group` groups inside a kernel of shape `shape` with fewer groups or more taps.

    Attributes:
        kernel: Shape (M, C/group, k...).
        group: Its number of groups.
        shape: Shape (M, C/target_group, K...) of the whole.
        target_group: Number of groups of the whole; divides `group`.
        taps: Where the taps of `kernel` lie along each spatial axis of the whole.
    """

    kernel: Rows
    group: int
    shape: tuple[int, ...]
    target_group: int
    taps: tuple[slice, ...] = ()

    def rows(self, start: int, stop: int) -> FloatArray:
        """Rows of the whole, zero where the kernel isn't."""
        whole = np.zeros((stop - start, *self.shape[1:]))
        part = self.kernel.rows(start, stop)
        if self.group == self.target_group:
            whole[(slice(None), slice(None), *self.taps)] = part
            return whole
        width, height = self.kernel.shape[1], self.shape[0] // self.group
        per_target = self.group // self.target_group
        for group in range(start // height, -(-stop // height)):
            first, last = max(start, group * height), min(stop, (group + 1) * height)
            rows = slice(first - start, last - start)
            columns = slice(group % per_target * width, (group % per_target + 1) * width)
            whole[(rows, columns, *self.taps)] = part[rows]
        return whole


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A matrix `left` (M, J/group, 1...) on the outputs of a kernel `right` (J, ...)."""

    left: Rows
    right: Rows
    group: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (M, ...)."""
        return (self.left.shape[0], *self.right.shape[1:])

    def rows(self, start: int, stop: int) -> FloatArray:
        """Rows of the product."""
        left = self.left.rows(start, stop).reshape(stop - start, -1)
        height, depth = self.left.shape[0] // self.group, self.right.shape[0] // self.group
        product = np.empty((stop - start, *self.right.shape[1:]))
        for group in range(start // height, -(-stop // height)):
            rows = slice(
                max(start, group * height) - start, min(stop, (group + 1) * height) - start
            )
            right = self.right.rows(group * depth, (group + 1) * depth)
            product[rows] = np.tensordot(left[rows], right, axes=1)
        return product


@dataclass(frozen=True, slots=True, eq=False)
class KernelProduct:
    """A kernel `left` (M, J/group, k...) on the outputs of a matrix `right` (J, C/group, 1...)."""

    left: Rows
    right: Rows
    group: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (M, C/group, k...)."""
        return (self.left.shape[0], self.right.shape[1], *self.left.shape[2:])

    def rows(self, start: int, stop: int) -> FloatArray:
        """Rows of the product."""
        left = self.left.rows(start, stop)
        height, depth = self.left.shape[0] // self.group, self.right.shape[0] // self.group
        product = np.empty((stop - start, *self.shape[1:]))
        for group in range(start // height, -(-stop // height)):
            rows = slice(
                max(start, group * height) - start, min(stop, (group + 1) * height) - start
            )
            right = self.right.rows(group * depth, (group + 1) * depth).reshape(depth, -1)
            moved = np.tensordot(left[rows], right, axes=(1, 0))
            product[rows] = np.moveaxis(moved, -1, 1)
        return product


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """The sum of matrices of one shape."""

    terms: tuple[Rows, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of each term."""
        return self.terms[0].shape

    def rows(self, start: int, stop: int) -> FloatArray:
        """Rows of the sum."""
        total = self.terms[0].rows(start, stop)
        for term in self.terms[1:]:
            total = total + term.rows(start, stop)
        return total


class CombinedTensor(StreamedTensor):
    """A combination of weights, rounded to its type when it is read; see the module."""

    def __init__(self, rows: Rows, dtype: np.dtype[Any], *, external: bool) -> None:
        super().__init__(
            lambda: self.numpy().reshape(-1).view(np.uint8).data,
            ir.DataType.from_numpy(dtype),
            ir.Shape(rows.shape),
            external=external,
        )
        self.combined = rows
        self.element_type = dtype

    def numpy(self) -> npt.NDArray[Any]:
        """The combination in its own type: a new array at each call."""
        whole = np.empty(self.combined.shape, self.element_type)
        start = 0
        for exact in _blocks(self.combined):
            stop = start + exact.shape[0]
            whole[start:stop] = once_rounded(exact, self.element_type)
            start = stop
        return whole

    def chunks(self) -> Iterator[memoryview]:
        """Its bytes, block by block."""
        for exact in _blocks(self.combined):
            yield once_rounded(exact, self.element_type).reshape(-1).view(np.uint8).data

    def refusal(self) -> Refusal | None:
        """A Refusal, naming the rows, when it does not fit its type."""
        bad = [_lost(exact, self.element_type) for exact in _blocks(self.combined)]
        lost = np.concatenate(bad) if bad else np.zeros(0, np.bool_)
        if not np.any(lost):
            return None
        return Refusal(f"the merged weight would not fit {self.element_type} in {listed(lost)}")


def exact_rows(tensor: ir.TensorProtocol | None, array: npt.NDArray[Any] | None) -> Rows:
    """A constant as rows, before it was rounded where that is known.

    Args:
        tensor: The tensor of an initializer; None for another constant.
        array: The content of a constant that is no initializer.

    Raises:
        ValueError: Neither is given.
    """
    if (
        isinstance(tensor, ScaledTensor)
        and tensor.offsets is None
        and tensor.base.shape == tuple(tensor.shape.numpy())
    ):
        return Scaled(tensor.base, tensor.factors)
    if isinstance(tensor, CombinedTensor) and isinstance(tensor.combined, Summed):
        return tensor.combined
    found = array if tensor is None else tensor.numpy()
    if found is None:
        message = "expected a tensor or an array, found neither"
        raise ValueError(message)
    return Scaled(found, np.ones((1,) * found.ndim))


def _blocks(rows: Rows) -> Iterator[FloatArray]:
    """The rows in blocks of limited size."""
    step = max(1, BLOCK // max(1, math.prod(rows.shape[1:])))
    for start in range(0, rows.shape[0], step):
        with np.errstate(all="ignore"):  # what is not finite is refused by name
            yield rows.rows(start, min(start + step, rows.shape[0]))


def _lost(exact: FloatArray, dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
    """The rows that overflow, or are further off than rounding alone explains."""
    flat = exact.reshape(exact.shape[0], -1)
    with np.errstate(all="ignore"):
        back = once_rounded(flat, dtype).astype(np.float64)
        if dtype.itemsize <= NARROW:
            allowed = TOLERANCE * dtypes.unit_roundoff(dtype)
            off = np.sqrt(np.sum((back - flat) ** 2, axis=1))
            return np.asarray(~(off <= allowed * np.sqrt(np.sum(flat**2, axis=1))))
        largest = np.max(np.abs(flat), axis=1, initial=0.0)
        tiny = (largest > 0) & (largest < dtypes.smallest_normal(dtype))
        return np.asarray(~np.all(np.isfinite(back), axis=1) | tiny)
