"""Weights that are too large to be held in float64: read, promoted and moved in slices.

A matrix of a gigabyte is two in float64, and four more while it is moved by a roundoff. A product
needs a few rows of it at a time, and a look-up in a table needs the rows that it looks up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.runtime.invocation import Array, Inputs, Invocation
from normonnx.runtime.kernels.movement import promoted

LARGE: Final = 1 << 26  # bytes, as stored
_SLICE: Final = 1 << 22  # numbers that are held in float64 at once
_MATRIX: Final = 2
_PLACES: Final[Mapping[str, int]] = {"Gather": 0, "Gemm": 1, "MatMul": 1}


@dataclass(frozen=True, slots=True, eq=False)
class LargeWeight:
    """A matrix as it is stored, and what becomes of each slice of it.

    Attributes:
        stored: In its own type; a view of the file.
        exact: A slice of it to the same in float64, moved where that is asked for.
    """

    stored: Array
    exact: Callable[[Array], Array]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return self.stored.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.stored.ndim

    def rows(self) -> Iterator[tuple[slice, Array]]:
        """A few rows at a time, in float64."""
        count = max(1, _SLICE // max(1, self.stored[0].size))
        for start in range(0, len(self.stored), count):
            place = slice(start, start + count)
            yield place, self.exact(self.stored[place])


def is_taken_in_slices(node: ir.Node, index: int, array: Array) -> bool:
    """Whether an operator reads its index-th input, a constant, only in slices."""
    if _PLACES.get(node.op_type) != index or node.domain not in ("", "ai.onnx"):
        return False
    if array.ndim != _MATRIX or array.nbytes < LARGE or promoted(array[:1]).dtype.kind != "f":
        return False
    if node.op_type == "Gather":
        axis = node.attributes.get("axis")
        return axis is None or (not axis.is_ref() and axis.as_int() == 0)
    return True


def kernel(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """MatMul, Gemm or Gather with a large weight."""
    if call.node.op_type == "Gather":
        return (_gathered(inputs[0], inputs[1]),)
    if call.node.op_type == "MatMul":
        return (_product(inputs[0], inputs[1]),)
    left = inputs[0].T if call.int("transA", 0) else inputs[0]
    turned = bool(call.int("transB", 0))
    product = _product_of_turned(left, inputs[1]) if turned else _product(left, inputs[1])
    y = call.float("alpha", 1.0) * product
    beta = call.float("beta", 1.0)
    if len(inputs) > _MATRIX and inputs[2] is not None and beta != 0:
        y = y + beta * inputs[2]
    return (y,)


def _gathered(table: LargeWeight, indices: Array) -> Array:
    found = np.take(table.stored, indices, axis=0)
    return table.exact(found)


def _product(left: Array, weight: LargeWeight) -> Array:
    """The sum over slices of what is summed over."""
    if left.shape[-1] != weight.shape[0]:
        message = f"{left.shape[-1]} columns don't meet {weight.shape[0]} rows"
        raise ValueError(message)
    total: Any = np.zeros((*left.shape[:-1], weight.shape[1]))
    for place, rows in weight.rows():
        total += np.matmul(left[..., place], rows)
    return np.asarray(total)


def _product_of_turned(left: Array, weight: LargeWeight) -> Array:
    """Slice by slice of the result."""
    total: Any = np.empty((*left.shape[:-1], weight.shape[0]))
    for place, rows in weight.rows():
        total[..., place] = np.matmul(left, rows.T)
    return np.asarray(total)
