"""The largest or smallest element is taken before what keeps the order of elements, not after.

max f(x) = f(max x) for every f that nowhere falls: Relu, adding a constant, multiplying by a
positive one, Sigmoid... Rounding keeps the order, too, so the result is the same bit for bit. What
stood before the reduction then works on one element in place of all that were reduced (PointNet:
the last layer's bias and Relu on one point instead of a thousand).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.fold.plan import MoveAhead, Plan, Refusal, merge
from normonnx.fold.sum_tree import is_read_once
from normonnx.fold.surroundings import STANDARD, Surroundings, described
from normonnx.graph.attributes import float_of, int_of
from normonnx.graph.steering import reduced_axes

Array = npt.NDArray[Any]
_LONGEST: Final = 8  # nodes that are passed at once
_REDUCTIONS: Final = ("GlobalMaxPool", "ReduceMax", "ReduceMin")
_KEEPS_ORDER: Final = frozenset(
    ["Ceil", "Floor", "Identity", "Relu", "Sigmoid", "Softsign", "Tanh"]
)


def plan(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """The rewrite with a reduction ahead of what keeps the order before it; None without such."""
    if node.op_type not in _REDUCTIONS or node.domain not in STANDARD or surroundings.is_kept(node):
        return None
    axes = _axes(surroundings, node)
    if not axes:
        return None
    chain: list[tuple[ir.Node, int]] = []
    value = node.inputs[0]
    while value is not None and len(chain) < _LONGEST and is_read_once(value):
        before = value.producer()
        if before is None or before.graph is not node.graph or surroundings.is_kept(before):
            break
        index = _passed(surroundings, before, axes, keeps=_keeps_dims(node))
        if index is None:
            break
        chain.append((before, index))
        value = before.inputs[index]
    if not any(before.op_type != "Identity" for before, _ in chain):
        return None
    names = " and ".join(described(before) for before, _ in reversed(chain))
    reason = f"{described(node)} taken before {names}, which see less then"
    return merge(node, (MoveAhead(node, tuple(reversed(chain))),), reason)


def _keeps_dims(node: ir.Node) -> bool:
    return node.op_type == "GlobalMaxPool" or bool(int_of(node, "keepdims", 1))


def _axes(surroundings: Surroundings, node: ir.Node) -> list[int] | None:
    """The axes that are reduced to one element; None where that is not known, or nothing is."""
    if any(attribute.is_ref() for attribute in node.attributes.values()) or node.inputs[0] is None:
        return None
    lengths = surroundings.ranks.lengths(node.inputs[0])
    if lengths is None:
        return None
    if node.op_type == "GlobalMaxPool":
        axes: list[int] | None = list(range(2, len(lengths)))
    else:
        axes = reduced_axes(node, surroundings.constants, len(lengths))
    if axes is None or all(lengths[axis] == 1 for axis in axes):
        return None
    return [axis - len(lengths) for axis in axes]


def _passed(
    surroundings: Surroundings, node: ir.Node, axes: list[int], *, keeps: bool
) -> int | None:
    """Which input a node that keeps the order reads what is reduced from; None for others."""
    if node.domain not in STANDARD or len(node.outputs) != 1:
        return None
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    if node.op_type in _KEEPS_ORDER:
        return 0
    if node.op_type == "LeakyRelu":
        return 0 if float_of(node, "alpha", 0.01) >= 0 else None
    rule = _WITH_CONSTANT.get(node.op_type)
    if rule is None:
        return None
    for index in (0, 1):
        constant = surroundings.constants.get(node.inputs[1 - index])
        if constant is None or surroundings.constants.get(node.inputs[index]) is not None:
            continue
        allowed = constant.dtype.kind == "f" and rule(constant, index)
        if allowed and _stands_beside(surroundings, node, constant.shape, axes, keeps=keeps):
            return index
    return None


def _stands_beside(
    surroundings: Surroundings,
    node: ir.Node,
    shape: tuple[int, ...],
    axes: list[int],
    *,
    keeps: bool,
) -> bool:
    """Whether a constant is the same along what is reduced, and meets the rest as before."""
    lengths = surroundings.ranks.lengths(node.outputs[0])
    if lengths is None or len(shape) > len(lengths):
        return False
    if any(-axis <= len(shape) and shape[axis] != 1 for axis in axes):
        return False
    return keeps or all(-axis > len(shape) for axis in axes)


def _any(constant: Array, _index: int) -> bool:
    return bool(np.isfinite(constant).all())


def _first(constant: Array, index: int) -> bool:
    """What is reduced stands first: c - x turns the order around."""
    return index == 0 and bool(np.isfinite(constant).all())


def _positive(constant: Array, _index: int) -> bool:
    return bool(np.isfinite(constant).all() and (constant > 0).all())


def _positive_divisor(constant: Array, index: int) -> bool:
    return index == 0 and _positive(constant, index)


_WITH_CONSTANT: Final[Mapping[str, Callable[[Array, int], bool]]] = {
    "Add": _any,
    "Div": _positive_divisor,
    "Mul": _positive,
    "Sub": _first,
}
