"""Weights that two models share: what stays where it is, and what may not be replaced."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

import normonnx
from normonnx.core.errors import UsageError
from normonnx.graph import files

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
main (float[1, 8, 4, 4] x, int64[1] i) => (float[1, 64] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W)
    b = BatchNormalization (a, s, t, m, v)
    c = Conv <pads = [1, 1, 1, 1]> (b, U)
    g = GlobalAveragePool (c)
    f = Flatten (g)
    r = Gather (table, i)
    h = Add (f, r)
    y = MatMul (h, P)
}
"""
SHAPES = {"W": (16, 8, 3, 3), "U": (16, 16, 3, 3), "table": (900, 16), "P": (16, 64)}
FEEDS = {
    "x": np.random.default_rng(3).standard_normal((1, 8, 4, 4)).astype(np.float32),
    "i": np.array([899]),
}
KINDS = ("embedded", "external")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty one."""
    found = tmp_path / "models"
    found.mkdir()
    return found


def _source(folder: Path, kind: str) -> Path:
    model = onnx.parser.parse_model(TEXT)
    rng = np.random.default_rng(1)
    shapes = SHAPES | dict.fromkeys("stmv", (16,))
    for name, shape in shapes.items():
        array = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    path = folder / "source.onnx"
    external = kind == "external"
    onnx.save(model, path, save_as_external_data=external, location="weights.bin")
    return path


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _result(path: Path) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, FEEDS)[0])


def _locations(path: Path) -> dict[str, str]:
    graph = onnx.load(path, load_external_data=False).graph
    return {t.name: t.external_data[0].value for t in graph.initializer if t.external_data}


@pytest.mark.parametrize("kind", KINDS)
def test_unchanged_weights_stay_where_they_are(folder: Path, kind: str) -> None:
    """The source is as it was, the new data file holds what was folded and nothing else."""
    source = _source(folder, kind)
    before = _content(folder)
    out = folder / "out.onnx"
    normonnx.save(normonnx.optimize(source).model, out, share_data=True)
    after = _content(folder)
    assert {name: after[name] for name in before} == before
    held = "source.onnx" if kind == "embedded" else "weights.bin"
    assert _locations(out) == {"W": "out.onnx.data", "U": held, "table": held, "P": held}
    assert len(after["out.onnx.data"]) == 4 * np.prod(SHAPES["W"])
    onnx.checker.check_model(out, full_check=True)
    np.testing.assert_allclose(_result(out), _result(source), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_sharing_again_changes_nothing(folder: Path, kind: str) -> None:
    """Saved over itself again and again, the same files hold the same bytes."""
    out = folder / "out.onnx"
    normonnx.save(normonnx.optimize(_source(folder, kind)).model, out, share_data=True)
    before = _content(folder)
    for _ in range(2):
        normonnx.save(normonnx.load(out), out, share_data=True, force=True)
    assert _content(folder) == before


def test_a_source_whose_weights_are_shared_is_not_replaced(folder: Path) -> None:
    """Not even with force: the other model would read whatever lies there then."""
    source, out = _source(folder, "embedded"), folder / "out.onnx"
    normonnx.save(normonnx.optimize(source).model, out, share_data=True)
    before = _content(folder)
    with pytest.raises(UsageError, match=r"source\.onnx can't be replaced: .*out\.onnx shares"):
        normonnx.save(normonnx.load(source), source, force=True)
    assert _content(folder) == before
    (folder / "out.onnx").unlink()
    normonnx.save(normonnx.load(source), source, force=True)


def test_a_data_file_that_is_shared_stays(folder: Path) -> None:
    """The source gets a new one where it is written anew; the sharer computes what it did."""
    source, out = _source(folder, "external"), folder / "out.onnx"
    normonnx.save(normonnx.load(source), folder / "own.onnx")
    own = folder / "own.onnx"
    normonnx.save(normonnx.optimize(own).model, out, share_data=True)
    expected = _result(out)
    normonnx.save(normonnx.optimize(own).model, own, force=True)
    normonnx.save(normonnx.load(source), own)
    np.testing.assert_array_equal(_result(out), expected)
    assert (folder / "own.onnx.data").exists()


def test_a_model_may_share_with_the_one_it_replaces(folder: Path) -> None:
    """Its data file stays, and what was folded goes to another."""
    source = _source(folder, "external")
    expected = _result(source)
    data = (folder / "weights.bin").read_bytes()
    normonnx.save(normonnx.optimize(source).model, source, share_data=True, force=True)
    np.testing.assert_allclose(_result(source), expected, rtol=1e-5)
    assert (folder / "weights.bin").read_bytes() == data


def test_what_holds_the_weights_is_not_replaced_by_who_shares_them(folder: Path) -> None:
    """Embedded weights would be gone."""
    source = _source(folder, "embedded")
    before = _content(folder)
    with pytest.raises(UsageError, match="holds the weights to share and would be replaced"):
        normonnx.save(normonnx.optimize(source).model, source, share_data=True, force=True)
    assert _content(folder) == before


def test_other_folders_and_no_file_at_all(folder: Path, tmp_path: Path) -> None:
    """ONNX looks in the model's own folder; what came from memory lies nowhere."""
    source = _source(folder, "external")
    model = normonnx.optimize(source).model
    with pytest.raises(UsageError, match=r"write it into .*models, or leave out --share-data"):
        normonnx.save(model, tmp_path / "out.onnx", share_data=True)
    proto = onnx.load(source)
    with pytest.raises(UsageError, match="was read from no file"):
        normonnx.save(normonnx.optimize(proto).model, folder / "out.onnx", share_data=True)
    assert sorted(_content(folder)) == ["source.onnx", "weights.bin"]


def test_a_source_that_changed_in_between(folder: Path) -> None:
    """The map still shows the old bytes, but the file holds others."""
    source = _source(folder, "external")
    model = files.load(source)
    shutil.copy(folder / "weights.bin", folder / "other.bin")
    (folder / "other.bin").replace(folder / "weights.bin")
    with pytest.raises(UsageError, match=r"weights\.bin was changed while it was in use"):
        normonnx.save(model, folder / "out.onnx", share_data=True)
    assert not (folder / "out.onnx").exists()


def test_behind_links_into_one_folder(folder: Path, tmp_path: Path) -> None:
    """A cache of links, as Hugging Face keeps one: the result stands among what they lead to."""
    source = _source(folder, "external")
    cache = tmp_path / "cache"
    cache.mkdir()
    for name in ("source.onnx", "weights.bin"):
        (cache / name).symlink_to(folder / name)
    model = normonnx.optimize(cache / "source.onnx").model
    normonnx.save(model, folder / "out.onnx", share_data=True)
    assert _locations(folder / "out.onnx")["P"] == "weights.bin"
    np.testing.assert_allclose(_result(folder / "out.onnx"), _result(source), rtol=1e-5)
