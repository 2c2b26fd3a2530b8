"""A few nodes of a model as an SVG picture, before and after a rewrite.

Colors are classes: in a report its stylesheet gives them; a picture of its own brings them along,
for light and for dark. Every name is text, never markup.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from normonnx.core.listing import Drawn, Neighborhood, Part
from normonnx.reporting.figures import count, printable
from normonnx.reporting.graph_layout import Box, Layout, Point, laid_out

_CHARACTER: Final = 6.7  # pixels of a monospaced letter at 11 px
_BOLD_CHARACTER: Final = 7.5  # at 12 px, semibold
_LINE: Final = 15.0
_PADDING: Final = 10.0
_LONGEST: Final = 28  # characters of a line
_CONSTANTS: Final = 4  # lines of a box
_STUB: Final = 18.0  # length of a line that leads out of the picture
_MARGIN: Final = 6.0
_TITLE: Final = 26.0
_BETWEEN: Final = 48.0  # before and after, side by side
_ARROW: Final = 5.0
STYLE: Final = """
.np{font:11px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.np-box{fill:var(--np-box);stroke:var(--np-line);stroke-width:1}
.np-gone .np-box{fill:var(--np-gone);stroke:var(--np-gone-line);stroke-dasharray:4 3}
.np-new .np-box{fill:var(--np-new);stroke:var(--np-new-line)}
.np-changed .np-box{fill:var(--np-changed);stroke:var(--np-changed-line)}
.np-op{font-weight:600;font-size:12px;fill:var(--np-ink)}
.np-name,.np-constant,.np-more{fill:var(--np-muted)}
.np-title{font:600 13px system-ui,sans-serif;fill:var(--np-ink)}
.np-edge{fill:none;stroke:var(--np-line);stroke-width:1.2}
.np-arrow{fill:var(--np-line)}
"""
_LIGHT: Final = (
    "--np-ink:#1b2228;--np-muted:#55606b;--np-line:#7a8691;--np-box:#fff;"
    "--np-gone:#fdecea;--np-gone-line:#b3372a;--np-new:#e6f4ea;--np-new-line:#1e7a3c;"
    "--np-changed:#e8f0fd;--np-changed-line:#2b62b8"
)
_DARK: Final = (
    "--np-ink:#e8ebee;--np-muted:#a7b0b9;--np-line:#77828d;--np-box:#1b2026;"
    "--np-gone:#3a1f1c;--np-gone-line:#f08a7d;--np-new:#17301f;--np-new-line:#6fcf8f;"
    "--np-changed:#1a2a44;--np-changed-line:#86b3f5"
)
_BACKGROUND: Final = (("#fff", _LIGHT), ("#12161a", _DARK))
_IN_WORDS: Final = {
    "gone": "goes",
    "new": "is new",
    "changed": "has other weights or inputs",
    "kept": "stays",
}


@dataclass(frozen=True, slots=True)
class _Panel:
    """One side of a picture, laid out."""

    title: str
    part: Part
    lines: dict[str, tuple[str, ...]]
    layout: Layout

    @property
    def width(self) -> float:
        return max(self.layout.width, _CHARACTER * len(self.title)) + 2 * _MARGIN

    @property
    def height(self) -> float:
        more = _LINE if self.part.left_out else 0.0
        return _TITLE + self.layout.height + 2 * (_STUB + _MARGIN) + more


def figure(place: Neighborhood, *, identifier: str = "place") -> str:
    """The picture as one SVG element without colors of its own, for a page that has them.

    Args:
        place: What to draw.
        identifier: What ids begin with; unique in the page.
    """
    return ET.tostring(_drawn(place, identifier), encoding="unicode")


def document(place: Neighborhood) -> str:
    """The picture as an SVG file, for light and dark."""
    root = _drawn(place, "place")
    root.set("xmlns", "http://www.w3.org/2000/svg")
    style = ET.Element("style")
    (paper, light), (night, dark) = _BACKGROUND
    style.text = (
        f":root{{{light};background:{paper}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark};background:{night}}}}}{STYLE}"
    )
    root.insert(2, style)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def in_words(place: Neighborhood) -> str:
    """The picture for those who can't see it."""
    said = [f"before: {_nodes_in_words(place.before)}"]
    if place.after is not None:
        said.append(f"after: {_nodes_in_words(place.after)}")
    return printable(f"{place.title}; {'; '.join(said)}")


def variables() -> tuple[str, str]:
    """The custom properties of the colors, as CSS declarations, for light and for dark."""
    return _LIGHT, _DARK


def _nodes_in_words(part: Part) -> str:
    return ", ".join(f"{node.op_type} {node.name!r} {_IN_WORDS[node.fate]}" for node in part.nodes)


def _drawn(place: Neighborhood, identifier: str) -> ET.Element:
    panels = [_panel("as it stays" if place.after is None else "before", place.before)]
    if place.after is not None:
        panels.append(_panel("after", place.after))
    width = sum(panel.width for panel in panels) + _BETWEEN * (len(panels) - 1)
    height = max(panel.height for panel in panels)
    root = ET.Element(
        "svg",
        {
            "class": "np",
            "role": "img",
            "aria-labelledby": f"{identifier}-title {identifier}-desc",
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width),
            "height": _number(height),
        },
    )
    ET.SubElement(root, "title", {"id": f"{identifier}-title"}).text = printable(place.title)
    ET.SubElement(root, "desc", {"id": f"{identifier}-desc"}).text = in_words(place)
    left = 0.0
    for panel in panels:
        group = ET.SubElement(root, "g", {"transform": f"translate({_number(left)} 0)"})
        _draw_panel(group, panel)
        left += panel.width + _BETWEEN
    return root


