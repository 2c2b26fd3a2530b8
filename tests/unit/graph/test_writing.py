"""Saving: nothing is lost, the same bytes each time, whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import normonnx
from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import files, new_files, source, tensors
from tests.unit.graph import samples


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def stored(folder: Path, model: onnx.ModelProto, name: str = "m.onnx") -> Path:
    """Write a model without normonnx's help."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def run(path: Path) -> list[npt.NDArray[Any]]:
    """What ONNX Runtime computes for `linear` and for `convolution`."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    shape = [dim if isinstance(dim, int) else 2 for dim in given.shape]
    found = session.run(None, {given.name: samples.array(*shape, seed=3)})
    return [np.asarray(array) for array in found]


@pytest.mark.parametrize("ir_version", [8, 9, 10, 13])
def test_load_and_save_lose_nothing(tmp_path: Path, ir_version: int) -> None:
    """Field by field the saved model is the loaded one; weights gain a declared shape, no more."""
    model = samples.rich(ir_version)
    files.save(files.load(stored(tmp_path, model)), tmp_path / "out.onnx")
    saved = onnx.load(tmp_path / "out.onnx")
    declared = ("W", "b", "typed", "axes", "inner")
    assert samples.differences(model, samples.without_value_info(saved, declared)) == []


@pytest.mark.parametrize("form", ["path", "proto", "ir"])
def test_optimize_without_a_pass_loses_nothing(tmp_path: Path, form: str) -> None:
    """Whatever form the model is passed in, the result is the same bytes as load and save."""
    path = stored(tmp_path, samples.rich())
    files.save(files.load(path), tmp_path / "saved.onnx")
    forms: dict[str, source.ModelLike] = {"path": path, "proto": samples.rich()}
    given = forms.get(form, files.load(path))
    files.save(normonnx.optimize(given, passes=()).model, tmp_path / "optimized.onnx")
    assert (tmp_path / "optimized.onnx").read_bytes() == (tmp_path / "saved.onnx").read_bytes()


@pytest.mark.parametrize("build", [samples.rich, samples.convolution, samples.linear])
def test_saving_is_byte_identical_and_idempotent(tmp_path: Path, build: object) -> None:
    """Two saves give the same bytes, and so does saving what was saved."""
    path = stored(tmp_path, build())  # type: ignore[operator]
    model = files.load(path)
    files.save(model, tmp_path / "a.onnx")
    files.save(model, tmp_path / "b.onnx")
    files.save(files.load(tmp_path / "a.onnx"), tmp_path / "c.onnx")
    assert len({(tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx", "c.onnx")}) == 1


def test_unnamed_nodes_stay_unnamed(tmp_path: Path) -> None:
    """Names are neither invented nor lost, through optimize too."""
    path = stored(tmp_path, samples.convolution())
    files.save(normonnx.optimize(path).model, tmp_path / "out.onnx")
    assert [node.name for node in onnx.load(tmp_path / "out.onnx").graph.node] == ["", ""]


def test_saving_does_not_change_the_model(tmp_path: Path) -> None:
    """A model of plain onnx_ir tensors is the same object tree before and after."""
    proto = samples.linear()
    model = ir.from_proto(proto)
    before = model.graph.initializers["W"].const_value
    files.save(model, tmp_path / "out.onnx")
    assert model.graph.initializers["W"].const_value is before
    assert onnx.load(tmp_path / "out.onnx").graph.initializer[0] == proto.graph.initializer[0]


def test_onnx_runtime_and_onnx_read_what_is_written(tmp_path: Path) -> None:
    """Embedded and external, the saved model computes what the source computes."""
    for path in (stored(tmp_path, samples.linear(), "in.onnx"), samples.external(tmp_path)):
        out = tmp_path / f"out_{path.name}"
        files.save(files.load(path), out)
        onnx.checker.check_model(out)
        np.testing.assert_array_equal(run(out)[0], run(path)[0])


# External data


def test_external_data_goes_to_one_file_named_after_the_model(tmp_path: Path) -> None:
    """Several data files become one, without a byte between tensors beyond alignment to 64."""
    names = [f"w{i}" for i in range(5)]
    text = '<ir_version: 8, opset_import: ["" : 17]> main () => (float[n] y) { y = Sum (%s) }'
    weights = {name: samples.array(333, seed=i) for i, name in enumerate(names)}
    model = samples.with_initializers(text % ", ".join(names), weights)
    onnx.external_data_helper.convert_model_to_external_data(
        model, all_tensors_to_one_file=False, size_threshold=0
    )
    onnx.save(model, tmp_path / "m.onnx")
    out = tmp_path / "out"
    out.mkdir()
    files.save(files.load(tmp_path / "m.onnx"), out / "m.onnx")
    assert sorted(contents(out)) == ["m.onnx", "m.onnx.data"]
    size, aligned = 333 * 4, -(-333 * 4 // 64) * 64
    assert (out / "m.onnx.data").stat().st_size == 4 * aligned + size
    proto = onnx.load(out / "m.onnx", load_external_data=False)
    for index, tensor in enumerate(proto.graph.initializer):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        assert entries == {
            "location": "m.onnx.data",
            "offset": str(index * aligned),
            "length": str(size),
        }
    again = onnx.load(out / "m.onnx")
    for tensor in again.graph.initializer:
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weights[tensor.name])


def test_saving_again_does_not_grow(tmp_path: Path) -> None:
    """Saved over and over, with and without a change, there are two files of constant size."""
    path = samples.external(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    sizes = set()
    for step in range(4):
        model = files.load(path)
        if step % 2:
            weight = tensors.of_array(samples.array(32, 32, seed=step))
            weight.external = True
            weight.name = "W"
            model.graph.initializers["W"].const_value = weight
        files.save(model, out / "m.onnx")
        assert len(contents(out)) == 2
        sizes.add(sum(map(len, contents(out).values())))
        expected = samples.array(32, 32, seed=step if step % 2 else 0)
        (saved,) = onnx.load(out / "m.onnx").graph.initializer
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(saved), expected)
    assert max(sizes) - min(sizes) < 40  # the digest in a name


def test_data_that_becomes_embedded_leaves_no_file(tmp_path: Path) -> None:
    """Replacing a model that had a data file by one that needs none removes the data file."""
    files.save(files.load(samples.external(tmp_path)), tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx.data").exists()
    files.save(files.load(stored(tmp_path, samples.linear(), "in.onnx")), tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx.data").exists()


def test_a_data_file_that_others_need_stays(tmp_path: Path) -> None:
    """A copy of the model file still finds its data after the original was replaced."""
    path = tmp_path / "m.onnx"
    files.save(files.load(samples.external(tmp_path, name="in.onnx")), path)
    (tmp_path / "copy.onnx").write_bytes(path.read_bytes())
    before = run(tmp_path / "copy.onnx")[0]
    files.save(files.load(stored(tmp_path, samples.linear(), "other.onnx")), path)
    np.testing.assert_array_equal(run(tmp_path / "copy.onnx")[0], before)


def test_the_data_of_an_input_stays(tmp_path: Path) -> None:
    """A source that uses OUT's data file keeps it when OUT is replaced."""
    files.save(files.load(samples.external(tmp_path, name="in.onnx")), tmp_path / "b.onnx")
    (tmp_path / "a.model").write_bytes((tmp_path / "b.onnx").read_bytes())  # no sibling by its name
    model = files.load(tmp_path / "a.model")
    weight = tensors.of_array(samples.array(32, 32, seed=9), "W")
    model.graph.initializers["W"].const_value = weight
    files.save(model, tmp_path / "b.onnx")
    found = files.load(tmp_path / "a.model").graph.initializers["W"].const_value
    assert found is not None
    np.testing.assert_array_equal(found.numpy(), samples.array(32, 32))


