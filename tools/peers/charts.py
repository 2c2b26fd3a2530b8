"""The figures as pictures: SVG, each with a title and a description for those who can't see it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.peers.contenders import PEERS
from tools.peers.figures import HINTED, OURS, Figures, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from normonnx.core.intervals import Interval

LATENCY: Final = "latency.svg"
OPTIMIZING: Final = "optimizing.svg"
_ROW: Final = 0.85  # inches for a model
_WIDTH: Final = 9.0
_INK: Final = "#444444"
_OURS: Final = "#c2410c"
_MARKERS: Final = "osD^v<>pPX*h"


def draw(found: Sequence[Figures], folder: Path) -> list[Path]:
    """Draw how fast results run, and how long optimizing takes.

    Returns:
        The files.
    """
    names = [OURS, HINTED, *(name for name in PEERS if name != OURS)]
    _draw(
        found,
        names,
        lambda row: row.speedup,
        folder / LATENCY,
        ("Times as fast as the original in a plain ONNX Runtime session", 1.0, False),
    )
    _draw(
        found,
        [name for name in names if name != HINTED],
        lambda row: row.optimize_ms,
        folder / OPTIMIZING,
        ("Milliseconds to optimize a model, of the processor", None, True),
    )
    return [folder / LATENCY, folder / OPTIMIZING]


def _draw(
    found: Sequence[Figures],
    names: Sequence[str],
    value: Callable[[Row], Interval | None],
    path: Path,
    about: tuple[str, float | None, bool],
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    title, line, logarithmic = about
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        figure, axes = plt.subplots(figsize=(_WIDTH, 1.6 + _ROW * len(found)))
        for number, name in enumerate(names):
            _points(axes, found, (number, len(names), name), value)
        axes.set_yticks(range(len(found)), [one.name for one in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        if line is not None:
            axes.axvline(line, color=_INK, linewidth=0.8)
        axes.set_xscale("log" if logarithmic else "linear")
        axes.set_title(title, loc="left", fontsize=11)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=4, frameon=False)
        figure.savefig(path, bbox_inches="tight", metadata={"Title": title, "Date": None})
        plt.close(figure)
    path.write_text(described(path.read_text("utf-8"), title, _said(found, names, value)), "utf-8")


def _points(
    axes: Any,  # noqa: ANN401  # of matplotlib, which is not always installed
    found: Sequence[Figures],
    which: tuple[int, int, str],
    value: Callable[[Row], Interval | None],
) -> None:
    number, count, name = which
    places, middles, below, above = [], [], [], []
    for row, one in enumerate(found):
        shown = value(one.rows[name]) if name in one.rows else None
        if shown is not None:
            places.append(row - 0.38 + 0.76 * number / max(1, count - 1))
            middles.append(shown.median)
            below.append(shown.median - shown.low)
            above.append(shown.high - shown.median)
    if places:
        axes.errorbar(
            middles,
            places,
            xerr=[below, above],
            fmt=_MARKERS[number % len(_MARKERS)],
            color=_OURS if name.startswith(OURS) else None,
            markersize=5,
            linewidth=1,
            label=name,
        )


def _said(
    found: Sequence[Figures], names: Sequence[str], value: Callable[[Row], Interval | None]
) -> str:
    """The picture in words."""
    parts = []
    for one in found:
        shown = {name: value(one.rows[name]) for name in names if name in one.rows}
        figures = [f"{name} {each.median:.3g}" for name, each in shown.items() if each is not None]
        parts.append(f"{one.name}: {', '.join(figures)}")
    return "; ".join(parts)


def described(svg: str, title: str, description: str) -> str:
    """An SVG with a title and a description for screen readers."""
    from xml.sax.saxutils import escape

    head, mark, rest = svg.partition("<svg ")
    attributes, end, body = rest.partition(">")
    named = f'{attributes} role="img" aria-labelledby="chart-title chart-description"'
    words = (
        f'<title id="chart-title">{escape(title)}</title>\n'
        f'<desc id="chart-description">{escape(description)}</desc>\n'
    )
    return f"{head}{mark}{named}{end}\n{words}{body}"
