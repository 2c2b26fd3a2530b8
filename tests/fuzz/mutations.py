"""Ways to break a model: its bytes, and its structure through the protobuf API.

Every mutation draws from the random generator it is given, so a seed names a case for good.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEEDS: Final = {
    "conv": """<ir_version: 8, opset_import: ["" : 17]>
        main (float[n, 3, 6, 6] x) => (float[n, c, h, w] y, float[n, c, h, w] k) {
            a = Conv <pads = [1, 1, 1, 1]> (x, W, B)
            b = BatchNormalization <epsilon = 0.001> (a, S, T, M, V)
            k = Relu (b)
            d = ConvTranspose <strides = [2, 2]> (k, U)
            e = BatchNormalization (d, S, T, M, V)
            y = Mul (e, Z)
        }""",
    "dense": """<ir_version: 7, opset_import: ["" : 13]>
        main (float[n, 8] x) => (float[n, 8] y) {
            a = Gemm <transB = 1, alpha = 0.5> (x, G, S)
            b = BatchNormalization (a, S, T, M, V)
            c = MatMul (b, G)
            d = Add (c, T)
            e = BatchNormalization (d, S, T, M, V)
            f = Sub (e, S)
            y = Neg (f)
        }""",
    "body": """<ir_version: 8, opset_import: ["" : 17, "d" : 1]>
        main (float[n, 3, 6, 6] x, bool c) => (float[n, q, h, w] y) {
            k = Constant <value = float[1, 8, 1, 1] {1, 2, 3, 4, 5, 6, 7, 8}> ()
            a = If (c) <
                then_branch = t () => (float[n, q, h, w] u) {
                    p = Conv (x, W)  u = BatchNormalization (p, S, T, M, V) },
                else_branch = e () => (float[n, q, h, w] v) { r = Conv (x, W)  v = Mul (r, k) }>
            y = d.f <s = 2.0> (a)
        }
        <domain: "d", opset_import: ["" : 17]> f <s> (i) => (o) {
            g = Constant <value_float: float = @s> ()
            o = Mul (i, g)
        }""",
    "old": """<ir_version: 3, opset_import: ["" : 8]>
        main (float[n, 3, 6, 6] x, float[8, 3, 3, 3] W, float[8] S, float[8] T, float[8] M,
              float[8] V) => (float[n, 8, h, w] y) {
            a = Conv <auto_pad = "SAME_UPPER"> (x, W)
            y = BatchNormalization (a, S, T, M, V)
        }""",
}
_SHAPES: Final = {"W": (8, 3, 3, 3), "U": (8, 8, 2, 2), "G": (8, 8), "Z": (8, 1, 1)}


def seed_model(name: str) -> onnx.ModelProto:
    """One of the `SEEDS`, with weights; some above 1 KiB."""
    model = onnx.parser.parse_model(SEEDS[name])
    rng = np.random.default_rng(7)
    used = {value for node in _nodes(model) for value in node.input}
    for weight in sorted(used & set("WUGZSTMVB")):
        array = rng.uniform(0.5, 2, _SHAPES.get(weight, (8,))).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, weight))
    return model


def mutated_bytes(encoded: bytes, rng: random.Random) -> bytes:
    """Flip, cut, splice, repeat or overwrite some bytes."""
    found = bytearray(encoded)
    for _ in range(rng.choice((1, 1, 2, 4))):
        start = rng.randrange(len(found) + 1)
        stop = min(len(found), start + rng.choice((1, 2, 8, 100)))
        other = rng.randrange(len(found) + 1)
        kind = rng.randrange(6)
        if kind == 0 and start < len(found):
            found[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del found[start:stop]
        elif kind == 2:
            found[other:other] = found[start:stop]
        elif kind == 3:
            found[start:stop] = rng.randbytes(stop - start)
        elif kind == 4:
            found[start:stop] = rng.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * (stop - start)
        elif rng.random() < 0.3:
            del found[start:]
    return bytes(found)


def mutate_structure(model: onnx.ModelProto, rng: random.Random) -> None:
    """Change one to three things of a model in place."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_MUTATIONS)(model, rng)


Mutation = Callable[[onnx.ModelProto, random.Random], None]


def _graphs(model: onnx.ModelProto) -> list[Any]:
    found: list[Any] = [model.graph]
    for graph in found:
        for node in graph.node:
            found += [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return [*found, *model.functions]


def _nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for graph in _graphs(model) for node in graph.node]


def _tensors(model: onnx.ModelProto) -> list[TensorProto]:
    held = [a.t for node in _nodes(model) for a in node.attribute if a.HasField("t")]
    return [*model.graph.initializer, *held]


def _names(model: onnx.ModelProto) -> list[str]:
    nodes = _nodes(model)
    return ["", "new", *sorted({n for node in nodes for n in (*node.input, *node.output)})]


def _any(items: Sequence[Any], rng: random.Random) -> Any:  # noqa: ANN401
    return rng.choice(items) if items else None


def _list(model: onnx.ModelProto, rng: random.Random) -> Any:  # noqa: ANN401  # a repeated field
    graph = rng.choice(_graphs(model))
    fields = ("node", "input", "output", "initializer", "value_info", "attribute")
    lists = [getattr(graph, name) for name in fields if hasattr(graph, name)]
    node = _any(_nodes(model), rng)
    if node is not None:
        lists += [node.input, node.output, node.attribute]
    return rng.choice([*lists, model.opset_import, model.functions])


