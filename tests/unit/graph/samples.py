"""Small models for the tests of graph/, and the comparison of two models field by field."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from google.protobuf.message import Message
from onnx import TensorProto, helper, numpy_helper

from normonnx.core.errors import ExitCode, InvalidModelError, NormonnxError
from normonnx.graph import files

CONVOLUTION = """
<ir_version: 8, opset_import: ["" : 17]>
main (float[n, 3, 8, 8] x) => (float[n, 4, h, w] y) {
    c = Conv <pads = [1, 1, 1, 1]> (x, W, b)
    d = BatchNormalization (c, scale, shift, mean, var)
    y = Relu (d)
}
"""


def array(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Seeded random numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def convolution() -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu; the weight of 1,728 bytes is streamed, the rest is not."""
    weights = {"W": array(16, 3, 3, 3), "b": array(16)}
    weights |= {"scale": 1 + array(16) ** 2, "shift": array(16), "mean": array(16)}
    return with_initializers(CONVOLUTION, weights | {"var": 1 + array(16) ** 2})


def with_initializers(text: str, weights: dict[str, npt.NDArray[Any]]) -> onnx.ModelProto:
    """A model in ONNX text, with arrays as its initializers."""
    model = onnx.parser.parse_model(text)
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    model.graph.initializer.extend(tensors)
    return model


def linear(ir_version: int = 8) -> onnx.ModelProto:
    """One MatMul with a weight of 4 KiB."""
    text = f"""
    <ir_version: {ir_version}, opset_import: ["" : 17]>
    main (float[n, 32] x) => (float[n, 32] y) {{ y = MatMul (x, W) }}
    """
    return with_initializers(text, {"W": array(32, 32)})


def external(folder: Path, *, location: str = "weights.bin", name: str = "m.onnx") -> Path:
    """`linear` with its weight in a file of its own, written by the onnx package."""
    path = folder / name
    model = linear()
    onnx.external_data_helper.convert_model_to_external_data(
        model, location=location, size_threshold=0
    )
    onnx.save(model, path)
    return path


def point_elsewhere(path: Path, **entries: str) -> None:
    """Change location, offset or length of the only external tensor of a model file."""
    model = onnx.load(path, load_external_data=False)
    (tensor,) = model.graph.initializer
    found = {entry.key: entry.value for entry in tensor.external_data} | entries
    del tensor.external_data[:]
    for key, value in found.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def rich(ir_version: int = 13) -> onnx.ModelProto:
    """A model with something in nearly every field that a ModelProto has."""
    opset = 18
    graph = helper.make_graph(
        _nodes(with_overload=ir_version >= 10),
        "main graph",
        [_documented(helper.make_tensor_value_info("x", 1, ["batch", 3, None, "w+1"]))],
        [
            helper.make_tensor_value_info("z", 1, None),
            helper.make_tensor_value_info("r", 1, ["batch", 4, "h", "w2"]),
        ],
        initializer=_initializers(),
        value_info=[helper.make_tensor_value_info("c", 1, ["batch", 4, "h", "w2"])],
        doc_string="graph doc",
    )
    graph.metadata_props.add(key="of", value="graph")
    for name in ("W", "c", "x", "r"):
        annotation = graph.quantization_annotation.add(tensor_name=name)
        annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="b")
    model = helper.make_model(
        graph,
        functions=[_function(opset, with_overload=ir_version >= 10)],
        opset_imports=[helper.make_opsetid(*o) for o in (("far", 1), ("", opset), ("my.own", 1))],
        producer_name="tester",
        producer_version="2",
        doc_string="model doc",
        ir_version=ir_version,
        domain="org.example",
        model_version=7,
    )
    helper.set_model_props(model, {"zeta": "1", "alpha": "2"})
    if ir_version >= 11:
        _add_devices(model)
    return model


def _documented(info: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    info.doc_string = "value doc"
    info.metadata_props.add(key="of", value="value")
    info.type.denotation = "IMAGE"
    info.type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    return info


def tensor(name: str, *shape: int) -> TensorProto:
    """A tensor with a doc string and two metadata entries."""
    made = numpy_helper.from_array(array(*shape, seed=len(name)), name)
    made.doc_string = f"doc of {name}"
    for key in ("of", "b"):
        made.metadata_props.add(key=key, value=name)
    return made


def _initializers() -> list[TensorProto]:
    typed = helper.make_tensor("typed", TensorProto.FLOAT, [3], [1.5, 2.5, 3.5])
    typed.doc_string = "typed doc"
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [0])
    return [tensor("W", 4, 3, 8, 8), tensor("b", 4), typed, axes]


def _nodes(*, with_overload: bool) -> list[onnx.NodeProto]:
    convolution = helper.make_node("Conv", ["x", "W", "b"], ["c"], name="conv", pads=[1, 1, 1, 1])
    convolution.doc_string = "node doc"
    convolution.attribute[0].doc_string = "attribute doc"
    convolution.metadata_props.add(key="of", value="node")
    call = helper.make_node("F", ["y"], ["f"], domain="my.own", name="call", alpha=0.5)
    if with_overload:
        call.overload = "second"
    return [
        convolution,
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Constant", [], ["k"], value=tensor("constant", 600), name="constant"),
        helper.make_node("ReduceMean", ["k", "axes"], ["m"], name="", keepdims=0),
        helper.make_node("Cast", ["m"], ["condition"], to=TensorProto.BOOL),
        helper.make_node(
            "If",
            ["condition"],
            ["y"],
            name="if",
            then_branch=_then(),
            else_branch=_branch("else_out", helper.make_node("Identity", ["r"], ["else_out"])),
        ),
        call,
        _custom(),
    ]


