"""A `Page` as HTML: one file, which asks for nothing and runs nothing but its own script.

Jinja escapes every text. The page's policy allows the style sheet and the script below by their
hashes and nothing else: no request, no other script, no inline style, should a name ever get
through.
"""

from __future__ import annotations

import base64
import hashlib
import math
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from normonnx.core.verdicts import Verdict
from normonnx.core.version import VERSION
from normonnx.reporting import graph_picture
from normonnx.reporting.figures import multiple, printable
from normonnx.reporting.html.blocks import Cell, Listing, Page
from normonnx.reporting.html.embedding import embedded

if TYPE_CHECKING:
    import jinja2

_ASSETS: Final = "normonnx.reporting.html"
_TEMPLATE: Final = "page.html.jinja"


def render(page: Page) -> str:
    """The page as an HTML document.

    Raises:
        UnavailableError: jinja2 is missing; see `canvas.check_installed`.
    """
    style, script = _style(), _asset("page.js")
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            page=page,
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
            version=VERSION,
        )
    )


@cache
def _environment() -> jinja2.Environment:
    import jinja2
    from markupsafe import Markup

    made = jinja2.Environment(
        autoescape=True,
        loader=jinja2.FunctionLoader(_asset),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["cell"] = shown
    made.filters["printable"] = printable
    made.filters["drawing"] = Markup  # a `Picture`'s own: see there
    made.filters["listing"] = lambda block: Markup(embedded(plain(block)))  # noqa: S704  # escaped
    made.tests["verdict"] = lambda cell: isinstance(cell, Verdict)
    return made


def shown(cell: Cell) -> str:
    """A cell as text."""
    if cell is None:
        return "–"
    if isinstance(cell, Verdict):
        return cell.value
    if isinstance(cell, float):
        return "–" if math.isnan(cell) else multiple(cell)
    return f"{cell:,}" if isinstance(cell, int) else printable(cell)


def plain(block: Listing) -> dict[str, Any]:
    """A listing as the script reads it; a number that has no JSON is a string."""
    columns = [
        {
            "title": column.title,
            "numeric": column.numeric,
            "folded": column.folded,
            "choice": column.choice,
        }
        for column in block.columns
    ]
    return {
        "noun": block.noun,
        "columns": columns,
        "rows": [[_plain(cell) for cell in row] for row in block.rows],
    }


def _plain(cell: Cell) -> str | int | float | None:
    if isinstance(cell, float):
        if math.isnan(cell):
            return None
        return float(f"{cell:.4g}") if math.isfinite(cell) else multiple(cell)
    if isinstance(cell, str):
        return printable(str(cell))
    return cell


def _style() -> str:
    light, dark = graph_picture.variables()
    return (
        _asset("page.css")
        .replace("/*light*/", light)
        .replace("/*dark*/", dark)
        .replace("/*picture*/", graph_picture.STYLE)
    )


def _asset(name: str) -> str:
    return (files(_ASSETS) / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy calls a style sheet or a script by."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
