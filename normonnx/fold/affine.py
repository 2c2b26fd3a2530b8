"""The per-channel affine y = scale * x + shift, in float64.

Composition: if y = s1 x + t1 and z = s2 y + t2 then z = (s2 s1) x + (s2 t1 + t2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from normonnx.core.dtypes import FloatArray


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
        outer_scale, outer_shift = self._along(axes)
        inner_scale, inner_shift = first._along(axes)
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

    @property
    def is_scale(self) -> bool:
        """Whether nothing is added."""
        return not np.any(self.shift)

    @property
    def is_shift(self) -> bool:
        """Whether nothing is multiplied."""
        return bool(np.all(self.scale == 1.0))

    @property
    def is_finite(self) -> bool:
        """Whether neither scale nor shift holds NaN or infinity."""
        return bool(np.all(np.isfinite(self.scale)) and np.all(np.isfinite(self.shift)))

    def _along(self, axes: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
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
