"""What an optimization did, as sections of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from normonnx.core.events import Event, Obstacle, OptimizeReport
from normonnx.core.inspection import Inspection
from normonnx.core.intervals import Interval
from normonnx.core.listing import Neighborhood
from normonnx.core.measurements import Measurements
from normonnx.core.verdicts import ValidationReport
from normonnx.reporting import graph_picture
from normonnx.reporting.figures import count, size
from normonnx.reporting.grouping import Group, group
from normonnx.reporting.html import comparison, cost_charts
from normonnx.reporting.html.blocks import (
    Block,
    Column,
    Details,
    Facts,
    Legend,
    Paragraph,
    Picture,
    Section,
    Table,
    Tile,
    Tiles,
)

NOT_MEASURED: Final = "not measured"
_NAMED: Final = 200  # nodes of a group that are listed
_PLACES: Final = (
    ("np-gone", "goes"),
    ("np-new", "is new"),
    ("np-changed", "has other weights or inputs"),
    ("np-kept", "stays"),
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A model before and after.

    Attributes:
        report: What was done.
        before: What the model held.
        after: What it holds now.
        sizes: Bytes on disk, before and after; None where there is no file.
        measured: What both cost; with a reason where that was not measured.
        places: Pictures by the name of an event's node and its reason.
        judged: How right it is, where that is known.
    """

    report: OptimizeReport
    before: Inspection
    after: Inspection
    sizes: tuple[int, int | None]
    measured: Measurements
    places: Mapping[tuple[str, str], Neighborhood] = field(default_factory=dict)
    judged: ValidationReport | None = None


def overview(found: Rewritten) -> Section:
    """Before and after in figures."""
    blocks: list[Block] = [Tiles((*_tiles(found), *_answers(found))), _before_and_after(found)]
    if found.measured.models:
        chart = cost_charts.times(found.measured, identifier="times")
        blocks.append(Picture(chart, _how_measured(found.measured)))
    else:
        blocks.append(Paragraph(f"Latency {NOT_MEASURED}: {found.measured.reason}.", "quiet"))
    before, after = found.report.nodes_before, found.report.nodes_after
    if before != after:
        chart = cost_charts.operators(before, after, identifier="operators")
        legend = Legend((("bar k-before", "before"), ("bar k-after", "after")))
        blocks.append(Details("Nodes by operator", (legend, Picture(chart)), _nodes(found.report)))
    return Section("overview", "Before and after", tuple(blocks))


def _tiles(found: Rewritten) -> Iterator[Tile]:
    report = found.report
    before, after = (sum(n.values()) for n in (report.nodes_before, report.nodes_after))
    yield Tile("Nodes", f"{before:,} → {after:,}", _change(before, after))
    norms = len(found.before.norms), len(found.after.norms)
    yield Tile("Normalizations", f"{norms[0]:,} → {norms[1]:,}", _change(*norms))
    was, now = found.sizes
    if now is not None:
        yield Tile("Size", size(now), f"{size(was)} before, {_change(was, now)}")
    else:
        yield Tile("Size", size(was), "nothing was written")
    gain = found.measured.speedup
    if gain is None:
        yield Tile("One run", NOT_MEASURED)
        yield Tile("Session", NOT_MEASURED)
        return
    said = f"95 %: {_times(gain.low)} to {_times(gain.high)}"
    yield Tile("One run", _speed(gain), said)
    first, last = found.measured.models[0].session, found.measured.models[-1].session
    yield Tile("Session", f"{_ms(last)}", f"{_ms(first)} before")


def _answers(found: Rewritten) -> Iterator[Tile]:
    if found.judged is not None:
        yield from comparison.answers(found.judged)


def _speed(gain: Interval) -> str:
    """What can be said of a ratio of times: nothing where its interval holds 1."""
    if gain.low <= 1 <= gain.high:
        return "no difference"
    return f"{_times(gain.median)} as fast"


def _times(ratio: float) -> str:
    """A speedup."""
    return f"{ratio:.2f}×"


def _ms(spread: Interval) -> str:
    return f"{spread.median:.3g} ms"


def _change(before: int, after: int) -> str:
    if before == after:
        return "unchanged"
    if not before:
        return ""
    return f"{(after - before) / before:+.0%}".replace("-", "−")


def _nodes(report: OptimizeReport) -> str:
    return f"{sum(report.nodes_before.values()):,} → {sum(report.nodes_after.values()):,}"


