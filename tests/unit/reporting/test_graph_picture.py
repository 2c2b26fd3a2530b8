"""Pictures of a few nodes: where boxes and lines lie, what is said, what is escaped."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normonnx.core.listing import Drawn, Neighborhood, Part
from normonnx.reporting import graph_picture
from normonnx.reporting.graph_layout import Gaps, Layout, laid_out

_SIZE: Final = (80.0, 30.0)
_SVG: Final = "{http://www.w3.org/2000/svg}"


def _chain(*edges: tuple[str, str]) -> Layout:
    names = dict.fromkeys(name for edge in edges for name in edge)
    return laid_out(dict.fromkeys(names, _SIZE), edges)


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[list[float], list[tuple[str, str]]]:
    widths = draw(st.lists(st.floats(10, 300), min_size=1, max_size=14))
    pairs = list(itertools.combinations(range(len(widths)), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=24)) if pairs else []
    return widths, [(f"n{a}", f"n{b}") for a, b in chosen]


@settings(max_examples=60, deadline=None)
@given(_graphs())
def test_boxes_never_overlap_and_lines_go_down(
    graph: tuple[list[float], list[tuple[str, str]]],
) -> None:
    """Of any acyclic graph: every box inside, apart from all others, every edge from top to bottom."""
    widths, edges = graph
    sizes = {f"n{number}": (width, 30.0) for number, width in enumerate(widths)}
    found = laid_out(sizes, edges, Gaps())
    assert set(found.boxes) == set(sizes)
    for box in found.boxes.values():
        assert box.x - box.width / 2 >= -1e-6
        assert box.x + box.width / 2 <= found.width + 1e-6
        assert box.y + box.height <= found.height + 1e-6
    for one, other in itertools.combinations(found.boxes.values(), 2):
        beside = abs(one.x - other.x) >= (one.width + other.width) / 2 - 1e-6
        apart = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert beside or apart
    for edge, line in found.lines.items():
        assert line[0][1] == found.boxes[edge[0]].y + 30.0
        assert line[-1][1] == found.boxes[edge[1]].y
        assert all(lower[1] > upper[1] for upper, lower in itertools.pairwise(line))


def test_a_chain_is_a_straight_line_and_a_skip_goes_around() -> None:
    """Three in a row lie below one another; a connection past two of them bends."""
    chain = _chain(("a", "b"), ("b", "c"))
    assert len({round(box.x) for box in chain.boxes.values()}) == 1
    skip = _chain(("a", "b"), ("b", "c"), ("c", "d"), ("a", "d"))
    around = skip.lines["a", "d"]
    assert len(around) == 4
    for x, _ in around[1:-1]:
        assert all(abs(x - skip.boxes[n].x) >= _SIZE[0] / 2 for n in ("b", "c"))


_BEFORE: Final = Part(
    (
        Drawn("n0", "Conv", "c", ("W 4×3×3×3",), "changed"),
        Drawn("n1", "BatchNormalization", "b", ("scale 4",), "gone"),
    ),
    (("n0", "n1"),),
    ("n0",),
    ("n1",),
)
_AFTER: Final = Part(
    (Drawn("n0", "Conv", "c", ("W 4×3×3×3", "B 4"), "changed"),), (), ("n0",), ("n0",)
)
_FOLD: Final = Neighborhood("BatchNormalization 'b' folded into Conv 'c'", _BEFORE, _AFTER)


def test_the_picture_says_in_words_what_it_shows() -> None:
    """Title and description, referred to by the element's label."""
    root = ET.fromstring(graph_picture.document(_FOLD))  # noqa: S314  # our own
    assert root.get("role") == "img"
    labels = str(root.get("aria-labelledby")).split()
    assert [child.get("id") for child in root[:2]] == labels
    assert root[0].text == _FOLD.title
    assert root[1].text == (
        "BatchNormalization 'b' folded into Conv 'c'; before: Conv 'c' has other weights or inputs, "
        "BatchNormalization 'b' goes; after: Conv 'c' has other weights or inputs"
    )


def test_both_sides_are_drawn_with_their_fates() -> None:
    """A box for each node, an arrow for each edge and each open end; sides are named."""
    root = ET.fromstring(graph_picture.document(_FOLD))  # noqa: S314  # our own
    kinds = [found.get("class") for found in root.iter(f"{_SVG}g") if found.get("class")]
    assert kinds == ["np-node np-changed", "np-node np-gone", "np-node np-changed"]
    arrows = [f for f in root.iter(f"{_SVG}path") if f.get("class") == "np-arrow"]
    assert len(arrows) == (1 + 1 + 1) + (1 + 1)
    titles = [f.text for f in root.iter(f"{_SVG}text") if f.get("class") == "np-title"]
    assert titles == ["before", "after"]
    alone = graph_picture.document(Neighborhood("stays", _BEFORE))
    assert "after" not in alone


def test_what_is_not_drawn_is_counted() -> None:
    """A place of more nodes than can be drawn says how many there are."""
    place = Neighborhood("large", Part(_BEFORE.nodes, left_out=7))
    assert "and 7 more nodes of the same place" in graph_picture.document(place)


@pytest.mark.parametrize(
    "name",
    ["</text><script>alert(1)</script>", '"><g onload="x"', "a\x1b[31m\u202eb", "x" * 500, "]]>"],
)
def test_names_are_text_in_pictures_too(name: str) -> None:
    """Hostile, endless or invisible names change nothing but texts."""
    node = Drawn("n0", name, name, (name,) * 9, "kept")
    place = Neighborhood(name, Part((node,)))
    svg = graph_picture.document(place)
    root = ET.fromstring(svg)  # noqa: S314  # our own
    assert {found.tag.removeprefix(_SVG) for found in root.iter()} <= {
        "svg", "title", "desc", "style", "g", "rect", "text", "path"
    }  # fmt: skip
    assert not any(key.startswith("on") for found in root.iter() for key in found.attrib)
    assert max(len(found.text or "") for found in root.iter(f"{_SVG}text")) <= 28
    assert float(str(root.get("width"))) < 300
    assert float(str(root.get("height"))) < 300
    assert not {"\x1b", "\u202e"} & set(svg)


def test_a_picture_brings_both_themes_and_one_in_a_page_brings_none() -> None:
    """A file stands alone; a page has the colors already."""
    assert "prefers-color-scheme:dark" in graph_picture.document(_FOLD)
    assert "<style" not in graph_picture.figure(_FOLD, identifier="p")
    assert 'aria-labelledby="p-title p-desc"' in graph_picture.figure(_FOLD, identifier="p")