def _branch(output: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    info = helper.make_tensor_value_info(output, 1, None)
    graph = helper.make_graph(nodes, f"body of {output}", [], [info], doc_string="body doc")
    graph.metadata_props.add(key="of", value="body")
    return graph


def _then() -> onnx.GraphProto:
    body = _branch(
        "then_out",
        helper.make_node("ReduceSum", ["inner", "axes"], ["s"], keepdims=0),
        helper.make_node("Add", ["r", "s"], ["then_out"], name="in then"),
    )
    body.initializer.append(tensor("inner", 300))
    return body


def _function(opset: int, *, with_overload: bool) -> onnx.FunctionProto:
    function = helper.make_function(
        "my.own",
        "F",
        ["a"],
        ["o"],
        [
            helper.make_node("Constant", [], ["fc"], value=tensor("in function", 512)),
            helper.make_node("ReduceMean", ["fc"], ["fm"], keepdims=0),
            helper.make_node("Add", ["a", "fm"], ["p"]),
            helper.make_node("LeakyRelu", ["p"], ["o"], name="leaky"),
        ],
        [helper.make_opsetid("", opset)],
        attributes=["alpha"],
        attribute_protos=[
            helper.make_attribute("beta", 1.5),
            helper.make_attribute("table", tensor("default", 400)),
        ],
        doc_string="function doc",
    )
    function.node[3].attribute.add(
        name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT
    )
    if with_overload:
        function.overload = "second"
        function.value_info.append(helper.make_tensor_value_info("p", 1, ["N"]))
        function.metadata_props.add(key="of", value="function")
    return function


def _custom() -> onnx.NodeProto:
    node = helper.make_node("Custom", ["f", "", "typed"], ["z"], domain="far", name="custom")
    scalar = helper.make_tensor_type_proto(TensorProto.FLOAT, ["a", 3])
    values: dict[str, Any] = {
        "tensors": [tensor("large", 300), tensor("small", 3)],
        "graphs": [_branch("g_out", helper.make_node("Identity", ["r"], ["g_out"]))],
        "strings": ["a", "é"],
        "floats": [1.0, 2.0],
        "text": "txt",
        "type": scalar,
        "types": [helper.make_optional_type_proto(scalar), helper.make_sequence_type_proto(scalar)],
    }
    node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())
    node.attribute.add(name="no_ints", type=onnx.AttributeProto.INTS)
    return node


def _add_devices(model: onnx.ModelProto) -> None:
    model.configuration.add(name="two", num_devices=2, device=["a", "b"])
    placed = model.graph.node[0].device_configurations.add(configuration_id="two", pipeline_stage=1)
    spec = placed.sharding_spec.add(tensor_name="W", device=[0, 1])
    spec.sharded_dim.add(axis=0).simple_sharding.add(num_shards=2, dim_value=2)


def differences(before: Message, after: Message, path: str = "") -> list[str]:
    """Every field in which two messages differ, as readable lines."""
    old = {field.name: value for field, value in before.ListFields()}
    new = {field.name: value for field, value in after.ListFields()}
    found = [f"{path}.{name} is {'lost' if name in old else 'new'}" for name in old.keys() ^ new]
    for name in old.keys() & new:
        found += _difference(old[name], new[name], f"{path}.{name}")
    return sorted(found)


def _difference(old: Any, new: Any, path: str) -> list[str]:  # noqa: ANN401  # any field's value
    if isinstance(old, Message):
        return differences(old, new, path)
    if isinstance(old, str | bytes | float | int):
        return [] if old == new or old != old else [f"{path} changed from {old!r} to {new!r}"]  # noqa: PLR0124
    if len(old) != len(new):
        return [f"{path} has {len(new)} entries instead of {len(old)}"]
    pairs: Iterable[tuple[Any, Any]] = zip(_ordered(old), _ordered(new), strict=True)
    return [line for i, pair in enumerate(pairs) for line in _difference(*pair, f"{path}[{i}]")]


def _ordered(entries: Any) -> list[Any]:  # noqa: ANN401  # a repeated field
    """Metadata and annotations are mappings: their order is no property of the model."""
    found = list(entries)
    if found and isinstance(found[0], onnx.StringStringEntryProto):
        return sorted(found, key=lambda entry: str(entry.key))
    if found and isinstance(found[0], onnx.TensorAnnotation):
        return sorted(found, key=lambda entry: str(entry.tensor_name))
    return found


def without_value_info(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy without declared shapes of the values named, in all graphs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    dropped = set(names)
    waiting = [copy.graph]
    while waiting:
        graph = waiting.pop()
        kept = [info for info in graph.value_info if info.name not in dropped]
        del graph.value_info[:]
        graph.value_info.extend(kept)
        for node in graph.node:
            waiting += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return copy


def refused(path: Path, kind: type[NormonnxError], *words: str) -> None:
    """Loading fails with one line that names the path, or what is in it, and says the words."""
    with pytest.raises(NormonnxError) as caught:
        files.load(path)
    text = str(caught.value)
    assert type(caught.value) is kind, text
    assert "\n" not in text
    assert all(word in text for word in (path.name, *words)), text
    assert kind.exit_code is (ExitCode.INVALID if kind is InvalidModelError else ExitCode.USAGE)


def written(folder: Path, content: bytes | onnx.ModelProto) -> Path:
    """A file with this content."""
    path = folder / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path
