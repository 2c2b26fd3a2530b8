"""Regions of normalizations as a picture, SVG or PNG.

Drawn like Figure 2 of Wu and He, Group Normalization, 2018: what shares the statistic of one output
is shaded. Two runs give the same bytes, whatever settings of matplotlib a user has.
"""

from __future__ import annotations

import io
import logging
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from normonnx.core.errors import UnavailableError, UsageError
from normonnx.core.explanations import NormExplained
from normonnx.core.files import replacing
from normonnx.core.regions import Region
from normonnx.reporting.isometry import Point, Tile, labels, tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: Final = (".svg", ".png")
_A_ROW: Final = 4  # panels beside one another
_DPI: Final = 200

# Inches. Panels are measured from their lower left corner.
_WIDTH, _HEIGHT, _LEGEND = 3.2, 3.7, 0.42
_CELL, _TABLE_CELL = 0.225, 0.3
_NAME_AT, _CUBE_AT, _CAPTION_AT, _LINE = 3.42, 2.05, 0.7, 0.17
_CAPTION_CHARACTERS: Final = 54
_SWATCH: Final = 0.13

_FILL: Final[Mapping[str, Mapping[str, str]]] = {
    "own": {"top": "#ffc46b", "left": "#f5a331", "right": "#e08a14"},
    "shared": {"top": "#9cc2ee", "left": "#5a97de", "right": "#3674c2"},
    "other": {"top": "#fbfcfd", "left": "#f2f4f7", "right": "#e4e8ed"},
}
_EDGE, _INK, _FAINT = "#54606b", "#1b2228", "#4d5963"
_MIDDLE: Final[Mapping[str, Any]] = {"ha": "center", "va": "center"}
_SETTINGS: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "svg.fonttype": "path",  # looks the same everywhere; title and desc hold the words
    "svg.hashsalt": "normonnx",
}


def format_of(picture: Path) -> str:
    """The format that a file's name asks for, "svg" or "png".

    Raises:
        UsageError: It asks for another one.
    """
    suffix = picture.suffix.lower()
    if suffix not in FORMATS:
        found = f"ends in {suffix}" if suffix else "has no suffix"
        message = (
            f"--picture {picture} {found}; expected a file that ends in {' or '.join(FORMATS)}"
        )
        raise UsageError(message)
    return suffix.removeprefix(".")


def check_installed() -> None:
    """Check that there is something to draw with.

    Raises:
        UnavailableError: matplotlib is missing.
    """
    try:
        with quiet():
            import matplotlib.figure  # noqa: F401  # only asked for
    except ImportError as error:
        message = f'--picture needs matplotlib ({error}); pip install "normonnx[report]"'
        raise UnavailableError(message) from error


def draw(norms: Sequence[NormExplained], picture: Path) -> None:
    """Write a picture of normalizations, side by side; whole or not at all.

    Raises:
        UnavailableError: matplotlib is missing.
        UsageError: The file's name asks for another format than SVG or PNG.
        OSError: The file can't be written.
    """
    content = render(norms, format_of(picture))
    with replacing(picture) as temporary:
        temporary.write_bytes(content)


def render(norms: Sequence[NormExplained], kind: str) -> bytes:
    """The picture as the bytes of an SVG or a PNG.

    Args:
        norms: From left to right, four in a row.
        kind: "svg" or "png".

    Raises:
        UnavailableError: matplotlib is missing.
    """
    check_installed()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    title, said = ", ".join(norm.name for norm in norms), in_words(norms)
    metadata = (
        {"Title": title, "Date": None, "Creator": None}
        if kind == "svg"
        else _png_words(title, said)
    )
    columns = min(_A_ROW, len(norms))
    rows = math.ceil(len(norms) / columns)
    width, height = _WIDTH * columns, _HEIGHT * rows + _LEGEND
    buffer = io.BytesIO()
    with quiet(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(width, height), facecolor="white")
        for place, norm in enumerate(norms):
            row, column = divmod(place, columns)
            bottom = height - (row + 1) * _HEIGHT
            frame = (column / columns, bottom / height, 1 / columns, _HEIGHT / height)
            _panel(figure.add_axes(frame), norm)
        _legend(figure.add_axes((0, 0, 1, _LEGEND / height)), width, norms)
        figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
    content = buffer.getvalue()
    return _with_description(content, said) if kind == "svg" else content


