"""Errors as charts, in u on a logarithmic scale: of outputs, and of nodes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from normonnx.core.node_errors import NodeError, NodeErrors
from normonnx.core.verdicts import Comparison, Divergence, Verdict
from normonnx.reporting.figures import count, multiple, printable
from normonnx.reporting.html import canvas
from normonnx.reporting.html.canvas import Words
from normonnx.reporting.html.dressing import COLOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH: Final = 760.0
_ROW: Final = 26.0
_MOST_ROWS: Final = 24
_LABEL: Final = 34  # characters
_LETTER: Final = 6.4
_MOST_MARKS: Final = 400  # of one kind; more nodes share marks
_HEIGHT: Final = 300.0
_LARGEST_IN_FULL: Final = 4  # exponent
_LEAST: Final = 1e-3  # u; errors of 0 are drawn here
_COLOR_OF: Final = {
    Verdict.PASS: "pass",
    Verdict.MISMATCH: "mismatch",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.UNAVAILABLE: "inconclusive",
    Verdict.INVALID: "mismatch",
}
OUTPUT_LEGEND: Final = (
    ("dot k-pass", "error"),
    ("diamond k-floor", "noise floor of float64"),
    ("tick k-limit", "the verdict's line"),
)
NODE_LEGEND: Final = (
    ("dot k-local", "added by the node itself"),
    ("ring k-total", "gathered up to the node"),
    ("line k-floor", "noise floor of float64"),
    ("dash k-limit", "the line: more than roundoff explains"),
)


def shown_outputs(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The worst case of each output, question and backend that has an error; the worst first."""
    worst: dict[tuple[str, str, str], Comparison] = {}
    for one in comparisons:
        if math.isnan(one.error):
            continue
        key = (one.question, one.backend, one.output)
        if key not in worst or _badness(one) > _badness(worst[key]):
            worst[key] = one
    return sorted(worst.values(), key=_badness, reverse=True)[:_MOST_ROWS]


def _badness(one: Comparison) -> float:
    return -1.0 if math.isnan(one.ratio) else one.ratio


def outputs(shown: Sequence[Comparison], *, identifier: str) -> str:
    """Error, floor and line of each output.

    Args:
        shown: What `shown_outputs` chose, at least one.
        identifier: Unique in the page.
    """
    several = len({(one.question, one.backend) for one in shown}) > 1
    labels = [_label(one, several=several) for one in shown]
    left = 16 + _LETTER * max(map(len, labels))
    with canvas.settings():
        made = canvas.figure(_WIDTH, _ROW * len(shown) + 62)
        plot = canvas.axes(made, left=left, bottom=44, right=30)
        low, high = _limits(
            [value for one in shown for value in (one.error, one.floor, one.floor * one.allowed)]
        )
        _log(plot, "x", low, high, "error in u, the roundoff of the output's type")
        plot.set_yticks(range(len(shown)), labels)
        for tick in plot.get_yticklabels():
            tick.set_color(COLOR["ink"])
        plot.set_ylim(len(shown) - 0.4, -0.6)
        plot.spines["left"].set_visible(False)
        for row, one in enumerate(shown):
            _output(plot, row, one, (low, high))
        return canvas.svg(made, Words(identifier, "Errors of outputs", _outputs_said(shown)))


def _label(one: Comparison, *, several: bool) -> str:
    by = f" · {one.backend}" if several else ""
    name = printable(one.output) or "model"
    room = max(8, _LABEL - len(by))
    return f"{name if len(name) <= room else f'{name[: room - 1]}…'}{by}"


def _output(plot: Axes, row: int, one: Comparison, limits: tuple[float, float]) -> None:
    low, high = limits
    line = one.floor * one.allowed
    marks = [_within(value, low, high) for value in (one.error, one.floor, line)]
    known = [value for value in marks if value is not None]
    plot.hlines(row, min(known), max(known), color=COLOR["grid"], linewidth=2)
    if marks[1] is not None and one.floor > 0:
        plot.plot(marks[1], row, "D", color=COLOR["floor"], markersize=7)
    if marks[2] is not None and line > 0:
        plot.plot([marks[2]] * 2, [row - 0.34, row + 0.34], color=COLOR["limit"], linewidth=2.5)
    color = COLOR[_COLOR_OF[one.verdict]]
    if marks[0] is not None:
        mark = ">" if math.isinf(one.error) else "o"
        plot.plot(marks[0], row, mark, color=color, markersize=10)


def _outputs_said(shown: Sequence[Comparison]) -> str:
    said = [
        f"{one.output or 'model'} on {one.backend}: error {multiple(one.error)} u, noise floor "
        f"{multiple(one.floor)} u, allowed {multiple(one.floor * one.allowed)} u, {one.verdict}"
        for one in shown
    ]
    return printable("; ".join(said))