def _drop(model: onnx.ModelProto, rng: random.Random) -> None:
    found = _list(model, rng)
    if found:
        del found[rng.randrange(len(found))]


def _repeat(model: onnx.ModelProto, rng: random.Random) -> None:
    found = _list(model, rng)
    if found:
        found.append(found[rng.randrange(len(found))])


def _swap(model: onnx.ModelProto, rng: random.Random) -> None:
    found = _list(model, rng)
    if len(found) > 1:
        items = list(found)
        rng.shuffle(items)
        del found[:]
        found.extend(items)


def _rename(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _any(_nodes(model), rng)
    if node is None:
        return
    names = rng.choice((node.input, node.output))
    if names:
        names[rng.randrange(len(names))] = rng.choice(_names(model))


def _rename_value(model: onnx.ModelProto, rng: random.Random) -> None:
    graph = model.graph
    found = _any([*graph.input, *graph.output, *graph.initializer], rng)
    if found is not None:
        found.name = rng.choice(_names(model))


def _operator(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _any(_nodes(model), rng)
    if node is not None:
        node.op_type = rng.choice(_OPERATORS)
        node.domain = rng.choice(("", "", "", "", "ai.onnx", "ai.onnx.ml", "com.microsoft", "d"))


def _attribute(model: onnx.ModelProto, rng: random.Random) -> None:
    node = _any(_nodes(model), rng)
    if node is None:
        return
    name = rng.choice(_ATTRIBUTES)
    for index, attribute in enumerate(node.attribute):
        if attribute.name == name:
            del node.attribute[index]
            break
    values = (0, 1, -1, 2**62, 0.5, float("nan"), "SAME_LOWER", "x", [1, 1], [0, 0, 1, 1], [-1])
    node.attribute.append(helper.make_attribute(name, rng.choice(values)))


def _tensor(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = _any(_tensors(model), rng)
    if tensor is None:
        return
    shape = rng.choice(
        ((), (0,), (1,), (8,), (8, 1, 1), (1, 8, 1, 1), (8, 3, 3, 3), (3, 8), (8, 8))
    )
    kind = rng.choice((np.float32, np.float32, np.float16, np.float64, np.int64, np.bool_))
    numbers = np.random.default_rng(rng.randrange(1000)).uniform(-1, 3, shape)
    special = rng.choice((None, None, None, np.nan, np.inf, 0.0, -1.0, 1e38, 1e-45))
    if special is not None and kind is not np.bool_ and (kind is not np.int64 or special == 0):
        numbers[...] = special
    with np.errstate(over="ignore"):
        tensor.CopyFrom(numpy_helper.from_array(np.asarray(numbers).astype(kind), tensor.name))


def _field(model: onnx.ModelProto, rng: random.Random) -> None:
    tensor = _any(_tensors(model), rng)
    if tensor is None:
        return
    kind = rng.randrange(4)
    if kind == 0:
        tensor.data_type = rng.randrange(-1, 30)
    elif kind == 1:
        tensor.dims.append(rng.choice((0, 1, 2, -1, 2**40, 2**62)))
    elif kind == 2:
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=rng.choice(("gone", "../x", "/etc/passwd")))
    else:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]


def _type(model: onnx.ModelProto, rng: random.Random) -> None:
    info = _any([*model.graph.input, *model.graph.output], rng)
    if info is None:
        return
    if rng.random() < 0.4:
        info.ClearField("type")
    dims: Any = rng.choice(
        (None, [], [8], ["n", 8], [2, 3, 6, 6], ["?", "a b", "-1", "n*2"], [-5, 2**62])
    )
    info.type.CopyFrom(helper.make_tensor_type_proto(rng.choice((1, 1, 10, 7, 11, 99)), dims))


def _version(model: onnx.ModelProto, rng: random.Random) -> None:
    if rng.random() < 0.5:
        model.ir_version = rng.choice((0, 3, 4, 8, 10, 13, 99))
    elif model.opset_import:
        rng.choice(model.opset_import).version = rng.choice((0, 7, 8, 9, 12, 14, 15, 21, 26, 99))


_MUTATIONS: Final[tuple[Mutation, ...]] = (
    _drop,
    _repeat,
    _swap,
    _rename,
    _rename,
    _rename_value,
    _operator,
    _attribute,
    _attribute,
    _tensor,
    _tensor,
    _field,
    _type,
    _version,
)
_OPERATORS: Final = [
    "Add",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Div",
    "Expand",
    "Flatten",
    "Gather",
    "Gemm",
    "Identity",
    "If",
    "InstanceNormalization",
    "Loop",
    "MatMul",
    "Mul",
    "Neg",
    "Pad",
    "Relu",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Split",
    "Squeeze",
    "Sub",
    "Sum",
    "Transpose",
    "Unsqueeze",
    "Where",
    "f",
    "Unheard",
]
_ATTRIBUTES: Final = [
    "alpha",
    "auto_pad",
    "axes",
    "axis",
    "beta",
    "dilations",
    "dtype",
    "epsilon",
    "group",
    "keepdims",
    "momentum",
    "output_shape",
    "pads",
    "perm",
    "shape",
    "spatial",
    "strides",
    "to",
    "training_mode",
    "transA",
    "transB",
    "value",
    "value_int",
]
