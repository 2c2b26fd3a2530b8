"""Sliding windows over spatial axes: padding, and views for convolution and pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from normonnx.runtime.invocation import Array, Invocation


@dataclass(frozen=True, slots=True)
class Window:
    """Geometry of a window that slides over spatial axes; one number per axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, call: Invocation, kernel: Sequence[int], spatial: Sequence[int]) -> Window:
        """Read strides, dilations, pads and auto_pad (ONNX operator specification, Conv)."""
        count = len(kernel)
        strides = tuple(call.ints("strides") or [1] * count)
        dilations = tuple(call.ints("dilations") or [1] * count)
        pads = call.ints("pads") or [0] * (2 * count)
        begins, ends = tuple(pads[:count]), tuple(pads[count:])
        mode = call.text("auto_pad", "NOTSET")
        if mode == "VALID":
            begins = ends = (0,) * count
        elif mode in ("SAME_UPPER", "SAME_LOWER"):
            totals = []
            for size, k, stride, dilation in zip(spatial, kernel, strides, dilations, strict=True):
                reach = (k - 1) * dilation + 1
                totals.append(max(0, (math.ceil(size / stride) - 1) * stride + reach - size))
            small = tuple(total // 2 for total in totals)
            large = tuple(total - half for total, half in zip(totals, small, strict=True))
            begins, ends = (small, large) if mode == "SAME_UPPER" else (large, small)
        return cls(tuple(kernel), strides, dilations, begins, ends)

    def positions(self, spatial: Sequence[int], *, ceil: bool = False) -> tuple[int, ...]:
        """Number of window positions along each axis."""
        found = []
        for axis, size in enumerate(spatial):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            room = size + self.begins[axis] + self.ends[axis] - reach
            count = -(-room // self.strides[axis]) if ceil else room // self.strides[axis]
            if ceil and count * self.strides[axis] >= size + self.begins[axis]:
                count -= 1  # a window must not start in the padding at the end
            found.append(count + 1)
        return tuple(found)

    def view(self, x: Array, fill: float, positions: Sequence[int]) -> Array:
        """Windows of x [N, C, spatial...] as a view [N, C, positions..., kernel...]."""
        count = len(self.kernel)
        widths = [(0, 0), (0, 0)]
        for axis in range(count):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            needed = (positions[axis] - 1) * self.strides[axis] + reach
            end = needed - x.shape[2 + axis] - self.begins[axis]
            widths.append((self.begins[axis], max(0, end)))
        padded = np.pad(x, widths, constant_values=fill) if any(map(any, widths)) else x
        steps = padded.strides
        spatial_steps = [steps[2 + a] * self.strides[a] for a in range(count)]
        kernel_steps = [steps[2 + a] * self.dilations[a] for a in range(count)]
        return np.lib.stride_tricks.as_strided(
            padded,
            (*x.shape[:2], *positions, *self.kernel),
            (*steps[:2], *spatial_steps, *kernel_steps),
            writeable=False,
        )
