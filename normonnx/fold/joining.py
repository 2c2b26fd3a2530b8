"""Concat and Split carry an affine: each branch has its slice of it.

Up a Concat every branch has to take its slice, unless that slice changes nothing. Down a Concat
the other branches get scale 1 and shift 0, and so do, up a Split, the other outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, carried_up, joined, refuse_parameters
from normonnx.fold.plan import Refusal
from normonnx.graph.attributes import axes_within, int_of
from normonnx.graph.lengths import Length
from normonnx.graph.steering import split_sizes


def concat_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Each branch gets its slice; all of them, or none."""
    blocked = _blocked(planner, node, affine)
    if blocked is not None:
        return blocked
    layout = _branches(planner, node, affine)
    if isinstance(layout, Refusal):
        return layout
    axis, sizes = layout
    if axis not in affine.axes:
        parts = [affine] * len(node.inputs)
    elif sum(sizes) != affine.lengths[axis]:
        return Refusal(f"Concat: it joins {sum(sizes)} channels, the affine has others")
    else:
        parts = sliced(affine, axis, sizes)
    found = joined(planner.up(node, i, part) for i, part in enumerate(parts))
    return found if isinstance(found, Refusal) else found.carried_by(node)


def _blocked(planner: Planner, node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    """A Refusal at sight, before any shape is worked out: a branch that others read as well."""
    if not np.all((affine.scale != 1.0) | (affine.shift != 0.0)):
        return None  # some branch may have nothing to take
    surroundings = planner.surroundings
    for index, value in enumerate(node.inputs):
        if surroundings.kind(value) is None:
            producer = surroundings.sole_producer(node, index)
            if isinstance(producer, Refusal):
                return producer
    return None


def concat_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """The other branches stay as they are: scale 1, shift 0."""
    axes = _axis(planner, node, 1)
    if isinstance(axes, Refusal):
        return axes
    sizes = _sizes(planner, node, axes)
    if sizes is None:
        return Refusal("Concat: the number of channels of a branch is unknown")
    return carried_down(planner, node, placed(affine, axes, sizes, index))


def split_up(planner: Planner, node: ir.Node, index: int, affine: ChannelAffine) -> Draft | Refusal:
    """The other outputs stay as they are: scale 1, shift 0."""
    found = _parts(planner, node)
    if isinstance(found, Refusal):
        return found
    return carried_up(planner, node, placed(affine, *found, index))


def split_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Whatever reads an output gets its slice; all of them, or none."""
    if index != 0:
        return Refusal("Split: it reads it as sizes", quiet=True)
    found = _parts(planner, node)
    if isinstance(found, Refusal):
        return found
    axis, sizes = found
    parts = [affine] * len(sizes)
    if axis in affine.axes:
        if sum(sizes) != affine.lengths[axis]:
            return Refusal(f"Split: it parts {sum(sizes)} channels, the affine has others")
        parts = sliced(affine, axis, sizes)
    read = [
        planner.down(value, part)
        for value, part in zip(node.outputs, parts, strict=True)
        if value.uses() or value.is_graph_output()
    ]
    below = joined(read)
    return below if isinstance(below, Refusal) else below.carried_by(node)


def sliced(affine: ChannelAffine, axis: int, sizes: Sequence[int]) -> list[ChannelAffine]:
    """Consecutive parts of an affine along one of its axes."""
    bounds = np.cumsum([0, *sizes])
    parts = []
    for start, stop in pairwise(bounds):
        kept = range(int(start), int(stop))
        parts.append(affine.selected(axis, kept))
    return parts


def placed(affine: ChannelAffine, axis: int, sizes: Sequence[int], index: int) -> ChannelAffine:
    """The affine of one part, written for the whole: scale 1 and shift 0 in the other parts."""
    axes = tuple(sorted({*affine.axes, axis}))
    position = axes.index(axis)

    def spread(vector: FloatArray, filler: float) -> FloatArray:
        if axis not in affine.axes:
            vector = np.expand_dims(vector, position)
        shape = [*vector.shape]
        parts = []
        for part, size in enumerate(sizes):
            shape[position] = size
            parts.append(
                np.broadcast_to(vector, shape) if part == index else np.full(shape, filler)
            )
        return np.concatenate(parts, axis=position)

    return affine.changed(axes, spread)


def _branches(
    planner: Planner, node: ir.Node, affine: ChannelAffine
) -> tuple[int, list[int]] | Refusal:
    axis = _axis(planner, node, 1)
    if isinstance(axis, Refusal):
        return axis
    sizes = _sizes(planner, node, axis)
    if sizes is None and axis in affine.axes:
        return Refusal("Concat: the number of channels of a branch is unknown")
    return axis, sizes or []


def _sizes(planner: Planner, node: ir.Node, axis: int) -> list[int] | None:
    found = []
    for value in node.inputs:
        dims = planner.surroundings.ranks.dims(value)
        size = None if dims is None else dims[axis]
        if size is None:
            return None
        found.append(size)
    return found


def _axis(planner: Planner, node: ir.Node, default: int) -> int | Refusal:
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    ranks = (planner.surroundings.ranks.rank(value) for value in node.inputs)
    rank = next((rank for rank in ranks if rank is not None), None)
    axes = None if rank is None else axes_within([int_of(node, "axis", default)], rank)
    if axes is None:
        return Refusal(f"{node.op_type}: the number of dimensions of its input is unknown")
    return axes[0]


def _parts(planner: Planner, node: ir.Node) -> tuple[int, list[int]] | Refusal:
    axis = _axis(planner, node, 0)
    if isinstance(axis, Refusal):
        return axis
    lengths = planner.surroundings.ranks.lengths(node.inputs[0])
    length: Length | None = None if lengths is None else lengths[axis]
    sizes = split_sizes(node, planner.surroundings.constants, length)
    if sizes is None:
        return Refusal("Split: the sizes of its outputs are unknown")
    return axis, sizes
