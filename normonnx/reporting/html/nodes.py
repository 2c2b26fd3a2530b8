"""Every node of a model as a section of a report: what became of it, how right, where it ran."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from normonnx.core.events import Event
from normonnx.core.listing import NodeListed
from normonnx.core.node_errors import NodeError
from normonnx.core.verdicts import ValidationReport
from normonnx.reporting.figures import count
from normonnx.reporting.html.blocks import Cell, Column, Listing, Section

_SUFFIX: Final = "ExecutionProvider"
_FUSED: Final = "fused, folded or renamed"
_NAME = Column("node")
_OPERATOR = Column("operator", choice=True)
_WHAT = Column("what became of it", choice=True)
_ERRORS = (
    Column("adds (u)", numeric=True),
    Column("gathered (u)", numeric=True),
    Column("floor (u)", numeric=True),
)
_LINE = Column("line", choice=True)
_PLACE = Column("ran on", choice=True)
_FOLDED = (
    Column("plan", folded=True),
    Column("inherited from inputs (u)", numeric=True, folded=True),
    Column("adds / floor", numeric=True, folded=True),
    Column("tensors", folded=True),
    Column("graph", folded=True),
)


def section(
    before: Sequence[NodeListed],
    after: Sequence[NodeListed] | None = None,
    events: Sequence[Event] = (),
    judged: ValidationReport | None = None,
) -> Section:
    """All nodes, of both models where there are two.

    Args:
        before: Of the model.
        after: Of what became of it; None where it was not rewritten.
        events: The rewrites, which tell why a node went.
        judged: Validation of the last of the models: errors and places of its nodes.
    """
    last = before if after is None else after
    errors = _errors(judged)
    places = _places(judged)
    fates = {} if after is None else _fates(before, after, events)
    gone = [] if after is None else _gone(before, after)
    columns = [_NAME, _OPERATOR]
    columns += [_WHAT] if after is not None else []
    columns += [*_ERRORS, _LINE] if errors else []
    columns += [_PLACE] if places else []
    rows = []
    factor = judged.node_errors[0].factor if judged is not None and judged.node_errors else 0.0
    for one, is_gone in [*((n, False) for n in last), *((n, True) for n in gone)]:
        fate, plan = fates.get(one.node, ("stays", ""))
        row: list[Cell] = [one.node, one.op_type]
        row += ["is gone" if is_gone else fate] if after is not None else []
        error = None if is_gone or one.graph else errors.get(one.node)
        row += [*_of(error), _line(error, factor)] if errors else []
        row += ["" if is_gone else places.get(one.node, _FUSED)] if places else []
        row += [plan, *_more(error), ", ".join(one.outputs), one.graph]
        rows.append(tuple(row))
    listing = Listing("node-list", (*columns, *_FOLDED), tuple(rows), "node")
    said = count(len(last), "node")
    intro = f"{said} now, {len(gone):,} gone." if after is not None else f"{said} in all graphs."
    return Section("nodes", "Nodes", (listing,), f"{intro} Click a row for more.")


def _errors(judged: ValidationReport | None) -> Mapping[str, NodeError]:
    if judged is None or not judged.node_errors:
        return {}
    return {one.node: one for one in judged.node_errors[0].nodes}


def _places(judged: ValidationReport | None) -> Mapping[str, str]:
    """Where nodes ran that kept their name, on the first backend that tells."""
    runs = () if judged is None else judged.backends
    told = next((run for run in runs if run.nodes), None)
    if told is None:
        return {}
    return {node.node: node.where.removesuffix(_SUFFIX) for node in told.nodes}


def _of(error: NodeError | None) -> tuple[Cell, ...]:
    return (None, None, None) if error is None else (error.local, error.total, error.floor)


def _line(error: NodeError | None, factor: float) -> str:
    if error is None or math.isnan(error.ratio):
        return "not measured"
    return "beyond" if error.ratio > factor else "within"


def _more(error: NodeError | None) -> tuple[Cell, ...]:
    return (None, None) if error is None else (error.upstream, error.ratio)


def _gone(before: Sequence[NodeListed], after: Sequence[NodeListed]) -> list[NodeListed]:
    left = {(one.node, one.op_type) for one in after}
    return [one for one in before if (one.node, one.op_type) not in left]


def _fates(
    before: Sequence[NodeListed], after: Sequence[NodeListed], events: Sequence[Event]
) -> dict[str, tuple[str, str]]:
    """What became of each node that did not simply stay, and the plan that did it."""
    plans: dict[str, str] = {}
    for event in events:
        for name in dict.fromkeys((event.node, *event.nodes)):
            plans[name] = f"{plans[name]}; {event.reason}" if name in plans else event.reason
    was = {one.node: one.op_type for one in before}
    now = {one.node: one.op_type for one in after}
    found = {}
    for name, op_type in now.items():
        if name not in was:
            found[name] = ("is new", plans.get(name, ""))
        elif was[name] != op_type:
            found[name] = (f"replaces {was[name]}", plans.get(name, ""))
        elif name in plans:
            found[name] = ("was changed", plans[name])
    for name in was:
        if name not in now:
            found[name] = ("is gone", plans.get(name, ""))
    return found
