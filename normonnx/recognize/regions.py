"""The nodes of a normalization: from its result back to its root, and who else reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from normonnx.graph.constants import reads_content
from normonnx.graph.steering import taken_branch
from normonnx.recognize.facts import Combination
from normonnx.recognize.walk import Known

_COMPARING: Final = frozenset(
    ["Cast", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not"]
)


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """A value from within that is read outside.

    Attributes:
        value: The value.
        node: Within, which gives it.
        reader: Outside, which reads it; None where it is an output of the graph.
    """

    value: ir.Value
    node: ir.Node
    reader: ir.Node | None


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Nodes between a root and a value.

    Attributes:
        nodes: From the result backwards.
        leaks: What is read outside besides the result.
    """

    nodes: tuple[ir.Node, ...]
    leaks: tuple[Leak, ...] = ()


def region_of(known: Known, value: ir.Value, root: ir.Value) -> Region:
    """What computes a value from its root."""
    nodes: dict[int, ir.Node] = {}
    waiting, seen = [value], set[int]()
    while waiting:
        current = waiting.pop()
        node = current.producer()
        if current is root or node is None or id(current) in seen:
            continue
        if current is not value and not _belongs(known, current, node, root):
            continue
        seen.add(id(current))
        nodes[id(node)] = node
        waiting += [operand for operand in node.inputs if operand is not None]
        branch = taken_branch(node, known.asked.constants) if node.op_type == "If" else None
        if branch is not None:  # what the other branch reads is never read
            waiting.extend(list(branch.outputs))
            nodes |= {id(inner): inner for inner in _inner_nodes(node)}
    return enclosing(known, nodes, value, root)


def enclosing(known: Known, nodes: dict[int, ir.Node], value: ir.Value, root: ir.Value) -> Region:
    """These nodes, by id, as a region between a root and a value."""
    members = tuple(nodes.values())
    leaks = (leak for node in members for leak in _leaks(known, node, nodes, value, root))
    return Region(members, tuple(leaks))


def _inner_nodes(node: ir.Node) -> list[ir.Node]:
    found = list[ir.Node]()
    for attribute in node.attributes.values():
        if not attribute.is_ref() and attribute.type == ir.AttributeType.GRAPH:
            found += attribute.as_graph().all_nodes()
    return found


def _belongs(known: Known, value: ir.Value, node: ir.Node, root: ir.Value) -> bool:
    if known.asked.constants.get(value) is not None:
        return False
    if known.fact(value, id(root)) is not None:
        return True
    if node.op_type in ("Mul", "Sub") and _is_mask(known, node):
        return True
    return _compares(node) and not known.facts(value)


def _compares(node: ir.Node) -> bool:
    """Whether a node gives where a condition holds; a Cast of something else gives a shape, say."""
    if node.op_type == "Cast" and node.domain == "":
        target = node.attributes.get("to")
        if target is not None and not target.is_ref() and target.as_int() == ir.DataType.BOOL:
            return True
        source = None if node.inputs[0] is None else node.inputs[0].producer()
        return source is not None and _compares(source)
    return node.op_type in _COMPARING and node.domain == ""


def _is_mask(known: Known, node: ir.Node) -> bool:
    """Arithmetic between a constant and where a condition holds."""
    for value in node.inputs:
        source = None if value is None else value.producer()
        if source is None or known.asked.constants.get(value) is not None:
            continue
        if source.op_type == "Sub" and node.op_type == "Mul":
            return _is_mask(known, source)
        if source.op_type != "Cast" or source.inputs[0] is None:
            return False
        maker = source.inputs[0].producer()
        return maker is not None and maker.op_type in _COMPARING
    return False


def _leaks(
    known: Known, node: ir.Node, nodes: dict[int, ir.Node], value: ir.Value, root: ir.Value
) -> Iterator[Leak]:
    """Who reads a value from within besides the normalization itself: the first of each value.

    A value may have thousands of readers, and each of them may be looked at as an end.
    """
    for output in node.outputs:
        if output is value:
            continue
        fact = known.fact(output, id(root))
        if isinstance(fact, Combination) and fact.is_view:
            continue  # the same numbers as the root's: they may stay
        if output.is_graph_output() and node.graph is value.graph:
            yield Leak(output, node, None)
        for use in output.uses():
            if id(use.node) not in nodes and reads_content(use.node, use.idx):
                yield Leak(output, node, use.node)
                break
