"""MaxPool, AveragePool and the global pools in float64 (ONNX operator specification)."""

from __future__ import annotations

import math

import numpy as np

from normonnx.runtime import reference
from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel
from normonnx.runtime.kernels.windows import Window


def max_pool(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """Largest entry of each window; padding never wins. Indices are left to the reference."""
    x = inputs[0]
    if (call.outputs > 1 and call.node.outputs[1].name) or x.dtype.kind != "f":
        return reference.run(call, inputs)
    window = Window.of(call, call.ints("kernel_shape") or [], x.shape[2:])
    positions = window.positions(x.shape[2:], ceil=call.int("ceil_mode", 0) != 0)
    view = window.view(x, -math.inf, positions)
    return (view.max(axis=tuple(range(2 + len(positions), view.ndim))),)


def average_pool(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Mean of each window, over what lies inside unless count_include_pad."""
    x = inputs[0]
    window = Window.of(call, call.ints("kernel_shape") or [], x.shape[2:])
    positions = window.positions(x.shape[2:], ceil=call.int("ceil_mode", 0) != 0)
    axes = tuple(range(2 + len(positions), 2 + 2 * len(positions)))
    total = window.view(x, 0.0, positions).sum(axis=axes)
    inside = np.ones((1, 1, *x.shape[2:]))
    if call.int("count_include_pad", 0):
        pads = [(0, 0), (0, 0), *zip(window.begins, window.ends, strict=True)]
        inside = np.pad(inside, pads, constant_values=1.0)
        none = (0,) * len(positions)
        unpadded = Window(window.kernel, window.strides, window.dilations, none, none)
        return (total / unpadded.view(inside, 0.0, positions).sum(axis=axes),)
    return (total / window.view(inside, 0.0, positions).sum(axis=axes),)


def global_average_pool(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Mean over all spatial axes."""
    x = inputs[0]
    return (x.mean(axis=tuple(range(2, x.ndim)), keepdims=True),)


def global_max_pool(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Largest entry over all spatial axes."""
    x = inputs[0]
    return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


POOLS: dict[str, Kernel] = {
    "AveragePool": average_pool,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "MaxPool": max_pool,
}
