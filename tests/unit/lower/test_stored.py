"""Cost tables as files: where they lie, how they are joined, and what is damaged."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from normonnx.core.costs import CostTable, Entry, FormCost
from normonnx.core.errors import UsageError
from normonnx.lower import stored


def _entry(shape: tuple[int, ...] = (2, 8), *, ms: float = 1.0, opset: int = 17) -> Entry:
    attributes = {"axis": -1, "epsilon": 1e-5}
    form = FormCost("native", ms, 1.0, 1.0, 1.0, {"random": 1.1, "mean 1e4": float("inf")})
    return Entry("LayerNorm", "float32", opset, shape, attributes, frozenset({"scale"}), (form,))


def _table(*entries: Entry) -> CostTable:
    return CostTable("ort-cpu", {"processor": "P"}, {"onnxruntime": "1"}, entries)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's tables, which is not there yet; nothing comes with the package."""
    monkeypatch.setenv(stored.FOLDER, str(tmp_path / "a" / "costs"))
    monkeypatch.setattr(stored, "SHIPPED", tmp_path / "shipped")
    return tmp_path / "a" / "costs"


def test_the_folder_is_that_of_the_system_unless_another_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """$NORMONNX_COSTS, $XDG_CONFIG_HOME, ~/.config; %APPDATA% on Windows."""
    monkeypatch.setenv("NORMONNX_COSTS", str(tmp_path))
    assert stored.folder() == tmp_path
    monkeypatch.delenv("NORMONNX_COSTS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert stored.folder() == tmp_path / "normonnx" / "costs"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert stored.folder() == Path.home() / ".config" / "normonnx" / "costs"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    assert stored.folder() == tmp_path / "roaming" / "normonnx" / "costs"


def test_what_is_written_is_read(place: Path) -> None:
    """In a folder that is made; infinity included."""
    table = _table(_entry())
    assert stored.read("ort-cpu") == ()
    assert stored.write(table) == place / "costs-ort-cpu.json"
    assert stored.read("ort-cpu") == (table,)
    assert stored.read("ort-cuda") == ()


def test_the_same_use_is_replaced_and_others_stay(place: Path) -> None:
    """By norm, type, opset, shape, attributes and what is given."""
    stored.write(_table(_entry(ms=1.0), _entry((3, 8))))
    other = replace(_entry(ms=7.0), given=frozenset())
    stored.write(_table(_entry(ms=5.0), other, _entry(opset=18)))
    (found,) = stored.read("ort-cpu")
    assert len(found.entries) == 4
    assert {entry.forms[0].milliseconds for entry in found.entries} == {1.0, 5.0, 7.0}
    assert len(list(place.iterdir())) == 1


@pytest.mark.parametrize("what", ["machine", "versions"])
def test_what_another_machine_or_version_measured_goes(place: Path, what: str) -> None:
    """Times of two machines don't compare."""
    stored.write(_table(_entry((3, 8))))
    now = _table(_entry())
    changed = {"threads": "2"}
    now = replace(now, machine=changed) if what == "machine" else replace(now, versions=changed)
    stored.write(now)
    assert stored.read("ort-cpu") == (now,)
    assert place.exists()


def test_the_users_table_comes_before_the_one_of_the_package(place: Path) -> None:
    """Both are read."""
    stored.SHIPPED.mkdir()
    shipped, own = _table(_entry(ms=1.0)), _table(_entry(ms=2.0))
    stored.write_file(shipped, stored.SHIPPED / "costs-ort-cpu.json")
    assert stored.read("ort-cpu") == (shipped,)
    stored.write(own)
    assert stored.read("ort-cpu") == (own, shipped)
    assert place.exists()


def test_a_table_is_written_alike_whatever_its_order() -> None:
    """One entry a line, sorted, strict JSON."""
    entries = [_entry((3, 8)), _entry((2, 8)), _entry((2, 8), opset=18)]
    text = stored.text(_table(*entries))
    assert text == stored.text(_table(*reversed(entries)))
    assert sum(line.startswith('{"norm"') for line in text.splitlines()) == 3
    found = json.loads(text, parse_constant=pytest.fail)
    assert [entry["shape"] for entry in found["entries"]] == [[2, 8], [2, 8], [3, 8]]
    assert CostTable.of_plain(json.loads(stored.text(_table()))) == _table()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[]", "is damaged"),
        (b'{"schema": 1}', "is damaged"),
        (b'{"schema": 99}', "has schema 99, expected 1"),
    ],
)
def test_a_damaged_table_is_said_and_left_as_it_is(place: Path, content: bytes, words: str) -> None:
    """Reading and writing name the file."""
    place.mkdir(parents=True)
    path = place / "costs-ort-cpu.json"
    path.write_bytes(content)
    for act in (lambda: stored.read("ort-cpu"), lambda: stored.write(_table(_entry()))):
        with pytest.raises(UsageError, match=words) as error:
            act()
        assert str(path) in str(error.value)
    assert path.read_bytes() == content


@pytest.mark.skipif(os.name != "posix", reason="folders are files elsewhere, too, but differently")
def test_a_folder_that_can_not_be_made_is_a_usage_error(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the variable that names another."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(stored.FOLDER, str(tmp_path / "file" / "costs"))
    with pytest.raises(UsageError, match="set NORMONNX_COSTS to a folder that can be written"):
        stored.write(_table(_entry()))
    monkeypatch.setenv(stored.FOLDER, str(place))
    monkeypatch.setattr(os, "access", lambda *_args: False)
    with pytest.raises(UsageError, match="can't be kept there: Permission denied"):
        stored.place("ort-cpu")
    with pytest.raises(UsageError, match="can't be written"):
        stored.write_file(_table(), tmp_path / "missing" / "x.json")
