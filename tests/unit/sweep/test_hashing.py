"""The key of a result: the same for the same work, another for any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from normonnx.sweep import hashing
from normonnx.sweep.executor import Output, Word
from normonnx.sweep.hashing import Digests, Recipe, attached_files, attached_model

RECIPE = Recipe("optimize", {"numpy": "2"})


def _key(*words: Word, recipe: Recipe = RECIPE) -> str:
    return Digests().key(recipe, words)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with external data."""
    weight = onnx.numpy_helper.from_array(np.ones(100, np.float32), "w")
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[100] x) => (float[100] y) { y = Add(x, w) }'
    made = onnx.parser.parse_model(text)
    made.graph.initializer.append(weight)
    path = tmp_path / "model.onnx"
    onnx.save(made, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_the_key_is_that_of_content_not_of_place(model: Path, tmp_path: Path) -> None:
    """The same bytes in another folder are the same work."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("model.onnx", "w.bin"):
        (other / name).write_bytes((model.parent / name).read_bytes())
    assert _key("optimize", attached_model(model)) == _key(
        "optimize", attached_model(other / "model.onnx")
    )


def test_external_data_count(model: Path) -> None:
    """A changed weight is another model; a missing one, too."""
    before = _key(attached_model(model))
    data = model.with_name("w.bin")
    assert dict(attached_model(model).files) == {"model.onnx": model, "w.bin": data.resolve()}
    content = data.read_bytes()
    data.write_bytes(bytes(len(content)))
    changed = _key(attached_model(model))
    data.unlink()
    gone = _key(attached_model(model))
    data.write_bytes(content)
    assert len({before, changed, gone}) == 3
    assert _key(attached_model(model)) == before


def test_whatever_changes_the_work_changes_the_key(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options, verb, versions of what computes, of normonnx, and of results."""
    word = attached_model(model)
    keys = {
        _key(word),
        _key(word, "--opset", "17"),
        _key(word, "--opset", "18"),
        _key(word, Output("x.onnx")),
        _key(word, recipe=Recipe("lower", RECIPE.versions)),
        _key(word, recipe=Recipe("optimize", {"numpy": "3"})),
    }
    monkeypatch.setattr(hashing, "VERSION", "999")
    keys.add(_key(word))
    monkeypatch.setattr(hashing, "SCHEMA", "normonnx.sweep-result/999")
    keys.add(_key(word))
    assert len(keys) == 8


def test_where_the_output_goes_does_not_matter(model: Path) -> None:
    """A result moves with its name."""
    assert _key(attached_model(model), Output("a.onnx")) == _key(
        attached_model(model), Output("b.onnx")
    )


def test_files_of_options_count(tmp_path: Path) -> None:
    """Inputs, alone or as a folder, by content and by the name they are for."""
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "input_0.pb").write_bytes(b"1")
    one = _key(attached_files(folder))
    (folder / "input_0.pb").write_bytes(b"2")
    assert one != _key(attached_files(folder))
    file = folder / "input_0.pb"
    assert _key(attached_files(file, "x=")) != _key(attached_files(file, "y="))
    assert dict(attached_files(folder).files) == {"set/input_0.pb": file}


def test_what_is_no_model_still_has_a_key(tmp_path: Path) -> None:
    """Its verb is to say what is wrong with it."""
    path = tmp_path / "x.onnx"
    path.write_bytes(b"no model")
    damaged = _key(attached_model(path))
    path.write_bytes(b"")
    empty = _key(attached_model(path))
    path.unlink()
    assert len({damaged, empty, _key(attached_model(path))}) == 3


def test_a_file_is_read_once(tmp_path: Path) -> None:
    """While it stays as it is."""
    path = tmp_path / "x"
    path.write_bytes(b"1")
    digests = Digests()
    first = digests.of(path)
    stamp = path.stat()
    path.write_bytes(b"2")
    import os

    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digests.of(path) == first
    os.utime(path, ns=(0, 0))
    assert digests.of(path) != first
