"""If, Loop and Scan of the oracle (ONNX specification); bodies see the values around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from normonnx.core.errors import UnsupportedOperatorError

if TYPE_CHECKING:
    from normonnx.runtime.oracle import _Run, _Scope

_ENDLESS = 1 << 63
_UNBATCHED = 9  # Scan 8 had a batch dimension and lengths of its own
_ROUND = 4  # nodes that take as long as the round itself
_PATIENCE = 100_000  # nodes in the rounds of loops; one that only its condition ends may never end


def run(
    runner: _Run,
    node: ir.Node,
    attributes: Mapping[str, ir.Attr],
    given: tuple[list[Any], _Scope],
) -> list[Any]:
    """Evaluate one control-flow node on (inputs, surrounding scope)."""
    inputs, scope = given
    if node.op_type == "If":
        branch = "then_branch" if bool(np.asarray(inputs[0]).reshape(-1)[0]) else "else_branch"
        return _body(runner, attributes[branch].as_graph(), [], scope)
    if node.op_type == "Loop":
        return _loop(runner, node, attributes["body"].as_graph(), (inputs, scope))
    if scope.opsets.get(node.domain, _UNBATCHED) < _UNBATCHED:
        message = f"the oracle can't evaluate Scan before opset {_UNBATCHED} (node {node.name!r})"
        raise UnsupportedOperatorError(message)
    return _scan(runner, attributes, inputs, scope)


def _body(runner: _Run, graph: ir.Graph, arguments: list[Any], scope: _Scope) -> list[Any]:
    inner = type(scope)(dict(scope.values), scope.attributes, scope.opsets)
    for value, argument in zip(graph.inputs, arguments, strict=False):
        inner.values[id(value)] = argument
    return runner.graph(graph, inner, list(graph.outputs))


def _loop(
    runner: _Run, node: ir.Node, body: ir.Graph, given: tuple[list[Any], _Scope]
) -> list[Any]:
    inputs, scope = given
    trips = _ENDLESS if inputs[0] is None else int(np.asarray(inputs[0]).reshape(-1)[0])
    condition = inputs[1] is None or bool(np.asarray(inputs[1]).reshape(-1)[0])
    carried = list(inputs[2:])
    scanned: list[list[Any]] = [[] for _ in range(len(body.outputs) - 1 - len(carried))]
    iteration = 0
    while condition and iteration < trips:
        runner.looped += len(body) + _ROUND
        if runner.looped > _PATIENCE:
            message = (
                f"the oracle gave up on Loop {node.name!r} after {iteration} rounds; "
                "validate with inputs that end it"
            )
            raise UnsupportedOperatorError(message)
        arguments = [np.asarray(iteration, np.int64), np.asarray(condition), *carried]
        results = _body(runner, body, arguments, scope)
        condition = bool(np.asarray(results[0]).reshape(-1)[0])
        carried = results[1 : 1 + len(carried)]
        for collected, result in zip(scanned, results[1 + len(carried) :], strict=True):
            collected.append(result)
        iteration += 1
    return [
        *carried,
        *(_stacked(c, v) for c, v in zip(scanned, body.outputs[1 + len(carried) :], strict=True)),
    ]


def _stacked(collected: list[Any], value: ir.Value) -> Any:  # noqa: ANN401
    if collected:
        return np.stack(collected)
    dims = [] if value.shape is None else [d if isinstance(d, int) else 0 for d in value.shape]
    dtype = np.dtype(np.float64) if value.dtype is None else np.dtype(value.dtype.numpy())
    return np.empty((0, *dims), dtype=dtype)


def _scan(
    runner: _Run, attributes: Mapping[str, ir.Attr], inputs: list[Any], scope: _Scope
) -> list[Any]:
    body = attributes["body"].as_graph()
    count = int(attributes["num_scan_inputs"].as_int())
    states, sequences = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
    outputs = len(body.outputs) - len(states)
    axes = _list(attributes, "scan_input_axes", count)
    directions = _list(attributes, "scan_input_directions", count)
    out_axes = _list(attributes, "scan_output_axes", outputs)
    out_directions = _list(attributes, "scan_output_directions", outputs)
    moved = [np.moveaxis(x, axis, 0) for x, axis in zip(sequences, axes, strict=True)]
    moved = [x[::-1] if back else x for x, back in zip(moved, directions, strict=True)]
    scanned: list[list[Any]] = [[] for _ in range(outputs)]
    for step in range(moved[0].shape[0]):
        results = _body(runner, body, [*states, *(x[step] for x in moved)], scope)
        states = results[: len(states)]
        for collected, result in zip(scanned, results[len(states) :], strict=True):
            collected.append(result)
    stacked = []
    for i, collected in enumerate(scanned):
        found = _stacked(
            collected[::-1] if out_directions[i] else collected, body.outputs[len(states) + i]
        )
        stacked.append(np.moveaxis(found, 0, out_axes[i]))
    return [*states, *stacked]


def _list(attributes: Mapping[str, ir.Attr], name: str, count: int) -> list[int]:
    if name not in attributes:
        return [0] * count
    return [int(number) for number in attributes[name].as_ints()]
