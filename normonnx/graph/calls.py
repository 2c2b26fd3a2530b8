"""Which functions of a model call which, and how large it becomes where each call is written out.

A function may not call itself, on whatever way (ONNX IR specification, section "Functions"). A few
functions that call one another twice each, sixty deep, are 2^60 nodes: counted here, not made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import onnx_ir as ir

from normonnx.core.errors import InvalidModelError

_MOST: Final = 10**18  # nodes; what is more is not told apart


def check_recursion(model: ir.Model, name: str) -> None:
    """Refuse functions that call themselves.

    Raises:
        InvalidModelError: Naming one.
    """
    _innermost_first(model, name)


def written_out(model: ir.Model) -> tuple[int, int]:
    """Number of nodes with every call replaced by what is called, and how deep calls are nested.

    Raises:
        InvalidModelError: A function calls itself.
    """
    sizes: dict[ir.OperatorIdentifier, tuple[int, int]] = {}
    for identifier in _innermost_first(model, "the model"):
        sizes[identifier] = _size(model.functions[identifier], sizes)
    return _size(model.graph, sizes)


def _size(
    graph: ir.Graph | ir.Function, sizes: Mapping[ir.OperatorIdentifier, tuple[int, int]]
) -> tuple[int, int]:
    nodes = depth = 0
    for node in graph.all_nodes():
        inside, deep = sizes.get(node.op_identifier(), (0, 0))
        nodes = min(nodes + 1 + inside, _MOST)
        depth = max(depth, 1 + deep)
    return nodes, depth


def _innermost_first(model: ir.Model, name: str) -> list[ir.OperatorIdentifier]:
    """The functions, each after those that it calls."""
    if not model.functions:
        return []
    called = {
        identifier: {
            node.op_identifier()
            for node in function.all_nodes()
            if node.op_identifier() in model.functions
        }
        for identifier, function in model.functions.items()
    }
    callers: dict[ir.OperatorIdentifier, list[ir.OperatorIdentifier]] = {}
    for identifier, found in called.items():
        for each in found:
            callers.setdefault(each, []).append(identifier)
    order = [identifier for identifier, found in called.items() if not found]
    for done in order:  # grows
        for caller in callers.get(done, ()):
            called[caller].discard(done)
            if not called[caller]:
                order.append(caller)
    if len(order) < len(model.functions):
        left = next(identifier for identifier, found in called.items() if found)
        message = (
            f"{name}: function {left[0]}::{left[1]} calls itself or one that does, which ONNX "
            "forbids; export it again"
        )
        raise InvalidModelError(message)
    return order
