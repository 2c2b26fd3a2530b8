"""The report of each verb, put together of what the rooms found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from normonnx.cli import measuring, places
from normonnx.cli.circumstances import circumstances
from normonnx.core.measurements import Measurements
from normonnx.core.verdicts import ValidationReport

if TYPE_CHECKING:
    from normonnx.core.benchmark import BenchReport
    from normonnx.core.events import OptimizeReport
    from normonnx.core.explanations import NormExplained
    from normonnx.core.inspection import Inspection
    from normonnx.pipeline import OptimizeResult
    from normonnx.reporting.html.blocks import Page, Section


@dataclass(frozen=True, slots=True, eq=False)
class Optimized:
    """What a verb that rewrites a model did.

    Attributes:
        verb: Its name.
        model: The file that was read.
        output: The file that was written; None where none was.
        result: What came of it.
        sizes: Bytes on disk, before and after.
        judged: A validation of the result on a backend, where there is one already.
        no_measure: Whether nothing is to be measured.
        inspected: What the model holds, where that is known already.
    """

    verb: str
    model: Path
    output: Path | None
    result: OptimizeResult
    sizes: tuple[int, int | None]
    judged: ValidationReport | None = None
    no_measure: bool = False
    inspected: Inspection | None = None


def of_optimization(done: Optimized) -> Page:
    """The report of a rewrite: measures it, draws its places, tells everything."""
    import normonnx
    from normonnx.graph.listing import listed
    from normonnx.reporting.html import nodes, normalizations, reproduction, rewriting
    from normonnx.reporting.html.blocks import Page

    before, after = normonnx.load(done.model), done.result.model
    events = done.result.report.applied
    measured, judged = _measured(done)
    inspected = done.inspected or normonnx.inspect(before)
    content = rewriting.Rewritten(
        done.result.report,
        inspected,
        normonnx.inspect(after) if done.result.report.modified else inspected,
        done.sizes,
        measured,
        places.of_events(before, after, events),
        judged,
    )
    files = circumstances(("model", done.model), ("written", done.output))
    sections = [
        rewriting.overview(content),
        rewriting.changes(content),
        rewriting.refusals(content),
        normalizations.section(inspected, _explained(inspected)),
        *_accuracy(judged),
        nodes.section(listed(before), listed(after), events, judged),
        reproduction.section(files, [] if judged is None else [judged], measured),
    ]
    place = "nothing was written" if done.output is None else f"written to {done.output.name}"
    place = f"; {place}" if done.verb != "demo" else ""
    return Page(
        done.verb,
        done.model.name,
        f"{_said(judged)} {_counted(done.result.report)}{place}.",
        tuple(sections),
        None if judged is None else judged.verdict,
        f"for {done.result.report.target}" if done.verb != "demo" else "the bundled model",
    )


def _measured(done: Optimized) -> tuple[Measurements, ValidationReport | None]:
    """Timings, and what is known of the accuracy."""
    import normonnx

    verification = done.judged or done.result.report.verification
    backend = measuring.backend_for(done.result.report.target)
    reason = measuring.why_not(backend, no_measure=done.no_measure)
    if reason:
        return Measurements(backend, reason=reason), verification
    with TemporaryDirectory(prefix="normonnx-") as folder:
        path = done.output
        if path is None:
            path = Path(folder) / "after.onnx"
            normonnx.save(done.result.model, path)
        measured = measuring.timed({"before": done.model, "after": path}, backend)
        if done.judged is None:
            verification = measuring.on_backend(path, backend, verification)
    return measured, verification


def _said(judged: ValidationReport | None) -> str:
    from normonnx.reporting.html.accuracy import summary

    if judged is None:
        return "Not checked against the original:"
    return f"{summary(judged)};".capitalize() if judged.comparisons else "Nothing was compared;"


def _counted(report: OptimizeReport) -> str:
    before, after = (sum(one.values()) for one in (report.nodes_before, report.nodes_after))
    return f"{before:,} nodes became {after:,}"


def _accuracy(judged: ValidationReport | None) -> list[Section]:
    from normonnx.reporting.html import accuracy

    if judged is None:
        return []
    where = accuracy.placement(judged)
    return [accuracy.section(judged), *([] if where is None else [where])]


def _explained(found: Inspection) -> Sequence[NormExplained]:
    """What is to be said of each normalization of a model, once."""
    from normonnx.catalogue.contents import CATALOGUE
    from normonnx.catalogue.explaining import explained

    names = dict.fromkeys(norm.norm for norm in found.norms)
    return [explained(CATALOGUE[name]) for name in names if name in CATALOGUE]


def of_validation(model: Path, against: Path | None, judged: ValidationReport) -> Page:
    """The report of a validation."""
    import normonnx
    from normonnx.graph.listing import listed
    from normonnx.reporting.html import comparison, nodes, normalizations, reproduction
    from normonnx.reporting.html.blocks import Page

    loaded = normonnx.load(model)
    inspected = normonnx.inspect(loaded)
    other = None if against is None else normonnx.inspect(against)
    sections = [
        comparison.overview(judged, inspected, other),
        *_accuracy(judged),
        normalizations.section(inspected, _explained(inspected)),
        nodes.section(listed(loaded), judged=judged),
        reproduction.section(circumstances(("model", model), ("against", against)), [judged]),
    ]
    said = _said(judged).removesuffix(";")
    subtitle = "" if against is None else f"against {against.name}"
    return Page("validate", model.name, f"{said}.", tuple(sections), judged.verdict, subtitle)


def of_benchmark(model: Path, against: Path | None, found: BenchReport) -> Page:
    """The report of a benchmark."""
    from normonnx.reporting.html import benchmark, reproduction
    from normonnx.reporting.html.blocks import Page

    plain = [one for one in found.timings if not one.hinted and one.latency is not None]
    names = [one.name for one in plain]
    measured = measuring.measurements(found, names, ", ".join({one.backend for one in plain}))
    told = circumstances(("model", model), ("against", against))
    sections = [
        benchmark.section(found, measured),
        *_accuracy(found.checks[0] if found.checks else None),
        reproduction.section(told, found.checks, measured),
    ]
    subtitle = "" if against is None else f"against {against.name}"
    return Page(
        "bench", model.name, benchmark.summary(found), tuple(sections), found.verdict, subtitle
    )
