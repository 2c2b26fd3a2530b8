"""Operators that onnx defines by others: below the opset that brought them, those stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import onnx
import onnx_ir as ir

from normonnx.lower.crossing import Crossing, RefusalError, Written
from normonnx.lower.versions import Formal, definition


def expanded(at: Crossing) -> Written:
    """The nodes of the operator's function body, on the node's own inputs.

    Raises:
        RefusalError: onnx has no body for it, or none for what is left out or of unknown type.
    """
    body = _body(at)
    values: dict[ir.Value, ir.Value | None] = {}
    for index, parameter in enumerate(body.inputs):
        values[parameter] = at.optional(index)
    for node in body:
        known = _simpler(at, node, values)
        if known is None:
            at.op.nodes.append(_copied(node, values, at.node.attributes))
        else:
            values[node.outputs[0]] = known
    given = {value.name: values.get(value) for value in body.outputs}
    outputs = [given.get(formal.name) for formal in _formal_outputs(at)]
    for index, value in enumerate(outputs):
        if value is None and at.is_read(index):
            message = f"the function that onnx defines it by doesn't give its output {index}"
            raise RefusalError(message)
    return outputs


def _formal_outputs(at: Crossing) -> Sequence[Formal]:
    found = definition(at.node.op_type, at.opset + 1)
    return () if found is None else found.outputs[: len(at.node.outputs)]


def _simpler(
    at: Crossing, node: ir.Node, values: Mapping[ir.Value, ir.Value | None]
) -> ir.Value | None:
    """What a node of a body gives, where that is a constant or one of its inputs."""
    first = node.inputs[0] if node.inputs else None
    source = None if first is None else values.get(first)
    if node.op_type == "Constant":
        found = node.attributes.get("value")
        known = found is not None and not found.is_ref()
        return at.op.constant(found.as_tensor().numpy()) if found is not None and known else None
    if node.op_type == "Identity":
        return source
    if node.op_type == "CastLike" and (array := at.asked.array(source)) is not None:
        other = node.inputs[1]
        dtype = None if other is None else at.asked.dtype(values.get(other))
        return None if dtype is None else at.op.constant(array.astype(dtype.numpy()))
    return None


def _copied(
    node: ir.Node, values: dict[ir.Value, ir.Value | None], given: Mapping[str, ir.Attr]
) -> ir.Node:
    """A node of a body on the values that stand for its own; an absent attribute stays absent."""
    attributes = []
    for name, attribute in node.attributes.items():
        found: ir.Attr | None = attribute
        if attribute.is_ref():
            argument = given.get(attribute.ref_attr_name or "")
            found = None if argument is None else _renamed(argument, name)
        elif attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            message = f"its function has graphs inside ({node.op_type})"
            raise RefusalError(message)
        if found is not None:
            attributes.append(found)
    inputs = [None if value is None else values.get(value) for value in node.inputs]
    copied = ir.Node(
        node.domain, node.op_type, inputs, attributes, num_outputs=len(node.outputs), name=""
    )
    values.update(zip(node.outputs, copied.outputs, strict=True))
    return copied


def _renamed(attribute: ir.Attr, name: str) -> ir.Attr:
    if attribute.is_ref():
        return ir.RefAttr(name, attribute.ref_attr_name or "", attribute.type)
    return ir.Attr(name, attribute.type, attribute.value)


def _body(at: Crossing) -> ir.Function:
    """The function body, written in the lowest opset that has one."""
    node, since = at.node, at.opset + 1
    schema: Any = onnx.defs.get_schema(node.op_type, since, "")  # its stubs don't know functions
    if schema.has_function:
        opset = min(schema.function_opset_versions)
        if opset <= since:
            return _parsed(schema.get_function_with_opset_version(opset))
    if schema.has_context_dependent_function:
        for name in node.attributes:
            at.known(name)
        opset = min(schema.context_dependent_function_opset_versions)
        found = schema.get_context_dependent_function_with_opset_version(
            opset, _as_proto(node).SerializeToString(), _types(at)
        )
        if found and opset <= since:
            return _parsed(found)
    message = f"{node.op_type} came with opset {since}"
    raise RefusalError(message)


@lru_cache(maxsize=64)
def _parsed(body: bytes) -> ir.Function:
    proto = onnx.FunctionProto()
    proto.ParseFromString(body)
    if not proto.node:
        message = "onnx has no function for it with these inputs and types"
        raise RefusalError(message)
    made = {name for node in proto.node for name in node.output}
    outputs = [name for name in proto.output if name in made]  # of those that may be left out
    del proto.output[:]
    proto.output.extend(outputs)
    return ir.serde.deserialize_function(proto)


def _as_proto(node: ir.Node) -> onnx.NodeProto:
    """The node as protobuf, under names of its own."""
    proto = onnx.NodeProto(op_type=node.op_type)
    proto.input.extend("" if value is None else f"i{k}" for k, value in enumerate(node.inputs))
    proto.output.extend(f"o{k}" if v.name or v.uses() else "" for k, v in enumerate(node.outputs))
    proto.attribute.extend(ir.to_proto(attribute) for attribute in node.attributes.values())
    return proto


def _types(at: Crossing) -> list[bytes]:
    """The types of the inputs, which the body may depend on."""
    found = []
    for index in range(len(at.node.inputs)):
        kind = onnx.TypeProto()
        if at.given(index):
            dims = at.dims(index)
            kind = onnx.helper.make_tensor_type_proto(int(at.known_dtype(index)), dims)
        found.append(kind.SerializeToString())
    return found
