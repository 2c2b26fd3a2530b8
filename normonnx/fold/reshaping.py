"""Reshape, Flatten, Squeeze, Unsqueeze, Transpose and Expand carry an affine, its axes rearranged.

A reshape falls into groups of dimensions with equal products: [N, 2, 3, H] to [N, 6, H] has the
groups N to N, (2, 3) to 6, H to H. Within a group of known lengths the numbers of an affine are
reshaped like the data; axes along which they then don't vary are dropped. Groups are found from the
right and from the left, so that one unknown dimension hides nothing but its own group.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, carried_up, refuse_parameters
from normonnx.fold.plan import Refusal
from normonnx.graph.attributes import axes_within, is_given, steering
from normonnx.graph.lengths import Length, Lengths, same_product
from normonnx.graph.steering import permutation

_MOST_NUMBERS: Final = 1 << 16  # that an affine may consist of after a reshape
_Group = tuple[range, range]


def reshape_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Carry through Reshape or Flatten, whose shapes say which axes the numbers come from."""
    ranks = planner.surroundings.ranks
    shapes = (ranks.lengths(node.outputs[0]), ranks.lengths(node.inputs[0]))
    moved = _through_reshape(affine, *shapes, node)
    if isinstance(moved, Refusal):
        return moved
    return carried_up(planner, node, moved)


