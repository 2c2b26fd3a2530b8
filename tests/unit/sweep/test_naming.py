"""Names that keep folders, can be made anywhere, don't clash and don't escape."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normonnx.sweep.naming import assigned


def _names(*paths: str) -> list[str]:
    return assigned(
        [(PurePath(path), f"/root/{number}/{path}") for number, path in enumerate(paths)]
    )


def test_a_plain_path_is_its_own_name() -> None:
    """Folders, dots, spaces and letters of any script stay."""
    plain = ["a.onnx", "b/c.v2.onnx", "dir with space/モデル.onnx", "no_suffix"]
    assert _names(*plain) == plain


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "a/../../b.onnx",
        "new\nline.onnx",
        "a\\..\\b.onnx",
        "x\x1b[2J.onnx",
        "con:.onnx",
        "half\udc80.onnx",
        "dot./x.onnx",
        "..",
        "",
    ],
)
def test_what_is_odd_is_replaced_and_marked(path: str) -> None:
    """The name is relative, printable, and differs from that of a plain path."""
    (name,) = _names(path)
    parts = PurePosixPath(name).parts
    assert not PurePosixPath(name).is_absolute()
    assert ".." not in parts
    assert name.isprintable()
    name.encode()
    assert name != path


def test_the_same_path_twice_gets_two_names() -> None:
    """Also where only case or the way of writing an accent differs."""
    for one, other in (("a.onnx", "a.onnx"), ("A.onnx", "a.onnx"), ("é.onnx", "e\u0301.onnx")):
        names = _names(one, other)
        assert len({name.casefold() for name in names}) == 2
        assert all(name.endswith(".onnx") for name in names)


def test_a_name_is_no_folder_of_another_and_no_file_of_weights() -> None:
    """A model in a folder that is called as another model; one called as another's weights."""
    folder, inside = _names("m.onnx", "m.onnx/n.onnx")
    assert not inside.startswith(f"{folder}/")
    model, weights = _names("m.onnx", "m.onnx.data")
    assert model == "m.onnx"
    assert weights != "m.onnx.data"
    assert _names("m.onnx", "m.onnx.0123456789ab.data")[1] != "m.onnx.0123456789ab.data"
    assert _names("m.onnx.data") == ["m.onnx.data"]


def test_a_name_does_not_depend_on_what_else_is_swept() -> None:
    """A mark is a digest of what identifies the model."""
    odd = (PurePath("a:b.onnx"), "/x/a:b.onnx")
    assert assigned([odd])[0] == assigned([(PurePath("z.onnx"), "/z"), odd])[1]


def test_a_long_part_is_cut() -> None:
    """To what any file system takes, with what a save appends."""
    (name,) = _names("é" * 300 + ".onnx")
    assert len(name.encode()) <= 170
    assert name.endswith(".onnx")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8))
def test_any_names_are_distinct_and_stay_below(texts: list[str]) -> None:
    """Whatever the paths are."""
    names = _names(*texts)
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not {"", ".", ".."} & set(name.split("/"))
        assert name.isprintable()
