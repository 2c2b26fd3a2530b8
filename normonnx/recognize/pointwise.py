"""Operators that work element for element: what stands between two values, and its numbers.

Where every node between a root and a value is one of these and all other operands are constants
along the last axis, the value is, for each feature, a function of one number. Such a function can
be computed for any numbers, in float64, whatever it is spelled with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.graph.attributes import float_of
from normonnx.recognize.asking import Asked
from normonnx.recognize.fields import Array

Arrays = Sequence[npt.NDArray[Any] | None]
Evaluator = Callable[[ir.Node, Arrays], npt.NDArray[Any]]
_MOST: Final = 128  # nodes


class _Unknown(Exception):  # noqa: N818  # control flow, never seen outside
    pass


def _given(arrays: Arrays) -> list[npt.NDArray[Any]]:
    found = [array for array in arrays if array is not None]
    if not found:
        raise _Unknown
    return found


def _plain(function: Callable[..., Any]) -> Evaluator:
    return lambda _node, arrays: np.asarray(function(*_given(arrays)))


def _folded(function: Callable[[Any, Any], Any]) -> Evaluator:
    return lambda _node, arrays: np.asarray(reduce(function, _given(arrays)))


def _cast(node: ir.Node, arrays: Arrays) -> npt.NDArray[Any]:
    target = ir.DataType(node.attributes["to"].as_int())
    array = _given(arrays)[0]
    if target is ir.DataType.BOOL:
        return np.asarray(array != 0)
    if not target.is_floating_point():
        raise _Unknown
    return array.astype(np.float64)


def _clip(node: ir.Node, arrays: Arrays) -> npt.NDArray[Any]:
    bounds: list[Any] = []
    for index, name, nothing in ((1, "min", -math.inf), (2, "max", math.inf)):
        array = arrays[index] if index < len(arrays) else None
        bounds.append(float_of(node, name, nothing) if array is None else array)
    found: npt.NDArray[Any] = np.minimum(np.maximum(_given(arrays)[0], bounds[0]), bounds[1])
    return found


def _impute(node: ir.Node, arrays: Arrays) -> npt.NDArray[Any]:
    """Of ai.onnx.ml: one number, NaN unless another is named, replaced by another."""
    array, numbers = _given(arrays)[0], node.attributes["imputed_value_floats"].as_floats()
    replaced = float_of(node, "replaced_value_float", 0.0)
    gone = np.isnan(array) if math.isnan(replaced) else array == replaced
    return np.where(gone, np.asarray(numbers, np.float64), array)


EVALUATORS: Final[Mapping[tuple[str, str], Evaluator]] = {
    ("ai.onnx.ml", "Imputer"): _impute,
    **{
        ("", name): evaluator
        for name, evaluator in {
            "Abs": _plain(np.abs),
            "Add": _plain(np.add),
            "And": _plain(np.logical_and),
            "Cast": _cast,
            "CastLike": lambda _node, arrays: _given(arrays[:1])[0].astype(np.float64),
            "Clip": _clip,
            "Div": _plain(np.divide),
            "Equal": _plain(np.equal),
            "Exp": _plain(np.exp),
            "Greater": _plain(np.greater),
            "GreaterOrEqual": _plain(np.greater_equal),
            "Identity": _plain(np.asarray),
            "Less": _plain(np.less),
            "LessOrEqual": _plain(np.less_equal),
            "Log": _plain(np.log),
            "Max": _folded(np.maximum),
            "Min": _folded(np.minimum),
            "Mul": _plain(np.multiply),
            "Neg": _plain(np.negative),
            "Not": _plain(np.logical_not),
            "Or": _plain(np.logical_or),
            "Pow": _plain(np.power),
            "Reciprocal": _plain(np.reciprocal),
            "Relu": _plain(lambda array: np.maximum(array, 0.0)),
            "Sign": _plain(np.sign),
            "Sqrt": _plain(np.sqrt),
            "Sub": _plain(np.subtract),
            "Sum": _folded(np.add),
            "Tanh": _plain(np.tanh),
            "Where": _plain(np.where),
        }.items()
    },
}


def operator_of(node: ir.Node) -> tuple[str, str]:
    """Domain and name, as the tables have them."""
    return "" if node.domain == "ai.onnx" else node.domain, node.op_type


def is_pointwise(node: ir.Node) -> bool:
    """Whether a node works element for element."""
    return operator_of(node) in EVALUATORS and len(node.outputs) == 1


def _operands(ask: Asked, node: ir.Node) -> list[ir.Value]:
    """What a node computes with that is not constant."""
    read = node.inputs[:1] if node.op_type == "CastLike" else node.inputs
    named = [value for value in read if value is not None and value.name]
    return [value for value in named if ask.constants.get(value) is None]


def cuts(ask: Asked, value: ir.Value) -> Iterator[tuple[ir.Value, tuple[ir.Node, ...]]]:
    """Values that a value is a pointwise function of, and of nothing else: the nearest first.

    Each comes with the nodes between, the result's first.
    """
    frontier, nodes = {id(value): value}, list[ir.Node]()
    for node in reversed(_sources_first(ask, value)):
        del frontier[id(node.outputs[0])]
        nodes.append(node)
        frontier |= {id(operand): operand for operand in _operands(ask, node)}
        if len(frontier) == 1:
            yield next(iter(frontier.values())), tuple(nodes)


def _sources_first(ask: Asked, value: ir.Value) -> list[ir.Node]:
    order, seen = list[ir.Node](), set[int]()
    waiting = [(value, False)]
    while waiting:
        current, expanded = waiting.pop()
        node = current.producer()
        if node is None or not is_pointwise(node):
            continue
        if expanded:
            order.append(node)
            continue
        if id(node) in seen or len(seen) >= _MOST:
            continue
        seen.add(id(node))
        waiting.append((current, True))
        waiting += [(operand, False) for operand in _operands(ask, node)]
    return order


def constants_of(ask: Asked, nodes: Sequence[ir.Node]) -> list[tuple[ir.Value, npt.NDArray[Any]]]:
    """The constants that nodes compute with."""
    found: dict[int, tuple[ir.Value, npt.NDArray[Any]]] = {}
    for value in (value for node in nodes for value in node.inputs if value is not None):
        array = ask.constants.get(value)
        if array is not None:
            found[id(value)] = value, array
    return list(found.values())


def evaluated(
    ask: Asked, nodes: Sequence[ir.Node], root: ir.Value, x: Array, rank: int
) -> Array | None:
    """What nodes, the result's first, make of numbers for their root.

    Args:
        ask: For constants.
        nodes: As `cuts` gives them.
        root: Whose place the numbers take.
        x: One row for each number to try, one column for each feature.
        rank: Of the root.

    Returns:
        As x; None where a constant runs along another axis than the last.
    """
    known: dict[int, npt.NDArray[Any]] = {id(root): x}
    try:
        for node in reversed(nodes):
            arrays = [_numbers(ask, known, value, rank) for value in node.inputs]
            known[id(node.outputs[0])] = EVALUATORS[operator_of(node)](node, arrays)
    except (_Unknown, ValueError, TypeError, KeyError):
        return None
    found = known[id(nodes[0].outputs[0])]
    return found.astype(np.float64) if found.shape == x.shape else None


def _numbers(
    ask: Asked, known: Mapping[int, npt.NDArray[Any]], value: ir.Value | None, rank: int
) -> npt.NDArray[Any] | None:
    if value is None or not value.name:
        return None
    if id(value) in known:
        return known[id(value)]
    array = ask.constants.get(value)
    if array is None or array.ndim > rank or any(size != 1 for size in array.shape[:-1]):
        raise _Unknown
    flat = array.reshape(-1)
    return flat if flat.dtype == np.bool_ else flat.astype(np.float64)