def reshape_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Carry through Reshape or Flatten, whose shapes say which axes the numbers go to."""
    if index != 0:
        return Refusal(f"{node.op_type}: it reads it as a shape", quiet=True)
    ranks = planner.surroundings.ranks
    shapes = (ranks.lengths(node.inputs[0]), ranks.lengths(node.outputs[0]))
    moved = _through_reshape(affine, *shapes, node)
    if isinstance(moved, Refusal):
        return moved
    return carried_down(planner, node, moved)


def _through_reshape(
    affine: ChannelAffine, source: Lengths | None, target: Lengths | None, node: ir.Node
) -> ChannelAffine | Refusal:
    if not affine.axes:
        return affine
    if source is None or target is None:
        return Refusal(f"{node.op_type}: the number of dimensions around it is unknown", quiet=True)
    moved = through_reshape(affine, source, target)
    if moved is None:
        return Refusal(
            f"{node.op_type}: the affine over axes {affine.axes} is not per channel on its other "
            "side, or the dimensions there are unknown",
            quiet=True,
        )
    return moved


def through_reshape(
    affine: ChannelAffine, source: Lengths, target: Lengths
) -> ChannelAffine | None:
    """The affine of a value of shape `source` on the same data in shape `target`.

    None where it is not per channel there, or where that is not certain.
    """
    scale, shift = affine.scale, affine.shift
    axes: list[int] = []
    position = 0  # of the dimensions of scale and shift that are dealt with
    for before, after in _groups(source, target):
        own = [axis for axis in affine.axes if axis in before]
        if not own:
            continue
        if len(before) == len(after) == 1:
            axes.append(after[0])
            position += 1
            continue
        lengths = [source[axis] for axis in before], [target[axis] for axis in after]
        if not all(isinstance(length, int) for side in lengths for length in side):
            return None
        old, new = ([int(n) for n in side if isinstance(n, int)] for side in lengths)
        if math.prod(old) > _MOST_NUMBERS:
            return None
        spread = [n if axis in own else 1 for axis, n in zip(before, old, strict=True)]
        if [n for axis, n in zip(before, old, strict=True) if axis in own] != list(
            scale.shape[position : position + len(own)]
        ):
            return None
        change = (position, len(own), spread, old, new)
        scale, shift = _regrouped(scale, change), _regrouped(shift, change)
        axes += after
        position += len(after)
    if position != scale.ndim:
        return None
    return _compressed(ChannelAffine(tuple(axes), scale, shift), target)


def _regrouped(
    vector: FloatArray, change: tuple[int, int, list[int], list[int], list[int]]
) -> FloatArray:
    """Spread some dimensions of a vector over a whole group, then shape it like the other side."""
    position, count, spread, old, new = change
    head, tail = vector.shape[:position], vector.shape[position + count :]
    wide = vector.reshape(*head, *spread, *tail)
    return np.broadcast_to(wide, (*head, *old, *tail)).reshape(*head, *new, *tail)


def _compressed(affine: ChannelAffine, shape: Lengths) -> ChannelAffine:
    """Without the axes, of known length, along which nothing varies."""
    for position in reversed(range(len(affine.axes))):
        if shape[affine.axes[position]] != affine.scale.shape[position]:
            continue
        first = [np.take(v, [0], axis=position) for v in (affine.scale, affine.shift)]
        if all(
            np.array_equal(np.broadcast_to(one, v.shape), v)
            for one, v in zip(first, (affine.scale, affine.shift), strict=True)
        ):
            axes = tuple(a for i, a in enumerate(affine.axes) if i != position)
            affine = ChannelAffine(axes, *(np.squeeze(one, position) for one in first))
    return affine


def _groups(source: Lengths, target: Lengths) -> list[_Group]:
    """Ranges of axes of both shapes that hold the same data, in order; without the unknown ones."""
    right = _matched(source[::-1], target[::-1])
    back = [
        (range(len(source) - b.stop, len(source) - b.start),
         range(len(target) - a.stop, len(target) - a.start))
        for b, a in right
    ]  # fmt: skip
    back.reverse()
    ends = (back[0][0].start, back[0][1].start) if back else (len(source), len(target))
    front = _matched(source[: ends[0]], target[: ends[1]])
    return [*front, *back]


def _matched(source: Sequence[Length], target: Sequence[Length]) -> list[_Group]:
    """Groups of equal product, from the start, until one that is not certain."""
    found: list[_Group] = []
    starts = stops = (0, 0)
    while stops[0] < len(source) and stops[1] < len(target):
        stops = (stops[0] + 1, stops[1] + 1)
        closed = _closed(source, target, starts, stops)
        if closed is None:
            break
        stops = closed
        found.append((range(starts[0], stops[0]), range(starts[1], stops[1])))
        starts = stops
    return found


def _closed(
    source: Sequence[Length],
    target: Sequence[Length],
    starts: tuple[int, int],
    stops: tuple[int, int],
) -> tuple[int, int] | None:
    """Where the group that begins at `starts` ends on both sides; None when it never closes."""
    left, right = stops
    while not same_product(source[starts[0] : left], target[starts[1] : right]):
        sizes = _known_product(source[starts[0] : left]), _known_product(target[starts[1] : right])
        if sizes[0] is None or sizes[1] is None or sizes[0] == sizes[1]:
            return None
        if sizes[0] < sizes[1]:
            left += 1
        else:
            right += 1
        if left > len(source) or right > len(target):
            return None
    return left, right


def _known_product(lengths: Sequence[Length]) -> int | None:
    ints = [length for length in lengths if isinstance(length, int)]
    return math.prod(ints) if len(ints) == len(lengths) else None


def transpose_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Output axis i is input axis perm[i]."""
    perm = _permutation(planner, node)
    if isinstance(perm, Refusal):
        return perm if affine.axes else carried_up(planner, node, affine)
    return carried_up(planner, node, affine.moved(dict(enumerate(perm))))


