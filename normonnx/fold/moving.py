"""What every handler receives and returns.

A handler is asked what an operator does with an affine: of its output, which is to go up, or of
one of its inputs, which is to go down. It absorbs the affine (edits of its own), carries it (what
the planner says about its inputs, or its output), or refuses, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.plan import Bypass, Edit, Refusal, ReplaceNode
from normonnx.fold.stored import stored
from normonnx.fold.surroundings import Surroundings, described


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A part of a plan.

    Attributes:
        edits: What to change.
        into: The nodes that absorb.
        through: The nodes that carry.
    """

    edits: tuple[Edit, ...] = ()
    into: tuple[ir.Node, ...] = ()
    through: tuple[ir.Node, ...] = ()

    def carried_by(self, node: ir.Node) -> Draft:
        """The same, reached through `node`."""
        return replace(self, through=(node, *self.through)) if self.into else self

    def also(self, *edits: Edit) -> Draft:
        """The same with further edits."""
        return replace(self, edits=(*self.edits, *edits))

    @property
    def gone(self) -> tuple[ir.Node, ...]:
        """The nodes that go or are replaced."""
        return tuple(e.node for e in self.edits if isinstance(e, Bypass | ReplaceNode))


class Planner(Protocol):
    """What a handler may ask: about the model, and about what lies beyond the operator."""

    surroundings: Surroundings

    def up(self, node: ir.Node, index: int, affine: ChannelAffine) -> Draft | Refusal:
        """Let what makes the index-th input of a node apply `affine` to it as well."""

    def down(self, value: ir.Value, affine: ChannelAffine) -> Draft | Refusal:
        """Let everything that reads a value apply `affine` to it first."""


def carried_up(planner: Planner, node: ir.Node, affine: ChannelAffine) -> Draft | Refusal:
    """Pass an affine of the output of a node on to what makes its first input."""
    found = planner.up(node, 0, affine)
    return found if isinstance(found, Refusal) else found.carried_by(node)


def carried_down(planner: Planner, node: ir.Node, affine: ChannelAffine) -> Draft | Refusal:
    """Pass an affine of an input of a node on to what reads its output."""
    found = planner.down(node.outputs[0], affine)
    return found if isinstance(found, Refusal) else found.carried_by(node)


# The planner, the node, the number of the output (up) or of the input (down), the affine.
Handler = Callable[[Planner, ir.Node, int, ChannelAffine], Draft | Refusal]


def joined(drafts: Iterable[Draft | Refusal]) -> Draft | Refusal:
    """Several drafts as one; a Refusal when one is, or when two edit the same node."""
    edits: list[Edit] = []
    into: list[ir.Node] = []
    through: list[ir.Node] = []
    for draft in drafts:
        if isinstance(draft, Refusal):
            return draft
        touched = {id(edit.node) for edit in edits}
        both = next((edit.node for edit in draft.edits if id(edit.node) in touched), None)
        if both is not None:
            return Refusal(f"{described(both)} would have to take it twice")
        edits += draft.edits
        into += [node for node in draft.into if node not in into]
        through += [node for node in draft.through if node not in through]
    return Draft(tuple(edits), tuple(into), tuple(through))


@dataclass(frozen=True, slots=True)
class Weight:
    """A constant floating-point weight."""

    value: ir.Value
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def weight_of(
    surroundings: Surroundings,
    node: ir.Node,
    index: int,
    role: str = "weight",
    *,
    integers: bool = False,
) -> Weight | Refusal:
    """The index-th input of a node as a weight; a Refusal when it is no floating-point constant.

    Args:
        surroundings: The model.
        node: The operator.
        index: Which of its inputs.
        role: What to call it.
        integers: Whether it may be stored as integers, behind a DequantizeLinear.
    """
    value = node.inputs[index] if index < len(node.inputs) else None
    found = stored(surroundings, value) if integers else None
    if found is not None and value is not None:
        return Weight(value, found.shape, found.dtype)
    kind = surroundings.kind(value)
    if kind is None or value is None:
        return Refusal(f"{node.op_type}: {surroundings.why_not_constant(value, role)}")
    shape, dtype = kind
    if not is_float(dtype):
        return Refusal(f"{node.op_type}: its {role} {value.name!r} is {dtype}, not floating point")
    return Weight(value, shape, dtype)


def elsewhere(node: ir.Node, what: str, affine: ChannelAffine) -> Refusal:
    """The affine does not vary along what the operator could scale."""
    return Refusal(
        f"{node.op_type}: {what}, but the affine has shape {list(affine.scale.shape)} "
        f"over axes {affine.axes}",
        quiet=len(affine.axes) > 1,
    )


def refuse_parameters(node: ir.Node, *names: str) -> Refusal | None:
    """A Refusal when one of these attributes is a parameter of the function the node stands in."""
    for name in names or tuple(node.attributes):
        if name in node.attributes and node.attributes[name].is_ref():
            return Refusal(
                f"{node.op_type}: its attribute {name} is a parameter of the function it stands in"
            )
    return None
