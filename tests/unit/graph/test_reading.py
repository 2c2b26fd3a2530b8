"""Loading: weights stay in the file, of every type, in every place, embedded or external."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import files, reading, tensors, walk
from tests.unit.graph import samples
from tests.unit.graph.samples import refused, written

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
    [
        "FLOAT",
        "DOUBLE",
        "INT32",
        "INT64",
        "UINT64",
        "FLOAT16",
        "BFLOAT16",
        "INT8",
        "BOOL",
        "COMPLEX64",
        "COMPLEX128",
        "INT4",
        "UINT4",
        "FLOAT8E4M3FN",
    ],
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
    words: Any = [b"", b"a", "é".encode(), b"\xff", b"x" * 3000]
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


def test_links_in_a_circle_are_no_data_file(tmp_path: Path) -> None:
    """Asked for by themselves, as the command line does before it loads."""
    (tmp_path / "loop").symlink_to("loop")
    path = samples.external(tmp_path)
    samples.point_elsewhere(path, location="loop")
    assert reading.files_of(path) == (path,)
    refused(tmp_path / "loop", UsageError, "symbolic links", "'")


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
    files.load(path)
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