# The source is protected


@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hardlink", "data"])
def test_the_source_is_not_overwritten_without_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """By whatever name it is reached, the file that the model came from stays as it is."""
    path = samples.external(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "symlink").symlink_to("../m.onnx")
    (tmp_path / "sub" / "hardlink").hardlink_to(path)
    monkeypatch.chdir(tmp_path)
    model = files.load("m.onnx")
    monkeypatch.chdir(tmp_path / "sub")
    out = {"same": str(path), "relative": "../m.onnx", "data": "../weights.bin"}.get(way, way)
    with pytest.raises(UsageError, match="is an input and would be overwritten"):
        files.save(model, out)
    with pytest.raises(UsageError, match="is an input and would be overwritten"):
        files.save(normonnx.optimize(model).model, out)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("outside", [False, True], ids=["embedded", "external"])
def test_with_force_the_source_is_replaced_while_it_is_mapped(
    tmp_path: Path, *, outside: bool
) -> None:
    """The new file holds the weights of the old one, and the loaded model still reads them."""
    if outside:
        path = tmp_path / "m.onnx"
        files.save(files.load(samples.external(tmp_path, name="in.onnx")), path)
    else:
        path = stored(tmp_path, samples.linear())
    model = files.load(path)
    for _ in range(2):
        files.save(model, path, force=True)
        found = model.graph.initializers["W"].const_value
        assert found is not None
        np.testing.assert_array_equal(found.numpy(), samples.array(32, 32))
        np.testing.assert_array_equal(run(path)[0], samples.array(2, 32, seed=3) @ found.numpy())
    assert len([name for name in contents(tmp_path) if name.startswith("m.")]) == 1 + outside


