"""What an operator becomes where a runtime has no kernel for it: the function that ONNX defines.

ONNX Runtime, and others, then run the nodes of that function instead. Whether they can depends on
the types inside: much of RMSNormalization is computed in float32, its last product in X's own type.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Final

import onnx
from onnx import TensorProto, TypeProto, helper, inliner, shape_inference

_DOMAIN: Final = "body"
_IR_VERSION: Final = 10
_SINGLE: Final = onnx.defs.OpSchema.FormalParameterOption.Single
_NUMBER: Final = 1  # for an attribute that must be given
_NAMES: Final = {"float32": "FLOAT", "float64": "DOUBLE"}

Inner = tuple[str, str, str]  # domain, name, element type of the first input as numpy names it


@functools.cache
def inside(domain: str, op_type: str, opset: int, dtype: str) -> tuple[Inner, ...] | None:
    """The operators of the function; None where the operator has none for this type.

    Args:
        domain: Of the operator; "" for ONNX's own.
        op_type: Its name.
        opset: Version of the operator set.
        dtype: Element type of its first input, as numpy names it.
    """
    schema = onnx.defs.get_schema(op_type, opset, domain)
    kind = TensorProto.DataType.Value(_NAMES.get(dtype, dtype.upper()))
    node, types = _call(schema, kind)
    function = _function(schema, opset, node, types)
    if function is None:
        return None
    function.domain = node.domain = _DOMAIN
    inputs = [
        onnx.ValueInfoProto(name=name, type=each)
        for name, each in zip(node.input, types, strict=True)
    ]
    graph = helper.make_graph([node], "g", inputs, [onnx.ValueInfoProto(name=node.output[0])])
    model = helper.make_model(
        graph,
        functions=[function],
        opset_imports=[*function.opset_import, helper.make_opsetid(_DOMAIN, 1)],
        ir_version=_IR_VERSION,
    )
    inlined = inliner.inline_local_functions(model)
    try:
        found = shape_inference.infer_shapes(inlined, check_type=True, strict_mode=True).graph
    except shape_inference.InferenceError:
        return None  # a body that is no legal graph for this type
    known = {each.name: each.type.tensor_type.elem_type for each in (*inputs, *found.value_info)}
    return tuple(
        (each.domain, each.op_type, _name(known.get(next(iter(each.input), ""), 0)) or dtype)
        for each in found.node
    )


def _call(schema: onnx.defs.OpSchema, kind: int) -> tuple[onnx.NodeProto, list[TypeProto]]:
    """A node with the inputs that are required and all attributes, and the types of its inputs."""
    given = [each for each in schema.inputs if each.option == _SINGLE]
    attributes: dict[str, Any] = {
        name: _NUMBER for name, each in schema.attributes.items() if each.required
    }
    outputs = [each.name for each in schema.outputs if each.option == _SINGLE]
    node = helper.make_node(schema.name, [each.name for each in given], outputs, **attributes)
    defaults = [each.default_value for each in schema.attributes.values() if not each.required]
    node.attribute.extend(each for each in defaults if each.type)
    types = [
        helper.make_tensor_type_proto(
            TensorProto.INT64 if each.type_str == "tensor(int64)" else kind, None
        )
        for each in given
    ]
    return node, types


def _function(
    schema: onnx.defs.OpSchema, opset: int, node: onnx.NodeProto, types: list[TypeProto]
) -> onnx.FunctionProto | None:
    """The newest body for that opset; one that depends on the node, where there is such a one."""
    untyped: Any = schema  # onnx's stubs know nothing of functions
    if version := _newest(untyped.context_dependent_function_opset_versions, opset):
        encoded = untyped.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), [each.SerializeToString() for each in types]
        )
    elif version := _newest(untyped.function_opset_versions, opset):
        encoded = untyped.get_function_with_opset_version(version)
    else:
        return None
    found: onnx.FunctionProto = onnx.FunctionProto.FromString(encoded)
    return found


def _newest(versions: Iterable[int], opset: int) -> int | None:
    return max((version for version in versions if version <= opset), default=None)


def _name(kind: int) -> str:
    return helper.tensor_dtype_to_np_dtype(kind).name if kind else ""
