"""Loading: nothing is lost, weights stay in the file, bad files are refused in one line."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import normonnx
from normonnx.core.errors import ExitCode, InvalidModelError, NormonnxError, UsageError
from normonnx.graph import files, tensors, walk, wire
from tests.unit.graph import samples

RSS = """
import sys, numpy
import onnx_ir, normonnx
from normonnx.graph import files
def resident():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":") for line in status)
    return int(lines["VmRSS"].split()[0]) // 1024
before = resident()
model = files.load(sys.argv[1])
loaded = resident() - before
total = sum(float(v.const_value.numpy()[-1, -1]) for v in model.graph.initializers.values())
print(loaded, resident() - before, total)
"""


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
    path = folder / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path


def test_weights_are_views_of_the_file(tmp_path: Path) -> None:
    """Two arrays of one weight share memory, and can't be written to."""
    path = tmp_path / "m.onnx"
    onnx.save(samples.convolution(), path)
    weight = files.load(path).graph.initializers["W"].const_value
    assert isinstance(weight, tensors.StreamedTensor)
    assert np.shares_memory(weight.numpy(), weight.numpy())
    assert not weight.numpy().flags.writeable
    np.testing.assert_array_equal(weight.numpy(), samples.array(16, 3, 3, 3))


@pytest.mark.parametrize("outside", [False, True], ids=["embedded", "external"])
def test_loading_brings_no_weights_into_memory(tmp_path: Path, *, outside: bool) -> None:
    """96 MB of weights: loading takes a tenth of that, reading one element of each little more."""
    path = tmp_path / "m.onnx"
    text = """<ir_version: 8, opset_import: ["" : 17]>
        main (float[n, 2048] x) => (float[n, 2048] y) {
            a = MatMul (x, W0)  b = MatMul (a, W1)  c = MatMul (b, W2)  d = MatMul (c, W3)
            e = MatMul (d, W4)  y = MatMul (e, W5) }"""
    ones = np.ones((2048, 2048), np.float32)
    model = samples.with_initializers(text, {f"W{i}": ones for i in range(6)})
    onnx.save(model, path, save_as_external_data=outside, location="m.bin")
    run = subprocess.run(
        [sys.executable, "-c", RSS, str(path)], capture_output=True, text=True, check=True
    )
    loaded, read, total = map(float, run.stdout.split())
    assert total == 6
    assert loaded < 30
    assert read < 60


DTYPES = {
    "float": np.float32,
    "double": np.float64,
    "half": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "e4m3fn": ml_dtypes.float8_e4m3fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2": ml_dtypes.float8_e5m2,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "e8m0": ml_dtypes.float8_e8m0fnu,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
    "int2": ml_dtypes.int2,
    "uint2": ml_dtypes.uint2,
    "int8": np.int8,
    "uint8": np.uint8,
    "int16": np.int16,
    "uint16": np.uint16,
    "int32": np.int32,
    "uint32": np.uint32,
    "int64": np.int64,
    "uint64": np.uint64,
    "bool": np.bool_,
    "complex64": np.complex64,
    "complex128": np.complex128,
}


