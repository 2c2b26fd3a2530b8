"""A sweep on the terminal: how many of each outcome, and the models that aren't good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from normonnx.core.errors import ExitCode
from normonnx.core.sweeps import ModelResult, Outcome, SweepReport
from normonnx.reporting import terminal
from normonnx.reporting.figures import count, listed
from normonnx.reporting.sweep_figures import TITLES, cells

_MOST: Final = 20  # models that aren't good, told one by one
_STYLES: Final = {
    ExitCode.OK: "bold green",
    ExitCode.MISMATCH: "bold red",
    ExitCode.INVALID: "bold red",
}


def outcome(found: Outcome) -> Text:
    """An outcome in its colour."""
    return Text(found.value, style=_STYLES.get(found.exit_code, "bold yellow"))


def sweep(report: SweepReport, folder: Path, *, every_model: bool = False) -> RenderableType:
    """The summary of a sweep.

    Args:
        report: What was found.
        folder: Where the results lie.
        every_model: A row for each model, with figures, instead of only those that aren't good.
    """
    return terminal.stacked(_blocks(report, folder, every_model=every_model))


def _blocks(report: SweepReport, folder: Path, *, every_model: bool) -> Iterator[RenderableType]:
    total = len(report.results) + len(report.not_run)
    reused = f", {report.reused} of them done before" if report.reused else ""
    yield terminal.heading(f"{report.verb}: {count(total, 'model')}{reused}")
    rows: list[tuple[str | Text, ...]] = [
        (outcome(found), str(number)) for found, number in report.counts.items()
    ]
    if report.not_run:
        rows.append((Text("not run", style="bold yellow"), str(len(report.not_run))))
    yield terminal.indented(terminal.table(("outcome", ">models"), rows))
    bad = [result for result in report.results if result.exit_code is not ExitCode.OK]
    if every_model:
        yield terminal.indented(_figures(report))
    elif bad:
        yield terminal.heading("not good")
        yield terminal.indented(_reasons(bad[:_MOST]))
        if len(bad) > _MOST:
            yield terminal.indented(terminal.line(f"and {len(bad) - _MOST} more; --all lists them"))
    if report.not_run:
        yield terminal.line(f"not run: {listed(report.not_run)}")
    yield terminal.line(
        f"results in {folder / 'results.jsonl'}, to look at in {folder / 'dashboard.html'}"
    )


def _reasons(results: list[ModelResult]) -> RenderableType:
    rows = [(outcome(one.outcome), one.model, one.reason) for one in results]
    return terminal.table(("outcome", "model", "why"), rows)


def _figures(report: SweepReport) -> RenderableType:
    titles = ("outcome", "model", *TITLES.get(report.verb, ()), "why")
    rows: list[tuple[str | Text, ...]] = [
        (outcome(one.outcome), one.model, *cells(one), one.reason) for one in report.results
    ]
    return terminal.table(titles, rows)
