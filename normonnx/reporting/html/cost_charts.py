"""What models cost, and what they are made of, as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from normonnx.core.intervals import Interval
from normonnx.core.measurements import Measurements
from normonnx.reporting.figures import printable
from normonnx.reporting.html import canvas
from normonnx.reporting.html.canvas import Words
from normonnx.reporting.html.dressing import COLOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH: Final = 760.0
_ROW: Final = 34.0
_LETTER: Final = 6.4
_MOST: Final = 14


def times(found: Measurements, *, identifier: str) -> str:
    """Time of a run and of creating a session, each with its interval, from 0."""
    shown = {
        "one run": [(one.label, one.run) for one in found.models],
        "creating a session": [(one.label, one.session) for one in found.models],
    }
    names = [one.label for one in found.models]
    left = 18 + _LETTER * max(map(len, names))
    with canvas.settings():
        made = canvas.figure(_WIDTH, _ROW * max(len(names), 2) + 66)
        width = (_WIDTH - 2 * left - 44) / 2
        for number, (title, spreads) in enumerate(shown.items()):
            start = left + number * (left + width + 24)
            plot = canvas.axes(made, left=start, bottom=40, right=_WIDTH - start - width, top=26)
            _bars(plot, spreads)
            plot.set_title(title, loc="left", fontsize=12, color=COLOR["ink"])
            plot.set_xlabel("milliseconds")
        return canvas.svg(made, Words(identifier, "Time of a run and of a session", said(found)))


def _bars(plot: Axes, spreads: Sequence[tuple[str, Interval]]) -> None:
    for row, (label, spread) in enumerate(spreads):
        color = COLOR["before" if label == "before" else "after"]
        plot.barh(row, spread.median, height=0.52, color=color)
        plot.plot([spread.low, spread.high], [row, row], color=COLOR["ink"], linewidth=2)
        text = f"{spread.median:.3g}"
        plot.annotate(
            text,
            (max(spread.high, spread.median), row),
            (7, 0),
            textcoords="offset points",
            va="center",
            color=COLOR["ink"],
        )
    most = max(max(spread.high, spread.median) for _, spread in spreads)
    plot.set_xlim(0, 1.22 * most)
    plot.set_ylim(len(spreads) - 0.4, -0.6)
    plot.set_yticks(range(len(spreads)), [label for label, _ in spreads])
    plot.spines["left"].set_visible(False)
    plot.locator_params(axis="x", nbins=4)
    plot.grid(axis="x")
    plot.set_axisbelow(True)


def said(found: Measurements) -> str:
    """The figures in a sentence."""
    parts = [
        f"{one.label}: one run {one.run.median:.4g} ms ({one.run.low:.4g} to {one.run.high:.4g}), "
        f"a session {one.session.median:.4g} ms"
        for one in found.models
    ]
    return printable("; ".join(parts))


def operators(before: Mapping[str, int], after: Mapping[str, int], *, identifier: str) -> str:
    """How many nodes of each operator, before and after; those that changed most first."""
    names = sorted({*before, *after}, key=lambda name: _change(name, before, after), reverse=True)
    names = names[:_MOST]
    labels = [printable(name)[:32] for name in names]
    left = 18 + _LETTER * max(map(len, labels))
    with canvas.settings():
        made = canvas.figure(_WIDTH, 30.0 * len(names) + 50)
        plot = canvas.axes(made, left=left, bottom=40, right=24)
        for row, name in enumerate(names):
            for numbers, kind, shift in ((before, "before", -0.19), (after, "after", 0.19)):
                number = numbers.get(name, 0)
                plot.barh(row + shift, number, height=0.34, color=COLOR[kind])
                plot.annotate(
                    str(number),
                    (number, row + shift),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9.5,
                    color=COLOR["muted"],
                )
        plot.set_yticks(range(len(names)), labels)
        for tick in plot.get_yticklabels():
            tick.set_color(COLOR["ink"])
        plot.set_ylim(len(names) - 0.4, -0.6)
        plot.spines["left"].set_visible(False)
        plot.set_xlabel("nodes")
        plot.locator_params(axis="x", nbins=8, integer=True)
        plot.grid(axis="x")
        plot.set_axisbelow(True)
        words = "; ".join(
            f"{name}: {before.get(name, 0)} before, {after.get(name, 0)} after" for name in names
        )
        return canvas.svg(made, Words(identifier, "Nodes by operator", printable(words)))


def _change(name: str, before: Mapping[str, int], after: Mapping[str, int]) -> tuple[int, int, str]:
    was, now = before.get(name, 0), after.get(name, 0)
    return abs(was - now), was + now, name