@pytest.mark.parametrize("size", [(), (0,), (3, 0), (3,), (7, 1001)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_type_comes_through(
    tmp_path: Path, dtype: str, size: tuple[int, ...]
) -> None:
    """A tensor of any type and size is the same array after load, and after save and load."""
    numbers = np.random.default_rng(0).integers(0, 2, size=size)
    stored = numpy_helper.from_array(numbers.astype(DTYPES[dtype]), "t")
    path = written(tmp_path, _holding(stored))
    files.save(files.load(path), tmp_path / "out.onnx")
    for place in (path, tmp_path / "out.onnx"):
        found = files.load(place).graph.initializers["t"].const_value
        assert found is not None
        assert found.numpy().shape == size
        assert found.numpy().tobytes() == numbers.astype(DTYPES[dtype]).tobytes()
    again = numpy_helper.to_array(onnx.load(tmp_path / "out.onnx").graph.initializer[0])
    assert again.dtype == DTYPES[dtype]


@pytest.mark.parametrize("count", [5, 2001])
@pytest.mark.parametrize(
    "name",
    "FLOAT DOUBLE INT32 INT64 UINT64 FLOAT16 BFLOAT16 INT8 BOOL COMPLEX64 COMPLEX128 INT4 UINT4 "
    "FLOAT8E4M3FN".split(),
)
def test_typed_fields_come_through(tmp_path: Path, name: str, count: int) -> None:
    """float_data, int32_data, int64_data and so on hold the same numbers after load and save."""
    numbers = np.random.default_rng(0).integers(0, 2, size=count)
    stored = helper.make_tensor("t", TensorProto.DataType.Value(name), [count], numbers.tolist())
    assert not stored.HasField("raw_data")
    files.save(files.load(written(tmp_path, _holding(stored))), tmp_path / "out.onnx")
    again = numpy_helper.to_array(onnx.load(tmp_path / "out.onnx").graph.initializer[0])
    np.testing.assert_array_equal(again.astype(np.complex128), numbers)


def test_strings_come_through(tmp_path: Path) -> None:
    """A string tensor of any length keeps its bytes."""
    words = [b"", b"a", "é".encode(), b"\xff", b"x" * 3000]
    stored = helper.make_tensor("t", TensorProto.STRING, [5], words)
    files.save(files.load(written(tmp_path, _holding(stored))), tmp_path / "out.onnx")
    assert list(onnx.load(tmp_path / "out.onnx").graph.initializer[0].string_data) == words


def _holding(tensor: TensorProto) -> onnx.ModelProto:
    info = helper.make_tensor_value_info("t", tensor.data_type, list(tensor.dims))
    graph = helper.make_graph([], "g", [], [info], initializer=[tensor])
    return helper.make_model(graph, ir_version=13, opset_imports=[helper.make_opsetid("", 25)])


def test_all_places_of_tensors_are_found(tmp_path: Path) -> None:
    """Initializers, attributes, If bodies, functions and their default values are streamed."""
    model = files.load(written(tmp_path, samples.rich()))
    streamed = [t for t in walk.all_tensors(model) if isinstance(t, tensors.StreamedTensor)]
    assert sorted(str(tensor.name) for tensor in streamed) == [
        "W",
        "constant",
        "default",
        "in function",
        "inner",
        "large",
    ]
    for tensor in streamed:
        shape = tuple(tensor.shape.numpy())
        np.testing.assert_array_equal(
            tensor.numpy(), numpy_helper.to_array(samples.tensor(str(tensor.name), *shape))
        )


# External data


def test_external_data_beside_and_below_the_model(tmp_path: Path) -> None:
    """A data file in the model's folder or a subfolder is mapped."""
    (tmp_path / "sub").mkdir()
    for location in ("w.bin", "sub/w.bin", "./sub/../w.bin".replace("../", "")):
        path = samples.external(tmp_path, location=location)
        found = files.load(path).graph.initializers["W"].const_value
        assert found is not None
        np.testing.assert_array_equal(found.numpy(), samples.array(32, 32))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"location": "gone.bin"}, "is missing"),
        ({"location": "../weights.bin"}, "leaves the model's own folder"),
        ({"location": "a/../../weights.bin"}, "leaves the model's own folder"),
        ({"location": "..\\weights.bin"}, "leaves the model's own folder"),
        ({"location": "/etc/hostname"}, "leaves the model's own folder"),
        ({"location": ""}, "names no file"),
        ({"location": "sub"}, "not a regular file"),
        ({"location": "a\0b"}, "leaves the model's own folder"),
        ({"location": "n" * 5000}, "is missing"),
        ({"location": "loop"}, "loop"),
        ({"offset": "-4"}, "offset -4"),
        ({"offset": "1"}, "expected at least 4097"),
        ({"offset": "99999999999999999999"}, "truncated"),
        ({"offset": "x"}, "unreadable offset or length"),
        ({"offset": "9" * 5000}, "unreadable offset or length"),
        ({"length": "4095"}, "expected 4096"),
        ({"length": "4097"}, "expected 4096"),
        ({"length": "-1"}, "expected 4096"),
    ],
    ids=str,
)
def test_bad_references_to_external_data(
    tmp_path: Path, entries: dict[str, str], words: str
) -> None:
    """Missing, outside, out of range or unreadable: invalid, exit code 5, naming the file."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "loop").symlink_to("loop")
    (tmp_path / "weights.bin").write_bytes(bytes(4096))
    path = samples.external(folder)
    samples.point_elsewhere(path, **entries)
    refused(path, InvalidModelError, words)


@pytest.mark.parametrize("size", [0, 1, 4095])
def test_truncated_external_data(tmp_path: Path, size: int) -> None:
    """A data file that is too short is named, with both sizes."""
    path = samples.external(tmp_path)
    os.truncate(tmp_path / "weights.bin", size)
    refused(path, InvalidModelError, "weights.bin", f"has {size} bytes", "at least 4096")


def test_a_link_out_of_the_folder_is_refused_and_one_beside_is_not(tmp_path: Path) -> None:
    """What counts is where the link leads."""
    folder = tmp_path / "model"
    folder.mkdir()
    path = samples.external(folder)
    (folder / "weights.bin").rename(folder / "real.bin")
    (folder / "weights.bin").symlink_to("real.bin")
    assert files.load(path)
    (folder / "real.bin").rename(tmp_path / "outside.bin")
    refused(path, InvalidModelError, "does not exist")
    (folder / "weights.bin").unlink()
    (folder / "weights.bin").symlink_to("../outside.bin")
    refused(path, InvalidModelError, "outside the model's own folder")


@pytest.mark.parametrize("below", ["", "onnx", "onnx/fp32"])
def test_a_hugging_face_cache_works(tmp_path: Path, below: str) -> None:
    """snapshots/REV/model.onnx and model.onnx_data are links into blobs/, at any depth."""
    path = samples.external(tmp_path, name="model.onnx", location="model.onnx_data")
    folder = tmp_path / "snapshots" / "abc" / below
    folder.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    up = Path(os.path.relpath(tmp_path / "blobs", folder))
    for name, blob in ((path.name, "1f" * 20), ("model.onnx_data", "2e" * 20)):
        (tmp_path / name).rename(tmp_path / "blobs" / blob)
        (folder / name).symlink_to(up / blob)
    found = files.load(folder / "model.onnx").graph.initializers["W"].const_value
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), samples.array(32, 32))


def test_hundreds_of_small_data_files_need_no_file_descriptors(tmp_path: Path) -> None:
    """Old exporters write a file for each tensor: small ones are read, not held open."""
    resource = pytest.importorskip("resource")
    names = [f"w{i}" for i in range(300)]
    model = samples.with_initializers(
        '<ir_version: 8, opset_import: ["" : 17]> main () => (float[n] y) { y = Sum ('
        + ", ".join(names)
        + ") }",
        {name: samples.array(300) for name in names},
    )
    onnx.external_data_helper.convert_model_to_external_data(
        model, all_tensors_to_one_file=False, size_threshold=0
    )
    onnx.save(model, tmp_path / "m.onnx")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        loaded = files.load(tmp_path / "m.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(loaded.graph.initializers) == 300


# Bad files

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
        *range(0, 200),
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
    assert files.load(written(tmp_path, _deep(30)))
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