def in_words(norms: Sequence[NormExplained]) -> str:
    """The picture for those who can't see it."""
    said = [
        f"{norm.name}: {_elements(norm.region)}; {'; '.join(norm.region.statistics)}."
        for norm in norms
    ]
    return " ".join(said)


def _elements(region: Region) -> str:
    shared = len(region.around(region.example, region.cube))
    body = "table" if region.layout == "NC" else "cube"
    sizes = f"{region.cube.samples} samples and {region.cube.channels} {region.channel}s"
    sizes += "" if region.layout == "NC" else f" at {region.cube.positions} positions"
    return f"a {body} of {sizes} with {shared} of {region.cube.size} elements shaded"


def _png_words(title: str, said: str) -> dict[str, str | None]:
    return {"Title": title, "Description": said, "Software": None}


def _with_description(svg: bytes, said: str) -> bytes:
    """The SVG with a `desc` behind its `title`, as one image for screen readers."""
    text = svg.decode("utf-8").replace("<svg ", '<svg role="img" ', 1)
    described = f"</title>\n <desc>{escape(said)}</desc>"
    return text.replace("</title>", described, 1).encode("utf-8")


@contextmanager
def quiet() -> Iterator[None]:
    """Without what matplotlib logs and no user can change: that it builds a cache of fonts."""
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _panel(axes: Axes, norm: NormExplained) -> None:
    """One normalization: its name, its cube, and below in words what the statistics are."""
    from matplotlib.patches import Polygon

    _blank(axes, _WIDTH, _HEIGHT)
    region = norm.region
    shared, seen = region.around(region.example, region.cube), tiles(region)
    cell = _TABLE_CELL if region.layout == "NC" else _CELL
    middle = _middle(seen)
    for number, tile in enumerate(seen):
        kind = "shared" if tile.element in shared else "other"
        kind = "own" if tile.element == region.example else kind
        patch = Polygon(
            [_placed(corner, middle, cell) for corner in tile.corners],
            facecolor=_FILL[kind][tile.face],
            edgecolor=_EDGE,
            linewidth=0.6,
            joinstyle="round",
            gid=f"{norm.name}-{kind}-{number}",
        )
        axes.add_patch(patch)
    for label in labels(region):
        axes.text(*_placed(label.at, middle, cell), label.text, size=10, color=_FAINT, **_MIDDLE)
    axes.text(_WIDTH / 2, _NAME_AT, norm.name, size=13, weight="bold", color=_INK, **_MIDDLE)
    wrapped = [textwrap.wrap(clause, _CAPTION_CHARACTERS) for clause in region.statistics]
    for number, line in enumerate(chain.from_iterable(wrapped)):
        at = _CAPTION_AT - _LINE * number
        axes.text(_WIDTH / 2, at, line, size=8, color=_INK, **_MIDDLE)


def _middle(seen: Sequence[Tile]) -> Point:
    corners = [corner for tile in seen for corner in tile.corners]
    across, up = zip(*corners, strict=True)
    return (min(across) + max(across)) / 2, (min(up) + max(up)) / 2


def _placed(point: Point, middle: Point, cell: float) -> Point:
    """A point of the plane, in inches on the panel."""
    x, y = point[0] - middle[0], point[1] - middle[1]
    return _WIDTH / 2 + cell * x, _CUBE_AT + cell * y


def _legend(axes: Axes, width: float, norms: Sequence[NormExplained]) -> None:
    """What the colours are."""
    from matplotlib.patches import Rectangle

    _blank(axes, width, _LEGEND)
    entries = [("own", "one output")]
    if any(norm.region.measures for norm in norms):
        entries.append(("shared", "what shares its statistic"))
    at = (width - sum(_length(text) for _, text in entries)) / 2
    low = (_LEGEND - _SWATCH) / 2
    for kind, text in entries:
        fill = _FILL[kind]["left"]
        axes.add_patch(
            Rectangle((at, low), _SWATCH, _SWATCH, facecolor=fill, edgecolor=_EDGE, linewidth=0.6)
        )
        beside = at + 1.5 * _SWATCH
        axes.text(beside, _LEGEND / 2, text, size=8, color=_FAINT, ha="left", va="center_baseline")
        at += _length(text)


def _length(text: str) -> float:
    """About how many inches an entry of the legend takes."""
    return 0.42 + 0.062 * len(text)


def _blank(axes: Axes, width: float, height: float) -> None:
    """No frame; inches are the unit."""
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
