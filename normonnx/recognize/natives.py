"""Operators that are fixed normalizations themselves; each keeps its own parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.norm import ONNX_EPSILON
from normonnx.graph.attributes import float_of, int_of
from normonnx.recognize.asking import Asked
from normonnx.recognize.facts import Runtime
from normonnx.recognize.fields import Array, Field
from normonnx.recognize.readings import Missing, Reading

Candidate = tuple[Reading | Missing, ir.Value, ir.Value, Sequence[ir.Node]]
_MATRIX: Final = 2
_PARAMETERS: Final = ("scale", "bias", "mean", "var")


def native_of(ask: Asked, node: ir.Node) -> Iterator[Candidate]:
    """What a node is, with the Casts around it; the better reading first."""
    root, value, nodes = _with_casts(node)
    if root is None:
        return
    readings = [_batch_norm(ask, node)] if node.domain in ("", "ai.onnx") else _scaler(ask, node)
    for reading in readings:
        if reading is not None:
            yield reading, root, value, nodes


def _with_casts(node: ir.Node) -> tuple[ir.Value | None, ir.Value, tuple[ir.Node, ...]]:
    """From a narrower type and back to it: one normalization, computed in the wider."""
    root, value = node.inputs[0], node.outputs[0]
    before = None if root is None else root.producer()
    after = _only_reader(value)
    if before is None or after is None or before.op_type != "Cast" or after.op_type != "Cast":
        return root, value, (node,)
    source, target = before.inputs[0], after.attributes.get("to")
    if source is None or target is None or target.is_ref():
        return root, value, (node,)
    if source.dtype is None or int(source.dtype) != target.as_int():
        return root, value, (node,)
    return source, after.outputs[0], (after, node, before)


def _only_reader(value: ir.Value) -> ir.Node | None:
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    return next(iter(uses)).node


def _batch_norm(ask: Asked, node: ir.Node) -> Reading | Missing | None:
    """At inference; with statistics of the batch it is another normalization."""
    if int_of(node, "training_mode", 0) or sum(bool(each.name) for each in node.outputs) > 1:
        return None
    if not int_of(node, "spatial", 1):
        return Missing("spatial is 0: it has a mean for each position")
    parameters: dict[str, Array | Runtime] = {}
    sources: dict[str, Field] = {}
    for name, value in zip(_PARAMETERS, node.inputs[1:], strict=False):
        constant = ask.constants.get(value)
        if value is None:
            return None
        rank = ask.ranks.rank(value)
        if rank not in (1, None):
            return Missing(f"its {name} has {rank} dimensions, expected one (C)")
        if constant is None:
            parameters[name] = Runtime(value, ())
            continue
        array = constant.astype(np.float64)
        parameters[name], sources[name] = array, Field((), array, value)
    attributes = {"epsilon": float_of(node, "epsilon", ONNX_EPSILON)}
    return Reading("BatchNorm", attributes, parameters, sources)


def _scaler(ask: Asked, node: ir.Node) -> list[Reading | Missing | None]:
    """Of ai.onnx.ml: (x - offset) scale. BatchNorm where scale is 0 or negative somewhere."""
    offset, scale = (
        np.asarray(node.attributes[name].as_floats(), np.float64)
        if name in node.attributes
        else np.asarray([default])
        for name, default in (("offset", 0.0), ("scale", 1.0))
    )
    rank = ask.ranks.rank(node.inputs[0])
    if rank is None or (rank > _MATRIX and max(offset.size, scale.size) > 1):
        return [Missing("Scaler is defined for X of shape [N, C] or [C]")]
    if (scale > 0).all() or rank < _MATRIX:
        return [Reading("StandardScaler", {}, {"mean": offset, "scale": 1.0 / scale})]
    parameters = {"scale": scale, "mean": offset, "var": np.ones(1)}
    return [Reading("BatchNorm", {"epsilon": 0.0}, parameters)]
