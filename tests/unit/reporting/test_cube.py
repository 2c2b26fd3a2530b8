"""Regions drawn: as text, in the plane, and as pictures."""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.explaining import explained
from normonnx.core.errors import UsageError
from normonnx.core.explanations import NormExplained
from normonnx.core.regions import Cube, Region, Share
from normonnx.reporting import cube_picture
from normonnx.reporting.cube import ASCII, LINES, drawing
from normonnx.reporting.isometry import labels, tiles

_ONE, _WINDOW, _GROUP, _ALL = Share.ONE, Share.WINDOW, Share.GROUP, Share.ALL
REGIONS: Final = {
    "batch": Region(_ALL, _ONE, _ALL),
    "layer": Region(_ONE, _ALL, _ALL),
    "group": Region(_ONE, _GROUP, _ALL, attributes={"num_groups": 2}),
    "instance": Region(_ONE, _ONE, _ALL),
    "window": Region(_ONE, _WINDOW, _ONE, attributes={"size": 3}),
    "none": Region(_ONE, _ONE, _ONE),
    "everything": Region(_ALL, _ALL, _ALL),
    "samples": Region(_ALL, _ONE, _ONE),
    "rows": Region(_ONE, _ALL, _ONE, layout="N*C"),
    "columns": Region(_ALL, _ONE, _ALL, layout="N*C"),
    "features": Region(_ALL, _ONE, _ONE, layout="NC", fixed=True),
}

# N is 4, C is 6, H times W is 4.
SHARED: Final = {
    "batch": 16,
    "layer": 24,
    "group": 12,
    "instance": 4,
    "window": 3,
    "none": 1,
    "everything": 96,
    "samples": 4,
    "rows": 6,
    "columns": 16,
    "features": 4,
}

# Marks in the text: the front sheet whole, of each other one its last column.
MARKS: Final = {
    "batch": 4 + 3,
    "layer": 24,
    "group": 12,
    "instance": 4,
    "window": 3,
    "none": 1,
    "everything": 24 + 3 * 6,
    "samples": 1 + 3,
    "rows": 6,
    "columns": 4 + 3 * 4,
    "features": 4,
}

# Faces in the picture: top, left (first sample), right (first channel).
FACES: Final = {
    "batch": (4, 4, 16),
    "layer": (6, 24, 4),
    "group": (3, 12, 4),
    "instance": (1, 4, 4),
    "window": (3, 3, 0),
    "none": (1, 1, 1),
    "everything": (24, 24, 16),
    "samples": (0, 1, 4),
    "rows": (6, 6, 1),
    "columns": (4, 4, 16),
    "features": (0, 4, 0),
}


@pytest.mark.parametrize("name", REGIONS)
def test_as_many_elements_are_shaded_as_the_region_has(name: str) -> None:
    """In the region itself, in the text and in the plane, counted by hand above."""
    region = REGIONS[name]
    shared = region.around(region.example, region.cube)
    assert len(shared) == SHARED[name]
    text = "".join(drawing(region))
    assert text.count(LINES.own) == 1
    assert text.count(LINES.shared) + 1 == MARKS[name]
    faces = Counter(tile.face for tile in tiles(region) if tile.element in shared)
    assert (faces["top"], faces["left"], faces["right"]) == FACES[name]


@pytest.mark.parametrize("name", REGIONS)
def test_the_output_looked_at_is_seen(name: str) -> None:
    """In the text once, in the plane on at least one face."""
    region = REGIONS[name]
    assert any(tile.element == region.example for tile in tiles(region))
    assert "".join(drawing(region, ASCII)).count(ASCII.own) == 1


@pytest.mark.parametrize("name", REGIONS)
def test_text_is_a_rectangle_and_both_sets_of_marks_draw_the_same(name: str) -> None:
    """All lines are of one length, so that drawings stand beside one another."""
    lines, plain = drawing(REGIONS[name]), drawing(REGIONS[name], ASCII)
    assert len({len(line) for line in (*lines, *plain)}) == 1
    assert "".join(plain).isascii()
    swapped = "\n".join(lines).translate(str.maketrans("●■·┌┐└┘─│", "@#.++++-|"))
    assert swapped == "\n".join(plain)


def test_axes_are_named_as_the_layout_has_them() -> None:
    """Channels last has C below; rows of features have no positions."""
    ends = {name: drawing(REGIONS[name])[-1].strip() for name in ("batch", "rows", "features")}
    assert ends == {"batch": "H, W", "rows": "C", "features": "C"}
    assert {label.text for label in labels(REGIONS["batch"])} == {"N", "C", "H, W"}
    assert {label.text for label in labels(REGIONS["features"])} == {"N", "C"}


def test_the_faces_of_a_cube_meet_and_do_not_overlap() -> None:
    """N C + C P + N P tiles, all of one area, without two of the same corners."""
    for name, faces in (("layer", 24 + 24 + 16), ("features", 24)):
        seen = tiles(REGIONS[name])
        assert len(seen) == len({tile.corners for tile in seen}) == faces
        areas = {round(_area(tile.corners), 9) for tile in seen}
        assert len(areas) == 1


def _area(corners: tuple[tuple[float, float], ...]) -> float:
    pairs = zip(corners, (*corners[1:], corners[0]), strict=True)
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairs)) / 2


@pytest.mark.parametrize(
    ("size", "at", "channels"),
    [
        (1, 2, {2}),
        (2, 2, {2, 3}),
        (3, 2, {1, 2, 3}),
        (4, 2, {1, 2, 3, 4}),
        (3, 0, {0, 1}),
        (5, 5, {3, 4, 5}),
    ],
)
def test_a_window_is_cut_off_at_the_ends(size: int, at: int, channels: set[int]) -> None:
    """As ONNX's LRN: an even size reaches further to the end."""
    region = Region(_ONE, _WINDOW, _ONE, attributes={"size": size})
    found = region.around((1, at, 2), Cube(2, 6, 3))
    assert found == {(1, channel, 2) for channel in channels}