def _panel(title: str, part: Part) -> _Panel:
    lines = {node.key: _lines(node) for node in part.nodes}
    sizes = {key: _size(said) for key, said in lines.items()}
    return _Panel(title, part, lines, laid_out(sizes, part.edges))


def _lines(node: Drawn) -> tuple[str, ...]:
    """What stands in a box: operator, name, constants."""
    constants = node.constants[:_CONSTANTS]
    more = len(node.constants) - len(constants)
    said = [node.op_type, node.name, *constants, *([f"and {more} more"] if more else [])]
    return tuple(_shortened(printable(text)) for text in said if text)


def _shortened(text: str) -> str:
    """Its beginning and its end, where it is too long for a box."""
    if len(text) <= _LONGEST:
        return text
    end = 2 * _LONGEST // 3
    return f"{text[: _LONGEST - end - 1]}…{text[-end:]}"


def _size(lines: Sequence[str]) -> tuple[float, float]:
    widths = [_BOLD_CHARACTER * len(lines[0]), *(_CHARACTER * len(line) for line in lines[1:])]
    return max(widths) + 2 * _PADDING, _LINE * len(lines) + _PADDING


def _draw_panel(group: ET.Element, panel: _Panel) -> None:
    title = ET.SubElement(group, "text", {"class": "np-title", "x": _number(_MARGIN), "y": "15"})
    title.text = printable(panel.title)
    aside = (panel.width - panel.layout.width) / 2
    shift = f"translate({_number(aside)} {_number(_TITLE + _STUB + _MARGIN)})"
    inner = ET.SubElement(group, "g", {"transform": shift})
    for line in panel.layout.lines.values():
        _draw_line(inner, line)
    boxes = panel.layout.boxes
    for key in panel.part.open_above:
        _draw_line(inner, _above(boxes[key]))
    for key in panel.part.open_below:
        box = boxes[key]
        bottom = box.y + box.height
        if not any(giver == key for giver, _ in panel.part.edges):
            _draw_line(inner, ((box.x, bottom), (box.x, bottom + _STUB)))
    for node in panel.part.nodes:
        _draw_box(inner, node, panel.lines[node.key], boxes[node.key])
    if panel.part.left_out:
        at = {"class": "np-more", "x": _number(_MARGIN), "y": _number(panel.height - _MARGIN)}
        said = count(panel.part.left_out, "more node")
        ET.SubElement(group, "text", at).text = f"and {said} of the same place"


def _above(box: Box) -> tuple[Point, Point]:
    """A line that comes from outside, beside one that comes from a node."""
    x = box.x - box.width / 2 + min(16.0, box.width / 4)
    return (x, box.y - _STUB), (x, box.y)


def _draw_line(parent: ET.Element, points: Sequence[Point]) -> None:
    """A line through points, straight down at both ends, with an arrow where it ends."""
    (x, y), *rest = points
    path = [f"M{_number(x)} {_number(y)}"]
    end = rest[-1]
    stops = [*rest[:-1], (end[0], end[1] - _ARROW)]
    for nx, ny in stops:
        middle = (y + ny) / 2
        curve = f"C{_number(x)} {_number(middle)} {_number(nx)} {_number(middle)}"
        path.append(f"{curve} {_number(nx)} {_number(ny)}")
        x, y = nx, ny
    ET.SubElement(parent, "path", {"class": "np-edge", "d": "".join(path)})
    left, right = end[0] - 0.7 * _ARROW, end[0] + 0.7 * _ARROW
    base, tip = end[1] - 1.6 * _ARROW, f"{_number(end[0])} {_number(end[1])}"
    d = f"M{_number(left)} {_number(base)}H{_number(right)}L{tip}Z"
    ET.SubElement(parent, "path", {"class": "np-arrow", "d": d})


def _draw_box(parent: ET.Element, node: Drawn, lines: Sequence[str], box: Box) -> None:
    group = ET.SubElement(parent, "g", {"class": f"np-node np-{node.fate}"})
    ET.SubElement(group, "title").text = "\n".join(_whole(node))
    corner = {"x": _number(box.x - box.width / 2), "y": _number(box.y), "rx": "5"}
    size = {"width": _number(box.width), "height": _number(box.height)}
    ET.SubElement(group, "rect", {"class": "np-box", **corner, **size})
    for number, line in enumerate(lines):
        kind = "np-op" if number == 0 else "np-name" if number == 1 else "np-constant"
        at = {
            "class": kind,
            "x": _number(box.x),
            "y": _number(box.y + _PADDING / 2 + _LINE * number + 11),
            "text-anchor": "middle",
        }
        ET.SubElement(group, "text", at).text = line


def _whole(node: Drawn) -> Iterator[str]:
    yield printable(f"{node.op_type} {node.name}")
    yield _IN_WORDS[node.fate]
    yield from map(printable, node.constants)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
