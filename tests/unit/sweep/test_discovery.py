"""Which models a command line and manifests name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from normonnx.core.errors import UsageError
from normonnx.sweep.discovery import subjects


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models, which is the current one."""
    for name in ("a.onnx", "sub/a.onnx", "sub/deep/b.ONNX", "sub/readme.txt", "out/models/a.onnx"):
        path = tmp_path / "zoo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    monkeypatch.chdir(tmp_path / "zoo")
    return tmp_path / "zoo"


def _names(*words: str, manifests: tuple[str, ...] = (), out: str = "out") -> list[str]:
    found = subjects(words, [Path(name) for name in manifests], Path(out))
    assert all(subject.path.is_absolute() for subject in found)
    return [subject.name for subject in found]


def test_a_folder_means_every_model_below_it(tree: Path) -> None:
    """By its path from there, without what the sweep itself wrote."""
    assert _names(".") == ["a.onnx", "sub/a.onnx", "sub/deep/b.ONNX"]
    assert _names("sub") == ["a.onnx", "deep/b.ONNX"]
    assert _names(str(tree)) == _names(".")


def test_a_pattern_means_what_matches(tree: Path) -> None:
    """From its last folder without a wildcard."""
    del tree
    assert _names("*.onnx") == ["a.onnx"]
    assert _names("**/*.onnx") == ["a.onnx", "sub/a.onnx"]
    assert _names("sub/*/*") == ["deep/b.ONNX"]


def test_files_are_called_from_the_folder_they_share(tree: Path) -> None:
    """So what a shell made of a pattern gives the same names as the pattern."""
    assert _names("sub/a.onnx") == ["a.onnx"]
    assert _names("a.onnx", "sub/a.onnx") == ["a.onnx", "sub/a.onnx"]
    assert _names(str(tree / "sub" / "readme.txt")) == ["readme.txt"]


def test_each_model_is_swept_once(tree: Path) -> None:
    """However often and by whatever name or link it is named."""
    (tree / "link.onnx").symlink_to("a.onnx")
    assert _names("a.onnx", "./a.onnx", str(tree / "a.onnx"), "link.onnx") == ["a.onnx"]
    assert _names(".", "a.onnx", "*.onnx") == ["a.onnx", "sub/a.onnx", "sub/deep/b.ONNX"]


def test_links_to_folders_are_not_followed(tree: Path) -> None:
    """They may lead around."""
    (tree / "sub" / "loop").symlink_to("..")
    assert _names("sub") == ["a.onnx", "deep/b.ONNX"]


def test_equal_names_of_two_folders_are_told_apart(tree: Path) -> None:
    """Both are swept, under names that don't clash."""
    (tree.parent / "other").mkdir()
    (tree.parent / "other" / "a.onnx").write_text("y")
    names = _names("sub", "../other")
    assert len(names) == len(set(names)) == 3


def test_a_file_with_magic_letters_is_taken_at_its_word(tree: Path) -> None:
    """A name that looks like a pattern and exists is that file."""
    (tree / "m[1].onnx").write_text("x")
    assert _names("m[1].onnx") == ["m[1].onnx"]


def test_a_manifest_names_models_from_its_own_folder(tree: Path) -> None:
    """One a line; comments and empty lines don't count."""
    (tree / "sub" / "list.txt").write_text("# models\n\na.onnx\n../a.onnx\n  deep/b.ONNX  \n")
    found = subjects([], [Path("sub/list.txt")], Path("out"))
    assert {os.path.relpath(one.path, tree) for one in found} == {
        "a.onnx",
        "sub/a.onnx",
        "sub/deep/b.ONNX",
    }
    assert len({one.name for one in found}) == 3


def test_a_manifest_gives_options(tree: Path) -> None:
    """As JSON objects; the same model with other options is another subject."""
    lines = [
        '{"model": "a.onnx", "opset": 17}',
        '{"model": "a.onnx", "opset": 18}',
        "a.onnx",
        "a.onnx",
    ]
    (tree / "m.jsonl").write_text("\n".join(lines))
    found = subjects([], [Path("m.jsonl")], Path("out"))
    assert sorted(str(one.options) for one in found) == ["{'opset': 17}", "{'opset': 18}", "{}"]
    assert len({one.name for one in found}) == 3
    assert {one.place.split(", ")[1] for one in found} == {"line 1", "line 2", "line 3"}
    (tree / "m.json").write_text('["a.onnx", {"model": "sub/a.onnx"}]')
    assert _names(manifests=("m.json",)) == ["a.onnx", "sub/a.onnx"]


@pytest.mark.parametrize(
    ("words", "manifest", "said"),
    [
        (["missing.onnx"], None, "no such file"),
        (["*.nothing"], None, "nothing matches"),
        (["empty"], None, r"holds no \*\.onnx"),
        (["out/models/a.onnx"], None, "where the sweep writes"),
        (["out"], None, r"holds no \*\.onnx"),
        ([], "", "names no model"),
        ([], "nowhere.onnx", "list.txt, line 1: .*no such file"),
        ([], "a.onnx\n{", "list.txt, line 2: no JSON"),
        ([], '{"opset": 3}', "line 1: no model"),
        ([], '{"model": 3}', "line 1: no model"),
        ([], "\udcff", "not UTF-8"),
    ],
)
def test_what_is_not_there_is_refused(
    tree: Path, words: list[str], manifest: str | None, said: str
) -> None:
    """Before anything is done, with the place."""
    (tree / "empty").mkdir()
    files = []
    if manifest is not None:
        files = [tree / "list.txt"]
        files[0].write_bytes(manifest.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=said):
        subjects(words, files, Path("out"))


def test_devices_and_pipes_are_refused(tree: Path) -> None:
    """What can't be read twice is no model; in a folder it is left out."""
    os.mkfifo(tree / "pipe.onnx")
    with pytest.raises(UsageError, match="not a regular file"):
        subjects(["pipe.onnx"], [], Path("out"))
    assert "pipe.onnx" not in _names(".")
