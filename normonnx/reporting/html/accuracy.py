"""A validation as sections of a report: how right, where it goes wrong, and where nodes ran."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Final

from normonnx.core.node_errors import NodeErrors
from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    Divergence,
    NodePlacement,
    ValidationReport,
    Verdict,
)
from normonnx.reporting.figures import count, multiple
from normonnx.reporting.grouping import judge
from normonnx.reporting.html import error_charts
from normonnx.reporting.html.blocks import (
    Block,
    Column,
    Details,
    Facts,
    Legend,
    Listing,
    Paragraph,
    Picture,
    Section,
    Table,
)
from normonnx.reporting.verdict_view import sentence, where

_QUESTIONS: Final = {"computes": "computed rightly?", "equivalent": "the same function?"}
_U: Final = "in u, the roundoff of the output's type: rms(error) / rms(truth) / u"
_SUMMARY: Final = (
    Column("question"),
    Column("by"),
    Column("inputs", numeric=True),
    Column("outputs", numeric=True),
    Column("error (u)", numeric=True, meaning=_U),
    Column("floor (u)", numeric=True, meaning="how far roundoff alone moves the truth"),
    Column("error/floor", numeric=True),
    Column("passes up to", numeric=True, meaning="error over floor"),
    Column("verdict"),
)
_EVERY: Final = (
    Column("output"),
    Column("inputs", choice=True),
    Column("by", choice=True),
    Column("error (u)", numeric=True),
    Column("floor (u)", numeric=True),
    Column("error/floor", numeric=True),
    Column("verdict", choice=True),
    Column("why", folded=True),
    Column("question", folded=True),
    Column("largest difference", numeric=True, folded=True),
    Column("mean difference", numeric=True, folded=True),
    Column("1 − cosine", numeric=True, folded=True),
    Column("99.9 % of differences within", numeric=True, folded=True),
    Column("units in the last place", folded=True),
)


def summary(found: ValidationReport) -> str:
    """The verdict in a sentence, without the word itself."""
    said = str(sentence(found)).removeprefix("verdict: ").removeprefix(found.verdict.value)
    return said.removeprefix(": ") or "see below"


def section(found: ValidationReport) -> Section:
    """Accuracy: per question, per output and per node, with the first divergence."""
    blocks: list[Block] = []
    if found.comparisons:
        blocks.append(_questions(found))
    else:
        blocks.append(Paragraph("Nothing was compared.", "warning"))
    blocks += [Paragraph(note, "quiet") for note in found.notes]
    shown = error_charts.shown_outputs(found.comparisons)
    if shown:
        chart = error_charts.outputs(shown, identifier="outputs-chart")
        total = len({(one.question, one.backend, one.output) for one in found.comparisons})
        said = "The worst inputs of each output. Left of the red line passes."
        said += f" The worst {len(shown)} of {total} are drawn." if total > len(shown) else ""
        blocks += [Legend(error_charts.OUTPUT_LEGEND), Picture(chart, said)]
    if found.divergence is not None:
        blocks += list(_divergence(found.divergence))
    for number, one in enumerate(found.node_errors):
        blocks += list(_nodes(one, found.divergence, number))
    if found.comparisons:
        rows = tuple(map(_comparison, found.comparisons))
        listing = Listing("every-output", _EVERY, rows, "comparison")
        blocks.append(Details("Every output on every input", (listing,), f"{len(rows):,}"))
    intro = (
        "The truth is the model evaluated in float64. The noise floor is how far that truth moves "
        "when inputs and weights change by one roundoff u: an error of a few floors is as good as "
        "arithmetic of this precision gets."
    )
    return Section("accuracy", "Accuracy", tuple(blocks), intro)


def _questions(found: ValidationReport) -> Table:
    rows = [
        (
            _QUESTIONS.get(one.question, one.question),
            one.backend,
            one.cases,
            one.outputs,
            one.worst.error,
            one.worst.floor,
            one.worst.ratio,
            one.worst.allowed if found.tolerance is None else math.nan,
            one.verdict,
        )
        for one in judge(found.comparisons)
    ]
    tolerance = found.tolerance
    caption = ""
    if tolerance is not None:
        caption = f"Judged by rtol {tolerance.rtol:g} and atol {tolerance.atol:g}."
    return Table(_SUMMARY, tuple(rows), caption)


def _comparison(one: Comparison) -> tuple[str | float | Verdict | None, ...]:
    found = one.statistics
    ulps = "" if found is None else ", ".join(f"≤{b:g}: {n}" for b, n in found.ulps.items() if n)
    return (
        one.output or "the model as a whole",
        one.case or "–",
        one.backend,
        one.error,
        one.floor,
        one.ratio if not math.isnan(one.error) else math.nan,
        one.verdict.value,
        one.reason,
        _QUESTIONS.get(one.question, one.question),
        one.max_abs,
        math.nan if found is None else found.mean_abs,
        math.nan if found is None else found.cosine,
        math.nan if found is None else found.percentiles.get(99.9, math.nan),
        ulps,
    )


def _divergence(found: Divergence) -> Iterator[Block]:
    yield Paragraph(_sentence(where(found)), "fault")
    rows = [
        ("node", f"{found.op_type} {found.node}"),
        ("tensor", found.tensor),
        ("adds by itself (local)", f"{multiple(found.local)} u"),
        ("inherits from its inputs (upstream)", f"{multiple(found.upstream)} u"),
        ("noise floor of the tensor", f"{multiple(found.floor)} u"),
    ]
    if found.counterpart:
        rows.append(("held against", f"{found.counterpart} of the reference"))
    if found.case:
        rows.append(("inputs", found.case))
    yield Facts(tuple(rows))


def _nodes(found: NodeErrors, divergence: Divergence | None, number: int) -> Iterator[Block]:
    if not found.nodes:
        return
    chart = error_charts.nodes(found, divergence, identifier=f"nodes-chart-{number}")
    beyond = [one for one in found.nodes if one.ratio > found.factor]
    said = f"Each node of {found.backend} on {found.case} inputs. "
    said += f"{count(len(beyond), 'node')} beyond the line. {' '.join(map(_sentence, found.notes))}"
    yield Legend(error_charts.NODE_LEGEND)
    yield Picture(chart, said)


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def placement(found: ValidationReport) -> Section | None:
    """Where each node ran; None where nothing did."""
    if not found.backends:
        return None
    blocks: list[Block] = []
    for number, run in enumerate(found.backends):
        blocks += list(_run(run, number))
    intro = "As the runtime tells it, after its own rewriting: fused nodes have names of their own."
    return Section("placement", "Where each node ran", tuple(blocks), intro)


def _run(run: BackendRun, number: int) -> Iterator[Block]:
    if run.reason:
        yield Paragraph(f"{run.backend}: {run.verdict}, {run.reason}", "warning")
    where_ran = ", ".join(f"{count(n, 'node')} on {place}" for place, n in run.placement.items())
    rows = [("backend", run.backend), ("nodes", where_ran or "the runtime does not tell")]
    if not math.isnan(run.coverage):
        rows.append(("where it was asked for", f"{run.coverage:.1%}"))
    if run.reduced:
        rows.append(("reduced precision", ", ".join(run.reduced)))
    yield Facts(tuple(rows))
    if run.elsewhere:
        kinds = Counter(f"{node.op_type} on {node.where}" for node in run.elsewhere)
        said = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common(6))
        yield Paragraph(f"Fell back: {said}.", "warning")
    yield from (Paragraph(_sentence(note), "quiet") for note in run.notes)
    if run.nodes:
        columns = [Column("node as the runtime calls it"), Column("operator", choice=True)]
        columns.append(Column("ran on", choice=True))
        if any(node.precision for node in run.nodes):
            columns.append(Column("precision", choice=True))
        rows_of = tuple(_placed(node, len(columns)) for node in run.nodes)
        listing = Listing(f"placed-{number}", tuple(columns), rows_of, "node")
        note = f"{len(run.nodes):,}"
        yield Details(f"Every node of {run.backend}", (listing,), note)


def _placed(node: NodePlacement, cells: int) -> tuple[str, ...]:
    return (node.node or "–", node.op_type, node.where, node.precision)[:cells]
