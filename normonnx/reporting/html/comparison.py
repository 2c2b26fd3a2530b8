"""A validation in a few figures, as a section of a report."""

from __future__ import annotations

from collections.abc import Iterator

from normonnx.core.inspection import Inspection
from normonnx.core.verdicts import ValidationReport
from normonnx.reporting.figures import count, multiple
from normonnx.reporting.grouping import judge
from normonnx.reporting.html.blocks import Block, Column, Section, Table, Tile, Tiles

_ASKED = {"computes": "Computed rightly", "equivalent": "The same function"}


def overview(found: ValidationReport, model: Inspection, reference: Inspection | None) -> Section:
    """Each question with its answer; what both models hold, where there are two."""
    blocks: list[Block] = [Tiles(tuple(_tiles(found, model)))]
    if reference is not None:
        blocks.append(_sizes(model, reference))
    return Section("overview", "At a glance", tuple(blocks))


def answers(found: ValidationReport) -> Iterator[Tile]:
    """Each question with its verdict, and each backend that did not run with the reason."""
    for one in judge(found.comparisons):
        worst = f"error {multiple(one.worst.error)} u, {multiple(one.worst.ratio)} floors"
        by = "in float64" if one.question == "equivalent" else f"on {one.backend}"
        note = f"{by}; {worst}"
        yield Tile(_ASKED.get(one.question, one.question), one.verdict.value, note, one.verdict)
    for run in found.backends:
        if run.reason:
            yield Tile(run.backend, run.verdict.value, run.reason, run.verdict)


def _tiles(found: ValidationReport, model: Inspection) -> Iterator[Tile]:
    yield from answers(found)
    nodes = sum(model.nodes.values())
    yield Tile("Nodes", f"{nodes:,}", count(len(model.norms), "normalization"))


def _sizes(model: Inspection, reference: Inspection) -> Table:
    rows = [
        ("nodes", sum(reference.nodes.values()), sum(model.nodes.values())),
        ("normalizations", len(reference.norms), len(model.norms)),
        ("opset", reference.opset, model.opset),
    ]
    columns = (Column(""), Column("reference", numeric=True), Column("model", numeric=True))
    return Table(columns, tuple(rows), small=True)
