"""A node on its way from one opset to another, border by border; nothing is changed yet.

At each opset that changed an operator, its adapter writes the node anew, or `legality` does; what
was written goes on from there. So an adapter knows two neighbours, and any two opsets are
connected. What comes out is a `Replacement`: nodes that stand in no graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import onnx_ir as ir

from normonnx.catalogue.emitting import needed, release
from normonnx.lower.adapters import bodies, table
from normonnx.lower.crossing import Adapter, Asked, Crossing, RefusalError, Written
from normonnx.lower.legality import borders, crossed, typed
from normonnx.lower.versions import STANDARD, changes, definition


@dataclass(frozen=True, slots=True, eq=False)
class Replacement:
    """What takes the place of a node.

    Attributes:
        node: Goes.
        nodes: Come, in this order.
        constants: What they read, as initializers without names.
        outputs: For each output of the node; None where nothing reads it.
    """

    node: ir.Node
    nodes: Sequence[ir.Node]
    constants: Sequence[ir.Value]
    outputs: Written

    def release(self) -> None:
        """Give it up: the graph's values are read by its nodes no longer."""
        release(self.nodes)


def replacement(node: ir.Node, before: int, after: int, asked: Asked) -> Replacement | None:
    """What a node becomes in another opset; None where it may stay as it is.

    Raises:
        RefusalError: It can't be written there.
    """
    if node.domain not in STANDARD or not changes(node.op_type):
        return None
    journey = _Journey(after, asked)
    try:
        nodes, outputs = journey.settled(node, before)
    except RefusalError:
        release(journey.written)
        raise
    kept = {id(each) for each in nodes}
    release(each for each in journey.written if id(each) not in kept)
    if nodes == [node]:
        return None
    read = {id(value) for each in nodes for value in each.inputs}
    constants = [value for value in journey.constants if id(value) in read]
    for value in constants:
        value.name = _role(value, after)
    return Replacement(node, nodes, constants, outputs)


@dataclass(slots=True, eq=False)
class _Journey:
    """All that is written for one node of a model.

    Attributes:
        after: The opset that it goes to.
        asked: What is known of the model.
        constants: That the nodes read.
        written: Nodes, those on the way and those that stay.
        wanted: Which of their values stand for an output that is read, by identity.
    """

    after: int
    asked: Asked
    constants: list[ir.Value] = field(default_factory=list)
    written: list[ir.Node] = field(default_factory=list)
    wanted: set[int] = field(default_factory=set)

    def settled(self, node: ir.Node, opset: int) -> tuple[list[ir.Node], Written]:
        """The nodes that a node of an opset becomes, and their values for its outputs."""
        up = self.after > opset
        on_the_way = borders(node.op_type, opset, self.after)
        for border in on_the_way:
            at = Crossing(node, border if up else border - 1, self.asked, self.wanted)
            found = self._tried(at, partial(_crossed, border=border, up=up))
            if found is not None:
                return self._taken(at, found)
        if on_the_way or node.graph is None:
            at = Crossing(node, self.after, self.asked, self.wanted)
            found = self._tried(at, typed)
            if found is not None:
                return self._taken(at, found)
        return [node], node.outputs

    def _tried(self, at: Crossing, adapter: Adapter) -> Written | None:
        try:
            return adapter(at)
        finally:
            self.written += at.op.nodes

    def _taken(self, at: Crossing, found: Written) -> tuple[list[ir.Node], Written]:
        """Go on with what was written."""
        self.constants += at.op.initializers
        self.wanted |= {id(value) for index, value in enumerate(found) if at.is_read(index)}
        nodes: list[ir.Node] = []
        became: dict[int, ir.Value | None] = {}
        for node in needed(at.op.nodes, found):
            settled, outputs = self.settled(node, at.opset)
            nodes += settled
            if settled == [node]:
                continue
            for old, new in zip(node.outputs, outputs, strict=True):
                became[id(old)] = new
                if new is not None:
                    old.replace_all_uses_with(new)
        return nodes, [became.get(id(value), value) for value in found]


def _crossed(at: Crossing, *, border: int, up: bool) -> Written | None:
    """What a node is on the other side of a border; None where it is the same."""
    node = at.node
    adapter = (table.UP if up else table.DOWN).get((node.op_type, border))
    if adapter is None and not up and definition(node.op_type, at.opset) is None:
        adapter = bodies.expanded
    found = None if adapter is None else adapter(at)
    if found is None:
        return crossed(at, up=up)
    made = {id(value) for each in at.op.nodes for value in each.outputs}
    return [
        value if value is None or id(value) in made else at.op("Identity", value) for value in found
    ]


def _role(value: ir.Value, opset: int) -> str:
    """What the specification calls the first input that a constant is."""
    use = next(iter(value.uses()))
    found = definition(use.node.op_type, opset)
    formal = None if found is None else found.input(use.idx)
    return "constant" if formal is None else formal.name
