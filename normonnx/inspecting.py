"""What a model holds: its normalizations and affines, and whether each can be folded."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from normonnx.catalogue.operators import norm_of
from normonnx.core.events import Event
from normonnx.core.inspection import AffineFound, Inspection, NormFound
from normonnx.fold.passes import fold_affines
from normonnx.fold.sources import SOURCES
from normonnx.fold.surroundings import label
from normonnx.graph import checks, walk
from normonnx.graph.source import ModelLike, as_model, own_model
from normonnx.pipeline import count_operators

_STAYS = "it has statistics of its input, so it is computed at run time"


def inspect_model(model: ModelLike) -> Inspection:
    """Find every normalization of a model and try, on a copy, what would fold.

    Raises:
        UsageError, InvalidModelError: As `normonnx.load`.
    """
    given = as_model(model)
    found = fold_affines(own_model(given))
    folded = {name: event for event in found.applied for name in event.nodes}
    refused = {event.node: event for event in found.refused}
    norms: list[NormFound] = []
    affines: list[AffineFound] = []
    names = _graph_names(given)
    for graph in walk.all_graphs(given):
        for node in graph:
            norm = norm_of(node.domain, node.op_type)
            outcome = _outcome(node, folded, refused)
            where = names[id(graph)]
            if norm is not None:
                norms.append(NormFound(label(node), node.op_type, norm, where, *outcome))
            elif node.op_type in SOURCES and (outcome[0] or label(node) in refused):
                affines.append(AffineFound(label(node), node.op_type, where, *outcome))
    return Inspection(
        norms=tuple(norms),
        affines=tuple(affines),
        nodes=count_operators(given),
        opset=checks.opset_of(given),
        ir_version=given.ir_version,
        producer=f"{given.producer_name or ''} {given.producer_version or ''}".strip(),
    )


def _outcome(
    node: ir.Node, folded: Mapping[str, Event], refused: Mapping[str, Event]
) -> tuple[bool, str]:
    name = label(node)
    if name in folded:
        return True, folded[name].reason
    if name in refused:
        return False, refused[name].reason
    return False, _STAYS


def _graph_names(model: ir.Model) -> dict[int, str]:
    names = {id(graph): graph.name or "subgraph" for graph in walk.all_graphs(model)}
    names[id(model.graph)] = ""
    for function in model.functions.values():
        names[id(function.graph)] = f"{function.domain}::{function.name}"
    return names
