"""A validation as a person reads it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from normonnx.core.verdicts import BackendRun, Comparison, Divergence, ValidationReport, Verdict
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
_KINDS: Final = 6


@dataclass(frozen=True, slots=True)
class _Most:
    """What a summary shows at most, so that with its other lines it stays within 40."""

    rows: int = 8
    reasons: int = 8
    runs: int = 6
    remarks: int = 5
    notes: int = 3


_MOST: Final = _Most()
_PERCENT: Final = (50.0, 90.0, 99.0, 99.9)
_EVERY: Final = (
    "by", "inputs", "output", ">error (u)", ">floor (u)", ">error/floor", ">largest", "verdict",
    "why",
)  # fmt: skip


def validation(report: ValidationReport, *, every_comparison: bool = False) -> RenderableType:
    """Each question with its answer, what really ran where, where it goes wrong, the verdict.

    Args:
        report: What `normonnx.validate` returned.
        every_comparison: Also list every output of every case, and cut nothing short.
    """
    return terminal.stacked(_blocks(report, every_comparison=every_comparison))


def sentence(report: ValidationReport) -> Text:
    """The verdict in one line, with the error that decided it."""
    said = Text("verdict: ").append_text(terminal.verdict(report.verdict))
    decisive = [one.worst for one in judge(report.comparisons) if one.verdict is report.verdict]
    measured = [worst for worst in decisive if not math.isnan(worst.error)]
    if measured:
        worst = max(measured, key=lambda one: one.ratio)
        said.append(f": {_error(worst)} ({_allowed(report, worst)})")
    elif not report.comparisons:
        said.append(": nothing was compared")
    return said


def _allowed(report: ValidationReport, worst: Comparison) -> str:
    if report.tolerance is None:
        return f"up to {multiple(worst.allowed)} passes"
    return f"rtol {report.tolerance.rtol:g} and atol {report.tolerance.atol:g} pass"


def _error(worst: Comparison) -> str:
    if worst.error == 0:
        return "no difference"
    return f"error {multiple(worst.error)} u, {multiple(worst.ratio)} times the noise floor"


def _blocks(report: ValidationReport, *, every_comparison: bool) -> Iterator[RenderableType]:
    judged = judge(report.comparisons)
    most = None if every_comparison else _MOST
    if judged:
        shown = sorted(judged, key=lambda one: one.verdict is Verdict.PASS)  # what is wrong, first
        rows = judged if most is None or len(judged) <= most.rows else shown[: most.rows]
        yield terminal.indented(terminal.table(_TITLES, map(_row, rows)))
        yield from _more(len(judged) - len(rows), "row")
    yield from _reasons(judged, most)
    yield from _runs(report.backends, most)
    notes = report.notes if most is None else report.notes[: most.notes]
    yield from (terminal.indented(terminal.line(note)) for note in notes)
    yield from _more(len(report.notes) - len(notes), "note")
    if report.divergence is not None:
        yield terminal.line(where(report.divergence))
    if every_comparison:
        yield _listing(report)
        yield from _distributions(report.comparisons)
        yield from (_nodes(run) for run in report.backends if run.nodes)
    yield sentence(report)


def _more(number: int, what: str) -> Iterator[RenderableType]:
    """How many were left out, if any."""
    if number > 0:
        yield terminal.indented(terminal.line(f"and {count(number, f'more {what}')} (--all)"))


def _reasons(judged: Sequence[Judged], most: _Most | None) -> Iterator[RenderableType]:
    """Why, for a few outputs of each question and backend."""
    with_reasons = [one for one in judged if one.reasons]
    each = None if most is None else max(1, min(3, most.reasons // max(1, len(with_reasons))))
    shown, total = 0, sum(len(one.reasons) for one in with_reasons)
    for one in with_reasons:
        left = total if most is None else max(0, most.reasons - shown)
        for reason in one.reasons[:each][:left]:
            shown += 1
            yield terminal.indented(terminal.line(f"{one.backend}, output {reason}"))
    yield from _more(total - shown, "output")


def _runs(runs: Sequence[BackendRun], most: _Most | None) -> Iterator[RenderableType]:
    """What really ran where; first what could not run, where not all fit."""
    said = [(_ran(run), [f"{run.backend}: {one}" for one in _remarks(run)]) for run in runs]
    if most is not None and len(runs) > most.runs:
        ran = [bool(run.reason) for run in runs]
        said = [one for _, one in sorted(zip(ran, said, strict=True), key=lambda pair: not pair[0])]
        said = said[: most.runs]
    left = sum(len(remarks) for _, remarks in said) if most is None else most.remarks
    hidden = 0
    for line, remarks in said:
        yield terminal.indented(line)
        yield from (terminal.indented(terminal.line(one)) for one in remarks[:left])
        hidden += len(remarks[left:])
        left = max(0, left - len(remarks))
    yield from _more(hidden, "remark")
    yield from _more(len(runs) - len(said), "backend")


def where(found: Divergence) -> str:
    """The first divergence, in a sentence or two."""
    case = f" on {found.case}" if found.case else ""
    against = f" against {found.counterpart!r} of the reference" if found.counterpart else ""
    said = (
        f"first goes wrong at {found.op_type} {found.node!r}, tensor {found.tensor!r}{against}: "
        f"adds {multiple(found.local)} u to the {multiple(found.upstream)} u of its inputs{case}"
    )
    roundoff = f"roundoff moves it by {multiple(found.floor)} u" if found.floor > 0 else ""
    repro = f"repro: {found.repro}" if found.repro else ""
    return printable("; ".join(part for part in (said, roundoff, found.note, repro) if part))


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
    settings = ", ".join(f"{key} {value}" for key, value in run.settings.items())
    parts = (_placed(run), settings)
    return said.append(printable("; ".join(part for part in parts if part) or "ran"))


def _placed(run: BackendRun) -> str:
    placed = ", ".join(f"{count(n, 'node')} on {where}" for where, n in run.placement.items())
    if not run.elsewhere:
        return placed
    return f"{placed} ({run.coverage:.1%} where it was asked for)"


def _remarks(run: BackendRun) -> Iterator[str]:
    """What a reader must not overlook."""
    if run.reduced:
        yield f"reduced precision was in use: {', '.join(run.reduced)}"
    if run.elsewhere:
        kinds = Counter(f"{node.op_type} on {node.where}" for node in run.elsewhere)
        said = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common(_KINDS))
        yield f"fell back: {said}{', ...' if len(kinds) > _KINDS else ''}"
    yield from run.notes


def _distributions(compared: Iterable[Comparison]) -> Iterator[RenderableType]:
    """Errors of each output: mean, percentiles, cosine, and units in the last place."""
    rows = []
    for one in compared:
        if one.statistics is not None:
            found = one.statistics
            ulps = ", ".join(f"<={bound:g}: {n}" for bound, n in found.ulps.items() if n)
            spread = [f"{found.percentiles[percent]:.3g}" for percent in _PERCENT]
            rest = (f"{found.max_rel:.3g}", f"{found.cosine:.3g}", ulps)
            rows.append(
                (one.backend, one.case, one.output, f"{found.mean_abs:.3g}", *spread, *rest)
            )
    percent = [f">{p:g} %" for p in _PERCENT]
    titles = ("by", "inputs", "output", ">mean", *percent, ">largest/|truth|", ">1 - cos", "ulps")
    if rows:
        yield terminal.heading("distribution of errors")
        yield terminal.indented(terminal.table(titles, rows))


def _nodes(run: BackendRun) -> RenderableType:
    rows = [(node.where, node.op_type, node.precision, node.node) for node in run.nodes]
    table = terminal.table(("where", "operator", "precision", "node"), rows)
    title = terminal.heading(f"{run.backend}: {count(len(rows), 'node')}")
    return terminal.stacked((title, terminal.indented(table)))


def _listing(report: ValidationReport) -> RenderableType:
    rows = [
        (one.backend, one.case, one.output, multiple(one.error), multiple(one.floor),
         multiple(one.ratio), f"{one.max_abs:.3g}", terminal.verdict(one.verdict), one.reason)
        for one in report.comparisons
    ]  # fmt: skip
    return terminal.indented(terminal.table(_EVERY, rows))
