"""An export as a person reads it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import RenderableType

from normonnx.core.exports import ExportReport
from normonnx.reporting import terminal
from normonnx.reporting.figures import count
from normonnx.reporting.figures import size as bytes_of
from normonnx.reporting.verdict_view import validation

_NOTES = 8


def exported(report: ExportReport, *, size: int | None) -> RenderableType:
    """What the file holds, and whether it is what the module computes."""
    return terminal.stacked(_blocks(report, size))


def _blocks(report: ExportReport, size: int | None) -> Iterator[RenderableType]:
    rows = [("opset", str(report.opset)), ("style", report.style)]
    if size is not None:
        rows.append(("size", bytes_of(size)))
    axes = [
        f"{name}:{axis}={symbol}"
        for name, found in report.dynamic.items()
        for axis, symbol in found.items()
    ]
    if axes:
        rows.append(("dynamic", ", ".join(axes)))
    yield terminal.indented(terminal.table(("", ""), rows))
    yield terminal.heading(f"normalizations: {len(report.norms)}")
    if report.norms:
        yield terminal.indented(
            terminal.table((">", "norm", "written as", "found", "modules"), _rows(report))
        )
    if report.folded:
        yield terminal.line(f"{count(len(report.folded), 'BatchNorm')} folded")
    if report.checked:
        yield terminal.line(
            f"{count(report.checked, 'kind')} of calls recognised alike in what torch writes"
        )
    for note in report.notes[:_NOTES]:
        yield terminal.line(note)
    if len(report.notes) > _NOTES:
        yield terminal.line(f"and {count(len(report.notes) - _NOTES, 'more note')}")
    yield terminal.heading("checked against the module, in float64")
    if report.verification is None:
        yield terminal.line("not checked, as asked for")
    else:
        yield validation(report.verification)


def _rows(report: ExportReport) -> Iterator[tuple[str, ...]]:
    kinds = Counter((one.norm, one.written, one.found) for one in report.norms)
    for (norm, written, found), number in kinds.items():
        modules = [
            one.module or "(itself)"
            for one in report.norms
            if (one.norm, one.written, one.found) == (norm, written, found)
        ]
        more = f" and {number - 1} more" if number > 1 else ""
        yield str(number), norm, written, found, f"{modules[0]}{more}"