def _before_and_after(found: Rewritten) -> Table:
    report, (was, now) = found.report, found.sizes
    rows: list[tuple[str, ...]] = [
        ("nodes", *(f"{sum(n.values()):,}" for n in (report.nodes_before, report.nodes_after))),
        ("normalizations", f"{len(found.before.norms):,}", f"{len(found.after.norms):,}"),
    ]
    counts = [Counter(norm.norm for norm in one.norms) for one in (found.before, found.after)]
    rows += [
        (f"– {name}", str(counts[0][name]), str(counts[1][name]))
        for name in sorted({*counts[0], *counts[1]})
    ]
    rows += [
        ("opset", str(report.opset_before), str(report.opset_after)),
        ("size on disk", size(was), "–" if now is None else size(now)),
        ("one run", *_spreads(found.measured, "run")),
        ("session creation", *_spreads(found.measured, "session")),
    ]
    columns = (Column(""), Column("before", numeric=True), Column("after", numeric=True))
    return Table(columns, tuple(rows), small=True)


def _spreads(measured: Measurements, name: str) -> tuple[str, str]:
    if not measured.models:
        return NOT_MEASURED, NOT_MEASURED
    first, last = (getattr(one, name) for one in (measured.models[0], measured.models[-1]))
    return _interval(first), _interval(last)


def _interval(found: Interval) -> str:
    return f"{found.median:.3g} ms [{found.low:.3g} {found.high:.3g}]"


def _how_measured(found: Measurements) -> str:
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in found.shapes.items())
    runs = found.models[0].run.samples
    return (
        f"Medians with their 95 % intervals: {runs} runs of each in turns, "
        f"{count(found.models[0].session.samples, 'session')} each, made anew; {found.backend}, "
        f"{count(found.threads, 'thread')}, inputs {shapes}."
    )


def changes(found: Rewritten) -> Section:
    """What was rewritten, group by group, each with its plan and a picture."""
    applied = found.report.applied
    if not applied:
        nothing = Paragraph("Nothing was rewritten.")
        return Section("rewritten", "What was rewritten", (nothing,))
    removed = sum(event.removed for event in applied)
    added = sum(event.added for event in applied)
    intro = (
        f"{count(len(applied), 'rewrite')}: {count(removed, 'node')} removed, {added:,} added. "
        "Open one for its plan and what the place looks like."
    )
    blocks: list[Block] = [Legend(_PLACES)] if found.places else []
    for number, one in enumerate(group(applied)):
        blocks.append(_changed(one, _events(applied, one), found, number))
    return Section("rewritten", "What was rewritten", tuple(blocks), intro)


def _events(events: tuple[Event, ...], one: Group) -> list[Event]:
    return [e for e in events if group([e])[0].kind == one.kind and e.op_type == one.op_type]


def _changed(one: Group, events: list[Event], found: Rewritten, number: int) -> Details:
    blocks: list[Block] = []
    first = events[0]
    place = found.places.get((first.node, first.reason))
    if place is not None:
        svg = graph_picture.figure(place, identifier=f"place-{number}")
        blocks.append(Picture(svg, first.reason if one.count > 1 else ""))
    rows = tuple(
        (event.node, event.reason, event.rule, event.removed, event.added)
        for event in events[:_NAMED]
    )
    blocks.append(
        Table(
            (
                Column("node"),
                Column("plan"),
                Column("rule"),
                Column("removed", numeric=True),
                Column("added", numeric=True),
            ),
            rows,
        )
    )
    if len(events) > _NAMED:
        blocks.append(Paragraph(f"and {len(events) - _NAMED:,} more", "quiet"))
    removed, added = sum(e.removed for e in events), sum(e.added for e in events)
    return Details(
        f"{one.op_type}: {one.reason}", blocks, f"{one.count}×, −{removed} +{added} nodes"
    )


def refusals(found: Rewritten) -> Section:
    """What was considered and left alone, with the reasons."""
    refused = found.report.refused
    if not refused:
        nothing = Paragraph("Nothing that could have been rewritten was left.")
        return Section("refused", "What was left as it is", (nothing,))
    blocks = tuple(
        Details(f"{one.op_type}: {one.reason}", _left(_events(refused, one)), f"{one.count}×")
        for one in group(refused)
    )
    intro = f"{count(len(refused), 'refusal')}, each with what stopped it."
    return Section("refused", "What was left as it is", blocks, intro)


def _left(events: list[Event]) -> list[Block]:
    blocks: list[Block] = []
    for event in events[:_NAMED]:
        rows = [("node", event.node), ("reason", event.reason)]
        rows += _obstacle("upwards", event.up) + _obstacle("downwards", event.down)
        blocks.append(Facts(tuple(rows)))
    if len(events) > _NAMED:
        blocks.append(Paragraph(f"and {len(events) - _NAMED:,} more", "quiet"))
    return blocks


def _obstacle(way: str, found: Obstacle | None) -> list[tuple[str, str]]:
    return [] if found is None else [(way, f"{found.reason} (at {found.node})")]
