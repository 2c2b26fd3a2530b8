"""A validation as a person reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from normonnx.core.verdicts import BackendRun, Comparison, ValidationReport
from normonnx.reporting import terminal
from normonnx.reporting.figures import count, multiple, printable
from normonnx.reporting.grouping import Judged, judge

_QUESTIONS: Final = {
    "computes": "computed rightly?",
    "equivalent": "the same function?",
}
_TITLES: Final = (
    "question", "by", ">inputs", ">outputs", ">error (u)", ">floor (u)", ">error/floor", "verdict",
)  # fmt: skip
_EVERY: Final = (
    "by", "inputs", "output", ">error (u)", ">floor (u)", ">error/floor", ">largest", "verdict",
    "why",
)  # fmt: skip


def validation(report: ValidationReport, *, every_comparison: bool = False) -> RenderableType:
    """Each question with its answer, what really ran where, where it goes wrong, the verdict.

    Args:
        report: What `normonnx.validate` returned.
        every_comparison: Also list every output of every case.
    """
    return terminal.stacked(_blocks(report, every_comparison=every_comparison))


def sentence(report: ValidationReport) -> Text:
    """The verdict in one line, with the error that decided it."""
    said = Text("verdict: ").append_text(terminal.verdict(report.verdict))
    decisive = [one.worst for one in judge(report.comparisons) if one.verdict is report.verdict]
    measured = [worst for worst in decisive if not math.isnan(worst.error)]
    if measured:
        worst = max(measured, key=lambda one: one.ratio)
        said.append(f": {_error(worst)} (up to {multiple(report.factor)} passes)")
    elif not report.comparisons:
        said.append(": nothing was compared")
    return said


def _error(worst: Comparison) -> str:
    if worst.error == 0:
        return "no difference"
    return f"error {multiple(worst.error)} u, {multiple(worst.ratio)} times the noise floor"


def _blocks(report: ValidationReport, *, every_comparison: bool) -> Iterator[RenderableType]:
    judged = judge(report.comparisons)
    if judged:
        yield terminal.indented(terminal.table(_TITLES, map(_row, judged)))
    for one in judged:
        for reason in one.reasons[:3]:
            yield terminal.indented(terminal.line(f"{one.backend}, output {reason}"))
    for run in report.backends:
        yield terminal.indented(_ran(run))
    if report.divergence is not None:
        found = report.divergence
        yield terminal.line(
            f"first goes wrong at {found.op_type} {found.node!r}, tensor {found.tensor!r}: adds "
            f"{multiple(found.local)} u to the {multiple(found.upstream)} u of its inputs"
        )
    if every_comparison:
        yield _listing(report)
    yield sentence(report)


def _row(one: Judged) -> tuple[str | Text, ...]:
    return (
        _QUESTIONS.get(one.question, one.question),
        one.backend,
        str(one.cases),
        str(one.outputs),
        multiple(one.worst.error),
        multiple(one.worst.floor),
        multiple(one.worst.ratio),
        terminal.verdict(one.verdict),
    )


def _ran(run: BackendRun) -> Text:
    said = Text(f"{run.backend}: ")
    if run.reason:
        return said.append_text(terminal.verdict(run.verdict)).append(f", {printable(run.reason)}")
    placed = ", ".join(f"{count(n, 'node')} on {where}" for where, n in run.placement.items())
    settings = ", ".join(f"{key} {value}" for key, value in run.settings.items())
    return said.append(printable("; ".join(part for part in (placed, settings) if part) or "ran"))


def _listing(report: ValidationReport) -> RenderableType:
    rows = [
        (one.backend, one.case, one.output, multiple(one.error), multiple(one.floor),
         multiple(one.ratio), f"{one.max_abs:.3g}", terminal.verdict(one.verdict), one.reason)
        for one in report.comparisons
    ]  # fmt: skip
    return terminal.indented(terminal.table(_EVERY, rows))
