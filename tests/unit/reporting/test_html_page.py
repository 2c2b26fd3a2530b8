"""Reports as HTML: what is escaped, what the policy allows, what each kind of block becomes."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from typing import Final

import pytest

from normonnx.core.verdicts import Verdict
from normonnx.reporting.html.blocks import (
    Block,
    Column,
    Details,
    Facts,
    Gallery,
    Legend,
    Listing,
    Page,
    Paragraph,
    Picture,
    Section,
    Table,
    Tile,
    Tiles,
)
from normonnx.reporting.html.embedding import embedded
from normonnx.reporting.html.page import plain, render, shown

pytest.importorskip("jinja2", reason="reports need normonnx[report]")

HOSTILE: Final = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7*7 }}{% raw %}",
    "a\u2028b\u2029c",
    "\x00\x1b[31m\u202egnp.exe",
    "]]>&lt;&amp;",
    "\ud800 lone",
)


class _Seen(HTMLParser):
    """The tags, attributes and texts of a document, as a browser finds them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("script", "style") and self.scripts and not self.scripts[-1][1]:
            self.scripts[-1] = (self.scripts[-1][0], data)
        else:
            self.text.append(data)


def _seen(page: Page) -> _Seen:
    found = _Seen()
    found.feed(render(page))
    return found


def _blocks(text: str) -> tuple[Block, ...]:
    columns = (Column(text, meaning=text), Column(text, numeric=True))
    listed = (Column(text, choice=True), Column(text, numeric=True), Column(text, folded=True))
    return (
        Tiles((Tile(text, text, text, Verdict.PASS),)),
        Facts(((text, text),)),
        Facts(((text, text),), copied=True),
        *(Paragraph(text, tone) for tone in ("plain", "quiet", "warning", "fault", "code")),
        Table(columns, ((text, 1.5), (Verdict.MISMATCH, None)), text),
        Listing("list", listed, ((text, 1.5, text),), "node"),
        Picture("<svg></svg>", text),
        Gallery((Picture("<svg></svg>", text, wide=False),)),
        Legend((("dot", text),)),
        Details(text, (Paragraph(text),), text),
    )


def _page(text: str) -> Page:
    section = Section("one", text, _blocks(text), text)
    return Page(text, text, text, (section,), Verdict.MISMATCH, text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever stands in a report, the page has the tags and attributes of a harmless one."""
    harmless, hostile = _seen(_page("x" * 31)), _seen(_page(text.ljust(31, "x")))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in harmless.tags]
    for (tag, found), (_, expected) in zip(hostile.tags, harmless.tags, strict=True):
        assert set(found) == set(expected), tag
    assert not any("\x1b" in part or "\u202e" in part for part in hostile.text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_listing_travels_as_json_that_no_parser_leaves(text: str) -> None:
    """Inside the script element there is neither "<" nor anything but ASCII; it reads back."""
    block = Listing("list", (Column(text),), ((text,),), text)
    inside = embedded(plain(block))
    assert inside.isascii()
    assert not set("<>&") & set(inside)
    found = json.loads(inside)
    assert found["columns"][0]["title"] == text
    assert found["rows"][0][0].isprintable()


def test_a_number_that_json_lacks_is_no_silent_nan() -> None:
    """NaN is nothing, infinity is a word; anything else non-finite is refused."""
    block = Listing("list", (Column("a"),), ((math.nan,), (math.inf,), (-math.inf,), (1 / 3,)))
    assert [row[0] for row in plain(block)["rows"]] == [None, "inf", "-inf", 0.3333]
    with pytest.raises(ValueError, match="JSON"):
        embedded({"a": math.nan})


def test_the_policy_allows_the_page_s_own_script_and_style_and_nothing_else() -> None:
    """By hash; no request of any kind, no inline style, no inline handler."""
    page = render(_page("x"))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.replace("&#39;", "'").split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert set(rules) == {"style-src", "script-src"}
    for rule, tag in (("style-src", "style"), ("script-src", "script")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_the_page_names_nothing_outside_itself() -> None:
    """No address, no style attribute, no handler, in the page, its style sheet and its script."""
    page = render(_page("x"))
    assert not re.findall(r"(?:https?:)?//[a-z]", page)
    assert "url(" not in page
    assert "@import" not in page
    for tag, attributes in _seen(_page("x")).tags:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}, tag
        assert not {"src", "srcset", "action"} & set(attributes), tag
        assert all(str(attributes[name]).startswith("#") for name in {"href"} & set(attributes))


def test_the_script_makes_no_markup_of_text() -> None:
    """It sets texts and attributes alone."""
    script = _seen(_page("x")).scripts[-1][1]
    assert "use strict" in script
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
    ):
        assert word not in script


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "inf"),
        (9.33, "9.3"),
        (12345, "12,345"),
        (1.5e7, "1.5e+07"),
        (Verdict.PASS, "pass"),
        ("a\nb", "a\\nb"),
    ],
)
def test_cells_are_shown_as_everywhere_else(cell: float | str | None, text: str) -> None:
    """Errors with two digits, counts with separators, names in one line."""
    assert shown(cell) == text


def test_sections_are_announced_and_ids_are_unique() -> None:
    """Each section has a heading, a place in the navigation, and every id is there once."""
    sections = tuple(Section(f"s-{n}", f"Section {n}", (Paragraph("p"),)) for n in range(3))
    seen = _seen(Page("bench", "title", "summary", sections))
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for number in range(3):
        assert ("a", {"href": f"#s-{number}"}) in seen.tags
        assert f"s-{number}" in ids
        assert ("h2", {"id": f"s-{number}-heading"}) in seen.tags


def test_the_same_page_gives_the_same_bytes() -> None:
    """Nothing of the moment is in it unless a section says so."""
    assert render(_page("x")) == render(_page("x"))
