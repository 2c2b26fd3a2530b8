"""Does a node fit its operator's definition? Number of inputs and outputs, types of attributes.

The rest of normonnx reads `node.inputs[1]` or the attribute `axis` of a standard operator without
asking whether it is there; this check, made once for each node, is why it may. Operators that onnx
does not define are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import onnx
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError

_Option = onnx.defs.OpSchema.FormalParameterOption


@dataclass(frozen=True, slots=True)
class _Definition:
    inputs: tuple[int, int]  # fewest, most
    outputs: tuple[int, int]
    required_inputs: tuple[int, ...]
    attribute_types: Mapping[str, ir.AttributeType]
    required_attributes: tuple[str, ...]


def check_node(
    node: ir.Node,
    opsets: Mapping[str, int],
    functions: Collection[ir.OperatorIdentifier],
    name: str,
) -> None:
    """Refuse a node of a standard operator that does not fit the operator's definition.

    Args:
        node: The node.
        opsets: Version of each operator set where the node stands.
        functions: The functions of the model, which may redefine an operator.
        name: What to call the model in errors.

    Raises:
        InvalidModelError: A wrong number of inputs or outputs, an input or attribute that is
            required and absent, or an attribute that is unknown or of another type.
    """
    domain = "" if node.domain == "ai.onnx" else node.domain
    version = opsets.get(domain, opsets.get("ai.onnx") if not domain else None)
    if version is None or node.op_identifier() in functions:
        return
    definition = _definition(node.op_type, domain, version)
    if definition is None:
        return
    fault = _fault(node, definition)
    if fault:
        where = f"{name}: node {node.name or node.op_type!r} ({node.op_type}-{version})"
        message = f"{where} {fault}; export the model again"
        raise InvalidModelError(message)


def _fault(node: ir.Node, definition: _Definition) -> str:
    """What is wrong with a node; empty when nothing is."""
    inputs, attributes = node.inputs, node.attributes.data
    given = _count(inputs)
    fewest, most = definition.inputs
    if given > most or given < fewest:
        return f"has {given} inputs, expected {fewest} to {most}"
    fewest, most = definition.outputs
    if not fewest <= len(node.outputs) <= most:
        return f"has {len(node.outputs)} outputs, expected {fewest} to {most}"
    for index in definition.required_inputs:
        if inputs[index] is None:
            return f"lacks its input {index}, which is required"
    for attribute_name in definition.required_attributes:
        if attribute_name not in attributes:
            return f"lacks the attribute {attribute_name!r}, which is required"
    for attribute in attributes.values():
        expected = definition.attribute_types.get(attribute.name)
        if expected is None:
            return f"has the attribute {attribute.name!r}, which this operator does not have"
        if attribute.type is not expected:
            kind = attribute.type.name
            return f"has the attribute {attribute.name!r} of type {kind}, expected {expected.name}"
    return ""


def _count(inputs: Sequence[ir.Value | None]) -> int:
    """Number of inputs without absent ones at the end."""
    given = len(inputs)
    while given and inputs[given - 1] is None:
        given -= 1
    return given


def _type_of(attribute: onnx.defs.OpSchema.Attribute) -> ir.AttributeType:
    return ir.AttributeType[str(getattr(attribute.type, "name"))]  # noqa: B009  # not in its stubs


@lru_cache(maxsize=1024)
def _definition(op_type: str, domain: str, version: int) -> _Definition | None:
    """What onnx says about an operator; None where it says nothing, or that it is deprecated."""
    try:
        schema = onnx.defs.get_schema(op_type, version, domain)
    except onnx.defs.SchemaError:
        return None
    if schema.deprecated:
        return None
    attributes = schema.attributes.items()
    return _Definition(
        inputs=(schema.min_input, schema.max_input),
        outputs=(schema.min_output, schema.max_output),
        required_inputs=tuple(
            index for index, given in enumerate(schema.inputs) if given.option == _Option.Single
        ),
        attribute_types={name: _type_of(found) for name, found in attributes},
        required_attributes=tuple(name for name, found in attributes if found.required),
    )
