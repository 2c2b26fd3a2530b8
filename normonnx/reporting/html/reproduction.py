"""What it takes to get the same report again, as a section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from normonnx.core.measurements import Measurements
from normonnx.core.verdicts import BackendRun, ValidationReport
from normonnx.reporting.html.blocks import Block, Details, Facts, Paragraph, Section


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How a report came about.

    Attributes:
        command: The command line.
        made: When, in words.
        files: What was read and written, with sizes and digests.
        versions: Of packages, by name.
        machine: What it ran on, by what is told.
        asked: Options that matter, by name.
    """

    command: str
    made: str = ""
    files: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    machine: tuple[tuple[str, str], ...] = ()
    asked: tuple[tuple[str, str], ...] = field(default=())


def section(
    found: Circumstances,
    judged: Sequence[ValidationReport] = (),
    measured: Measurements | None = None,
) -> Section:
    """Command, files, seeds, inputs, settings of each backend, versions and machine."""
    blocks: list[Block] = [Paragraph(found.command, "code")]
    if found.asked:
        blocks.append(Facts(found.asked))
    blocks.append(Facts((*found.files, *_inputs(judged))))
    runs = {run.backend: run for one in judged for run in one.backends}
    for run in runs.values():
        settings = tuple(run.settings.items())
        if settings:
            blocks.append(Details(f"Settings of {run.backend}", (Facts(settings),), _asked(run)))
    if measured is not None and measured.models:
        rows = (
            ("threads", str(measured.threads)),
            *((f"shape of {name}", str(list(shape))) for name, shape in measured.shapes.items()),
            *measured.settings.items(),
        )
        blocks.append(Details("Settings of the timings", (Facts(rows),), measured.backend))
    blocks.append(Facts((*found.machine, *found.versions)))
    if found.made:
        blocks.append(Paragraph(f"Made {found.made}.", "quiet"))
    return Section("reproduce", "To reproduce", tuple(blocks))


def _asked(run: BackendRun) -> str:
    return run.asked


def _inputs(judged: Sequence[ValidationReport]) -> list[tuple[str, str]]:
    rows = []
    for one in judged[:1]:
        rows.append(("seed", str(one.seed)))
        cases = dict.fromkeys(c.case for report in judged for c in report.comparisons if c.case)
        if cases:
            rows.append(("inputs drawn or given", ", ".join(cases)))
        if one.tolerance is not None:
            rows.append(("tolerance", f"rtol {one.tolerance.rtol:g}, atol {one.tolerance.atol:g}"))
    return rows