def nodes(found: NodeErrors, divergence: Divergence | None, *, identifier: str) -> str:
    """What each node adds, what has gathered there, the floor and the line, in graph order.

    Args:
        found: At least one node.
        divergence: Where the error begins, to be marked.
        identifier: Unique in the page.
    """
    groups = _groups(found.nodes)
    values = [v for one in found.nodes for v in (one.local, one.total, one.floor * found.factor)]
    with canvas.settings():
        made = canvas.figure(_WIDTH, _HEIGHT)
        plot = canvas.axes(made, left=68, bottom=44, right=12, top=26 if divergence else 10)
        low, high = _limits([*values, *(one.floor for one in found.nodes)])
        _log(plot, "y", low, high, "error in u")
        plot.set_xlim(-0.02 * len(found.nodes) - 1, 1.02 * len(found.nodes))
        plot.set_xlabel(_across(found, len(groups)))
        middles = [(start + end - 1) / 2 for start, end in groups]
        _stripe(plot, middles, _worst(found.nodes, groups, "floor"), 1.0, "floor", "-")
        _stripe(plot, middles, _worst(found.nodes, groups, "floor"), found.factor, "limit", "--")
        for name, mark, size in (("total", "o", 5.0), ("local", "o", 4.0)):
            worst = [_within(v, low, high) for v in _worst(found.nodes, groups, name)]
            fill = "none" if name == "total" else COLOR["local"]
            kept = [(x, y) for x, y in zip(middles, worst, strict=True) if y is not None]
            plot.plot(
                [x for x, _ in kept],
                [y for _, y in kept],
                mark,
                markersize=size,
                markerfacecolor=fill,
                markeredgecolor=COLOR[name],
                linestyle="none",
            )
        _mark(plot, found, divergence)
        return canvas.svg(made, Words(identifier, "Errors of nodes", _nodes_said(found)))


def _across(found: NodeErrors, marks: int) -> str:
    each = math.ceil(len(found.nodes) / marks)
    if each == 1:
        return f"{count(len(found.nodes), 'node')}, in the order of the graph"
    return (
        f"{len(found.nodes):,} nodes, in the order of the graph; each mark is the worst of {each}"
    )


def _groups(every: Sequence[NodeError]) -> list[tuple[int, int]]:
    """First and past the last of the nodes that share marks."""
    each = math.ceil(len(every) / _MOST_MARKS)
    return [(at, min(at + each, len(every))) for at in range(0, len(every), each)]


def _worst(every: Sequence[NodeError], groups: Sequence[tuple[int, int]], name: str) -> list[float]:
    """The largest of some figure in each group; NaN where none is known."""
    found = []
    for start, end in groups:
        values = [getattr(one, name) for one in every[start:end]]
        known = [value for value in values if not math.isnan(value)]
        found.append(max(known, default=math.nan))
    return found


def _stripe(  # noqa: PLR0913, PLR0917  # a line and how it is drawn
    plot: Axes,
    middles: Sequence[float],
    values: Sequence[float],
    factor: float,
    name: str,
    style: str,
) -> None:
    kept = [
        (x, factor * y) for x, y in zip(middles, values, strict=True) if 0 < factor * y < math.inf
    ]
    plot.plot(
        [x for x, _ in kept],
        [y for _, y in kept],
        style,
        color=COLOR[name],
        linewidth=1.4,
        drawstyle="steps-mid",
    )


def _mark(plot: Axes, found: NodeErrors, divergence: Divergence | None) -> None:
    """Mark the node where the error begins."""
    if divergence is None:
        return
    for place, one in enumerate(found.nodes):
        if divergence.node == one.node or divergence.tensor == one.tensor:
            plot.axvline(place, color=COLOR["mismatch"], linewidth=1.6)
            right = place > len(found.nodes) / 2
            against = "" if divergence.question == found.question else " against the reference"
            plot.annotate(
                f"first goes wrong{against}: {one.op_type}",
                (place, 1.0),
                (-6 if right else 6, 6),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="right" if right else "left",
                color=COLOR["mismatch"],
            )
            return


def _nodes_said(found: NodeErrors) -> str:
    known = [one for one in found.nodes if not math.isnan(one.ratio)]
    said = [f"{count(len(found.nodes), 'node')} of {found.backend} on {found.case} inputs"]
    if known:
        worst = max(known, key=lambda one: one.ratio)
        beyond = sum(one.ratio > found.factor for one in known)
        said.append(
            f"the largest error that a node adds, over its floor, is {multiple(worst.local)} u at "
            f"{worst.op_type} {worst.node!r}, {multiple(worst.ratio)} times the floor"
        )
        said.append(f"{count(beyond, 'node')} beyond the line of {found.factor:g} floors")
    return printable("; ".join(said))


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Whole powers of ten around what is finite, with room for 0 and infinity."""
    known = [value for value in values if _LEAST < value < math.inf]
    low = math.floor(math.log10(min(known, default=1.0)) - 0.1)
    high = math.ceil(math.log10(max(known, default=1.0)) + 0.1)
    if any(math.isinf(value) for value in values):
        high += 1
    return 10.0 ** max(low, -3), 10.0 ** max(high, low + 2)


def _within(value: float, low: float, high: float) -> float | None:
    """Where a value is drawn; 0 at the lower end, infinity at the upper."""
    if math.isnan(value):
        return None
    return min(max(value, low * 1.15), high / 1.15)


def _log(plot: Axes, axis: Literal["x", "y"], low: float, high: float, title: str) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    one = plot.xaxis if axis == "x" else plot.yaxis
    (plot.set_xscale if axis == "x" else plot.set_yscale)("log")
    (plot.set_xlim if axis == "x" else plot.set_ylim)(low, high)
    first, last = round(math.log10(low)), round(math.log10(high))
    step = max(1, math.ceil((last - first) / 8))
    one.set_major_locator(FixedLocator([10.0**n for n in range(first, last + 1, step)]))
    one.set_major_formatter(FuncFormatter(lambda value, _place: _power(value)))
    one.set_minor_locator(NullLocator())
    (plot.set_xlabel if axis == "x" else plot.set_ylabel)(title)
    plot.grid(axis=axis, zorder=0)
    plot.set_axisbelow(True)


def _power(value: float) -> str:
    exponent = round(math.log10(value))
    if 0 <= exponent <= _LARGEST_IN_FULL:
        return f"{10**exponent:,}"
    return f"{10.0**exponent:g}" if -_LARGEST_IN_FULL < exponent < 0 else f"1e{exponent}"
