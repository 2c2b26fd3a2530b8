"""A scaler's stages, read back from a model that calls the catalogue's functions.

So a scaler that was exported before can be written again for another opset, type or style.
"""

from __future__ import annotations

import json
from typing import Any

import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOMAIN, FLOAT, Norm
from normonnx.catalogue.recording import OUTPUT_TYPE
from normonnx.exporting.assembling import FEATURES, TITLE, DType
from normonnx.exporting.stages import Scaled, Scaling
from normonnx.graph.constants import Constants

_STASH = "stash_type"


def scaling_of_model(model: ir.Model) -> tuple[Scaling, DType] | None:
    """The stages of a model and the type it computes in; None where it is no chain of calls.

    Args:
        model: With one input and one output; never changed.
    """
    constants = Constants(model)
    value, end = model.graph.inputs[0], model.graph.outputs[0]
    width = None if value.shape is None else value.shape[1]
    stages: list[Scaled] = []
    wide = True
    while value is not end:
        readers = [use.node for use in value.uses()]
        if len(readers) != 1 or readers[0].inputs[0] is not value:
            return None
        node = readers[0]
        if node.domain == DOMAIN and node.op_type in CATALOGUE:
            given = _given(node, CATALOGUE[node.op_type], constants)
            if given is None:
                return None
            wide = wide and given.pop(_STASH, None) != FLOAT
            known = width if isinstance(width, int) else None
            stages.append(Scaled(node.name or node.op_type, CATALOGUE[node.op_type], given, known))
        elif node.op_type != "Identity" and not _is_wide_cast(node):
            return None
        value = node.outputs[0]
    title = model.metadata_props.get(TITLE) or ", ".join(stage.norm.name for stage in stages)
    known = width if isinstance(width, int) else None
    features = _features(model)
    found = Scaling(title or "scaler", tuple(stages), known, features)
    return found, ("float64" if wide else "float32")


def _features(model: ir.Model) -> tuple[str, ...]:
    """Names of the features, where the metadata has them."""
    try:
        found = json.loads(model.metadata_props.get(FEATURES, "[]"))
    except json.JSONDecodeError:
        return ()
    return tuple(map(str, found)) if isinstance(found, list) else ()


def _given(node: ir.Node, norm: Norm, constants: Constants) -> dict[str, Any] | None:
    """Parameters and attributes of a call; None where one is no constant."""
    found: dict[str, Any] = {
        name: attribute.value
        for name, attribute in node.attributes.items()
        if name != OUTPUT_TYPE and not attribute.is_ref()
    }
    for parameter, value in zip(norm.parameters, node.inputs[1:], strict=False):
        array = constants.get(value)
        if array is None:
            return None
        found[parameter.name] = array
    return found


def _is_wide_cast(node: ir.Node) -> bool:
    kinds = (int(ir.DataType.FLOAT), int(ir.DataType.DOUBLE))
    return node.op_type == "Cast" and node.attributes["to"].as_int() in kinds
