"""What a normalization looks like without its numbers: operators, attributes and wires.

Networks repeat themselves. Whether a spelling has the shape of a form is worked out once for all
that are spelled alike; what they hold differs from block to block and is compared each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy.typing as npt
import onnx_ir as ir

from normonnx.recognize.findings import Found

Structure = tuple[object, ...]
_AXES: Final = 16  # numbers; what is longer names no axes


class Structures:
    """Structures of what was found in one model; remembered, as the graph changes.

    Args:
        constant_of: What a value holds, if it is constant.
        rank_of: How many axes it has, if that is known.
    """

    def __init__(
        self,
        constant_of: Callable[[ir.Value], npt.NDArray[Any] | None],
        rank_of: Callable[[ir.Value | None], int | None],
    ) -> None:
        self._constant_of = constant_of
        self._rank_of = rank_of
        self._known: dict[int, tuple[Found, Structure | None]] = {}

    def of(self, found: Found) -> Structure | None:
        """Equal for two that are spelled alike; None where that can't be told."""
        if id(found) not in self._known:
            self._known[id(found)] = found, self._described(found)
        return self._known[id(found)][1]

    def _described(self, found: Found) -> Structure | None:
        given: dict[int, int] = {}  # arguments, by the values that they are
        places = {id(found.root): 0}
        inside = {id(node) for node in found.region.nodes}
        parts: list[object] = []
        for number, argument in enumerate(found.arguments):
            if argument.value is not None:
                held = self._constant_of(argument.value)
                if held is None:
                    return None
                given.setdefault(id(argument.value), number)
                parts += number, _kind_of(held), given[id(argument.value)], argument.shape
        ends = [*sorted(found.extras), -1]
        waiting: list[ir.Value | None] = [found.extras.get(end, found.output) for end in ends]
        parts += ends
        while waiting:
            value = waiting.pop()
            place = None if value is None else places.get(id(value))
            if value is None or place is not None:
                parts.append(place)
                continue
            places[id(value)] = len(places)
            node = value.producer()
            array = self._constant_of(value)
            if array is not None:
                if node is not None and node.op_type != "Constant":
                    return None
                parts += _kind_of(array), node is None, given.get(id(value))
            elif node is None or id(node) not in inside:
                return None
            else:
                parts += self._node(node, value)
                waiting += node.inputs
        return tuple(parts)

    def _node(self, node: ir.Node, value: ir.Value) -> list[object]:
        attributes = [
            (name, str(each.value) if isinstance(each.value, float) else _hashable(each.value))
            for name, each in node.attributes.items()
        ]
        rank = self._rank_of(node.inputs[0]) if node.inputs else None
        place = next(at for at, each in enumerate(node.outputs) if each is value)
        return [node.domain, node.op_type, place, len(node.inputs), rank, *sorted(attributes)]


def _hashable(value: Any) -> object:  # noqa: ANN401  # of any attribute
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    if isinstance(value, ir.TensorProtocol | ir.Graph):
        return id(value)  # equal to itself alone
    return str(value)


def _kind_of(array: npt.NDArray[Any]) -> Structure:
    """Type and shape; of what may name axes also the numbers."""
    small = array.dtype.kind in "iu" and array.size <= _AXES
    return array.dtype.str, array.shape, array.tobytes() if small else b""
