"""Files that can't be loaded: refused in one line, with the right exit code, nothing else."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import normonnx
from normonnx.core.errors import InvalidModelError, NormonnxError, UsageError
from normonnx.graph import files, wire
from tests.unit.graph import samples
from tests.unit.graph.samples import refused, written

PROTO = samples.convolution()


def _zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"x")


NOT_ONNX: dict[str, tuple[bytes | Callable[[Path], None], str]] = {
    "empty": (b"", "is empty"),
    "random": (np.random.default_rng(1).bytes(5000), "damaged or no ONNX model"),
    "zeros": (bytes(5000), "damaged or no ONNX model"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
        "git lfs pull",
    ),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "json": (b'{"error": "Repository not found"}', "JSON"),
    "text": (b"Entry not found", "text file"),
    "zip": (_zipped, "zip archive"),
    "gzip": (gzip.compress(PROTO.SerializeToString()), "gzip"),
    "pickle": (pickle.dumps({"w": [1.0] * 100}, protocol=4), "pickle"),
    "safetensors": (b"\x40" + bytes(7) + b'{"w":{"dtype":"F32"}}' + bytes(100), "safetensors"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(100), "NumPy"),
    "tensor": (samples.tensor("t", 100).SerializeToString(), "bad.onnx"),
    "graph": (PROTO.graph.SerializeToString(), "bad.onnx"),
    "no graph": (onnx.ModelProto(ir_version=8).SerializeToString(), "holds no graph"),
    "no nodes": (
        helper.make_model(onnx.GraphProto(name="g")).SerializeToString(),
        "holds no graph",
    ),
    "huge length": (b"\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "damaged or no ONNX"),
}


@pytest.mark.parametrize("case", NOT_ONNX)
def test_files_that_are_not_onnx(tmp_path: Path, case: str) -> None:
    """Each is refused as invalid, saying what it looks like and the way out."""
    content, words = NOT_ONNX[case]
    path = tmp_path / "bad.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    refused(path, InvalidModelError, words)


def test_a_file_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    """At whatever byte it ends, loading raises a NormonnxError naming the file."""
    encoded = samples.rich().SerializeToString()
    steps = {
        *range(200),
        *range(200, len(encoded), 97),
        *range(len(encoded) - 100, len(encoded)),
    }
    whole = {field.end for field in wire.fields(encoded, 0, len(encoded))}  # still a legal model
    for kept in sorted(steps - whole):
        path = written(tmp_path, encoded[:kept])
        with pytest.raises(NormonnxError, match=r"bad\.onnx"):
            files.load(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, a pipe, a device, a missing file and an impossible name: usage errors."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refused(tmp_path, UsageError, "is a folder")
    refused(pipe, UsageError, "not a regular file")
    refused(Path("/dev/null"), UsageError, "not a regular file")
    refused(tmp_path / "gone.onnx", UsageError, "no such file")
    refused(tmp_path / ("n" * 300), UsageError, "can't be used as a path")
    with pytest.raises(UsageError, match="can't be used as a path"):
        files.load("a\0b")
    refused(Path("/proc/self/mem"), InvalidModelError, "is empty")
    if Path("/sys/kernel/uevent_seqnum").exists():
        refused(Path("/sys/kernel/uevent_seqnum"), UsageError, "can't be read")


def _deep(levels: int) -> onnx.ModelProto:
    graph = onnx.parser.parse_graph("g () => (float y) { y = Identity (x) }")
    for level in range(levels):
        outer = onnx.parser.parse_graph(f"g () => (float y{level}) {{ y{level} = far.Op (x) }}")
        outer.node[0].attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(
            graph
        )
        graph = outer
    graph.input.append(helper.make_tensor_value_info("x", TensorProto.BOOL, []))
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=8)


_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("far", 1)]


def test_deeply_nested_graphs(tmp_path: Path) -> None:
    """30 levels load; what protobuf can't parse is refused, not crashed on."""
    files.load(written(tmp_path, _deep(30)))
    refused(written(tmp_path, _deep(60)), InvalidModelError, "damaged or no ONNX model")


def _changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = samples.convolution()
    change(model)
    return model


def _set(**fields: object) -> Callable[[TensorProto], None]:
    def change(tensor: TensorProto) -> None:
        for name, value in fields.items():
            if isinstance(value, list):
                del getattr(tensor, name)[:]
                getattr(tensor, name).extend(value)
            else:
                setattr(tensor, name, value)

    return change


