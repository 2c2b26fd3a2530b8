"""Spans of mapped files are copied by the system, or written where it refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from normonnx.core.errors import UsageError
from normonnx.graph import mapping

pytestmark = pytest.mark.skipif(
    not hasattr(os, "copy_file_range"), reason="this system copies no spans of files"
)
SIZE = 1 << 20
START, LENGTH = 12_345, 700_001


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of random bytes."""
    path = tmp_path / "source"
    path.write_bytes(np.random.default_rng(0).bytes(SIZE))
    return path


def view(path: Path) -> memoryview:
    """A file, mapped."""
    with path.open("rb") as file:
        return mapping.view_of(file, path)


def copied(buffer: memoryview, out: Path, before: bytes = b"before") -> bool:
    """Write something, copy a buffer behind it, and write something more."""
    with out.open("xb") as file:
        file.write(before)
        copier = mapping.Copier(file)
        try:
            done = copier.copy(buffer)
        finally:
            copier.close()
        file.write(b"after")
    return done


def test_a_span_is_copied_between_what_is_written(source: Path, tmp_path: Path) -> None:
    """Any offset and length."""
    span = view(source)[START : START + LENGTH]
    assert copied(span, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"before" + bytes(span) + b"after"


def test_holes_stay_holes(tmp_path: Path) -> None:
    """Where the source takes no room, neither does the copy; a hole may reach to the end."""
    path = tmp_path / "source"
    with path.open("xb") as file:
        file.truncate(1 << 28)
        file.seek(1 << 27)
        file.write(b"here")
    out = tmp_path / "out"
    assert copied(view(path), out, before=b"")
    assert out.stat().st_size == (1 << 28) + len(b"after")
    assert out.stat().st_blocks * 512 < 1 << 20
    assert bytes(view(out)[1 << 27 : (1 << 27) + 4]) == b"here"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_system_that_refuses_is_asked_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The caller writes the bytes then, at the place where it was."""
    asked = []

    def refusing(*_given: int) -> int:
        asked.append(1)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "copy_file_range", refusing)
    with (tmp_path / "out").open("xb") as file:
        file.write(b"before")
        copier = mapping.Copier(file)
        assert not copier.copy(view(source))
        assert not copier.copy(view(source))
        copier.close()
        assert file.tell() == len(b"before")
    assert len(asked) == 1


def test_a_full_disk_is_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be written is not written in another way."""

    def full(*_given: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="No space left"):
        copied(view(source), tmp_path / "out")


def test_another_file_of_that_name_is_not_copied(source: Path, tmp_path: Path) -> None:
    """The map still shows the file that was."""
    buffer = view(source)
    other = tmp_path / "other"
    other.write_bytes(bytes(SIZE))
    other.replace(source)
    assert not copied(buffer, tmp_path / "out")


def test_a_file_that_became_shorter(source: Path, tmp_path: Path) -> None:
    """Its bytes are gone; reading the map would end the process."""
    buffer = view(source)
    os.truncate(source, START)
    with pytest.raises(UsageError, match=f"{source} became shorter"):
        copied(buffer, tmp_path / "out")


@pytest.mark.parametrize("kind", ["small", "memory"])
def test_what_is_not_worth_copying(source: Path, tmp_path: Path, kind: str) -> None:
    """A few bytes, and what lies in no file."""
    buffer = view(source)[:100] if kind == "small" else memoryview(bytes(SIZE))
    assert not copied(buffer, tmp_path / "out")