def test_the_mode_of_a_replaced_file_stays(tmp_path: Path) -> None:
    """A private file is private afterwards, and so is its data file."""
    out = tmp_path / "out.onnx"
    out.touch(mode=0o600)
    files.save(files.load(samples.external(tmp_path)), out)
    modes = {
        stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out.onnx", "out.onnx.data")
    }
    assert modes == {0o600}


def test_files_that_are_no_models_can_be_replaced(tmp_path: Path) -> None:
    """An empty or damaged file at the target is no obstacle."""
    model = files.load(stored(tmp_path, samples.linear()))
    for content in (b"", b"\xff" * 100, b"text"):
        out = tmp_path / "out.onnx"
        out.write_bytes(content)
        files.save(model, out)
        assert onnx.load(out).graph.node


# Failures leave everything as it was


def test_targets_that_cant_be_written(tmp_path: Path) -> None:
    """A folder, a missing folder, a file for a folder, /proc, a device: one line, nothing left."""
    model = files.load(stored(tmp_path, samples.linear()))
    (tmp_path / "file").touch()
    (tmp_path / "dir.onnx").mkdir()
    before = sorted(tmp_path.rglob("*"))
    cases = {
        tmp_path / "dir.onnx": "is a folder",
        tmp_path / "gone" / "m.onnx": "does not exist",
        tmp_path / "file" / "m.onnx": "does not exist",
        tmp_path / ("n" * 256): "can't be used as a path",
        Path("/proc/m.onnx"): "can't write",
        Path("/dev/null"): "not a regular file",
        tmp_path / "\udcff.onnx": "can't be used as a path",
    }
    for out, words in cases.items():
        with pytest.raises(UsageError, match=re.escape(words)) as caught:
            files.save(model, out)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_longest_possible_name_works(tmp_path: Path) -> None:
    """Temporary names don't add to the length of the target's."""
    out = tmp_path / ("n" * 250 + ".onnx")
    files.save(files.load(stored(tmp_path, samples.linear())), out)
    assert out.exists()


@pytest.mark.parametrize("outside", [False, True], ids=["embedded", "external"])
@pytest.mark.parametrize("existing", [False, True], ids=["new", "replacing"])
def test_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, outside: bool, existing: bool
) -> None:
    """Half-written files are removed, the old model is as it was, the error says why."""
    source = samples.external(tmp_path) if outside else stored(tmp_path, samples.linear())
    model = files.load(source)
    out = tmp_path / "out" / "m.onnx"
    out.parent.mkdir()
    if existing:
        files.save(files.load(stored(tmp_path, samples.convolution(), "other.onnx")), out)
    before = contents(out.parent)

    def full(self: new_files.NewFile, _tensor: object) -> None:
        self.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(new_files.NewFile, "stream", full)
    with pytest.raises(UsageError, match=r"m\.onnx: No space left on device; nothing was changed"):
        files.save(model, out)
    assert contents(out.parent) == before


