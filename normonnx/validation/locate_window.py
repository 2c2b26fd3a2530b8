"""A fault that shows only where several nodes run together: the shortest run of nodes that has it.

Where each node is right by itself, a runtime's compiler has made something else of several. First
the model is cut after each node, halving, until the first cut that is wrong is found; then the
nodes before are taken away from the front, halving again, and fed with the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from normonnx.runtime.oracle import evaluate
from normonnx.validation.islands import Types, captured
from normonnx.validation.locate_backend import Bench
from normonnx.validation.segments import Segment, cut, is_constant, names_of
from normonnx.validation.suspects import Jury, Suspect, called
from normonnx.validation.truths import Truth


def shortest_run(
    model: ir.Model, truth: Truth, output: str, bench: Bench, jury: Jury
) -> tuple[Suspect, str] | None:
    """The shortest run of nodes that is off, and what is to be said of it; None where no cut is.

    Args:
        model: The model.
        truth: What it computes on the case where the backend is wrong.
        output: Name of an output that is wrong.
        bench: Where parts of the model run.
        jury: Says what is off.
    """
    window = _Window(model, truth, bench, jury, _leading_to(model, output))
    last = len(window.nodes) - 1
    found = window.off(0, last) if last >= 0 else None
    if found is None:
        return None
    low, high = -1, last  # off when it is cut after `high`, not after `low`
    while high - low > 1:
        middle = (low + high) // 2
        seen = window.off(0, middle)
        low, high, found = (low, middle, seen) if seen is not None else (middle, high, found)
    first, beyond = 0, high + 1  # off when it begins at `first`, not at `beyond`
    while beyond - first > 1:
        middle = (first + beyond) // 2
        seen = window.off(middle, high)
        if seen is not None:
            first, found = middle, seen
        else:
            beyond = middle
    count = high - first + 1
    begin = window.nodes[first]
    note = ""
    if count > 1:
        note = f"no node is off by itself; these {count} are, run together: from {called(begin)} on"
    return found, note


def _leading_to(model: ir.Model, output: str) -> list[ir.Node]:
    """Nodes of the main graph that an output depends on, in order, constants left out."""
    producers = {v.name: node for node in model.graph for v in node.outputs if v.name}
    waiting, seen = [producers.get(output)], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        waiting += [producers.get(v.name) for v in _read(node) if v.name]
    return [node for node in model.graph if id(node) in seen and node.op_type != "Constant"]


def _read(node: ir.Node) -> list[ir.Value]:
    return [*(v for v in node.inputs if v is not None), *captured(node)]


class _Window:
    """Runs of nodes of a model, on a backend."""

    def __init__(
        self, model: ir.Model, truth: Truth, bench: Bench, jury: Jury, nodes: Sequence[ir.Node]
    ) -> None:
        self._model, self._truth, self._bench, self._jury = model, truth, bench, jury
        self._types = Types(model)
        self.nodes = nodes

    def off(self, first: int, last: int) -> Suspect | None:
        """What the last node of a run gives, where it is off with the truth before the first."""
        node = self.nodes[last]
        read = self._read_from_outside(self.nodes[first : last + 1])
        outputs = tuple(v.name for v in node.outputs if v.name)
        made = [v.name for v in read if v.name and v.producer() is not None]
        feeds = self._truth.case.feeds
        truths = {**feeds, **evaluate(self._model, feeds, keep=[*made, *outputs])}
        given = {v.name: self._types.given(v, truths[v.name]) for v in read if v.name in truths}
        part = cut(self._model, Segment(tuple(names_of(read)), outputs), given)
        found = None if part is None else self._bench.run(part, given)
        for name, array in (found or {}).items():
            one = Suspect.of(node, name, given, truths[name], array, part)
            judged = self._jury.judged(one) if array is not None else None
            if judged is not None:
                return judged
        return None

    def _read_from_outside(self, nodes: Sequence[ir.Node]) -> list[ir.Value]:
        inside = {id(node) for node in nodes}
        return [
            value
            for node in nodes
            for value in _read(node)
            if value.graph is self._model.graph
            and not is_constant(value)
            and (value.producer() is None or id(value.producer()) not in inside)
        ]