def transpose_down(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Input axis perm[i] is output axis i."""
    perm = _permutation(planner, node)
    if isinstance(perm, Refusal):
        return perm if affine.axes else carried_down(planner, node, affine)
    return carried_down(planner, node, affine.moved({old: new for new, old in enumerate(perm)}))


def _permutation(planner: Planner, node: ir.Node) -> list[int] | Refusal:
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    perm = permutation(node, planner.surroundings.ranks.rank(node.inputs[0]))
    if perm is None:
        return Refusal("Transpose: the number of dimensions of its input is unknown")
    return perm


def squeeze_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """The axes that are left, in order."""
    kept = _kept_axes(planner, node, squeezes=True)
    if isinstance(kept, Refusal):
        return kept if affine.axes else carried_up(planner, node, affine)
    return carried_up(planner, node, affine.moved(dict(enumerate(kept))))


def squeeze_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """The axes that are left, in order."""
    if index != 0:
        return Refusal("Squeeze: it reads it as axes", quiet=True)
    kept = _kept_axes(planner, node, squeezes=True)
    if isinstance(kept, Refusal):
        return kept if affine.axes else carried_down(planner, node, affine)
    places = {old: new for new, old in enumerate(kept)}
    if not set(affine.axes) <= set(places):
        return Refusal(f"Squeeze: the affine varies along an axis of {affine.axes} that goes")
    return carried_down(planner, node, affine.moved(places))


def unsqueeze_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """New axes have a single entry, so nothing varies along them."""
    kept = _kept_axes(planner, node, squeezes=False)
    if isinstance(kept, Refusal):
        return kept if affine.axes else carried_up(planner, node, affine)
    places = {old: new for new, old in enumerate(kept)}
    if not set(affine.axes) <= set(places):
        return Refusal(f"Unsqueeze: the affine varies along an axis of {affine.axes} that is new")
    return carried_up(planner, node, affine.moved(places))


def unsqueeze_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """The old axes, between the new ones."""
    if index != 0:
        return Refusal("Unsqueeze: it reads it as axes", quiet=True)
    kept = _kept_axes(planner, node, squeezes=False)
    if isinstance(kept, Refusal):
        return kept if affine.axes else carried_down(planner, node, affine)
    return carried_down(planner, node, affine.moved(dict(enumerate(kept))))


def _kept_axes(planner: Planner, node: ir.Node, *, squeezes: bool) -> list[int] | Refusal:
    """The axes of the side with more dimensions that the other side has as well, in order."""
    surroundings = planner.surroundings
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    axes = steering(node, "axes", surroundings.constants, 1)
    dims = surroundings.ranks.dims(node.inputs[0])
    if dims is None or (axes is None and is_given(node, 1)):
        return Refusal(f"{node.op_type}: its axes, or the dimensions of its input, are unknown")
    rank = len(dims) if squeezes else len(dims) + len(axes or ())
    if axes is None:
        if None in dims:
            return Refusal("Squeeze: which of its dimensions have length 1 is unknown")
        axes = [axis for axis, length in enumerate(dims) if length == 1]
    found = axes_within(axes, rank)
    if found is None:
        return Refusal(f"{node.op_type}: its axes {axes} are out of range")
    return [axis for axis in range(rank) if axis not in found]


def expand_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Axes of the input, aligned at the right, unless they are the ones that Expand enlarges."""
    ranks = planner.surroundings.ranks
    dims, rank = ranks.dims(node.inputs[0]), ranks.rank(node.outputs[0])
    if not affine.axes:
        return carried_up(planner, node, affine)
    if dims is None or rank is None:
        return Refusal("Expand: the number of dimensions around it is unknown")
    first = rank - len(dims)
    for axis, length in affine.lengths.items():
        if axis < first or dims[axis - first] != length:
            return Refusal(f"Expand: the affine varies along axis {axis}, which may be enlarged")
    return carried_up(planner, node, affine.moved(_shifted(affine, -first)))


def expand_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """An axis along which the input varies is not enlarged."""
    ranks = planner.surroundings.ranks
    first = 0
    if index != 0:
        return Refusal("Expand: it reads it as a shape", quiet=True)
    if affine.axes:
        rank, output_rank = ranks.rank(node.inputs[0]), ranks.rank(node.outputs[0])
        if rank is None or output_rank is None:
            return Refusal("Expand: the number of dimensions around it is unknown")
        first = output_rank - rank
    return carried_down(planner, node, affine.moved(_shifted(affine, first)))


def _shifted(affine: ChannelAffine, by: int) -> Mapping[int, int]:
    return {axis: axis + by for axis in affine.axes}
