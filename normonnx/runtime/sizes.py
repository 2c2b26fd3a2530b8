"""How much an operator's result would take, before it is made.

A model of a hundred bytes may ask for terabytes: ConstantOfShape, Expand, Tile, Range, Pad, Resize,
OneHot, an outer sum, a window behind huge pads. The oracle refuses what would take a large part of
the memory that is free; `allowed` says how much that is.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.invocation import Array, Inputs, Invocation

_ITEM: Final = 8  # bytes; everything is as wide as float64 here
_SMALL: Final = 1 << 26  # bytes; what is smaller needs no question
_SHARE: Final = 16  # an evaluation and what judges it hold a few values of that size at once
_LARGEST: Final = 16 << 30  # bytes, on any machine
Shape = list[Any]  # of int


def allowed() -> int:
    """Bytes that one value may take now, on this machine and within this process's own limit."""
    return min(_LARGEST, max(_SMALL, _free() // _SHARE))


def check(call: Invocation, inputs: Inputs) -> None:
    """Refuse a result that would not fit into memory.

    Raises:
        UnsupportedOperatorError: Naming the node and the shape.
    """
    rule = _RULES.get(call.node.op_type)
    if rule is None:
        return
    try:
        shape = [max(int(dim), 0) for dim in rule(call, inputs)]
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return  # no legal node; its kernel says so
    refuse(call, shape)


def refuse(call: Invocation, shape: Shape | tuple[int, ...]) -> None:
    """Refuse a result of that shape where it would not fit into memory.

    Raises:
        UnsupportedOperatorError: Naming the node and the shape.
    """
    size = math.prod(shape) * _ITEM
    if size <= _SMALL or size <= allowed():
        return
    name = call.node.name or call.node.outputs[0].name
    message = (
        f"the oracle can't evaluate {call.node.op_type} (node {name!r}): its result of shape "
        f"{list(shape)} would take {size / 2**30:.3g} GiB; validate with smaller inputs, or where "
        "more memory is free"
    )
    raise UnsupportedOperatorError(message)


def _free() -> int:
    """Bytes that can be had without swapping, or that this process may have at all."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    found = _LARGEST * _SHARE
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found = int(line.split()[1]) << 10
    except OSError:
        pass
    return found if most == resource.RLIM_INFINITY else min(found, most)


def _numbers(array: Array) -> list[int]:
    return [int(number) for number in np.asarray(array).reshape(-1)]


def _broadcast(_call: Invocation, inputs: Inputs) -> Shape:
    distinct = dict(zip(map(id, inputs), inputs, strict=True))
    shapes = {np.shape(each) for each in distinct.values() if each is not None}
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return [max(lengths) for lengths in zip(*padded, strict=True)]


def _range(_call: Invocation, inputs: Inputs) -> Shape:
    start, end, step = (float(np.asarray(each).reshape(-1)[0]) for each in inputs)
    return [math.ceil((end - start) / step)]


def _pad(call: Invocation, inputs: Inputs) -> Shape:
    x = inputs[0]
    pads = call.axes(inputs, name="pads") or []
    axes = range(x.ndim)
    if len(inputs) > 3 and inputs[3] is not None:  # noqa: PLR2004
        axes = [axis % x.ndim for axis in _numbers(inputs[3])]  # type: ignore[assignment]
    shape = list(x.shape)
    for place, axis in enumerate(axes):
        shape[axis] += pads[place] + pads[place + len(axes)]
    return shape


def _resize(call: Invocation, inputs: Inputs) -> Shape:
    x = inputs[0]
    shape = list(x.shape)
    axes = [axis % x.ndim for axis in call.ints("axes") or range(x.ndim)]
    sizes = inputs[3] if len(inputs) > 3 else None  # noqa: PLR2004
    if sizes is not None and np.size(sizes):
        for axis, size in zip(axes, _numbers(sizes), strict=True):
            shape[axis] = size
        return shape
    given = [each for each in inputs[1:3] if each is not None and np.size(each) == len(axes)]
    scales = np.asarray(given[-1]).reshape(-1) if given else call.floats("scales") or []
    for axis, scale in zip(axes, scales, strict=True):
        shape[axis] = math.floor(shape[axis] * float(scale))
    return shape


def _one_hot(_call: Invocation, inputs: Inputs) -> Shape:
    return [*np.shape(inputs[0]), _numbers(inputs[1])[0]]


def _gather(call: Invocation, inputs: Inputs) -> Shape:
    axis = call.int("axis", 0) % inputs[0].ndim
    shape = list(inputs[0].shape)
    return [*shape[:axis], *np.shape(inputs[1]), *shape[axis + 1 :]]


def _concat(call: Invocation, inputs: Inputs) -> Shape:
    axis = call.int("axis", 1) % inputs[0].ndim
    shape = list(inputs[0].shape)
    shape[axis] = sum(each.shape[axis] for each in inputs)
    return shape


def _matmul(_call: Invocation, inputs: Inputs) -> Shape:
    a, b = (np.shape(each) for each in inputs[:2])
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    return [*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ())]


def _gemm(call: Invocation, inputs: Inputs) -> Shape:
    a, b = (np.shape(each) for each in inputs[:2])
    return [a[1 if call.int("transA", 0) else 0], b[0 if call.int("transB", 0) else 1]]


def _window(call: Invocation, inputs: Inputs) -> Shape:
    """Data with its pads, which is what the kernels hold."""
    shape = list(np.shape(inputs[0]))
    pads = call.ints("pads") or []
    for axis in range(len(pads) // 2):
        shape[2 + axis] += pads[axis] + pads[axis + len(pads) // 2]
    return shape


def _transposed(call: Invocation, inputs: Inputs) -> Shape:
    x, weight = np.shape(inputs[0]), np.shape(inputs[1])
    spatial = len(x) - 2
    ones = [1] * spatial
    strides, dilations = call.ints("strides") or ones, call.ints("dilations") or ones
    extra = call.ints("output_padding") or [0] * spatial
    sizes = [
        strides[k] * (x[2 + k] - 1) + extra[k] + dilations[k] * (weight[2 + k] - 1) + 1
        for k in range(spatial)
    ]
    asked = call.ints("output_shape") or [0] * spatial
    return [x[0], weight[1] * call.int("group", 1), *map(max, zip(sizes, asked, strict=True))]


def _given(name: str, index: int) -> Callable[[Invocation, Inputs], Shape]:
    """A shape that is an attribute, or an input."""

    def shape(call: Invocation, inputs: Inputs) -> Shape:
        found = call.ints(name)
        return _numbers(inputs[index]) if found is None else found

    return shape


_SPREADING: Final = (
    *("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal"),
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod"),
    *("Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
)
_RULES: Final[Mapping[str, Callable[[Invocation, Inputs], Shape]]] = {
    **dict.fromkeys(_SPREADING, _broadcast),
    **dict.fromkeys(("AveragePool", "Conv", "LpPool", "MaxPool"), _window),
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), _given("size", 0)),
    **dict.fromkeys(("RandomNormal", "RandomUniform"), _given("shape", 0)),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    "Concat": _concat,
    "ConstantOfShape": _given("shape", 0),
    "ConvTranspose": _transposed,
    "Expand": lambda _, inputs: list(np.broadcast_shapes(inputs[0].shape, tuple(inputs[1]))),
    "Gather": _gather,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Tile": lambda _, inputs: [
        size * number for size, number in zip(inputs[0].shape, _numbers(inputs[1]), strict=True)
    ],
}