def _attribute(model: onnx.ModelProto, **fields: object) -> None:
    model.graph.node[0].attribute.append(onnx.AttributeProto(**fields))  # type: ignore[arg-type]


BAD_MODELS: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "opset none": (lambda m: m.ClearField("opset_import"), "imports no default operator set"),
    "opset other": (lambda m: setattr(m.opset_import[0], "domain", "far"), "no default operator"),
    "opset 0": (lambda m: setattr(m.opset_import[0], "version", 0), "opset 0 is not supported"),
    "opset -1": (lambda m: setattr(m.opset_import[0], "version", -1), "opset -1"),
    "opset 6": (lambda m: setattr(m.opset_import[0], "version", 6), "version_converter"),
    "opset 99": (lambda m: setattr(m.opset_import[0], "version", 99), "install a newer onnx"),
    "opset twice": (lambda m: m.opset_import.add(domain="", version=8), "occurs twice"),
    "ir none": (lambda m: m.ClearField("ir_version"), "IR version 0 is not supported"),
    "ir 2": (lambda m: setattr(m, "ir_version", 2), "IR version 2"),
    "ir 99": (lambda m: setattr(m, "ir_version", 99), "IR version 99"),
    "dtype unknown": (lambda m: _set(data_type=77)(m.graph.initializer[0]), "element type 77"),
    "dtype none": (lambda m: _set(data_type=0)(m.graph.initializer[1]), "element type 0"),
    "dims negative": (lambda m: _set(dims=[-16])(m.graph.initializer[1]), "negative dimension"),
    "dims too many": (lambda m: _set(dims=[1] * 99)(m.graph.initializer[1]), "impossible shape"),
    "dims huge": (lambda m: _set(dims=[2**62, 2**62])(m.graph.initializer[0]), "impossible shape"),
    "dims huge, empty": (lambda m: _set(dims=[0, 2**62])(m.graph.initializer[1]), "impossible"),
    "bytes few": (lambda m: _set(dims=[17])(m.graph.initializer[1]), "holds 64 bytes, expected 68"),
    "bytes many": (lambda m: _set(dims=[16, 3])(m.graph.initializer[0]), "holds 1728 bytes"),
    "entries": (lambda m: m.graph.initializer.append(_typed(4)), "holds 3 entries in float_data"),
    "strings": (lambda m: _set(data_type=8)(m.graph.initializer[0]), "strings as bytes"),
    "strings few": (lambda m: m.graph.initializer.append(_strings()), "1 entries in string_data"),
    "strings out": (
        lambda m: _set(data_type=8, data_location=1)(m.graph.initializer[1]),
        "strings as bytes",
    ),
    "segment": (lambda m: setattr(m.graph.initializer[0].segment, "begin", 1), "segments"),
    "initializer twice": (
        lambda m: m.graph.initializer.append(m.graph.initializer[0]),
        "initializer 'W' occurs twice",
    ),
    "initializer unnamed": (lambda m: _set(name="")(m.graph.initializer[0]), "has no name"),
    "input twice": (lambda m: m.graph.input.append(m.graph.input[0]), "input 'x' occurs twice"),
    "input unnamed": (lambda m: setattr(m.graph.input[0], "name", ""), "an input has no name"),
    "outputs none": (lambda m: m.graph.ClearField("output"), "has no outputs"),
    "output unnamed": (lambda m: setattr(m.graph.output[0], "name", ""), "an output has no name"),
    "output undefined": (
        lambda m: setattr(m.graph.output[0], "name", "q"),
        "'q' is produced by no",
    ),
    "undefined": (lambda m: m.graph.node[0].input.__setitem__(1, "gone"), "uses 'gone'"),
    "redefined": (lambda m: m.graph.node[2].output.append("c"), "redeclared"),
    "cycle": (lambda m: m.graph.node[0].input.__setitem__(0, "y"), "uses 'y'"),
    "order": (lambda m: m.graph.node.insert(0, m.graph.node.pop()), "uses 'd'"),
    "attribute twice": (lambda m: _attribute(m, name="pads", type=7), "'pads' occurs twice"),
    "attribute untyped": (lambda m: _attribute(m, name="group", i=1), "has no type"),
    "attribute empty": (lambda m: _attribute(m, name="t", type=4), "is empty"),
    "inputs many": (lambda m: m.graph.node[0].input.append("b"), "has 4 inputs, expected 2 to 3"),
    "inputs few": (lambda m: m.graph.node[1].input.pop(), "has 4 inputs, expected 5"),
    "input absent": (lambda m: m.graph.node[0].input.__setitem__(1, ""), "lacks its input 1"),
    "outputs many": (lambda m: m.graph.node[2].output.append("q"), "has 2 outputs, expected 1"),
    "attribute type": (lambda m: _attribute(m, name="group", type=1, f=1), "of type FLOAT"),
    "attribute unknown": (
        lambda m: _attribute(m, name="grupo", type=2, i=1),
        "attribute 'grupo', which this operator does not have",
    ),
    "attribute absent": (
        lambda m: m.graph.node.append(helper.make_node("Cast", ["y"], ["q"])),
        "lacks the attribute 'to'",
    ),
    "attribute of function": (
        lambda m: _attribute(m, name="t", ref_attr_name="u", type=1),
        "refers to attribute 'u' of a function",
    ),
    "value type": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
        "is no legal ONNX model",
    ),
    "function twice": (lambda m: m.functions.extend([_empty(), _empty()]), "occurs twice"),
    "function output": (lambda m: m.functions.append(_empty("gone")), "no legal ONNX model"),
}


