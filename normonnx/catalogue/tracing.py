"""Writing a form: operators by what they do, spelled as the opset has them.

Axes, pads and places are attributes in old opsets and inputs in newer ones; what an old opset lacks
is made of what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.recording import Recorder

_AXES_ARE_INPUTS: Final = 18  # ReduceMean, ReduceMax, ReduceL2 and the like
_SUM_TAKES_AXES: Final = 13  # ReduceSum, Squeeze and Unsqueeze
_NEGATIVE_AXES: Final = 11
_PADS_ARE_INPUTS: Final = 11
_CUTS_ARE_INPUTS: Final = 10
_WHERE: Final = 9
_MAX_BROADCASTS: Final = 8


class Tracer(Recorder):
    """Records the nodes of a form."""

    # --- comparisons ------------------------------------------------------------------------------

    def choose(self, condition: ir.Value, one: ir.Value, other: ir.Value) -> ir.Value:
        """Elements of `one` where the condition holds, of `other` elsewhere; both finite."""
        if self.opset >= _WHERE:
            return self("Where", condition, one, other)
        mask = self._to_working(condition)
        rest = self("Sub", self.numbers(1.0), mask)
        return self("Add", self("Mul", mask, one), self("Mul", rest, other))

    def larger(self, one: ir.Value, other: ir.Value) -> ir.Value:
        """The larger of both, element by element; the second is finite and may be of fewer."""
        if self.opset >= _MAX_BROADCASTS:
            return self("Max", one, other)
        return self.choose(self("Greater", one, other), one, other)

    # --- reductions -------------------------------------------------------------------------------

    def _axes(self, axes: Sequence[int]) -> list[int]:
        if self._facts is not None and self.opset < _NEGATIVE_AXES:
            return [axis if axis >= 0 else axis + self.rank for axis in axes]
        return list(axes)

    def reduce(self, op_type: str, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """ReduceMean, ReduceSum, ReduceMax, ReduceL2 and the like over known axes, kept as 1.

        Negative axes count from the end of X's rank, where the opset has only positive ones.
        """
        known = self._axes(axes)
        since = _SUM_TAKES_AXES if op_type == "ReduceSum" else _AXES_ARE_INPUTS
        if self.opset >= since:
            return self(op_type, x, self.ints(*known), keepdims=1)
        return self(op_type, x, axes=known, keepdims=1)

    def mean(self, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """Mean over axes, kept as 1."""
        return self.reduce("ReduceMean", x, axes)

    def sum_over(self, x: ir.Value, axes: ir.Value) -> ir.Value:
        """Sum over axes that are computed, kept as 1; opset 13."""
        return self("ReduceSum", x, axes, keepdims=1)

    # --- shapes -----------------------------------------------------------------------------------

    def unsqueeze(self, x: ir.Value, *axes: int) -> ir.Value:
        """Axes of size 1 put in."""
        if not axes:
            return x
        if self.opset >= _SUM_TAKES_AXES:
            return self("Unsqueeze", x, self.ints(*axes))
        return self("Unsqueeze", x, axes=list(axes))

    def along_channels(self, vector: ir.Value) -> ir.Value:
        """A vector (C) or (1) as (C, 1, ...), to stand along axis 1 of X."""
        return self.unsqueeze(vector, *range(1, self.rank - 1))

    def reshape(self, x: ir.Value, *dims: int | ir.Value) -> ir.Value:
        """A new shape; dimensions are numbers, or vectors of one int64."""
        if all(isinstance(dim, int) for dim in dims):
            return self("Reshape", x, self.ints(*dims))  # type: ignore[arg-type]
        parts = [self.ints(dim) if isinstance(dim, int) else dim for dim in dims]
        return self("Reshape", x, self("Concat", *parts, axis=0))

    def like(self, y: ir.Value, x: ir.Value) -> ir.Value:
        """Numbers of X, in another shape, back in the shape of X."""
        if self._facts is not None:
            dims = self._facts.shape
            if sum(not isinstance(dim, int) for dim in dims) <= 1:
                return self.reshape(y, *(dim if isinstance(dim, int) else -1 for dim in dims))
        return self("Reshape", y, self("Shape", x))

    def pad(self, x: ir.Value, before: Sequence[int], after: Sequence[int]) -> ir.Value:
        """Zeros put before and after along each axis."""
        if self.opset >= _PADS_ARE_INPUTS:
            return self("Pad", x, self.ints(*before, *after))
        return self("Pad", x, pads=[*before, *after])

    def cut(self, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        """What lies between two places along an axis."""
        if self.opset >= _CUTS_ARE_INPUTS:
            return self("Slice", x, self.ints(start), self.ints(end), self.ints(axis))
        return self("Slice", x, starts=[start], ends=[end], axes=[axis])

    def transpose(self, x: ir.Value, *perm: int) -> ir.Value:
        """Axes in another order."""
        return self("Transpose", x, perm=list(perm))

    def wide_count(self, x: ir.Value, *axes: int) -> ir.Value:
        """Number of elements along axes of a value, in the working type, as a scalar."""
        sizes = self("Gather", self("Shape", x), self.ints(*axes))
        count = self.reduce("ReduceProd", sizes, (0,))
        return self._to_working(self.scalar_of(count))

    def scalar_of(self, vector: ir.Value) -> ir.Value:
        """A vector of one number as a scalar."""
        return self("Reshape", vector, self.constant(np.array([], np.int64)))

    def whole(self, number: int) -> ir.Value:
        """A whole number as a scalar int64."""
        return self.constant(np.array(number, np.int64))

    def rank_of(self, x: ir.Value) -> ir.Value:
        """Rank of a value as a vector of one int64."""
        return self("Shape", self("Shape", x))

    def positions(self, x: ir.Value, axis: ir.Value) -> ir.Value:
        """Where an axis stands among 0, 1, ..., rank - 1: a mask, true at that axis."""
        rank = self.rank_of(x)
        every = self("Range", self.whole(0), self.scalar_of(rank), self.whole(1))
        return self("Equal", every, self("Mod", self("Add", axis, rank), rank))
