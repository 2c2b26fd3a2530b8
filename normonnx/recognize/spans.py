"""The nodes between a root and a value where all other operands are constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import onnx_ir as ir

from normonnx.catalogue.norm import DOUBLE, FLOAT
from normonnx.recognize.asking import Asked
from normonnx.recognize.pointwise import is_pointwise, operator_of
from normonnx.recognize.views import VIEWS

NATIVE: Final = frozenset([("", "BatchNormalization"), ("ai.onnx.ml", "Scaler")])
LINEAR: Final = frozenset(["Conv", "ConvTranspose", "Gemm", "MatMul"])

_ADDING: Final = frozenset(["Add", "Sub", "Sum"])
_MULTIPLYING: Final = frozenset(["Conv", "Div", "Mul"])
_NO_BIAS: Final = 2


def span(ask: Asked, value: ir.Value, root: ir.Value) -> tuple[ir.Node, ...] | None:
    """Nodes from a value back to its root, the value's first; None where something else enters."""
    order, seen = list[ir.Node](), set[int]()
    waiting = [(value, False)]
    while waiting:
        current, expanded = waiting.pop()
        node = current.producer()
        if expanded and node is not None:
            order.append(node)
            continue
        if current is root or ask.constants.get(current) is not None:
            continue
        if node is None or not _passes(node):
            return None
        if id(node) not in seen:
            seen.add(id(node))
            waiting.append((current, True))
            read = _read(node)
            waiting += [(each, False) for each in read if each is not None and each.name]
    return tuple(reversed(order))


def _passes(node: ir.Node) -> bool:
    domain, name = operator_of(node)
    known = (domain == "" and (name in VIEWS or name == "Conv")) or (domain, name) in NATIVE
    return known or is_pointwise(node)


def _read(node: ir.Node) -> Sequence[ir.Value | None]:
    """Inputs that are numbers of the result."""
    domain, name = operator_of(node)
    return node.inputs[:1] if domain == "" and name in VIEWS else node.inputs


def arithmetic(nodes: Iterable[ir.Node]) -> list[ir.Node]:
    """The nodes that compute, the root's first."""
    kept = [node for node in nodes if operator_of(node)[0] or node.op_type not in VIEWS]
    return kept[::-1]


def adds(node: ir.Node) -> bool:
    """Whether a node adds something."""
    return node.op_type in _ADDING or (node.op_type == "Conv" and len(node.inputs) > _NO_BIAS)


def multiplies(node: ir.Node) -> bool:
    """Whether a node multiplies."""
    return node.op_type in _MULTIPLYING


def stash_of(nodes: Iterable[ir.Node]) -> int:
    """The type that they compute in, where it is wider than that of X."""
    casts = [node for node in nodes if node.op_type == "Cast" and "to" in node.attributes]
    return DOUBLE if any(node.attributes["to"].as_int() == DOUBLE for node in casts) else FLOAT