def test_a_real_limit_on_file_size(tmp_path: Path) -> None:
    """The operating system refuses to go on writing: same outcome."""
    resource = pytest.importorskip("resource")
    model = files.load(stored(tmp_path, samples.linear()))
    out = tmp_path / "out"
    out.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(UsageError, match="File too large"):
            files.save(model, out / "m.onnx")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(out) == {}


def test_a_failing_rename_leaves_no_data_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the model can't be put in place, the data file that was goes again."""
    model = files.load(samples.external(tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target.suffix == ".onnx":
            raise PermissionError(errno.EACCES, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(UsageError, match="Permission denied"):
        files.save(model, out / "m.onnx")
    assert contents(out) == {}


KILLED = """
import sys, time
from normonnx.graph import files, new_files
stream = new_files.NewFile.stream
def slow(file, tensor):
    stream(file, tensor)
    file._file.flush()
    print("in the middle", flush=True)
    time.sleep(600)
model = files.load(sys.argv[1])
new_files.NewFile.stream = slow
files.save(model, sys.argv[2], force=True)
"""


@pytest.mark.parametrize("outside", [False, True], ids=["embedded", "external"])
def test_killed_in_the_middle_of_a_save(tmp_path: Path, *, outside: bool) -> None:
    """kill -9 while weights are written: the old model is byte-identical and runs."""
    path = tmp_path / "m.onnx"
    if outside:
        files.save(files.load(samples.external(tmp_path, name="in.onnx")), path)
    else:
        stored(tmp_path, samples.linear())
    before, result = contents(tmp_path), run(path)[0]
    saving = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), str(path)], stdout=subprocess.PIPE
    )
    with saving:
        assert saving.stdout is not None
        assert saving.stdout.readline() == b"in the middle\n"
        saving.kill()
    assert saving.returncode == -signal.SIGKILL
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(re.fullmatch(r"\.normonnx-.*\.tmp", name) for name in after.keys() - before)
    np.testing.assert_array_equal(run(path)[0], result)
    files.save(files.load(path), path, force=True)
    np.testing.assert_array_equal(run(path)[0], result)


# Models that can't be written


def _lying() -> ir.Model:
    model = ir.from_proto(samples.linear())
    lie = tensors.StreamedTensor(
        lambda: memoryview(bytes(2000)), ir.DataType.FLOAT, ir.Shape([32, 32]), name="W"
    )
    model.graph.initializers["W"].const_value = lie
    return model


def _untyped_attribute() -> ir.Model:
    model = ir.from_proto(samples.linear())
    node = model.graph.node(0)
    node.attributes["odd"] = ir.Attr("odd", ir.AttributeType.UNDEFINED, None)
    return model


def _sparse_attribute() -> ir.Model:
    model = ir.from_proto(samples.linear())
    node = model.graph.node(0)
    node.attributes["odd"] = ir.Attr("odd", ir.AttributeType.SPARSE_TENSOR, object())
    return model


@pytest.mark.parametrize("build", [_lying, _untyped_attribute, _sparse_attribute])
def test_models_that_are_no_onnx_are_refused(tmp_path: Path, build: object) -> None:
    """What a program put into the model and ONNX can't hold: InvalidModelError, nothing written."""
    with pytest.raises(InvalidModelError):
        files.save(build(), tmp_path / "out.onnx")  # type: ignore[operator]
    assert contents(tmp_path) == {}


def test_zeros_are_written_as_holes_and_read_as_zeros(tmp_path: Path) -> None:
    """A tensor of zeros, at the end of the file too, has its full length and is zero."""
    text = '<ir_version: 8, opset_import: ["" : 17]> main () => (float[n] y) { y = Add (a, b) }'
    model = samples.with_initializers(text, {"a": samples.array(1), "b": samples.array(1)})
    loaded = ir.from_proto(model)
    for name, value in (("a", 1.5), ("b", 0.0)):
        weight = tensors.of_array(np.full(1 << 20, value, np.float32), name)
        weight.external = True
        loaded.graph.initializers[name].const_value = weight
    files.save(loaded, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx.data").stat().st_size == 8 << 20
    (result,) = ort.InferenceSession(tmp_path / "m.onnx").run(None, {})
    np.testing.assert_array_equal(result, np.full(1 << 20, 1.5, np.float32))
