"""Types that onnx_ir can't represent (maps, opaque types), kept aside between load and save.

scikit-learn's classifiers return a sequence of maps. No pass here reads such a value, but its type
must still be there when the model is saved: ONNX Runtime refuses a graph output without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import onnx
import onnx_ir as ir

from normonnx.core.errors import UsageError
from normonnx.graph import protos

_KEY: Final = "normonnx.kept_types"  # in model.meta: encoded TypeProto by name of the value

_HOLD_TYPES: Final = (onnx.AttributeProto.TYPE_PROTO, onnx.AttributeProto.TYPE_PROTOS)

KeptTypes = Mapping[str, bytes]


def take_out(parts: protos.Parts, name: str) -> KeptTypes:
    """Remove the types that onnx_ir can't represent from a model; returns them by value name.

    Raises:
        UsageError: An attribute holds such a type.
    """
    for attribute in parts.attributes:
        if attribute.type not in _HOLD_TYPES:
            continue
        if any(map(_is_gap, (attribute.tp, *attribute.type_protos))):
            message = (
                f"{name}: attribute {attribute.name!r} holds a map type, which is not supported"
            )
            raise UsageError(message)
    kept: dict[str, bytes] = {}
    for graph in parts.graphs:
        for info in (*graph.input, *graph.output, *graph.value_info):
            if _is_gap(info.type):
                kept[info.name] = info.type.SerializeToString(deterministic=True)
                info.ClearField("type")
    for function in parts.proto.functions:
        untyped = [info for info in function.value_info if not _is_gap(info.type)]
        if len(untyped) != len(function.value_info):
            del function.value_info[:]
            function.value_info.extend(untyped)
    return kept


def attach(model: ir.Model, kept: KeptTypes) -> None:
    """Remember, on a model, the types that were taken out of it."""
    if kept:
        model.meta[_KEY] = kept


def put_back(proto: onnx.ModelProto, model: ir.Model) -> None:
    """Give the values of a serialized model back the types that `attach` remembered."""
    kept: KeptTypes = model.meta.get(_KEY, {})
    if not kept:
        return
    for graph in protos.Parts(proto).graphs:
        declared = (*graph.input, *graph.output, *graph.value_info)
        for info in declared:
            if info.name in kept and not info.HasField("type"):
                info.type.ParseFromString(kept[info.name])
        names = {info.name for info in declared}
        for output in [o for node in graph.node for o in node.output]:
            if output in kept and output not in names:
                graph.value_info.add(name=output).type.ParseFromString(kept[output])


def _is_gap(found: onnx.TypeProto) -> bool:
    while True:
        kind = found.WhichOneof("value")
        if kind == "sequence_type":
            found = found.sequence_type.elem_type
        elif kind == "optional_type":
            found = found.optional_type.elem_type
        else:
            return kind in ("map_type", "opaque_type")
