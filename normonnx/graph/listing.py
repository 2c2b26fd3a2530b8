"""The nodes of a model as plain data."""

from __future__ import annotations

import onnx_ir as ir

from normonnx.core.listing import NodeListed
from normonnx.graph import walk


def listed(model: ir.Model) -> tuple[NodeListed, ...]:
    """Every node of all graphs and functions, in their order."""
    functions = {id(function.graph): function.name for function in model.functions.values()}
    found = []
    for graph in walk.all_graphs(model):
        main = graph is model.graph
        where = "" if main else functions.get(id(graph)) or graph.name or "subgraph"
        found += [
            NodeListed(
                walk.label(node),
                operator(node),
                where,
                tuple(value.name for value in node.outputs if value.name),
            )
            for node in graph
        ]
    return tuple(found)


def operator(node: ir.Node) -> str:
    """Its operator; of other domains than ONNX's own with the domain."""
    standard = node.domain in ("", "ai.onnx")
    return node.op_type if standard else f"{node.domain}::{node.op_type}"
