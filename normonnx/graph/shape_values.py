"""The entries of a value that holds a shape, one by one, some of them unknown.

Exporters compute shapes from Shape by Gather, Slice, Unsqueeze and Concat. Such a value is not
constant where one dimension is dynamic, yet most of its entries are known, or known to be the
length of a dimension of another value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import onnx_ir as ir

from normonnx.graph.attributes import int_of, ints_of
from normonnx.graph.constants import Constants
from normonnx.graph.lengths import Length, Lengths

_DEEPEST: Final = 24
_LONGEST: Final = 64
_PASSED_ON: Final = frozenset(["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"])


class Shapes(Protocol):
    """What is asked about values."""

    constants: Constants

    def known(self, value: ir.Value | None) -> Lengths | None:
        """The shape of a value."""


def entries(
    shapes: Shapes, value: ir.Value | None, depth: int = 0
) -> Sequence[Length | None] | None:
    """The entries of a shape, None for each that is unknown; None when not even how many."""
    if value is None or depth > _DEEPEST:
        return None
    array = shapes.constants.get(value)
    if array is not None:
        if array.size > _LONGEST or array.dtype.kind not in "iu":
            return None
        return [int(entry) for entry in array.reshape(-1)]
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    return _computed(shapes, node, value, depth)


def _computed(
    shapes: Shapes, node: ir.Node, value: ir.Value, depth: int
) -> Sequence[Length | None] | None:
    if node.op_type == "Shape":
        lengths = shapes.known(node.inputs[0])
        if lengths is None:
            return None
        return lengths[int_of(node, "start", 0) : int_of(node, "end", len(lengths))]
    if node.op_type in _PASSED_ON:
        return entries(shapes, node.inputs[0], depth + 1)
    if node.op_type == "Concat":
        return _concatenated([entries(shapes, part, depth + 1) for part in node.inputs])
    if node.op_type in ("Gather", "Slice"):
        return _selected(shapes, node, entries(shapes, node.inputs[0], depth + 1))
    if node.op_type == "Where":
        return _chosen(shapes, node, depth)
    return _as_many(shapes.known(value))


def _as_many(lengths: Lengths | None) -> Sequence[Length | None] | None:
    """As many unknown entries as a vector of that shape has."""
    if lengths == ():
        return [None]
    if lengths is None or len(lengths) != 1 or not isinstance(lengths[0], int):
        return None
    return [None] * lengths[0] if lengths[0] <= _LONGEST else None


def _chosen(shapes: Shapes, node: ir.Node, depth: int) -> Sequence[Length | None] | None:
    """Where: exporters put a length in place of each -1."""
    condition = _holds(shapes, node.inputs[0], depth + 1)
    one, other = (entries(shapes, value, depth + 1) for value in node.inputs[1:3])
    if one is None or other is None or condition is None:
        return _as_many(shapes.known(node.outputs[0]))
    count = max(len(one), len(other), len(condition))
    full = [list(part) * (count if len(part) == 1 else 1) for part in (condition, one, other)]
    if any(len(part) != count for part in full):
        return None
    return [
        None if holds is None else (yes if holds else no)
        for holds, yes, no in zip(*full, strict=True)
    ]


def _holds(shapes: Shapes, value: ir.Value | None, depth: int) -> Sequence[bool | None] | None:
    """A condition on entries, one by one; a length never equals -1."""
    array = shapes.constants.get(value)
    if array is not None:
        return [bool(entry) for entry in array.reshape(-1)[:_LONGEST]]
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Equal":
        return None
    one, other = (entries(shapes, part, depth) for part in node.inputs)
    if one is None or other is None or len(one) != len(other):
        return None
    return [_equal(left, right) for left, right in zip(one, other, strict=True)]


def _equal(one: Length | None, other: Length | None) -> bool | None:
    if one is None or other is None:
        return None
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    known = one if isinstance(one, int) else other
    if isinstance(known, int):
        return False if known < 0 else None
    return True if one is other else None


def _concatenated(
    parts: Sequence[Sequence[Length | None] | None],
) -> Sequence[Length | None] | None:
    found: list[Length | None] = []
    for part in parts:
        if part is None:
            return None
        found += part
    return found


def _selected(
    shapes: Shapes, node: ir.Node, found: Sequence[Length | None] | None
) -> Sequence[Length | None] | None:
    if found is None:
        return None
    positions = np.arange(len(found))
    if node.op_type == "Gather":
        indices = shapes.constants.get(node.inputs[1])
        if indices is None or np.any((indices < -len(found)) | (indices >= len(found))):
            return None
        return [found[int(index)] for index in positions[indices.astype(np.int64)].reshape(-1)]
    bounds = [_numbers(shapes, node, name, index) for index, name in ((1, "starts"), (2, "ends"))]
    steps = _numbers(shapes, node, "steps", 4) if len(node.inputs) > 4 else [1]  # noqa: PLR2004
    if any(numbers is None or len(numbers) != 1 for numbers in (*bounds, steps)):
        return None
    start, end, step = (numbers[0] for numbers in (*bounds, steps) if numbers is not None)
    return None if step < 1 else [found[int(i)] for i in positions[start:end:step]]


def _numbers(shapes: Shapes, node: ir.Node, name: str, index: int) -> list[int] | None:
    found = ints_of(node, name)
    if found is not None or index >= len(node.inputs):
        return found
    array = shapes.constants.get(node.inputs[index])
    return None if array is None else [int(number) for number in array.reshape(-1)]
