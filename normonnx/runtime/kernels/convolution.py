"""Conv and ConvTranspose in float64, by matrix products (ONNX operator specification)."""

from __future__ import annotations

import itertools
import math
from typing import Any, Final

import numpy as np

from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel
from normonnx.runtime.kernels.windows import Window

_Index = tuple[Any, ...]
_UNROLLED_BYTES: Final = 1 << 26  # of windows copied out at a time


def conv(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Y [N, M, ...] = W [M, C/group, k...] * X [N, C, ...] + B [M]."""
    x, w = inputs[0], inputs[1]
    group = call.int("group", 1)
    window = Window.of(call, w.shape[2:], x.shape[2:])
    positions = window.positions(x.shape[2:])
    if group == x.shape[1] and group > 1:
        y = _depthwise(x, w, window, positions)
    else:
        y = _grouped(x, w, group, (window, positions))
    if len(inputs) > 2 and inputs[2] is not None:  # noqa: PLR2004
        y += inputs[2].reshape(1, -1, *[1] * len(positions))
    return (y,)


def _grouped(x: Array, w: Array, group: int, geometry: tuple[Window, tuple[int, ...]]) -> Array:
    window, positions = geometry
    m, per_group = w.shape[0], w.shape[1]
    y = np.empty((x.shape[0], m, *positions))
    pointwise = math.prod(window.kernel) == 1 and not any((*window.begins, *window.ends))
    for n, g in itertools.product(range(x.shape[0]), range(group)):
        part = x[n : n + 1, g * per_group : (g + 1) * per_group]
        rows = slice(g * (m // group), (g + 1) * (m // group))
        weights = w[rows].reshape(m // group, -1)
        if pointwise:
            steps: _Index = (0, slice(None), *(slice(None, None, s) for s in window.strides))
            columns = part[steps].reshape(per_group, -1)
            np.matmul(weights, columns, out=y[n, rows].reshape(m // group, -1))
        else:
            _unrolled(weights, window.view(part, 0.0, positions)[0], y[n, rows])
    return y.reshape(x.shape[0], m, *positions)


def _unrolled(weights: Array, view: Array, y: Array) -> None:
    """y [M, positions...] = weights [M, C k...] times windows [C, positions..., k...], in slices.

    Windows overlap, so copied out whole they would take many times the memory of the input.
    """
    count = y.ndim - 1
    order = (0, *range(1 + count, 1 + 2 * count), *range(1, 1 + count))
    row = max(1, view.itemsize * view.size // max(1, y.shape[1]))
    step = max(1, _UNROLLED_BYTES // row)
    for start in range(0, y.shape[1], step):
        target = y[:, start : start + step]
        columns = view[:, start : start + step].transpose(order).reshape(weights.shape[1], -1)
        target[...] = np.matmul(weights, columns).reshape(target.shape)


def _depthwise(x: Array, w: Array, window: Window, positions: tuple[int, ...]) -> Array:
    multiplier = w.shape[0] // x.shape[1]
    view = window.view(x, 0.0, positions)
    y = np.zeros((x.shape[0], x.shape[1], multiplier, *positions))
    weights = w.reshape(x.shape[1], multiplier, *window.kernel)
    ones = (1,) * len(positions)
    for offset in itertools.product(*(range(size) for size in window.kernel)):
        last: _Index = (..., *offset)
        tap = weights[last].reshape(1, x.shape[1], multiplier, *ones)
        y += view[last][:, :, None] * tap
    return y.reshape(x.shape[0], w.shape[0], *positions)


def conv_transpose(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Y [N, M, ...]: every input element adds its W [C, M/group, k...] at stride * position."""
    x, w = inputs[0], inputs[1]
    group = call.int("group", 1)
    window = Window.of(call, w.shape[2:], [1] * (x.ndim - 2))
    full = [
        (size - 1) * stride + (k - 1) * dilation + 1
        for size, stride, k, dilation in zip(
            x.shape[2:], window.strides, window.kernel, window.dilations, strict=True
        )
    ]
    begins, sizes = _crop(call, x.shape[2:], full, window)
    per_group, m_group = x.shape[1] // group, w.shape[1]
    extent = [max(f, b + s) for f, b, s in zip(full, begins, sizes, strict=True)]
    y = np.zeros((x.shape[0], group * m_group, *extent))
    for g in range(group):
        taps = w[g * per_group : (g + 1) * per_group]
        part = x[:, g * per_group : (g + 1) * per_group].reshape(x.shape[0], per_group, -1)
        target = y[:, g * m_group : (g + 1) * m_group]
        for offset in itertools.product(*(range(size) for size in window.kernel)):
            product = np.matmul(taps[(slice(None), slice(None), *offset)].T, part)
            index = tuple(
                slice(o * d, o * d + (size - 1) * s + 1, s)
                for o, d, s, size in zip(
                    offset, window.dilations, window.strides, x.shape[2:], strict=True
                )
            )
            target[(slice(None), slice(None), *index)] += product.reshape(
                x.shape[0], m_group, *x.shape[2:]
            )
    crop = tuple(slice(b, b + s) for b, s in zip(begins, sizes, strict=True))
    y = y[(slice(None), slice(None), *crop)]
    if len(inputs) > 2 and inputs[2] is not None:  # noqa: PLR2004
        y = y + inputs[2].reshape(1, -1, *[1] * len(full))
    return (y,)


def _crop(
    call: Invocation, spatial: tuple[int, ...], full: list[int], window: Window
) -> tuple[list[int], list[int]]:
    """Where the output starts in the full result, and its size, along each axis."""
    extra = call.ints("output_padding") or [0] * len(full)
    shape = call.ints("output_shape")
    mode = call.text("auto_pad", "NOTSET")
    if shape is None and mode in ("SAME_UPPER", "SAME_LOWER"):
        shape = [size * stride for size, stride in zip(spatial, window.strides, strict=True)]
    if shape is None:
        sizes = [
            f + e - b - t
            for f, e, b, t in zip(full, extra, window.begins, window.ends, strict=True)
        ]
        return list(window.begins), sizes
    shape = shape[-len(full) :]
    totals = [f + e - s for f, e, s in zip(full, extra, shape, strict=True)]
    if mode == "SAME_UPPER":
        return [total // 2 for total in totals], shape
    return [total - total // 2 for total in totals], shape


CONVOLUTIONS: dict[str, Kernel] = {"Conv": conv, "ConvTranspose": conv_transpose}
