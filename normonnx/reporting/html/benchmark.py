"""A benchmark as sections of a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from normonnx.core.benchmark import BenchReport, Times, Timing
from normonnx.core.measurements import Measurements
from normonnx.core.verdicts import Verdict
from normonnx.reporting.bench_view import ratio
from normonnx.reporting.figures import count, size
from normonnx.reporting.html import cost_charts
from normonnx.reporting.html.blocks import (
    Block,
    Column,
    Paragraph,
    Picture,
    Section,
    Table,
    Tile,
    Tiles,
)

_COLUMNS: Final = (
    Column("model"),
    Column("ms", numeric=True, meaning="one run, the median"),
    Column("as fast as the first", meaning="its time over this one's, round by round; 95 %"),
    Column("CPU ms", numeric=True, meaning="one run, of the processor"),
    Column("by CPU time"),
    Column("session ms", numeric=True, meaning="making a session"),
    Column("as fast to load"),
    Column("peak memory", numeric=True, meaning="of a process of its own"),
)


def section(found: BenchReport, measured: Measurements) -> Section:
    """Every contender with its ratios, a chart, and the machine's noise.

    Args:
        found: The benchmark.
        measured: The same in short, for the chart; without models where nothing was timed.
    """
    return Section("timings", "Timings", tuple(_blocks(found, measured)), _intro(found))


def summary(found: BenchReport) -> str:
    """What came of it, in a sentence."""
    if any(check.verdict is Verdict.MISMATCH for check in found.checks):
        return "Not timed: outputs disagree, so there is nothing to compare."
    said = [
        f"{one.name}: {one.latency.speedup.median:.2f} times as fast"
        for one in found.timings
        if one.latency is not None and one.latency.speedup is not None
    ]
    return f"{'; '.join(said)}." if said else f"{count(len(found.timings), 'model')} timed."


def _intro(found: BenchReport) -> str:
    sessions = f"{count(found.sessions, 'session')} made anew"
    threads = count(found.threads, "thread")
    return f"In turns: {count(found.rounds, 'round')} in {sessions}, {threads} a run."


def _blocks(found: BenchReport, measured: Measurements) -> Iterator[Block]:
    tiles = tuple(_tiles(found))
    if tiles:
        yield Tiles(tiles)
    if measured.models:
        yield Picture(cost_charts.times(measured, identifier="bench-times"))
    rows = tuple(_row(one) for one in found.timings if one.latency is not None)
    if rows:
        yield Table(_COLUMNS, rows)
    for one in found.timings:
        if one.verdict is not Verdict.PASS:
            yield Paragraph(f"{one.name}: {one.verdict.value}, {one.reason}", "warning")
    for note in found.notes:
        yield Paragraph(note, "quiet")


def _tiles(found: BenchReport) -> Iterator[Tile]:
    for one in found.timings:
        speedup = None if one.latency is None else one.latency.speedup
        if speedup is not None:
            value = f"{speedup.median:.2f} ×"
            yield Tile(one.name, value, f"as fast as the first, {ratio(speedup)}")
    if found.noise is not None:
        note = f"{found.noise.name} against itself; a ratio within that is no difference"
        yield Tile("noise of the machine (A/A)", ratio(found.noise.wall), note)


def _row(one: Timing) -> tuple[str | float | None, ...]:
    return (
        one.name,
        *_times(one.latency),
        *_times(one.latency_cpu),
        *_times(one.session),
        None if one.memory is None else size(one.memory),
    )


def _times(found: Times | None) -> tuple[str | float | None, str | None]:
    if found is None:
        return None, None
    return found.milliseconds.median, None if found.speedup is None else ratio(found.speedup)