def _typed(count: int) -> TensorProto:
    return TensorProto(name="t", data_type=1, dims=[count], float_data=[1, 2, 3])


def _strings() -> TensorProto:
    return TensorProto(name="t", data_type=8, dims=[2], string_data=[b"a"])


def _empty(*outputs: str) -> onnx.FunctionProto:
    return helper.make_function("d", "f", [], outputs, [], [helper.make_opsetid("", 17)])


@pytest.mark.parametrize("case", BAD_MODELS)
def test_illegal_models_are_refused(tmp_path: Path, case: str) -> None:
    """Each breaks one rule of the ONNX specification: exit code 5, one line, naming the thing."""
    change, words = BAD_MODELS[case]
    refused(written(tmp_path, _changed(change)), InvalidModelError, words)


def _sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add().values.name = "s"


UNSUPPORTED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "sparse initializer": (_sparse, "sparse initializer 's'"),
    "sparse attribute": (lambda m: _attribute(m, name="sparse_value", type=11), "sparse attribute"),
    "training": (lambda m: m.training_info.add(), "training information"),
    "map attribute": (
        lambda m: _attribute(m, name="type", type=13, tp=_map_type()),
        "holds a map type",
    ),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_legal_models_that_would_lose_something_are_refused(tmp_path: Path, case: str) -> None:
    """What can't be carried through is never dropped silently: a usage error says what it is."""
    change, words = UNSUPPORTED[case]
    refused(written(tmp_path, _changed(change)), UsageError, words)


def _map_type() -> onnx.TypeProto:
    return helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    )


def test_map_types_come_through(tmp_path: Path) -> None:
    """The sequence of maps that a scikit-learn classifier returns keeps its type."""
    model = samples.convolution()
    model.opset_import.add(domain="ai.onnx.ml", version=3)
    model.graph.node.append(helper.make_node("ZipMap", ["y"], ["maps"], domain="ai.onnx.ml"))
    model.graph.node.append(helper.make_node("Identity", ["maps"], ["out"]))
    kind = helper.make_sequence_type_proto(_map_type())
    model.graph.output.append(helper.make_value_info("out", kind))
    model.graph.value_info.append(helper.make_value_info("maps", kind))
    result = normonnx.optimize(written(tmp_path, model)).model
    files.save(result, tmp_path / "out.onnx")
    saved = onnx.load(tmp_path / "out.onnx").graph
    assert saved.output[1].type == kind
    assert [info.type for info in saved.value_info if info.name == "maps"] == [kind]


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    """Wherever it stands, a name that is no text makes the model invalid."""
    encoded = samples.rich().SerializeToString()
    for name in (b"axes", b"conv", b"then_branch", b"main graph", b"far", b"batch", b"default"):
        broken = encoded.replace(name, b"\xff\xfe" + name[2:])
        assert broken != encoded
        refused(written(tmp_path, broken), InvalidModelError)


def test_warnings_of_onnx_ir_are_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An invalid model gives one line: the exception's."""
    path = written(tmp_path, _changed(lambda m: m.graph.node[0].input.append("gone")))
    code = (
        f"from normonnx.graph import files\ntry: files.load({str(path)!r})\nexcept Exception: pass"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert capfd.readouterr().err == ""
