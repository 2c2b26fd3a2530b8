"""The per-channel affine y = scale * x + shift, in float64.

Composition: if y = s1 x + t1 and z = s2 y + t2 then z = (s2 s1) x + (s2 t1 + t2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from normonnx.core.dtypes import FloatArray

Change = Callable[[FloatArray, float], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class ChannelAffine:
    """y = scale * x + shift, with one pair of numbers per index along `axes`.

    Attributes:
        axes: Ascending, non-negative axes of x along which scale and shift vary; () when uniform.
        scale: float64, one dimension per axis in `axes`.
        shift: float64, same shape as `scale`.
    """

    axes: tuple[int, ...]
    scale: FloatArray
    shift: FloatArray

    def __post_init__(self) -> None:
        """Refuse what can't be an affine over these axes."""
        if self.scale.shape != self.shift.shape or self.scale.ndim != len(self.axes):
            message = (
                f"scale {self.scale.shape} and shift {self.shift.shape} must have one dimension "
                f"per axis in {self.axes}"
            )
            raise ValueError(message)

    def after(self, first: ChannelAffine) -> ChannelAffine:
        """The affine that applies `first` and then this one.

        Raises:
            ValueError: Both vary along the same axis, but with different lengths.
        """
        axes = tuple(sorted({*self.axes, *first.axes}))
        outer_scale, outer_shift = self.along(axes)
        inner_scale, inner_shift = first.along(axes)
        scale, shift = np.broadcast_arrays(
            outer_scale * inner_scale, outer_scale * inner_shift + outer_shift
        )
        return ChannelAffine(axes, scale, shift)

    def over(self, axis: int, length: int) -> ChannelAffine | None:
        """The same affine, written along one axis of known length; None if it varies elsewhere."""
        if self.axes == ():
            shape = (length,)
            scale, shift = np.broadcast_to(self.scale, shape), np.broadcast_to(self.shift, shape)
            return ChannelAffine((axis,), scale, shift)
        if self.axes != (axis,) or self.scale.size != length:
            return None
        return self

    def changed(self, axes: Sequence[int], change: Change) -> ChannelAffine:
        """Scale and shift rearranged alike.

        Args:
            axes: What the result varies along, in the order of the dimensions that `change` makes.
            change: Called with the scale and 1, and with the shift and 0: what fills new entries.
        """
        order = np.argsort(axes, kind="stable")
        scale, shift = change(self.scale, 1.0), change(self.shift, 0.0)
        return ChannelAffine(
            tuple(sorted(axes)), np.transpose(scale, order), np.transpose(shift, order)
        )

    def selected(self, axis: int, entries: Sequence[int]) -> ChannelAffine:
        """The same affine of some of the entries along one of its axes."""
        position = self.axes.index(axis)
        kept = np.asarray(entries, dtype=np.int64)
        return self.changed(self.axes, lambda vector, _: np.take(vector, kept, axis=position))

    def moved(self, axes: Mapping[int, int]) -> ChannelAffine:
        """The same affine of a value whose axes are arranged differently: old axis to new axis."""
        return self.changed([axes[axis] for axis in self.axes], lambda vector, _: vector)

    def simplified(self) -> ChannelAffine:
        """The same affine without the axes along which it has a single entry."""
        if 1 not in self.scale.shape:
            return self
        kept = [axis for axis, n in zip(self.axes, self.scale.shape, strict=True) if n != 1]
        shape = [n for n in self.scale.shape if n != 1]
        return self.changed(kept, lambda vector, _: vector.reshape(shape))

    @property
    def lengths(self) -> dict[int, int]:
        """Number of entries along each axis."""
        return dict(zip(self.axes, self.scale.shape, strict=True))

    @property
    def scaling(self) -> ChannelAffine:
        """The scale alone."""
        return ChannelAffine(self.axes, self.scale, np.zeros_like(self.shift))

    @property
    def is_scale(self) -> bool:
        """Whether nothing is added."""
        return not np.any(self.shift)

    @property
    def is_shift(self) -> bool:
        """Whether nothing is multiplied."""
        return bool(np.all(self.scale == 1.0))

    @property
    def is_identity(self) -> bool:
        """Whether nothing is multiplied or added."""
        return self.is_scale and self.is_shift

    @property
    def is_positive(self) -> bool:
        """Whether every scale is above zero."""
        return bool(np.all(self.scale > 0.0))

    @property
    def is_finite(self) -> bool:
        """Whether neither scale nor shift holds NaN or infinity."""
        return bool(np.all(np.isfinite(self.scale)) and np.all(np.isfinite(self.shift)))

    def along(self, axes: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Scale and shift, to be broadcast along these axes, its own among them."""
        new = tuple(position for position, axis in enumerate(axes) if axis not in self.axes)
        return np.expand_dims(self.scale, new), np.expand_dims(self.shift, new)


def broadcastable(vector: FloatArray, axes: tuple[int, ...], rank: int) -> FloatArray:
    """Reshape a vector over `axes` so that it broadcasts against a tensor of `rank` dimensions."""
    if not axes:
        return vector.reshape(())
    shape = [1] * (rank - axes[0])
    for axis, length in zip(axes, vector.shape, strict=True):
        shape[axis - axes[0]] = length
    return vector.reshape(shape)
