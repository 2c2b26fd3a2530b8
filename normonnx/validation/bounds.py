"""Which integers an input may hold: what the graph does with it, followed to where it indexes.

An index into a table is limited by the table's length on that axis, a OneHot index by its depth.
The input is followed through operators that pass its numbers on, and into functions called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import onnx_ir as ir

from normonnx.graph.constants import Constants

_PASSED_ON: Final = frozenset(
    {
        "Cast",
        "CastLike",
        "Concat",
        "Expand",
        "Flatten",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
_INDICES: Final = {"Gather": 1, "GatherElements": 1, "ScatterElements": 1}


def exclusive_bound(model: ir.Model, value: ir.Value) -> int | None:
    """Exclusive upper limit of an integer input: the smallest table it indexes; None if none."""
    constants = Constants(model)
    limits: list[int] = []
    waiting, seen = [value], {id(value)}
    while waiting:
        for use in waiting.pop().uses():
            limits += _limit(constants, use.node, use.idx)
            for following in _where_it_goes(model, use.node, use.idx):
                if id(following) not in seen:
                    seen.add(id(following))
                    waiting.append(following)
    return max(1, min(limits)) if limits else None


def _where_it_goes(model: ir.Model, node: ir.Node, index: int) -> Iterator[ir.Value]:
    """Values that hold the same integers as one input of a node."""
    function = model.functions.get(node.op_identifier())
    if function is not None:
        if index < len(function.inputs):
            yield function.inputs[index]
        yield from node.outputs  # it may come back out
    elif node.op_type in _PASSED_ON and (index == 0 or node.op_type == "Concat"):
        yield from node.outputs


def _limit(constants: Constants, node: ir.Node, index: int) -> list[int]:
    if _INDICES.get(node.op_type) == index:
        return _table_size(constants, node)
    if node.op_type == "OneHot" and index == 0:
        depth = constants.get(node.inputs[1])
        return [] if depth is None else [int(depth.reshape(-1)[0])]
    return []


def _table_size(constants: Constants, node: ir.Node) -> list[int]:
    """Length of what a node indexes, along the axis that it indexes; nothing where unknown."""
    table = node.inputs[0]
    axis = 0
    if "axis" in node.attributes:
        if node.attributes["axis"].is_ref():
            return []
        axis = int(node.attributes["axis"].as_int())
    if table is None:
        return []
    if constants.is_initializer(table) and table.const_value is not None:
        dims = list(table.const_value.shape)
    elif table.shape is not None:
        dims = list(table.shape)
    else:
        array = constants.get(table)
        dims = [] if array is None else list(array.shape)
    size = dims[axis] if -len(dims) <= axis < len(dims) else None
    return [size] if isinstance(size, int) and size > 0 else []
