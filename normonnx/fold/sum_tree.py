"""Trees of Add and Sum: their leaves, and what is left when some of these go.

A tree ends at values that something else reads as well, that are graph outputs, or that come from
outside its graph.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from normonnx.fold.affine import ChannelAffine
from normonnx.fold.plan import Bypass, Edit, Refusal, ReplaceNode
from normonnx.fold.sources import Source, affine_of
from normonnx.fold.surroundings import STANDARD, Surroundings, described

_SUMS: Final = ("Add", "Sum")


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """One summand: the index-th input of a node of the tree."""

    node: ir.Node
    index: int
    value: ir.Value

    @property
    def place(self) -> tuple[int, int]:
        """What tells it from the other leaves."""
        return id(self.node), self.index


@dataclass(frozen=True, slots=True, eq=False)
class SumTree:
    """A sum of leaves.

    Attributes:
        nodes: Its Add and Sum nodes, the root first, each before those that it reads.
        leaves: The summands from left to right.
    """

    nodes: tuple[ir.Node, ...]
    leaves: tuple[Leaf, ...]

    @property
    def root(self) -> ir.Node:
        """The node that computes the whole sum."""
        return self.nodes[0]

    def without(self, leaves: Collection[Leaf]) -> tuple[tuple[Edit, ...], tuple[ir.Node, ...]]:
        """The edits that take leaves away, not all, and the nodes nothing reads any more."""
        gone = {leaf.place for leaf in leaves}
        inner = {id(node.outputs[0]): node for node in self.nodes[1:]}
        dead: set[int] = set()
        edits: list[Edit] = []
        dropped = []
        for node in reversed(self.nodes):
            alive = [
                index
                for index, value in enumerate(node.inputs)
                if (id(node), index) not in gone and id(inner.get(id(value))) not in dead
            ]
            if not alive:
                dead.add(id(node))
                dropped.append(node)
            elif len(alive) == 1 < len(node.inputs):
                edits.append(Bypass(node, alive[0]))
            elif len(alive) < len(node.inputs):
                edits.append(ReplaceNode(node, node.op_type, tuple(alive)))
        return tuple(reversed(edits)), tuple(dropped)


def sum_tree(surroundings: Surroundings, root: ir.Node) -> SumTree | None:
    """The tree whose root a node is; None where it is none, or the part of a larger one."""
    if not _is_sum(surroundings, root) or _is_inner(surroundings, root):
        return None
    nodes: list[ir.Node] = []
    leaves: list[Leaf] = []
    waiting: list[ir.Node | Leaf] = [root]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Leaf):
            leaves.append(current)
            continue
        nodes.append(current)
        for index in reversed(range(len(current.inputs))):
            value = current.inputs[index]
            if value is None:
                return None
            inner = value.producer()
            part = inner is not None and inner.graph is root.graph and _is_sum(surroundings, inner)
            if part and inner is not None and is_read_once(value):
                waiting.append(inner)
            else:
                waiting.append(Leaf(current, index, value))
    return SumTree(tuple(nodes), tuple(leaves))


def _is_sum(surroundings: Surroundings, node: ir.Node) -> bool:
    return (
        node.op_type in _SUMS
        and node.domain in STANDARD
        and len(node.inputs) > 1
        and not surroundings.is_kept(node)
    )


def _is_inner(surroundings: Surroundings, node: ir.Node) -> bool:
    value = node.outputs[0]
    if not is_read_once(value):
        return False
    (use,) = value.uses()
    return use.node.graph is node.graph and _is_sum(surroundings, use.node)


def is_read_once(value: ir.Value) -> bool:
    """Whether exactly one input reads a value, and no caller does."""
    return len(value.uses()) == 1 and not value.is_graph_output()


@dataclass(frozen=True, slots=True, eq=False)
class AffineBranch:
    """A leaf that is the common input itself, or an affine of it.

    Attributes:
        value: The input.
        affine: What the leaf makes of it; None for nothing.
        nodes: The nodes between.
    """

    value: ir.Value
    affine: ChannelAffine | None
    nodes: tuple[ir.Node, ...]


def affine_branch(
    surroundings: Surroundings, leaf: Leaf, inputs: Collection[ir.Value]
) -> AffineBranch | Refusal | None:
    """The leaf as an affine of one of `inputs`; None where it is none."""
    found: list[Source] = []
    affine: ChannelAffine | None = None
    value: ir.Value | None = leaf.value
    while value is not None and not any(value is known for known in inputs):
        node = value.producer()
        if node is None or node.graph is not leaf.node.graph:
            return None
        source = affine_of(surroundings, node)
        if isinstance(source, Refusal):
            reads_input = any(v is known for v in node.inputs for known in inputs)
            return Refusal(f"{described(node)}: {source.reason}") if reads_input else None
        if source is None:
            return None
        if not is_read_once(value):
            return Refusal(f"{described(node)} is also read elsewhere", quiet=True)
        try:
            affine = source.affine if affine is None else affine.after(source.affine)
        except ValueError:
            return None
        if len(affine.axes) > 1:
            return None
        found.append(source)
        value = node.inputs[source.index]
    if value is None:
        return None
    return AffineBranch(value, affine, tuple(source.node for source in found))
