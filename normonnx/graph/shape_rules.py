"""The shape of an operator's output from those of its inputs, where one operator suffices.

A rule returns None where nothing is known, and a None for each dimension that isn't.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import onnx_ir as ir

from normonnx.graph.attributes import (
    axes_within,
    int_of,
    ints_of,
    is_given,
    steering,
    text_of,
)
from normonnx.graph.constants import Constants
from normonnx.graph.lengths import Length, Lengths, broadcast, quotient
from normonnx.graph.shape_values import entries
from normonnx.graph.steering import (
    padding_of,
    permutation,
    reduced_axes,
    slices,
    split_sizes,
    taken_branch,
    windows,
)

_SIZES: Final = 3  # input of Resize
_LARGEST_RANK: Final = 64  # numpy's


class Shapes(Protocol):
    """What a rule may ask: constants, and the shapes of the node's inputs."""

    constants: Constants

    def known(self, value: ir.Value | None) -> Lengths | None:
        """The shape of an input."""


Found = Sequence[Length | None] | None
Rule = Callable[[Shapes, ir.Node, int], Found]


def _same(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    return shapes.known(node.inputs[0])


def _broadcast(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    known = [shapes.known(value) for value in node.inputs]
    return _broadcast_shapes(known)


def _broadcast_shapes(shapes: Sequence[Sequence[Length] | None]) -> Found:
    known = [shape for shape in shapes if shape is not None]
    if len(known) != len(shapes) or not known:
        return None
    rank = max(len(shape) for shape in known)
    return [
        broadcast([s[axis - rank + len(s)] for s in known if axis - rank + len(s) >= 0])
        for axis in range(rank)
    ]


def _convolution(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    weight, data = shapes.known(node.inputs[1]), shapes.known(node.inputs[0])
    rank = len(weight) if weight is not None else len(data) if data is not None else 0
    if not rank:
        return None
    batch = data[0] if data else None
    if weight is None or not _has_no_parameters(node):
        return [batch, None, *[None] * (rank - 2)]
    if node.op_type == "ConvTranspose":
        outputs = weight[1]
        channels = outputs * int_of(node, "group", 1) if isinstance(outputs, int) else None
        return [batch, channels, *[None] * (rank - 2)]
    if data is None or len(data) != rank:
        return [batch, weight[0], *[None] * (rank - 2)]
    return [batch, weight[0], *windows(node, data[2:], weight[2:])]


def _pool(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None:
        return None
    if node.op_type.startswith("Global"):
        return [*data[:2], *[1] * (len(data) - 2)]
    kernel = ints_of(node, "kernel_shape") if _has_no_parameters(node) else None
    if kernel is None or len(kernel) != len(data) - 2 or int_of(node, "ceil_mode", 0):
        return [*data[:2], *[None] * (len(data) - 2)]
    return [*data[:2], *windows(node, data[2:], kernel)]


def _has_no_parameters(node: ir.Node) -> bool:
    return not any(attribute.is_ref() for attribute in node.attributes.values())


def _matrix_product(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    left, right = (shapes.known(value) for value in node.inputs[:2])
    if left is None or right is None or len(left) < 2 or len(right) < 2:  # noqa: PLR2004
        return None
    batch = _broadcast_shapes([left[:-2], right[:-2]]) or []
    return [*batch, left[-2], right[-1]]


def _gemm(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    left, right = (shapes.known(value) for value in node.inputs[:2])

    def length(shape: Lengths | None, name: str, axis: int) -> Length | None:
        flag = node.attributes.get(name)
        if shape is None or len(shape) != 2 or (flag is not None and flag.is_ref()):  # noqa: PLR2004
            return None
        return shape[1 - axis if flag is not None and flag.as_int() else axis]

    return [length(left, "transA", 0), length(right, "transB", 1)]


def _reshape(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    wanted: Sequence[Length | None] | None = None
    if _has_no_parameters(node):
        wanted = ints_of(node, "shape") or entries(shapes, node.inputs[1])
    if wanted is None:
        shape_of_shape = shapes.known(node.inputs[1])
        length = shape_of_shape[0] if shape_of_shape else None
        if not isinstance(length, int) or not 0 <= length <= _LARGEST_RANK:
            return None
        return [None] * length
    return _reshaped(shapes.known(node.inputs[0]), list(wanted), int_of(node, "allowzero", 0))


def _reshaped(data: Lengths | None, wanted: list[Length | None], allow_zero: int) -> Found:
    if not allow_zero:
        for axis, length in enumerate(wanted):
            if length == 0:
                wanted[axis] = data[axis] if data is not None and axis < len(data) else None
    open_axes = [axis for axis, length in enumerate(wanted) if length == -1]
    others = [length for length in wanted if length is not None and length != -1]
    for axis in open_axes:
        complete = data is not None and len(others) == len(wanted) - 1
        wanted[axis] = quotient(data, others) if complete and data is not None else None
    return [None if isinstance(length, int) and length < 0 else length for length in wanted]


def _transpose(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None:
        return None
    if not _has_no_parameters(node):
        return [None] * len(data)
    axes = permutation(node, len(data))
    return None if axes is None else [data[axis] for axis in axes]


def _flatten(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None or not _has_no_parameters(node):
        return [None, None]
    axis = int_of(node, "axis", 1)
    axis += len(data) if axis < 0 else 0
    return [quotient(data[:axis], ()), quotient(data[axis:], ())]


def _squeeze(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    wanted = steering(node, "axes", shapes.constants, 1) if _has_no_parameters(node) else None
    axes = axes_within(wanted, len(data)) if data is not None and wanted is not None else None
    if data is None or axes is None:
        return None
    return [length for axis, length in enumerate(data) if axis not in axes]


def _unsqueeze(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    wanted = steering(node, "axes", shapes.constants, 1) if _has_no_parameters(node) else None
    if data is None or wanted is None:
        return None
    axes = axes_within(wanted, len(data) + len(wanted))
    if axes is None:
        return None
    remaining = iter(data)
    return [1 if axis in axes else next(remaining) for axis in range(len(data) + len(axes))]


def _concat(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    known = [shapes.known(value) for value in node.inputs]
    first = next((shape for shape in known if shape is not None), None)
    axes = None
    if first is not None and _has_no_parameters(node):
        axes = axes_within([int_of(node, "axis", 1)], len(first))
    if first is None or axes is None:
        return None
    lengths = [shape[axes[0]] if shape is not None else None for shape in known]
    ints = [length for length in lengths if isinstance(length, int)]
    found: list[Length | None] = list(first)
    found[axes[0]] = sum(ints) if len(ints) == len(lengths) else None
    return found


def _split(shapes: Shapes, node: ir.Node, index: int) -> Found:
    data = shapes.known(node.inputs[0])
    axes = None
    if data is not None and _has_no_parameters(node):
        axes = axes_within([int_of(node, "axis", 0)], len(data))
    if data is None or axes is None:
        return None
    sizes = split_sizes(node, shapes.constants, data[axes[0]])
    found: list[Length | None] = list(data)
    found[axes[0]] = None if sizes is None else sizes[index]
    return found


def _reduced(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None or not _has_no_parameters(node):
        return None
    axes = reduced_axes(node, shapes.constants, len(data))
    if axes is None:
        return None
    if int_of(node, "keepdims", 1):
        return [1 if axis in axes else length for axis, length in enumerate(data)]
    return [length for axis, length in enumerate(data) if axis not in axes]


def _gather(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data, indices = shapes.known(node.inputs[0]), shapes.known(node.inputs[1])
    axes = None
    if data is not None and indices is not None and _has_no_parameters(node):
        axes = axes_within([int_of(node, "axis", 0)], len(data))
    if data is None or indices is None or axes is None:
        return None
    return [*data[: axes[0]], *indices, *data[axes[0] + 1 :]]


def _slice(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None or not _has_no_parameters(node):
        return None
    cut = slices(node, shapes.constants, len(data))
    if cut is None:
        axes = steering(node, "axes", shapes.constants, 3)
        touched = axes_within(axes, len(data)) if axes is not None else list(range(len(data)))
        return [None if axis in (touched or ()) else n for axis, n in enumerate(data)]
    found: list[Length | None] = list(data)
    for axis, part in cut.items():
        length = data[axis]
        found[axis] = len(range(length)[part]) if isinstance(length, int) else None
    return found


def _expand(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data, wanted = shapes.known(node.inputs[0]), entries(shapes, node.inputs[1])
    if data is None or wanted is None:
        return None
    if None in wanted:
        return [None] * max(len(data), len(wanted))
    return _broadcast_shapes([data, [length for length in wanted if length is not None]])


def _pad(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None or not _has_no_parameters(node):
        return data and [None] * len(data)
    pads = padding_of(node, shapes.constants, len(data))
    if pads is None:
        return [None] * len(data)
    return [
        length
        if before == after == 0
        else length + before + after
        if isinstance(length, int)
        else None
        for length, (before, after) in zip(data, pads, strict=True)
    ]


def _resize(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    data = shapes.known(node.inputs[0])
    if data is None:
        return None
    unknown: Found = [None] * len(data)
    if not _has_no_parameters(node) or "axes" in node.attributes:
        return unknown
    if text_of(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        return unknown
    if is_given(node, _SIZES):
        sizes = entries(shapes, node.inputs[_SIZES])
        return sizes if sizes is not None and len(sizes) == len(data) else unknown
    scales = _scales(shapes, node)
    if scales is None or len(scales) != len(data):
        return unknown
    return [
        length if scale == 1.0 else math.floor(length * scale) if isinstance(length, int) else None
        for length, scale in zip(data, scales, strict=True)
    ]


def _scales(shapes: Shapes, node: ir.Node) -> list[float] | None:
    """Scales of Resize and Upsample: an attribute in opset 7, an input later."""
    if "scales" in node.attributes:
        return [float(scale) for scale in node.attributes["scales"].as_floats()]
    index = 2 if len(node.inputs) > 2 else 1  # noqa: PLR2004  # a region comes first from 11 on
    array = shapes.constants.get(node.inputs[index]) if is_given(node, index) else None
    return None if array is None else [float(scale) for scale in array.reshape(-1)]


def _branch(shapes: Shapes, node: ir.Node, index: int) -> Found:
    """An If that always takes one branch gives what that branch gives."""
    branch = taken_branch(node, shapes.constants)
    return None if branch is None else shapes.known(branch.outputs[index])


def _shape(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    found = entries(shapes, node.outputs[0])
    return [None] if found is None else [len(found)]


def _size(_shapes: Shapes, _node: ir.Node, _index: int) -> Found:
    """How many elements there are is one number."""
    return []


def _range(_shapes: Shapes, _node: ir.Node, _index: int) -> Found:
    return [None]


def _second(shapes: Shapes, node: ir.Node, _index: int) -> Found:
    return shapes.known(node.inputs[1])


_SAME: Final = [
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "Imputer",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "Normalizer",
    "Not",
    "PRelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "Round",
    "Scaler",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Swish",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
]
_BROADCAST: Final = [
    "Add",
    "And",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Min",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
]
_REDUCTIONS: Final = [
    "ReduceL1",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]
OTHER_OUTPUTS: Final = frozenset(
    ["Dropout", "If", "MaxPool", "Split"]
)  # rules hold for all of them
RULES: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(("Conv", "ConvTranspose"), _convolution),
    **dict.fromkeys(
        ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"), _pool
    ),
    **dict.fromkeys(_REDUCTIONS, _reduced),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    "Concat": _concat,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _second,
    "Gemm": _gemm,
    "If": _branch,
    "MatMul": _matrix_product,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
