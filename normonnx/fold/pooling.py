"""Pooling and reductions carry an affine of the axes that they leave alone.

A mean of s x + t is s mean(x) + t, unless zeros of the padding are counted, which get no shift; a
maximum is one for positive s. A sum has a shift for each term, so only a scale gets past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, carried_up, refuse_parameters
from normonnx.fold.plan import Refusal
from normonnx.graph.attributes import int_of, ints_of, text_of
from normonnx.graph.steering import reduced_axes

_UNPOOLED: Final = frozenset([0, 1])
_MAXIMA: Final = frozenset(["GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"])
_Check = Callable[[ir.Node, ChannelAffine], Refusal | None]


def pool_up(planner: Planner, node: ir.Node, index: int, affine: ChannelAffine) -> Draft | Refusal:
    """AveragePool, MaxPool and their global forms: batch and channels stay."""
    refusal = _pool_refuses(node, index, affine)
    if refusal is not None:
        return refusal
    return carried_up(planner, node, affine)


def pool_down(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """As upwards; the indices of a MaxPool don't change."""
    refusal = _pool_refuses(node, 0, affine)
    if refusal is not None:
        return refusal
    return carried_down(planner, node, affine)


def _pool_refuses(node: ir.Node, index: int, affine: ChannelAffine) -> Refusal | None:
    if index != 0:
        return Refusal("MaxPool: it is the indices of the maxima", quiet=True)
    if not set(affine.axes) <= _UNPOOLED:
        return Refusal(
            f"{node.op_type}: the affine varies along axes {affine.axes}, which it pools"
        )
    if node.op_type == "AveragePool":
        return refuse_parameters(node) or _counts_padding(node, affine)
    return _needs_positive(node, affine)


def _needs_positive(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if node.op_type in _MAXIMA and not affine.is_positive:
        return Refusal(f"{node.op_type}: a scale that is not positive changes which is largest")
    return None


def _counts_padding(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    padded = any(ints_of(node, "pads") or ()) or int_of(node, "ceil_mode", 0) != 0
    padded |= text_of(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    if not affine.is_scale and padded and int_of(node, "count_include_pad", 0):
        return Refusal("AveragePool: it counts the zeros of its padding, which get no shift")
    return None


def reduce_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin: the axes that are left, in order."""
    kept = _left_axes(planner, node, affine)
    if isinstance(kept, Refusal):
        return kept
    return carried_up(planner, node, affine.moved({a: kept[a] for a in affine.axes}))


def reduce_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """As upwards, where the affine varies along none of the reduced axes."""
    if index != 0:
        return Refusal(f"{node.op_type}: it reads it as axes", quiet=True)
    kept = _left_axes(planner, node, affine)
    if isinstance(kept, Refusal):
        return kept
    places = {old: new for new, old in kept.items()}
    if not set(affine.axes) <= set(places):
        return Refusal(
            f"{node.op_type}: the affine varies along axes {affine.axes}, some of which it reduces",
            quiet=True,
        )
    return carried_down(planner, node, affine.moved({a: places[a] for a in affine.axes}))


def _left_axes(planner: Planner, node: ir.Node, affine: ChannelAffine) -> dict[int, int] | Refusal:
    """Which axis of the input each axis of the output is, the reduced ones left out."""
    refusal = refuse_parameters(node) or _needs_positive(node, affine)
    if node.op_type == "ReduceSum" and not affine.is_scale:
        refusal = Refusal("ReduceSum: it adds a shift up once for each term")
    if refusal is not None:
        return refusal
    if not affine.axes:
        return {}
    surroundings = planner.surroundings
    rank = surroundings.ranks.rank(node.inputs[0])
    reduced = None if rank is None else reduced_axes(node, surroundings.constants, rank)
    if rank is None or reduced is None:
        return Refusal(f"{node.op_type}: which axes it reduces is unknown")
    left = [axis for axis in range(rank) if axis not in reduced]
    if int_of(node, "keepdims", 1):
        return {axis: axis for axis in left}
    return dict(enumerate(left))
