"""Slice and Gather carry an affine of what they select.

Down, the numbers are selected like the data. Up, what is not selected keeps scale 1 and shift 0,
and an index that is selected twice must get the same twice. Gather from a constant table ends in
the table: see `table_lookup`.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, carried_up, refuse_parameters
from normonnx.fold.plan import Refusal
from normonnx.graph.attributes import axes_within, int_of, steering
from normonnx.graph.steering import slices

Indices = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def slice_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """What is cut off keeps scale 1 and shift 0."""
    selected = _sliced(planner, node, affine)
    if isinstance(selected, Refusal):
        return selected
    dims = planner.surroundings.ranks.dims(node.inputs[0])
    for axis, indices in selected.items():
        scattered = _scattered(affine, axis, indices, None if dims is None else dims[axis])
        if isinstance(scattered, Refusal):
            return scattered
        affine = scattered
    return carried_up(planner, node, affine)


def slice_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """The numbers are cut like the data."""
    if index != 0:
        return Refusal("Slice: it reads it as bounds", quiet=True)
    selected = _sliced(planner, node, affine)
    if isinstance(selected, Refusal):
        return selected
    for axis, indices in selected.items():
        taken = _taken(affine, axis, indices)
        if isinstance(taken, Refusal):
            return taken
        affine = taken
    return carried_down(planner, node, affine)


def _sliced(planner: Planner, node: ir.Node, affine: ChannelAffine) -> dict[int, Indices] | Refusal:
    """Which indices are selected along each axis of the affine that is cut."""
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    if not affine.axes:
        return {}
    surroundings = planner.surroundings
    dims = surroundings.ranks.dims(node.inputs[0])
    if dims is None:
        return Refusal("Slice: the number of dimensions of its input is unknown")
    cuts = slices(node, surroundings.constants, len(dims))
    if cuts is None:
        axes = steering(node, "axes", surroundings.constants, 3)
        touched = axes_within(axes, len(dims)) if axes is not None else None
        if touched is None or set(touched) & set(affine.axes):
            return Refusal("Slice: where it cuts is computed at run time")
        return {}
    found: dict[int, Indices] = {}
    for axis in set(cuts) & set(affine.axes):
        length = dims[axis]
        if length is None:
            return Refusal(f"Slice: the length of axis {axis}, which it cuts, is unknown")
        found[axis] = np.arange(length)[cuts[axis]]
    return found


def gather_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Up into the data, or into the table: the axes of the indices stand for the one axis."""
    place = _gathered(planner, node)
    if isinstance(place, Refusal):
        return place if affine.axes else carried_up(planner, node, affine)
    axis, rank = place
    own = [a for a in affine.axes if axis <= a < axis + rank]
    moved = {a: a if a < axis else a - rank + 1 for a in affine.axes if a not in own}
    if not own:
        return carried_up(planner, node, affine.moved(moved))
    indices = planner.surroundings.constants.get(node.inputs[1])
    dims = planner.surroundings.ranks.dims(node.inputs[0])
    if indices is None or rank != 1 or dims is None:
        return Refusal("Gather: which channels it selects is unknown, or not in one row")
    scattered = _scattered(affine, axis, indices.astype(np.int64), dims[axis])
    if isinstance(scattered, Refusal):
        return scattered
    return carried_up(planner, node, scattered)


def gather_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """The numbers are selected like the data."""
    if index != 0:
        return Refusal("Gather: it reads it as indices", quiet=True)
    place = _gathered(planner, node)
    if isinstance(place, Refusal):
        return place if affine.axes else carried_down(planner, node, affine)
    axis, rank = place
    if axis in affine.axes:
        indices = planner.surroundings.constants.get(node.inputs[1])
        if indices is None or rank > 1:
            return Refusal("Gather: which channels it selects is unknown, or not in one row")
        taken = _taken(affine, axis, np.atleast_1d(indices.astype(np.int64)))
        if isinstance(taken, Refusal):
            return taken
        affine = taken if rank == 1 else _without(taken, axis)
    moved = {a: a if a < axis else a + rank - 1 for a in affine.axes}
    return carried_down(planner, node, affine.moved(moved))


def _gathered(planner: Planner, node: ir.Node) -> tuple[int, int] | Refusal:
    """The axis selected from, and the number of dimensions of the indices."""
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    ranks = planner.surroundings.ranks
    rank, index_rank = ranks.rank(node.inputs[0]), ranks.rank(node.inputs[1])
    axes = None if rank is None else axes_within([int_of(node, "axis", 0)], rank)
    if axes is None or index_rank is None:
        return Refusal("Gather: the number of dimensions of its inputs is unknown")
    return axes[0], index_rank


def _taken(affine: ChannelAffine, axis: int, indices: Indices) -> ChannelAffine | Refusal:
    position = affine.axes.index(axis)
    length = affine.scale.shape[position]
    if np.any((indices < -length) | (indices >= length)):
        return Refusal(f"it selects beyond the {length} channels of the affine")
    return affine.selected(axis, [int(index) for index in indices])


def _scattered(
    affine: ChannelAffine, axis: int, indices: Indices, length: int | None
) -> ChannelAffine | Refusal:
    position = affine.axes.index(axis)
    if length is None or np.any((indices < -length) | (indices >= length)):
        return Refusal(f"how long axis {axis} is before channels are selected is unknown")
    if affine.scale.shape[position] != indices.size:
        return Refusal(f"it selects {indices.size} channels, the affine has others")

    def spread(vector: FloatArray, filler: float) -> FloatArray:
        shape = [*vector.shape]
        shape[position] = length
        whole = np.moveaxis(np.full(shape, filler), position, 0)
        whole[indices] = np.moveaxis(vector, position, 0)
        return np.moveaxis(whole, 0, position)

    found = affine.changed(affine.axes, spread)
    again = _taken(found, axis, indices)
    if isinstance(again, Refusal) or not (
        np.array_equal(again.scale, affine.scale) and np.array_equal(again.shift, affine.shift)
    ):
        return Refusal("it selects a channel twice, which would need two different scales")
    return found


def _without(affine: ChannelAffine, axis: int) -> ChannelAffine:
    position = affine.axes.index(axis)
    kept = [a for a in affine.axes if a != axis]
    return affine.changed(kept, lambda vector, _: np.squeeze(vector, position))
