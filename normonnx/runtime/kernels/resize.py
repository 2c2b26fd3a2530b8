"""Resize and Upsample in float64: one interpolation matrix per axis (ONNX specification, Resize).

Every mode is linear in x and separable, so along each axis the output is a matrix times the input.
What is not covered (antialias, crop and resize, aspect ratio policies) goes to onnx's reference.
"""

from __future__ import annotations

import math

import numpy as np

from normonnx.runtime import reference
from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel

_UNCOVERED = ("antialias", "keep_aspect_ratio_policy")


def resize(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """Interpolate to new sizes, or by scales."""
    mode = call.text("coordinate_transformation_mode", "half_pixel")
    if any(name in call.attributes for name in _UNCOVERED) or mode == "tf_crop_and_resize":
        return reference.run(call, inputs)
    x = inputs[0]
    scales_at = 1 if call.version < 11 else 2  # noqa: PLR2004
    if call.version < 11:  # noqa: PLR2004
        mode = "asymmetric"
    scales = _optional(inputs, scales_at)
    sizes = _optional(inputs, 3)
    axes = call.ints("axes") or list(range(x.ndim))
    axes = [axis % x.ndim for axis in axes]
    plan = []
    for position, axis in enumerate(axes):
        before = x.shape[axis]
        if sizes is not None:
            after = int(sizes[position])
            scale = after / before
        elif scales is not None:
            scale = float(scales[position])
            after = math.floor(before * scale)
        else:
            return reference.run(call, inputs)
        plan.append((axis, after, scale))
    return (_apply(call, x, plan, mode),)


def upsample(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """The older form of Resize: asymmetric coordinates, rounding down."""
    x = inputs[0]
    scales = inputs[1] if len(inputs) > 1 else np.asarray(call.attributes["scales"].as_floats())
    plan = [
        (axis, math.floor(x.shape[axis] * float(scale)), float(scale))
        for axis, scale in enumerate(scales.reshape(-1))
    ]
    return (_apply(call, x, plan, "asymmetric"),)


def _optional(inputs: Inputs, index: int) -> Array | None:
    if len(inputs) <= index or inputs[index] is None or np.size(inputs[index]) == 0:
        return None
    return np.asarray(inputs[index]).reshape(-1)


def _apply(
    call: Invocation, x: Array, plan: list[tuple[int, int, float]], transformation: str
) -> Array:
    for axis, after, scale in plan:
        before = x.shape[axis]
        if after == before and scale == 1.0:
            continue
        positions = _coordinates(transformation, (before, after), scale)
        matrix = _matrix(call, positions, before)
        x = np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(x)


def _coordinates(transformation: str, sizes: tuple[int, int], scale: float) -> Array:
    before, after = sizes
    index = np.arange(after, dtype=np.float64)
    if transformation == "align_corners":
        stretched = scale * before  # before rounding down to `after`
        return index * (before - 1) / (stretched - 1) if after > 1 else index * 0
    if transformation == "asymmetric":
        return index / scale
    if transformation == "pytorch_half_pixel" and after <= 1:
        return index * 0
    if transformation == "half_pixel_symmetric":
        centre = before / 2 * (1 - after / (scale * before))
        return centre + (index + 0.5) / scale - 0.5
    return (index + 0.5) / scale - 0.5


def _matrix(call: Invocation, positions: Array, before: int) -> Array:
    mode = call.text("mode", "nearest")
    matrix = np.zeros((positions.size, before))
    rows = np.arange(positions.size)
    if mode == "nearest":
        default = "floor" if call.version < 11 else "round_prefer_floor"  # noqa: PLR2004
        chosen = _nearest(positions, call.text("nearest_mode", default))
        matrix[rows, np.clip(chosen, 0, before - 1)] = 1
        return matrix
    left = np.floor(positions)
    fraction = positions - left
    weights = _cubic(call, fraction) if mode == "cubic" else {0: 1 - fraction, 1: fraction}
    exclude = mode == "cubic" and call.int("exclude_outside", 0) != 0
    for offset, weight in weights.items():
        column = left.astype(int) + offset
        inside = (column >= 0) & (column < before)
        taken = np.where(inside, weight, 0) if exclude else weight
        np.add.at(matrix, (rows, np.clip(column, 0, before - 1)), taken)
    if exclude:
        matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix


def _nearest(positions: Array, mode: str) -> Array:
    if mode == "floor":
        return np.floor(positions).astype(int)
    if mode == "ceil":
        return np.ceil(positions).astype(int)
    if mode == "round_prefer_ceil":
        return np.floor(positions + 0.5).astype(int)
    return np.ceil(positions - 0.5).astype(int)


def _cubic(call: Invocation, t: Array) -> dict[int, Array]:
    """Keys' cubic convolution (1981) with coefficient a."""
    a = call.float("cubic_coeff_a", -0.75)

    def near(d: Array) -> Array:
        return np.asarray(((a + 2) * d - (a + 3)) * d * d + 1)

    def far(d: Array) -> Array:
        return np.asarray(((a * d - 5 * a) * d + 8 * a) * d - 4 * a)

    return {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}


RESIZES: dict[str, Kernel] = {"Resize": resize, "Upsample": upsample}
