"""What a rewrite changed: a region of one graph before it and after it, and what must be equal.

A node has changed when it came, went, or reads something else, or has another attribute; what can't
be evaluated by itself and only reads something else is held to stand outside. The region is what
changed and all that lies between: on a path from one changed node to another, before or
after. So no node outside is on the way from one of its nodes to another, what enters it is the same
before and after, and what leaves it must be: what a node outside reads, or a graph gives. A node
that reads no more than a shape does not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from normonnx.validation.snapshots import Snapshot, Step

_Pair = tuple[ir.Value, ir.Value]
_Steps = Mapping[ir.Node, Step]
_STANDARD: Final = ("", "ai.onnx")
# They make up for another shape or order of what they read.
_VIEWS: Final = frozenset({"Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One rewrite.

    Attributes:
        before: The nodes of the region as they were, in order.
        after: What has become of them.
        inputs: What enters the region.
        outputs: What leaves it, before and after.
        moved: What a node read before, and what of the region it reads in its place.
        graph: That it lies in.
    """

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[_Pair, ...]
    moved: tuple[_Pair, ...]
    graph: ir.Graph


def change_between(before: Snapshot, after: Snapshot) -> Change | None:
    """What changed; None for nothing, or what is no region of one graph.

    A region is not looked at where it holds nodes with subgraphs, or depends on the parameters of
    a function.
    """
    common = [graph for graph in before.graphs if graph in after.graphs]
    touched = {
        graph: sides
        for graph in common
        if any(sides := _changed(before.graphs[graph], after.graphs[graph]))
    }
    # What captures a value of the region reads another one now; it is a node outside.
    own = [graph for graph in touched if not _is_rewired(before.graphs[graph], after.graphs[graph])]
    if len(own or touched) != 1:
        return None
    (graph,) = own or touched
    old, new = _regions(before.graphs[graph], after.graphs[graph], touched[graph])
    if not all(_stands_alone(step) for step in (*old, *new)):
        return None
    made = _made(old), _made(new)
    outputs = tuple(dict.fromkeys(_leaving(before, after, {s.node for s in (*old, *new)}, made)))
    read = [value for step in (*old, *new) for value in step.read]
    read += [value for pair in outputs for value in pair]
    inputs = tuple(value for value in dict.fromkeys(read) if value not in made[0] | made[1])
    return Change(old, new, inputs, outputs, _moved(old, new, made[1]), graph) if outputs else None


def _changed(before: _Steps, after: _Steps) -> tuple[set[ir.Node], set[ir.Node]]:
    """Nodes that are not in the other, or not the same there."""
    both = [step for node, step in before.items() if node in after]
    same = {
        step.node
        for step in both
        if step.is_same(after[step.node])
        or (_stays_outside(step) and step.is_like(after[step.node]))
    }
    return before.keys() - same, after.keys() - same


def _is_rewired(before: _Steps, after: _Steps) -> bool:
    """Whether nothing has changed in a graph but where something comes from."""
    return before.keys() == after.keys() and all(
        step.is_like(after[node]) for node, step in before.items()
    )


def _regions(
    before: _Steps, after: _Steps, changed: tuple[set[ir.Node], set[ir.Node]]
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The changed nodes and all between, the same before and after but for what came or went."""
    old, new = changed
    while True:
        wider_old = _between(before, old | (new & before.keys()))
        wider_new = _between(after, new | (wider_old & after.keys()))
        if wider_old == old and wider_new == new:
            break
        old, new = wider_old, wider_new
    return (
        tuple(step for node, step in before.items() if node in old),
        tuple(step for node, step in after.items() if node in new),
    )


def _between(steps: _Steps, nodes: Collection[ir.Node]) -> set[ir.Node]:
    """The nodes, and those that lie on a path between two of them."""
    reached: set[ir.Value] = set()
    below: list[Step] = []
    for node, step in steps.items():
        if node in nodes or (reached and any(value in reached for value in step.read)):
            reached.update(node.outputs)
            below.append(step)
    wanted: set[ir.Value] = set()
    found: set[ir.Node] = set()
    for step in reversed(below):
        if step.node in nodes or any(value in wanted for value in step.node.outputs):
            wanted.update(step.read)
            found.add(step.node)
    return found


def _stays_outside(step: Step) -> bool:
    """Whether a node that reads another value now is left out: it can't be evaluated by itself."""
    return step.node.domain not in _STANDARD or not _stands_alone(step)


def _stands_alone(step: Step) -> bool:
    return not step.reached and not any(
        one.is_ref() or one.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
        for one in step.attributes
    )


def _made(steps: Iterable[Step]) -> set[ir.Value]:
    return {value for step in steps for value in step.node.outputs}


def _leaving(
    before: Snapshot,
    after: Snapshot,
    inside: Collection[ir.Node],
    made: tuple[set[ir.Value], set[ir.Value]],
) -> Iterator[_Pair]:
    """What nodes outside read, and graphs give, where the region makes it."""
    for graph, steps in after.graphs.items():
        if graph not in before.graphs:  # a function that came along
            continue
        pairs = list(zip(before.outputs[graph], after.outputs[graph], strict=True))
        for node, step in steps.items():
            if node not in inside:
                pairs += zip(before.graphs[graph][node].content, step.content, strict=True)
        for old, new in pairs:
            if old is not new or old in made[0] or new in made[1]:
                yield old, new


def _moved(old: Iterable[Step], new: Iterable[Step], made: set[ir.Value]) -> tuple[_Pair, ...]:
    """Values of the region that a node reads in place of others."""
    before = {step.node: step for step in old}
    pairs = (
        pair
        for step in new
        if step.node in before and step.node.op_type not in _VIEWS
        for pair in zip(before[step.node].inputs, step.inputs, strict=False)
    )
    return tuple(
        (o, n) for o, n in pairs if o is not None and n is not None and o is not n and n in made
    )