def test_there_are_enough_channels_for_the_groups() -> None:
    """The drawn cube has the least multiple of the groups from six on."""
    for groups, channels in ((1, 6), (2, 6), (4, 8), (32, 32)):
        region = replace(REGIONS["group"], attributes={"num_groups": groups})
        assert region.cube.channels == channels


def test_the_sentence_names_axes_and_counts() -> None:
    """Over what, one for each of what, and what holds at inference."""
    assert REGIONS["layer"].statistics == (
        "statistics over all channels and all positions",
        "one for each sample",
    )
    assert REGIONS["window"].statistics[:2] == (
        "statistics over a window of channels",
        "one for each sample, channel and position",
    )
    assert REGIONS["features"].statistics[:2] == (
        "statistics over all samples",
        "one for each feature",
    )
    assert "constants" in REGIONS["features"].statistics[-1]
    assert REGIONS["everything"].statistics[-1] == "one for each input as a whole"
    assert len(REGIONS["none"].statistics) == 1


def _explained(name: str) -> NormExplained:
    return replace(explained(CATALOGUE["GroupNorm"]), name=name, region=REGIONS[name])


def _svg(*names: str) -> ET.Element:
    pytest.importorskip("matplotlib")
    content = cube_picture.render([_explained(name) for name in names], "svg")
    return ET.fromstring(content)  # noqa: S314  # our own bytes


def test_the_picture_shades_what_the_region_has() -> None:
    """Each face of each element is one shape with its kind in its id; in several rows of panels."""
    root = _svg(*REGIONS)
    ids = [found.get("id", "") for found in root.iter()]
    for name in REGIONS:
        kinds = Counter(
            re.findall(rf"^{name}-(own|shared|other)-\d+$", "\n".join(ids), re.MULTILINE)
        )
        assert kinds["own"] + kinds["shared"] == sum(FACES[name])
        assert sum(kinds.values()) == len(tiles(REGIONS[name]))
    assert len(set(filter(None, ids))) == len(list(filter(None, ids)))


def test_the_picture_tells_its_kinds_apart_by_colour() -> None:
    """Three faces of three kinds have nine colours."""
    styles: dict[str, set[str]] = {}
    for found in _svg("group").iter():
        kind = re.match(r"group-(\w+)-", found.get("id", ""))
        if kind:
            styles.setdefault(kind[1], set()).update(
                re.findall(r"fill: (#\w+)", " ".join(path.get("style", "") for path in found))
            )
    assert {kind: len(colours) for kind, colours in styles.items()} == dict.fromkeys(
        ("own", "shared", "other"), 3
    )
    assert len(set.union(*styles.values())) == 9


def test_nothing_is_drawn_outside_the_picture() -> None:
    """Every point of every tile lies within the view box, for one panel as for many."""
    for names in (("layer",), ("features", "group"), tuple(REGIONS)):
        root = _svg(*names)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        drawn = [found for found in root.iter() if "-" in found.get("id", "")]
        for path in (path for found in drawn for path in found):
            numbers = [
                float(number) for number in re.findall(r"-?[\d.]+", path.attrib.get("d", ""))
            ]
            assert all(0 <= x <= width for x in numbers[::2])
            assert all(0 <= y <= height for y in numbers[1::2])


def test_words_stand_in_for_the_picture() -> None:
    """Title and description, for one who can't see it; one image to a screen reader."""
    root = _svg("group", "features")
    svg = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{svg}title", f"{svg}desc"]
    said = root[1].text or ""
    assert "group: a cube of 4 samples and 6 channels at 4 positions with 12 of 96" in said
    assert "features: a table of 4 samples and 6 features with 4 of 24" in said
    assert "drawn with num_groups = 2" in said


def test_every_normalization_can_be_drawn_without_a_warning() -> None:
    """All of the catalogue in one picture, both kinds, twice the same."""
    pytest.importorskip("matplotlib")
    norms = [explained(norm) for norm in CATALOGUE.values()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("svg", "png"):
            assert cube_picture.render(norms, kind) == cube_picture.render(norms, kind)


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    """A program's own settings survive; none of them show."""
    mpl = pytest.importorskip("matplotlib")
    norms = [_explained("layer")]
    plain = cube_picture.render(norms, "svg")
    with mpl.rc_context({"font.size": 33.0, "svg.hashsalt": "mine", "lines.linewidth": 9.0}):
        assert cube_picture.render(norms, "svg") == plain
        assert mpl.rcParams["font.size"] == 33.0
        assert mpl.rcParams["svg.hashsalt"] == "mine"


def test_a_picture_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or not at all."""
    picture = tmp_path / "x.svg"
    picture.write_text("mine")

    def fail(*_: object) -> bytes:
        message = "no"
        raise OSError(message)

    monkeypatch.setattr(cube_picture, "render", fail)
    with pytest.raises(OSError, match="no"):
        cube_picture.draw([_explained("layer")], picture)
    assert picture.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


def test_formats_are_told_by_the_name() -> None:
    """In any case; others are refused."""
    assert cube_picture.format_of(Path("a/B.SVG")) == "svg"
    assert cube_picture.format_of(Path("b.tar.png")) == "png"
    for name in ("x", "x.jpg", ".svg"):
        with pytest.raises(UsageError, match=r"\.svg or \.png"):
            cube_picture.format_of(Path(name))
