"""Random graphs of the operators that absorb, carry or refuse an affine, near-misses included.

A graph grows from one input: each step reads values that are there already and adds one more. What
nothing reads at the end is an output. Lengths are few and small, so that axes often agree in length
by chance; weights are at times shared, and values read several times, also from a subgraph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

NAMES: Final[Mapping[int, str]] = {2: "N", 3: "T", 4: "W", 5: "H"}  # as in tests.rewriting.SIZES
TYPES: Final[Mapping[int, Any]] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.FLOAT16: np.float16,
    TensorProto.BFLOAT16: ml_dtypes.bfloat16,
    TensorProto.DOUBLE: np.float64,
}
Shape = tuple[int, ...]


@dataclass(slots=True)
class Value:
    """A value of the graph: its name, shape and element type."""

    name: str
    shape: Shape
    dtype: int


@dataclass(slots=True)
class Growing:
    """A graph that grows step by step."""

    draw: st.DrawFn
    opset: int
    random: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    values: list[Value] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def pick(self, *wanted: Any) -> Any:  # noqa: ANN401  # whatever is offered
        """One of several things."""
        return self.draw(st.sampled_from(wanted))

    def chance(self, percent: int) -> bool:
        """True in so many of a hundred cases."""
        return self.draw(st.integers(1, 100)) > 100 - percent

    def constant(self, array: npt.ArrayLike, dtype: int | None = None) -> str:
        """A weight, now and then one that is there already."""
        content = np.asarray(array)
        if dtype is not None:
            content = content.astype(TYPES[dtype])
            same = [
                name
                for name, other in self.constants.items()
                if other.shape == content.shape and other.dtype == content.dtype
            ]
            if same and self.chance(15):
                return str(self.pick(*same))
        name = f"k{len(self.constants)}"
        self.constants[name] = content
        return name

    def numbers(self, shape: Sequence[int], dtype: int, kind: str = "any") -> str:
        """Random numbers of a kind: any, positive, zero, one, or one number for all."""
        array = self.random.normal(size=tuple(shape))
        if kind == "positive":
            array = np.abs(array) + 0.25
        elif kind == "zero":
            array = np.zeros_like(array)
        elif kind == "one":
            array = np.ones_like(array)
        elif kind == "uniform":
            array = np.full_like(array, self.random.normal())
        return self.constant(array, dtype)

    def weight(self, shape: Sequence[int], dtype: int) -> str:
        """A weight; now and then one that is stored as integers."""
        if dtype != TensorProto.FLOAT or self.opset < 13 or not self.chance(15):
            return self.numbers(shape, dtype)
        axis = self.draw(st.integers(-1, len(shape) - 1))  # -1: one scale for all
        length = shape[axis] if axis >= 0 else 1
        lowest = self.pick(-128, -127, -100)
        integers = self.random.integers(lowest, 127, shape, np.int8, endpoint=True)
        scale = 2.0 ** self.random.integers(-9, -3, length).astype(np.float32)
        inputs = [self.constant(integers), self.constant(scale if axis >= 0 else scale[0])]
        if self.chance(40):
            zero = np.full(length, self.random.integers(-20, 20), np.int8)
            inputs.append(self.constant(zero if axis >= 0 else zero[0]))
        return self.add("DequantizeLinear", inputs, shape, dtype, axis=max(axis, 0)).name

    def add(
        self,
        op_type: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        dtype: int,
        **attributes: Any,  # noqa: ANN401  # what make_node takes
    ) -> Value:
        """A node with one output."""
        (found,) = self.add_many(op_type, inputs, [shape], dtype, **attributes)
        return found

    def add_many(
        self,
        op_type: str,
        inputs: Sequence[str],
        shapes: Sequence[Sequence[int]],
        dtype: int,
        **attributes: Any,  # noqa: ANN401  # what make_node takes
    ) -> list[Value]:
        """A node with several outputs."""
        first = len(self.values)
        made = [Value(f"v{first + i}", tuple(shape), dtype) for i, shape in enumerate(shapes)]
        node = helper.make_node(
            op_type,
            list(inputs),
            [value.name for value in made],
            f"n{len(self.nodes)}",
            **attributes,
        )
        self.nodes.append(node)
        self.values += made
        self.read.update(inputs)
        return made

    def steered(
        self, name: str, numbers: Sequence[int], since: int
    ) -> tuple[list[str], dict[str, Sequence[int]]]:
        """Axes and the like: an input since a version, an attribute before."""
        if self.opset >= since:
            return [self.constant(np.asarray(numbers, np.int64))], {}
        return [], {name: numbers}


Step = Callable[[Growing, Value], Value | None]


def _affine(graph: Growing, x: Value) -> Value | None:
    op_type = graph.pick("Mul", "Mul", "Add", "Add", "Sub", "Div")
    rank = len(x.shape)
    axis = graph.draw(st.integers(-1, rank - 1))
    shape = [1] * rank
    if axis >= 0:
        shape[axis] = x.shape[axis]
        if graph.chance(10):
            other = graph.draw(st.integers(0, rank - 1))
            shape[other] = x.shape[other]
    while shape and shape[0] == 1 and graph.chance(70):
        shape = shape[1:]
    kind = "positive" if op_type == "Div" else graph.pick("any", "positive", "uniform", "any")
    constant = graph.numbers(shape, x.dtype, kind)
    first = op_type != "Div" and graph.chance(40)
    operands = [constant, x.name] if first else [x.name, constant]
    return graph.add(op_type, operands, x.shape, x.dtype)


def _batch_norm(graph: Growing, x: Value) -> Value | None:
    if len(x.shape) < 2:
        return None
    kinds = graph.pick(
        ("any", "any", "any"), ("positive", "any", "any"), ("any", "zero", "zero"), ("positive", "zero", "zero")
    )  # fmt: skip
    parameters = [graph.numbers(x.shape[1:2], x.dtype, kind) for kind in kinds]
    parameters.append(graph.numbers(x.shape[1:2], x.dtype, "positive"))
    if not np.all(graph.constants[parameters[-1]].astype(np.float64) > 0):
        return None
    return graph.add("BatchNormalization", [x.name, *parameters], x.shape, x.dtype)


def _unary(graph: Growing, x: Value) -> Value | None:
    op_type = graph.pick("Neg", "Identity", "Dropout", "Relu", "LeakyRelu", "Sigmoid", "Relu")
    return graph.add(op_type, [x.name], x.shape, x.dtype)


def _prelu(graph: Growing, x: Value) -> Value | None:
    slope = graph.numbers(x.shape[-1:], x.dtype)
    return graph.add("PRelu", [x.name, slope], x.shape, x.dtype)


def _cast(graph: Growing, x: Value) -> Value | None:
    target = graph.pick(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    return graph.add("Cast", [x.name], x.shape, target, to=target)


def _conv(graph: Growing, x: Value) -> Value | None:
    rank = len(x.shape)
    if rank < 3:
        return None
    group = graph.pick(*[g for g in (1, 1, 2, 3) if x.shape[1] % g == 0])
    outputs = group * graph.draw(st.integers(1, 3))
    kernel = [min(graph.pick(1, 1, 2, 3), n) for n in x.shape[2:]]
    pads = [graph.pick(0, 0, 1) if k > 1 else 0 for k in kernel] * 2
    if graph.chance(60):
        pads = [0] * len(pads)
    weight = graph.weight((outputs, x.shape[1] // group, *kernel), x.dtype)
    inputs = [x.name, weight]
    if graph.chance(40):
        inputs.append(graph.numbers((outputs,), x.dtype))
    spatial = [
        n + 2 * pads[i] - k + 1 for i, (n, k) in enumerate(zip(x.shape[2:], kernel, strict=True))
    ]
    return graph.add(
        "Conv", inputs, (x.shape[0], outputs, *spatial), x.dtype, group=group, pads=pads
    )


def _conv_transpose(graph: Growing, x: Value) -> Value | None:
    if len(x.shape) < 3:
        return None
    group = graph.pick(*[g for g in (1, 1, 2) if x.shape[1] % g == 0])
    outputs = graph.draw(st.integers(1, 3))
    kernel = [graph.pick(1, 1, 2) for _ in x.shape[2:]]
    if graph.chance(40):
        kernel = [1] * len(kernel)
    weight = graph.weight((x.shape[1], outputs, *kernel), x.dtype)
    inputs = [x.name, weight]
    if graph.chance(40):
        inputs.append(graph.numbers((group * outputs,), x.dtype))
    spatial = [n + k - 1 for n, k in zip(x.shape[2:], kernel, strict=True)]
    shape = (x.shape[0], group * outputs, *spatial)
    return graph.add("ConvTranspose", inputs, shape, x.dtype, group=group)


def _gemm(graph: Growing, x: Value) -> Value | None:
    if len(x.shape) != 2:
        return None
    at_left = graph.chance(30)
    flags = {"transA": graph.pick(0, 0, 1), "transB": graph.pick(0, 1)}
    own, other = ("transB", "transA") if at_left else ("transA", "transB")
    rows, inner = x.shape[::-1] if flags[own] else x.shape
    if at_left:
        rows, inner = inner, rows
    outer = graph.draw(st.integers(1, 4))
    weight = (outer, inner) if at_left else (inner, outer)
    shape = (outer, rows) if at_left else (rows, outer)
    constant = graph.weight(weight[::-1] if flags[other] else weight, x.dtype)
    inputs = [constant, x.name] if at_left else [x.name, constant]
    if graph.chance(60) or graph.opset < 11:
        bias = graph.pick((), (1,), (shape[1],), (1, shape[1]), (shape[0], 1), shape)
        inputs.append(graph.numbers(bias, x.dtype))
    return graph.add(
        "Gemm", inputs, shape, x.dtype, alpha=graph.pick(1.0, 0.5), beta=graph.pick(1.0, 2.0, 0.0), **flags
    )  # fmt: skip


def _matmul(graph: Growing, x: Value) -> Value | None:
    if len(x.shape) < 2:
        return None
    outer = graph.draw(st.integers(1, 4))
    batch = x.shape[:-2] if graph.chance(15) else ()
    if graph.chance(30):
        weight = graph.weight((*batch, outer, x.shape[-2]), x.dtype)
        return graph.add("MatMul", [weight, x.name], (*x.shape[:-2], outer, x.shape[-1]), x.dtype)
    weight = graph.weight((*batch, x.shape[-1], outer), x.dtype)
    return graph.add("MatMul", [x.name, weight], (*x.shape[:-1], outer), x.dtype)


def _transpose(graph: Growing, x: Value) -> Value | None:
    perm = graph.draw(st.permutations(range(len(x.shape))))
    shape = [x.shape[axis] for axis in perm]
    return graph.add("Transpose", [x.name], shape, x.dtype, perm=perm)


def _reshape(graph: Growing, x: Value) -> Value | None:
    shape = list(x.shape)
    for _ in range(graph.draw(st.integers(1, 2))):
        axis = graph.draw(st.integers(0, len(shape) - 1))
        parts = [n for n in (2, 3) if shape[axis] % n == 0 and shape[axis] > n]
        if parts and graph.chance(50):
            shape[axis : axis + 1] = [graph.pick(*parts), 0]
            shape[axis + 1] = int(np.prod(x.shape)) // int(np.prod([n for n in shape if n]))
        elif axis + 1 < len(shape):
            shape[axis : axis + 2] = [shape[axis] * shape[axis + 1]]
    wanted = list(shape)
    if graph.chance(40):
        wanted[graph.draw(st.integers(0, len(wanted) - 1))] = -1
    if wanted[0] == x.shape[0] and graph.chance(50):
        wanted[0] = 0
    constant = graph.constant(np.asarray(wanted, np.int64))
    return graph.add("Reshape", [x.name, constant], shape, x.dtype)


def _shuffle(graph: Growing, x: Value) -> Value | None:
    """Channels split, permuted and joined again."""
    if len(x.shape) < 3 or x.shape[1] % 2 or x.shape[1] < 4:
        return None
    n, c, *rest = x.shape
    split = graph.constant(np.asarray([0, 2, c // 2, *rest], np.int64))
    first = graph.add("Reshape", [x.name, split], (n, 2, c // 2, *rest), x.dtype)
    perm = [0, 2, 1, *range(3, 3 + len(rest))]
    second = graph.add("Transpose", [first.name], (n, c // 2, 2, *rest), x.dtype, perm=perm)
    joined = graph.constant(np.asarray([0, -1, *rest], np.int64))
    return graph.add("Reshape", [second.name, joined], x.shape, x.dtype)


def _flatten(graph: Growing, x: Value) -> Value | None:
    axis = graph.draw(st.integers(0, len(x.shape)))
    shape = (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))
    return graph.add("Flatten", [x.name], shape, x.dtype, axis=axis)


def _unsqueeze(graph: Growing, x: Value) -> Value | None:
    axis = graph.draw(st.integers(0, len(x.shape)))
    inputs, attributes = graph.steered("axes", [axis], 13)
    shape = [*x.shape[:axis], 1, *x.shape[axis:]]
    return graph.add("Unsqueeze", [x.name, *inputs], shape, x.dtype, **attributes)


def _squeeze(graph: Growing, x: Value) -> Value | None:
    ones = [axis for axis, n in enumerate(x.shape) if n == 1]
    if not ones or len(x.shape) < 3:
        return None
    axis = graph.pick(*ones)
    inputs, attributes = graph.steered("axes", [axis - graph.pick(0, len(x.shape))], 13)
    shape = [n for i, n in enumerate(x.shape) if i != axis]
    return graph.add("Squeeze", [x.name, *inputs], shape, x.dtype, **attributes)


def _expand(graph: Growing, x: Value) -> Value | None:
    shape = [graph.pick(1, 2, 3) if n == 1 else n for n in x.shape]
    wanted = graph.constant(np.asarray([2, *shape], np.int64))
    return graph.add("Expand", [x.name, wanted], (2, *shape), x.dtype)


def _concat(graph: Growing, x: Value) -> Value | None:
    axis = graph.draw(st.integers(0, len(x.shape) - 1))

    def fits(other: Value) -> bool:
        same = len(other.shape) == len(x.shape) and other.dtype == x.dtype
        return same and all(
            n == m for i, (n, m) in enumerate(zip(other.shape, x.shape, strict=True)) if i != axis
        )

    others = [value for value in graph.values if fits(value)]
    other = graph.pick(*others)
    names = [x.name, other.name] if graph.chance(50) else [other.name, x.name]
    shape = list(x.shape)
    shape[axis] += other.shape[axis]
    if graph.chance(15):
        names.append(graph.numbers(x.shape, x.dtype))
        shape[axis] += x.shape[axis]
    return graph.add("Concat", names, shape, x.dtype, axis=axis - graph.pick(0, len(shape)))


def _split(graph: Growing, x: Value) -> Value | None:
    axes = [axis for axis, n in enumerate(x.shape) if n > 1]
    if not axes:
        return None
    axis = graph.pick(*axes)
    first = graph.draw(st.integers(1, x.shape[axis] - 1))
    sizes = [first, x.shape[axis] - first]
    inputs, attributes = graph.steered("split", sizes, 13)
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    made = graph.add_many("Split", [x.name, *inputs], shapes, x.dtype, axis=axis, **attributes)
    return made[1] if graph.chance(50) else made[0]


def _slice(graph: Growing, x: Value) -> Value | None:
    axis = graph.draw(st.integers(0, len(x.shape) - 1))
    start = graph.draw(st.integers(-x.shape[axis], x.shape[axis] - 1))
    step = graph.pick(1, 1, 2, -1) if graph.opset >= 10 else 1
    end = graph.pick(1 << 40, x.shape[axis]) if step > 0 else -(1 << 40)
    length = len(range(x.shape[axis])[slice(start, None, step)])
    shape = (*x.shape[:axis], length, *x.shape[axis + 1 :])
    if graph.opset < 10:
        bounds = {"starts": [start], "ends": [1 << 30], "axes": [axis]}
        return graph.add("Slice", [x.name], shape, x.dtype, **bounds)
    numbers = [np.asarray([n], np.int64) for n in (start, end, axis, step)]
    inputs = [graph.constant(n) for n in numbers]
    return graph.add("Slice", [x.name, *inputs], shape, x.dtype)


def _gather(graph: Growing, x: Value) -> Value | None:
    axis = graph.draw(st.integers(0, len(x.shape) - 1))
    if graph.chance(20) and len(x.shape) > 2:
        index = graph.constant(np.asarray(x.shape[axis] - 1, np.int64))
        shape: Shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    else:
        length = graph.draw(st.integers(1, 3))
        indices = graph.random.integers(-x.shape[axis], x.shape[axis], length)
        if graph.chance(50):
            indices = graph.random.permutation(x.shape[axis])
        index = graph.constant(indices.astype(np.int64))
        shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
    return graph.add("Gather", [x.name, index], shape, x.dtype, axis=axis)


def _embedding(graph: Growing, x: Value) -> Value | None:
    name = f"i{len(graph.inputs)}"
    length = graph.pick(2, 3)
    graph.inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, [2, length]))
    axis = graph.pick(0, 0, 1)
    table = (5, 4) if axis == 0 else (4, 5)
    shape = (2, length, 4) if axis == 0 else (4, 2, length)
    return graph.add("Gather", [graph.numbers(table, x.dtype), name], shape, x.dtype, axis=axis)


def _sum(graph: Growing, x: Value) -> Value | None:
    def fits(other: Value) -> bool:
        if other.dtype != x.dtype or len(other.shape) > len(x.shape):
            return False
        own = x.shape[len(x.shape) - len(other.shape) :]
        return all(m in (1, n) for n, m in zip(own, other.shape, strict=True))

    other = graph.pick(*[value for value in graph.values if fits(value)])
    names = [x.name, other.name] if graph.chance(50) else [other.name, x.name]
    if graph.chance(15):
        names[names.index(other.name)] = graph.numbers(other.shape, x.dtype)
    return graph.add(graph.pick("Add", "Add", "Sub", "Sum", "Mul"), names, x.shape, x.dtype)


def _pool(graph: Growing, x: Value) -> Value | None:
    if len(x.shape) < 3:
        return None
    op_type = graph.pick(
        "AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalMaxPool"
    )
    if op_type.startswith("Global"):
        return graph.add(op_type, [x.name], (*x.shape[:2], *[1] * (len(x.shape) - 2)), x.dtype)
    kernel = [min(2, n) for n in x.shape[2:]]
    pads = [graph.pick(0, 1) if k > 1 else 0 for k in kernel] * 2
    attributes: dict[str, Any] = {"kernel_shape": kernel, "pads": pads}
    if op_type == "AveragePool":
        attributes["count_include_pad"] = graph.pick(0, 1)
    spatial = [
        n + 2 * pads[i] - k + 1 for i, (n, k) in enumerate(zip(x.shape[2:], kernel, strict=True))
    ]
    return graph.add(op_type, [x.name], (*x.shape[:2], *spatial), x.dtype, **attributes)


def _reduce(graph: Growing, x: Value) -> Value | None:
    op_type = graph.pick("ReduceMean", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")
    axes = sorted(graph.draw(st.sets(st.integers(0, len(x.shape) - 1), min_size=1, max_size=2)))
    keep = graph.pick(0, 1)
    if not keep and len(axes) == len(x.shape):
        return None
    inputs, attributes = graph.steered("axes", axes, 13 if op_type == "ReduceSum" else 18)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
    return graph.add(op_type, [x.name, *inputs], shape, x.dtype, keepdims=keep, **attributes)


def _resize(graph: Growing, x: Value) -> Value | None:
    if len(x.shape) not in (3, 4) or graph.opset < 11:
        return None
    scales = np.asarray([1.0, 1.0, *[graph.pick(1.0, 2.0) for _ in x.shape[2:]]], np.float32)
    if graph.chance(15):
        scales[1] = 2.0
    mode = graph.pick("nearest", "linear")
    shape = [int(n * s) for n, s in zip(x.shape, scales, strict=True)]
    inputs = [x.name, ""]
    if graph.chance(50):
        inputs.append(graph.constant(scales))
    else:
        inputs += ["", graph.constant(np.asarray(shape, np.int64))]
    if graph.opset < 13:
        inputs[1] = graph.constant(np.zeros(0, np.float32))
        if not inputs[2]:
            inputs[2] = graph.constant(np.zeros(0, np.float32))
    way = graph.pick("half_pixel", "asymmetric", "align_corners")
    return graph.add(
        "Resize", inputs, shape, x.dtype, mode=mode, coordinate_transformation_mode=way
    )


def _pad(graph: Growing, x: Value) -> Value | None:
    axis = graph.draw(st.integers(0, len(x.shape) - 1))
    mode = graph.pick("constant", "constant", "reflect", "edge")
    if mode == "reflect" and x.shape[axis] < 2:
        return None
    pads = [0] * (2 * len(x.shape))
    pads[axis], pads[axis + len(x.shape)] = graph.pick((0, 1), (1, 1), (1, 0))
    shape = [n + pads[i] + pads[i + len(x.shape)] for i, n in enumerate(x.shape)]
    number = graph.pick(0.0, 0.0, 0.5)
    if graph.opset < 11:
        value = {"value": number} if mode == "constant" else {}
        return graph.add("Pad", [x.name], shape, x.dtype, mode=mode, pads=pads, **value)
    inputs = [x.name, graph.constant(np.asarray(pads, np.int64))]
    if mode == "constant" and (number or graph.chance(50)):
        inputs.append(graph.constant(np.asarray(number, TYPES[x.dtype])))
    return graph.add("Pad", inputs, shape, x.dtype, mode=mode)


def _norm(graph: Growing, x: Value) -> Value | None:
    known = {17: ["LayerNormalization"], 21: ["GroupNormalization"], 23: ["RMSNormalization"]}
    names = ["InstanceNormalization"]
    names += [n for since, found in known.items() if graph.opset >= since for n in found * 2]
    op_type = graph.pick(*names)
    rank = len(x.shape)
    if op_type in ("LayerNormalization", "RMSNormalization"):
        axis = graph.draw(st.integers(1, rank)) - 1
        inputs = [x.name, graph.numbers(x.shape[axis:], x.dtype)]
        if op_type == "LayerNormalization" and graph.chance(60):
            inputs.append(graph.numbers(x.shape[axis:], x.dtype))
        return graph.add(op_type, inputs, x.shape, x.dtype, axis=axis - graph.pick(0, rank))
    if rank < 3:
        return None
    attributes = {}
    channels = x.shape[1]
    if op_type == "GroupNormalization":
        groups = graph.pick(*[g for g in (1, 2, channels) if channels % g == 0])
        attributes = {"num_groups": groups}
    inputs = [x.name, graph.numbers((channels,), x.dtype), graph.numbers((channels,), x.dtype)]
    return graph.add(op_type, inputs, x.shape, x.dtype, **attributes)


def _branching(graph: Growing, x: Value) -> Value | None:
    """An If whose bodies read a value from outside; one of them scales it."""
    if any(info.name == "p" for info in graph.inputs):
        return None
    graph.inputs.append(helper.make_tensor_value_info("p", TensorProto.BOOL, []))
    factor = graph.numbers((), x.dtype)
    other = graph.pick(*[value for value in graph.values if value.dtype == x.dtype])
    bodies = {}
    for name, nodes in (
        ("then_branch", [("Mul", [x.name, factor], "t1"), ("Sub", ["t1", factor], "then")]),
        ("else_branch", [("Relu", [other.name], "else")]),
    ):
        made = [helper.make_node(op, inputs, [out], f"{out}_n") for op, inputs, out in nodes]
        output = _declared(Value(nodes[-1][2], x.shape, x.dtype))
        bodies[name] = helper.make_graph(made, name, [], [output])
    if other.shape != x.shape:
        return None
    graph.read.update([x.name, other.name, factor])
    return graph.add("If", ["p"], x.shape, x.dtype, **bodies)


def _second_branch(graph: Growing, x: Value) -> Value | None:
    """Another linear branch of the same shape, added or concatenated."""
    if len(x.shape) < 2:
        return None
    name = f"b{len(graph.inputs)}"
    if len(x.shape) > 2 and graph.chance(60):
        shape = (x.shape[0], 2, *x.shape[2:])
        weight = graph.numbers((x.shape[1], 2, *[1] * (len(x.shape) - 2)), x.dtype)
        op_type = "Conv"
    else:
        shape = (*x.shape[:-1], 2)
        weight = graph.numbers((2, x.shape[-1]), x.dtype)
        op_type = "MatMul"
    graph.inputs.append(helper.make_tensor_value_info(name, x.dtype, shape))
    other = graph.add(op_type, [name, weight], x.shape, x.dtype)
    if graph.chance(50):
        operands = [x.name, other.name] if graph.chance(50) else [other.name, x.name]
        return graph.add(graph.pick("Add", "Sub", "Sum"), operands, x.shape, x.dtype)
    axis = graph.pick(1, 1, len(x.shape) - 1)
    wide = (*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return graph.add("Concat", [x.name, other.name], wide, x.dtype, axis=axis)


def _two_readers(graph: Growing, x: Value) -> Value | None:
    """Two linear operators that read the same value."""
    if len(x.shape) < 2:
        return None
    for _ in range(2):
        weight = graph.numbers((x.shape[-1], 2), x.dtype)
        made = graph.add("MatMul", [x.name, weight], (*x.shape[:-1], 2), x.dtype)
        if graph.chance(60):
            graph.add("Add", [made.name, graph.numbers((2,), x.dtype)], made.shape, x.dtype)
    return graph.values[-1]


def _split_readers(graph: Growing, x: Value) -> Value | None:
    """A Split both of whose outputs are read by a linear operator."""
    if _split(graph, x) is None:
        return None
    for part in graph.values[-2:]:
        made = _conv(graph, part) if graph.chance(50) else None
        if made is None:
            made = _matmul(graph, part)
    return made


AFFINES: Final[list[Step]] = [*[_affine] * 3, *[_batch_norm] * 4]
LINEAR: Final[list[Step]] = [
    *[_conv] * 4, *[_matmul] * 3, *[_gemm] * 3, _conv_transpose, _norm, _norm, _embedding
]  # fmt: skip
CARRIERS: Final[Sequence[Step]] = [
    _affine, _cast, _expand, _flatten, _gather, _pad, _pool, _prelu, _reduce, _reshape, _resize,
    _second_branch, _shuffle, _slice, _split, _squeeze, _transpose, _unary, _unsqueeze,
]  # fmt: skip
ALL: Final[Sequence[Step]] = [
    *AFFINES, *AFFINES, *AFFINES, *LINEAR, *LINEAR, *CARRIERS, *[_sum] * 3, *[_concat] * 2, _branching, _two_readers, _split_readers,
]  # fmt: skip
# What is drawn, one after another; up to how many of each.
SHAPES: Final[Mapping[str, Sequence[tuple[Sequence[Step], int]]]] = {
    "up": [(LINEAR, 1), (CARRIERS, 2), (AFFINES, 2)],
    "down": [
        (AFFINES, 1),
        (CARRIERS, 2),
        ([*LINEAR, _two_readers, _split_readers, _split_readers], 1),
        (AFFINES, 1),
    ],
    "wild": [(ALL, 7)],
}


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """A model of a few operators, legal and small."""
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    opset = draw(st.sampled_from([9, 11, 13, 17, 18, 21, 21, 23, 23, 23]))
    graph = Growing(draw, opset, random)
    rank = draw(st.sampled_from([2, 3, 4, 4]))
    shape = tuple(draw(st.sampled_from([2, 3, 4, 4, 1])) for _ in range(rank))
    dtype = draw(st.sampled_from([TensorProto.FLOAT] * 4 + [TensorProto.FLOAT16]))
    dynamic = draw(st.sampled_from(["none", "batch", "all"]))
    dims: list[int | str] = [
        NAMES[n] if n in NAMES and (dynamic == "all" or (dynamic == "batch" and not axis)) else n
        for axis, n in enumerate(shape)
    ]
    graph.inputs.append(helper.make_tensor_value_info("x", dtype, dims))
    graph.values.append(Value("x", shape, dtype))
    kind = draw(st.sampled_from(["up", "down", "wild"]))
    current = graph.values[0]
    for steps, most in SHAPES[kind]:
        for _ in range(draw(st.integers(1, most))):
            if kind == "wild" and graph.chance(20):
                current = graph.pick(*graph.values)
            if len(current.shape) > 5 or int(np.prod(current.shape)) > 4000:
                break
            current = _grown(graph, current, steps)
    return _model(graph)


def _grown(graph: Growing, current: Value, steps: Sequence[Step]) -> Value:
    for _ in range(4):  # not every step fits every value
        step: Step = graph.pick(*steps)
        found = step(graph, current)
        if found is not None:
            return found
    return current


def _declared(value: Value) -> onnx.ValueInfoProto:
    """An output that says nothing of its dimensions but their number."""
    names = [f"{value.name}_{axis}" for axis in range(len(value.shape))]
    return helper.make_tensor_value_info(value.name, value.dtype, names)


def _model(graph: Growing) -> onnx.ModelProto:
    for value in list(graph.values):
        if value.name == "x" and "x" not in graph.read:
            graph.add("Identity", ["x"], value.shape, value.dtype)
    outputs = [value for value in graph.values if value.name not in graph.read]
    extra = [value for value in graph.values[1:] if value not in outputs]
    if extra and graph.chance(10):
        outputs.append(graph.pick(*extra))
    used = {name for node in graph.nodes for name in node.input} | graph.read
    proto = helper.make_graph(
        graph.nodes,
        "g",
        [info for info in graph.inputs if info.name in used],
        [_declared(value) for value in outputs],
        [numpy_helper.from_array(a, n) for n, a in graph.constants.items() if n in used],
    )
    opsets = [helper.make_opsetid("", graph.opset)]
    return helper.make_model(proto, opset_imports=opsets, ir_version=8)
