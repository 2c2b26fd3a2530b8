"""Where data files may lie and where models may be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import paths


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file in a folder of its own, with files inside and outside that folder."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for place in (folder / "m.onnx", folder / "w", folder / "sub" / "w", tmp_path / "outside"):
        place.write_bytes(b"x")
    return folder / "m.onnx"


@pytest.mark.parametrize("location", ["w", "./w", "sub/w", "sub//w", "sub\\w"])
def test_beside_and_below(model: Path, location: str) -> None:
    """A name within the model's folder is that file."""
    found = paths.external_file(model, location)
    assert found.name == "w"
    assert found.is_relative_to(model.parent)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("", "names no file"),
        ("..", "leaves"),
        ("../outside", "leaves"),
        ("sub/../w", "leaves"),
        ("..\\outside", "leaves"),
        ("/etc/passwd", "leaves"),
        ("\\etc\\passwd", "leaves"),
        ("w\0", "leaves"),
        ("gone", "is missing"),
        ("sub", "not a regular file"),
        (".", "not a regular file"),
    ],
)
def test_other_names_are_refused(model: Path, location: str, reason: str) -> None:
    """Nothing outside, nothing absent, no folder."""
    with pytest.raises(InvalidModelError, match=reason) as caught:
        paths.external_file(model, location)
    assert str(model) in str(caught.value)


def test_links_count_by_where_they_lead(model: Path) -> None:
    """A linked file or folder outside is refused; a link within is followed."""
    folder = model.parent
    (folder / "within").symlink_to("sub/w")
    (folder / "out").symlink_to("../outside")
    (folder / "folder").symlink_to("..")
    (folder / "again").symlink_to("out")
    assert paths.external_file(model, "within") == folder / "sub" / "w"
    for location in ("out", "again", "folder/outside"):
        with pytest.raises(InvalidModelError, match="outside the model's own folder"):
            paths.external_file(model, location)


def test_a_linked_folder_of_the_model_is_no_escape(model: Path, tmp_path: Path) -> None:
    """Reaching the model through a linked folder changes nothing."""
    (tmp_path / "link").symlink_to(model.parent)
    assert paths.external_file(tmp_path / "link" / "m.onnx", "w") == model.parent / "w"
    with pytest.raises(InvalidModelError, match="leaves"):
        paths.external_file(tmp_path / "link" / "m.onnx", "../outside")


def test_a_relative_model_path(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of `m.onnx` is the current one."""
    monkeypatch.chdir(model.parent)
    assert paths.external_file(Path("m.onnx"), "w").samefile("w")


def test_a_data_pipe_is_refused(model: Path) -> None:
    """A pipe can't be mapped, and opening it would wait for ever."""
    os.mkfifo(model.parent / "pipe")
    with pytest.raises(InvalidModelError, match="not a regular file"):
        paths.external_file(model, "pipe")


def test_unreadable_and_unwritable(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing permissions are named before any work (simulated: root lacks none)."""
    denied: set[tuple[Path, int]] = set()
    monkeypatch.setattr(os, "access", lambda path, mode: (Path(path), mode) not in denied)
    assert paths.readable_model(model) == model
    assert paths.writable_output(model) == model
    denied.add((model, os.R_OK))
    with pytest.raises(UsageError, match="can't be read; check its permissions"):
        paths.readable_model(model)
    denied.add((model, os.W_OK))
    with pytest.raises(UsageError, match="write-protected"):
        paths.writable_output(model)
    denied.add((model.parent, os.W_OK | os.X_OK))
    with pytest.raises(UsageError, match="no permission to write"):
        paths.writable_output(model.parent / "new.onnx")


def test_force_allows_an_input_only(model: Path) -> None:
    """Force is about inputs; a folder stays a folder."""
    with pytest.raises(UsageError, match="--force"):
        paths.writable_output(model, inputs=(model.parent / "gone", model))
    assert paths.writable_output(model, inputs=(model,), force=True) == model
    with pytest.raises(UsageError, match="is a folder"):
        paths.writable_output(model.parent, force=True)
