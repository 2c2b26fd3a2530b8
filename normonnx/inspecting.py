"""What a model holds: its normalizations and affines, and whether each can be folded."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.operators import norm_of
from normonnx.core.collecting import rarely_collecting
from normonnx.core.events import Obstacle
from normonnx.core.inspection import AffineFound, Inspection, NearMiss, NormFound
from normonnx.fold.passes import Fate
from normonnx.fold.rules import rewrite
from normonnx.graph import checks, walk
from normonnx.graph.source import ModelLike, as_model, own_model
from normonnx.graph.walk import label
from normonnx.pipeline import count_operators
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Found

_STAYS = "it has statistics of its input, so it is computed at run time"


@rarely_collecting()
def inspect_model(model: ModelLike) -> Inspection:
    """Find every normalization of a model and try, on a copy, what would fold.

    Raises:
        UsageError, InvalidModelError: As `normonnx.load`.
    """
    given = as_model(model)
    fates = _fates(given)
    findings = find(given)
    ends = {id(found.node): found for found in findings.norms}
    within = {id(node) for found in findings.norms for node in found.region.nodes}
    norms: list[NormFound] = []
    affines: list[AffineFound] = []
    names = _graph_names(given)
    for graph in walk.all_graphs(given):
        for node in graph:
            recognised = ends.get(id(node))
            norm = norm_of(node.domain, node.op_type)
            fate = fates.get(id(node))
            where = names[id(graph)]
            if recognised is not None:
                norms.append(_recognised(recognised, where, _fate_of(recognised, fates)))
            elif id(node) in within:
                continue
            elif norm is not None:
                fate = fate or Fate(node, False, _stays(node, norm))  # noqa: FBT003
                norms.append(NormFound(label(node), node.op_type, norm, where, *_outcome(fate)))
            elif fate is not None:
                affines.append(AffineFound(label(node), node.op_type, where, *_outcome(fate)))
    return Inspection(
        norms=tuple(norms),
        affines=tuple(affines),
        near_misses=tuple(
            NearMiss(label(miss.node), miss.node.op_type, names[id(miss.node.graph)], miss.reason)
            for miss in findings.near_misses
        ),
        nodes=count_operators(given),
        opset=checks.opset_of(given),
        ir_version=given.ir_version,
        producer=f"{given.producer_name or ''} {given.producer_version or ''}".strip(),
    )


def _fate_of(found: Found, fates: Mapping[int, Fate]) -> Fate:
    """What becomes of a normalization: a scale and a shift fold where all their nodes do."""
    nodes = found.region.nodes
    parts = [fates[id(node)] for node in reversed(nodes) if id(node) in fates]
    if parts and (found.is_affine or len(nodes) == 1):
        return next((part for part in parts if not part.folded), parts[0])
    return Fate(found.node, False, _stays(found.node, found.call.norm.name))  # noqa: FBT003


def _recognised(found: Found, where: str, fate: Fate) -> NormFound:
    """A normalization with its spelling, place and parameters."""
    node, call = found.node, found.call
    return NormFound(
        label(node),
        node.op_type,
        call.norm.name,
        where,
        *_outcome(fate),
        normalizes=found.root.name or "",
        shape=found.shape,
        spelling=found.spelling,
        nodes=tuple(label(member) for member in reversed(found.region.nodes)),
        attributes=dict(call.attributes),
        parameters={
            name: given if isinstance(given, tuple) else given.shape
            for name, given in call.parameters.items()
            if name in found.given
        },
    )


def _outcome(fate: Fate) -> tuple[bool, str, Obstacle | None, Obstacle | None]:
    return fate.folded, fate.reason, fate.up, fate.down


def _stays(node: ir.Node, norm: str) -> str:
    """Why nothing tries to fold a normalization."""
    region = CATALOGUE[norm].region
    if node.domain and region.fixed:
        kind = f"{node.domain}::{node.op_type}"
        return f"its statistics are constants, but it is a {kind}, which is not folded"
    if region.fixed:
        return "its statistics are constants; nothing next to it takes a scale and a shift"
    if not region.measures:
        return "it has no statistics, but it is no scale and shift either"
    return _STAYS


def _fates(model: ir.Model) -> dict[int, Fate]:
    """What would become of each node that folding has an opinion about, by the node's id."""
    copy = own_model(model)
    nodes = [node for graph in walk.all_graphs(model) for node in graph]
    copies = [node for graph in walk.all_graphs(copy) for node in graph]
    fates = {id(fate.node): fate for fate in rewrite(copy).fates}
    pairs = zip(nodes, copies, strict=True)
    return {id(node): fates[id(other)] for node, other in pairs if id(other) in fates}


def _graph_names(model: ir.Model) -> dict[int, str]:
    names = {id(graph): graph.name or "subgraph" for graph in walk.all_graphs(model)}
    names[id(model.graph)] = ""
    for function in model.functions.values():
        names[id(function.graph)] = f"{function.domain}::{function.name}"
    return names
