"""Functions that would be evaluated without an end.

A few that call one another twice each, sixty deep, take a few lines of a file and 2^60 nodes.
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from normonnx.core.errors import UnsupportedOperatorError
from normonnx.graph import calls, walk

_WRITTEN_OUT: Final = 50_000  # nodes
_TIMES_HELD: Final = 20  # and so many for each node that the model holds
_DEEPEST_CALLS: Final = 64


def check_calls(model: ir.Model) -> None:
    """Refuse functions that would be evaluated without an end.

    Raises:
        UnsupportedOperatorError: They call one another too often, or too deep.
    """
    if not model.functions:
        return
    nodes, depth = calls.written_out(model)
    held = sum(len(graph) for graph in walk.all_graphs(model))
    if depth > _DEEPEST_CALLS or nodes > _WRITTEN_OUT + _TIMES_HELD * held:
        message = (
            f"the oracle can't evaluate functions that call one another {depth} deep, "
            f"{nodes:.3g} nodes where written out; call them less often"
        )
        raise UnsupportedOperatorError(message)
