"""Numbers that steer an operator: an attribute in older opsets, a constant input in newer ones."""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from normonnx.graph.constants import Constants

MOST_STEERING: Final = 4096  # numbers; no operator has as many axes, pads or parts


def int_of(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute, or its default."""
    return int(node.attributes[name].as_int()) if name in node.attributes else default


def float_of(node: ir.Node, name: str, default: float) -> float:
    """A float attribute, or its default."""
    return float(node.attributes[name].as_float()) if name in node.attributes else default


def text_of(node: ir.Node, name: str, default: str) -> str:
    """A string attribute, or its default."""
    return node.attributes[name].as_string() if name in node.attributes else default


def ints_of(node: ir.Node, name: str) -> list[int] | None:
    """An attribute of several integers; None where it is absent."""
    if name not in node.attributes:
        return None
    return [int(number) for number in node.attributes[name].as_ints()]


def is_given(node: ir.Node, index: int) -> bool:
    """Whether a node has an index-th input."""
    value = node.inputs[index] if index < len(node.inputs) else None
    return value is not None and bool(value.name)


def steering(node: ir.Node, name: str, constants: Constants, index: int) -> list[int] | None:
    """Integers from an attribute or else a constant input; None where neither is known."""
    found = ints_of(node, name)
    if found is not None or not is_given(node, index):
        return None if found is None or len(found) > MOST_STEERING else found
    array = constants.get(node.inputs[index])
    if array is None or array.size > MOST_STEERING:
        return None
    return [int(number) for number in array.reshape(-1)]


def axes_within(axes: list[int], rank: int) -> list[int] | None:
    """Axes counted from the front; None when one of them is out of range."""
    found = [axis + rank if axis < 0 else axis for axis in axes]
    return found if all(0 <= axis < rank for axis in found) else None
