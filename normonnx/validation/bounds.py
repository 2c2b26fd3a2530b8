"""Which integers an input may hold: what the graph does with it, followed to where it indexes.

An index into a table is limited by the table's length on that axis, a OneHot index by its depth.
The input is followed through operators that pass its numbers on, and into functions called. Where a
constant is added on the way, i + c < n, the limit is n - c.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.graph.constants import Constants

# Operators that pass the integers of an input on, and which inputs those are.
_PASSED_ON: Final[Mapping[str, tuple[int, ...] | None]] = {
    "Add": (0, 1),
    "Cast": (0,),
    "CastLike": (0,),
    "Clip": (0,),
    "Concat": None,  # all of them
    "Expand": (0,),
    "Flatten": (0,),
    "Gather": (0,),
    "GatherElements": (0,),
    "GatherND": (0,),
    "Identity": (0,),
    "Max": None,
    "Min": None,
    "Pad": (0,),
    "Relu": (0,),
    "Reshape": (0,),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
    "Slice": (0,),
    "Split": (0,),
    "Squeeze": (0,),
    "Sub": (0,),
    "Tile": (0,),
    "Transpose": (0,),
    "Unsqueeze": (0,),
    "Where": (1, 2),
}
_INDICES: Final = frozenset({"Gather", "GatherElements", "ScatterElements"})
_TUPLES: Final = frozenset({"GatherND", "ScatterND"})
_MOST: Final = 100_000  # values followed; a loop that adds would never end


def exclusive_bound(model: ir.Model, value: ir.Value) -> int | None:
    """Exclusive upper limit of an integer input: the smallest table it indexes; None if none."""
    constants = Constants(model)
    limits: list[int] = []
    waiting, seen = [(value, 0)], {(id(value), 0)}
    while waiting:
        found, added = waiting.pop()
        for use in found.uses():
            limits += [limit - added for limit in _limit(constants, use.node, use.idx)]
            following = added + _added(constants, use.node, use.idx)
            for after in _where_it_goes(model, use.node, use.idx):
                if (id(after), following) not in seen and len(seen) < _MOST:
                    seen.add((id(after), following))
                    waiting.append((after, following))
    return max(1, min(limits)) if limits else None


def _where_it_goes(model: ir.Model, node: ir.Node, index: int) -> Iterator[ir.Value]:
    """Values that hold the same integers as one input of a node."""
    function = model.functions.get(node.op_identifier())
    if function is not None:
        if index < len(function.inputs):
            yield function.inputs[index]
        yield from node.outputs  # it may come back out
    elif node.op_type in _PASSED_ON:
        inputs = _PASSED_ON[node.op_type]
        if inputs is None or index in inputs:
            yield from node.outputs


def _added(constants: Constants, node: ir.Node, index: int) -> int:
    """The largest number that a node adds to the integers of one input, where that is constant."""
    if node.op_type not in ("Add", "Sub") or len(node.inputs) != 2:  # noqa: PLR2004
        return 0
    other = node.inputs[1 - index]
    array = None if other is None else constants.get(other)
    if array is None or not array.size or array.dtype.kind not in "iu":
        return 0
    return int(np.max(array)) if node.op_type == "Add" else -int(np.min(array))


def _limit(constants: Constants, node: ir.Node, index: int) -> list[int]:
    if node.op_type in _INDICES and index == 1:
        dims = _dims(constants, node.inputs[0])
        axis = _axis(node)
        return [] if axis is None else _lengths(dims, axis, axis + 1)
    if node.op_type in _TUPLES and index == 1:
        return _tuple_limits(constants, node)
    if node.op_type == "OneHot" and index == 0:
        depth = constants.get(node.inputs[1])
        return [] if depth is None else [int(depth.reshape(-1)[0])]
    return []


def _tuple_limits(constants: Constants, node: ir.Node) -> list[int]:
    """The shortest of the axes that a tuple of indices addresses; of all where it may be any."""
    dims = _dims(constants, node.inputs[0])
    batch = 0
    if "batch_dims" in node.attributes:
        if node.attributes["batch_dims"].is_ref():
            return []
        batch = node.attributes["batch_dims"].as_int()
    places = _dims(constants, node.inputs[1])
    count = places[-1] if places and isinstance(places[-1], int) else len(dims) - batch
    lengths = _lengths(dims, batch, batch + count)
    return [min(lengths)] if lengths else []


def _axis(node: ir.Node) -> int | None:
    if "axis" not in node.attributes:
        return 0
    attribute = node.attributes["axis"]
    return None if attribute.is_ref() else attribute.as_int()


def _lengths(dims: list[object], start: int, stop: int) -> list[int]:
    """Lengths of some axes, those that are known; a negative start counts from the end."""
    if not -len(dims) <= start < len(dims):
        return []
    if start < 0:
        start, stop = start + len(dims), stop + len(dims)
    return [size for size in dims[start:stop] if isinstance(size, int) and size > 0]


def _dims(constants: Constants, table: ir.Value | None) -> list[object]:
    """The shape of a value; empty where unknown."""
    if table is None:
        return []
    if constants.is_initializer(table) and table.const_value is not None:
        return list(table.const_value.shape)
    if table.shape is not None:
        return list(table.shape)
    array = constants.get(table)
    return [] if array is None else list(array.shape)
