"""Matplotlib's SVG made ready for a page: no styles, no colors of its own, no ids that clash.

A page whose policy forbids inline styles ignores `style` attributes, so each declaration becomes a
presentation attribute (SVG 2, section 6.6). Colors of `PALETTE` become classes, for which the page
has a light and a dark value.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Final

_HREF: Final = "{http://www.w3.org/1999/xlink}href"
_NAMESPACE: Final = re.compile(r"^\{[^}]*\}")
_FONT: Final = re.compile(r"(?:(?P<weight>\d+|bold) )?(?P<size>[\d.]+)px")
_REFERENCE: Final = re.compile(r"#([\w.-]+)")
_KEPT: Final = frozenset({"svg", "g", "path", "use", "defs", "clipPath", "rect", "text", "tspan"})

# What charts are drawn with: colors that stand for a role in the page.
PALETTE: Final[Mapping[str, str]] = {
    "#000001": "ink",
    "#000002": "muted",
    "#000003": "grid",
    "#000004": "paper",
    "#000011": "before",
    "#000012": "after",
    "#000013": "local",
    "#000014": "total",
    "#000015": "floor",
    "#000016": "limit",
    "#000017": "pass",
    "#000018": "mismatch",
    "#000019": "inconclusive",
    # the picture of axes
    "#1b2228": "ink",
    "#4d5963": "muted",
    "#54606b": "edge",
}
_NOTHING: Final = "#ffffff"  # the paper of a picture is the page's own
COLOR: Final[Mapping[str, str]] = {role: color for color, role in reversed(list(PALETTE.items()))}


def dressed(svg: bytes | str, identifier: str, title: str, words: str) -> str:
    """An SVG document of matplotlib as one element for a page.

    Args:
        svg: The document.
        identifier: What ids begin with; unique in the page.
        title: What it shows, for screen readers.
        words: The same in a sentence or two.
    """
    root = ET.fromstring(svg)  # noqa: S314  # matplotlib's own
    used = set(_REFERENCE.findall(" ".join(v for e in root.iter() for v in e.attrib.values())))
    made = _copied(root, identifier, used)
    box = made.get("viewBox", "0 0 100 100")
    _, _, width, height = box.split()
    made.attrib.clear()
    made.attrib.update(
        {
            "class": "chart",
            "role": "img",
            "aria-labelledby": f"{identifier}-title {identifier}-desc",
            "viewBox": box,
            "width": width,
            "height": height,
        }
    )
    desc = ET.Element("desc", {"id": f"{identifier}-desc"})
    desc.text = words
    heading = ET.Element("title", {"id": f"{identifier}-title"})
    heading.text = title
    made.insert(0, heading)
    made.insert(1, desc)
    return ET.tostring(made, encoding="unicode")


def _copied(element: ET.Element, identifier: str, used: set[str]) -> ET.Element:
    made = ET.Element(_NAMESPACE.sub("", element.tag))
    made.text = element.text if made.tag in ("text", "tspan") else None
    for name, value in element.attrib.items():
        _take(made, name, value, identifier, used)
    for child in element:
        if _NAMESPACE.sub("", str(child.tag)) in _KEPT:
            made.append(_copied(child, identifier, used))
    if made.tag == "text" and "k-" not in made.get("class", ""):
        made.set("class", "k-ink-fill")
    return made


def _take(made: ET.Element, name: str, value: str, identifier: str, used: set[str]) -> None:
    """Take one attribute over, where it means something in a page."""
    if name == "style":
        for declaration in value.split(";"):
            _declare(made, *(part.strip() for part in declaration.partition(":")[::2]))
    elif name == "id":
        if value in used:
            made.set("id", f"{identifier}-{value}")
    elif name in (_HREF, "clip-path"):
        made.set(name.replace(_HREF, "href"), value.replace("#", f"#{identifier}-"))
    elif name == "d":
        made.set("d", " ".join(value.split()))
    elif not name.startswith("{"):
        made.set(name, value)


def _declare(made: ET.Element, name: str, value: str) -> None:
    """A declaration as an attribute, a color as a class."""
    if name in ("fill", "stroke") and value in PALETTE:
        made.set("class", f"{made.get('class', '')} k-{PALETTE[value]}-{name}".strip())
    elif name == "fill" and value == _NOTHING:
        made.set("fill", "none")
    elif name == "font":
        found = _FONT.search(value)
        if found:
            made.set("font-size", found["size"])
            if found["weight"]:
                made.set("font-weight", found["weight"])
    elif name == "font-size":
        made.set(name, value.removesuffix("px"))
    elif name and name != "font-family":
        made.set(name, value)
