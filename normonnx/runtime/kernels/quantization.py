"""DequantizeLinear in float64 (ONNX operator specification, versions 10 to 25).

onnx's reference subtracts in float32, which int32 biases do not fit into.
"""

from __future__ import annotations

import numpy as np

from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel


def dequantize_linear(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """(x - zero point) * scale; scale for all, per slice of an axis, or per block along it."""
    x, scale = inputs[0], inputs[1]
    axis, block = call.int("axis", 1), call.int("block_size", 0)
    y = x.astype(np.float64)
    if len(inputs) > 2 and inputs[2] is not None:  # noqa: PLR2004
        y -= _spread(inputs[2].astype(np.float64), x, axis, block)
    return (y * _spread(scale, x, axis, block),)


def _spread(parameter: Array, x: Array, axis: int, block: int) -> Array:
    """A parameter in a shape that broadcasts to x."""
    if parameter.size == 1 and not block:
        return parameter.reshape(())
    axis %= x.ndim
    if block:
        return np.repeat(parameter, block, axis=axis)[
            tuple(slice(size) if i == axis else slice(None) for i, size in enumerate(x.shape))
        ]
    return parameter.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


QUANTIZATIONS: dict[str, Kernel] = {"DequantizeLinear": dequantize_linear}
