"""Sums of computed values carry an affine.

s (a + b) + t = (s a + t) + (s b): up a sum, the scale goes to every branch and the shift to one of
them; down, only a shift gets past: (a + t) + b = (a + b) + t. A branch that is broadcast along an
axis of the affine can't take it.
Products of computed values would let a scale pass, but it is the 0.5 of a GELU or the scale of an
attention, which runtimes look for where it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import onnx_ir as ir

from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, joined
from normonnx.fold.plan import Refusal

# Sign with which each branch enters; for a branch beyond, the last.
_SIGNS: Final[Mapping[str, Sequence[float]]] = {
    "Add": (1.0, 1.0),
    "Sub": (1.0, -1.0),
    "Sum": (1.0, 1.0),
}


def sum_up(planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine) -> Draft | Refusal:
    """The scale to every branch, the shift to the first that takes it."""
    branches = range(len(node.inputs))
    scaling, refusal = affine.scaling, Refusal(f"{node.op_type}: it has no branches")
    for shifted in [None] if affine.is_scale else branches:
        parts: list[Draft | Refusal] = []
        for branch in branches:
            own = scaling
            if branch == shifted:
                sign = _SIGNS[node.op_type][min(branch, 1)]
                own = ChannelAffine(affine.axes, affine.scale, sign * affine.shift)
            parts.append(_branch(planner, node, branch, own))
            if isinstance(parts[-1], Refusal):
                break
        found = joined(parts)
        if isinstance(found, Draft):
            return found.carried_by(node)
        refusal = found
    return refusal


def sum_down(planner: Planner, node: ir.Node, index: int, affine: ChannelAffine) -> Draft | Refusal:
    """A shift of one branch is a shift of the sum."""
    if not affine.is_shift:
        return Refusal(f"{node.op_type}: a scale of one branch can't get past a sum", quiet=True)
    sign = _SIGNS[node.op_type][min(index, 1)]
    shift = ChannelAffine(affine.axes, affine.scale, sign * affine.shift)
    return _branch_down(planner, node, index, shift)


def _branch(planner: Planner, node: ir.Node, branch: int, affine: ChannelAffine) -> Draft | Refusal:
    """The affine of the output as one of a branch, dimensions aligned at the right."""
    if not affine.axes or affine.is_identity:
        return planner.up(node, branch, affine)
    ranks = planner.surroundings.ranks
    dims, rank = ranks.dims(node.inputs[branch]), ranks.rank(node.outputs[0])
    if dims is None or rank is None:
        return Refusal(f"{node.op_type}: the number of dimensions of a branch is unknown")
    first = rank - len(dims)
    for axis, length in affine.lengths.items():
        if axis < first or dims[axis - first] != length:
            return Refusal(
                f"{node.op_type}: a branch is broadcast along axis {axis} of the affine, or its "
                "length there is unknown"
            )
    return planner.up(node, branch, affine.moved({axis: axis - first for axis in affine.axes}))


def _branch_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    if affine.axes:
        ranks = planner.surroundings.ranks
        branch, rank = ranks.rank(node.inputs[index]), ranks.rank(node.outputs[0])
        if branch is None or rank is None:
            return Refusal(f"{node.op_type}: the number of dimensions of a branch is unknown")
        affine = affine.moved({axis: axis + rank - branch for axis in affine.axes})
    return carried_down(planner, node, affine)
