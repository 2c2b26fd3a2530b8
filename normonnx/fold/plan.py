"""Plans: what would be changed, as data; and refusals: why nothing would.

Six edits suffice: set an input, set an attribute, bypass a node, replace a node, move a node ahead
of those before it, transpose the product before a reduction. A plan is applied whole or not at all
(`apply`), and no slot may be edited twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray


class Rows(Protocol):
    """A matrix or kernel that is read by rows, in float64."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    def rows(self, start: int, stop: int) -> FloatArray:
        """The rows `start` to `stop` along the first axis."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is left as it is.

    Attributes:
        reason: A sentence for users.
        quiet: True where nobody would expect a rewrite, so that it isn't worth a line of a report.
        lacks_bias: True where the scale alone would be taken.
        node: The node that it is about; None until the planner says which one it asked.
    """

    reason: str
    quiet: bool = False
    lacks_bias: bool = False
    node: ir.Node | None = None

    def at(self, node: ir.Node | None) -> Refusal:
        """The same, about a node unless it is about one already."""
        return self if self.node is not None else replace(self, node=node)


@dataclass(frozen=True, slots=True, eq=False)
class ScaledWeight:
    """An existing constant times factors, plus offsets.

    Attributes:
        value: The constant.
        view: Shape in which the constant is looked at; same number of elements.
        factors: float64, as many dimensions as `view`, broadcast against it.
        offsets: As `factors`, added to the product; None where nothing is.
    """

    value: ir.Value
    view: tuple[int, ...]
    factors: FloatArray
    offsets: FloatArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SummedWeight:
    """A new constant: what the constant input `offsets` contributes through a weight, plus `plus`.

    Its content is plus + sum over `axes` of weight * offsets.

    Attributes:
        weight: The weight as it is before the plan is applied; its factors are those to sum with.
        axes: Axes of the weight's view that are summed over.
        plus: What is added; broadcasts with the sum, whose summed axes are dropped.
        shape: Shape of the content.
        dtype: Element type it is stored in.
        name: What to call it; made unique.
        instead_of: The constant that it takes the place of, if there was one.
    """

    weight: ScaledWeight
    axes: tuple[int, ...]
    plus: FloatArray
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str
    instead_of: ir.Value | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NewConstant:
    """A new, small constant.

    Attributes:
        array: Its content before it is rounded, once, to `dtype`.
        dtype: Element type it is stored in.
        name: What to call it; made unique.
        instead_of: The constant that it takes the place of, if there was one.
        is_factor: True where it multiplies: then an entry must not lose precision to underflow.
    """

    array: FloatArray
    dtype: np.dtype[Any]
    name: str
    instead_of: ir.Value | None = None
    is_factor: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class MirroredIntegers:
    """Integers about their zero point: z + sign (q - z).

    Attributes:
        value: The constant that holds them.
        signs: 1, 0 or -1, broadcast against them.
        zero_point: z, broadcast against them.
    """

    value: ir.Value
    signs: FloatArray
    zero_point: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class CombinedWeight:
    """A constant computed from others.

    Attributes:
        rows: What computes it.
        dtype: Element type it is stored in.
        name: What to call it; made unique.
        instead_of: The constant that it takes the place of.
    """

    rows: Rows
    dtype: np.dtype[Any]
    name: str
    instead_of: ir.Value | None = None


Tensor = ScaledWeight | SummedWeight | NewConstant | MirroredIntegers | CombinedWeight


@dataclass(frozen=True, slots=True, eq=False)
class SetInput:
    """Give a node another constant as its index-th input; none where `tensor` is None."""

    node: ir.Node
    index: int
    tensor: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class SetAttribute:
    """Give a node another attribute, or none of that name."""

    node: ir.Node
    name: str
    value: float | int | tuple[int, ...] | None


@dataclass(frozen=True, slots=True, eq=False)
class Bypass:
    """Remove a node; what used its output uses its index-th input instead."""

    node: ir.Node
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class ReplaceNode:
    """Put another operator of the default domain in a node's place, under the same names.

    Attributes:
        node: The node that goes.
        op_type: The operator that comes.
        inputs: Its inputs: new constants, or numbers of inputs of the node that goes.
    """

    node: ir.Node
    op_type: str
    inputs: tuple[int | Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class MoveAhead:
    """Let a node do its work before a chain of nodes, instead of after it.

    Attributes:
        node: Reads the last of the chain as its first input.
        chain: The nodes, the first first, and which input of each the chain goes through. Each is
            read by the next alone.
    """

    node: ir.Node
    chain: tuple[tuple[ir.Node, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class TurnProduct:
    """Let a reduction read W' x' along its last axis in place of x W along the one before.

    Attributes:
        node: The reduction, over the axis before the last.
        product: MatMul(x, W), which nothing else reads; an edit before has transposed its constant.
        rank: Number of dimensions of x.
        source: x' where it is there already; None where a Transpose has to make it.
        keeps: Whether the reduction keeps its axis as 1.
    """

    node: ir.Node
    product: ir.Node
    rank: int
    source: ir.Value | None
    keeps: bool

    @property
    def added(self) -> int:
        """Number of nodes that come."""
        return int(self.source is None) + int(self.keeps)


Edit = SetInput | SetAttribute | Bypass | ReplaceNode | MoveAhead | TurnProduct


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One rewrite: edits that are applied together.

    Attributes:
        source: The node that the rewrite is about.
        edits: What to change.
        reason: What this does, as a sentence for users.
        dropped: Nodes that nothing reads any more afterwards, so that they go, too.
    """

    source: ir.Node
    edits: tuple[Edit, ...]
    reason: str
    dropped: tuple[ir.Node, ...] = ()

    @property
    def removed(self) -> int:
        """Number of nodes that go."""
        return len(self.folded)

    @property
    def folded(self) -> tuple[ir.Node, ...]:
        """The nodes that go or are replaced."""
        edited = (e.node for e in self.edits if isinstance(e, Bypass | ReplaceNode))
        return (*edited, *self.dropped)

    @property
    def added(self) -> int:
        """Number of nodes that come."""
        turned = sum(edit.added for edit in self.edits if isinstance(edit, TurnProduct))
        return turned + sum(isinstance(edit, ReplaceNode) for edit in self.edits)


def _slot(edit: Edit) -> tuple[int, str]:
    if isinstance(edit, SetInput):
        return id(edit.node), f"input {edit.index}"
    if isinstance(edit, SetAttribute):
        return id(edit.node), f"attribute {edit.name}"
    return id(edit.node), "node"


def merge(
    source: ir.Node, edits: Iterable[Edit], reason: str, dropped: Iterable[ir.Node] = ()
) -> Plan | Refusal:
    """One plan of several edits; a Refusal when two of them want the same slot."""
    found = tuple(edits)
    slots = [_slot(edit) for edit in found]
    gone = {node for node, what in slots if what == "node"}
    touched = [node for node, what in slots if what != "node"]
    if len(set(slots)) < len(slots) or gone.intersection(touched):
        return Refusal("two parts of the rewrite want to change the same place")
    return Plan(source, found, reason, tuple(dropped))
