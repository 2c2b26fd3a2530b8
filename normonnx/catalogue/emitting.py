"""A normalization as an ONNX function, and as a model of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import onnx
import onnx_ir as ir

from normonnx.catalogue.call import LOWEST, NormCall
from normonnx.catalogue.norm import DOMAIN, FUNCTIONS_SINCE, Form, Norm
from normonnx.catalogue.recording import OUTPUT_TYPE, Facts
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError
from normonnx.core.version import VERSION

FUNCTION: Final = "function"
_CAST_LIKE: Final = 15
IR_VERSIONS: Final = ((21, 10), (20, 9), (0, 8))  # by opset, as the ONNX releases pair them
VERSIONS: Final = {"ai.onnx.ml": 3, "com.microsoft": 1}  # of other domains


def function(norm: Norm, opset: int) -> ir.Function:
    """The ONNX function `normonnx::NAME` for models of one opset.

    Its inputs are X and all parameters; a parameter that a model lacks is given as a constant of
    length 1. Below opset 15 there is one attribute more, `to`, the type of Y.

    Raises:
        UsageError: The opset is below 13, or newer than the onnx package.
    """
    check_known(opset)
    if opset < FUNCTIONS_SINCE:
        message = (
            f"{DOMAIN}::{norm.name} needs opset {FUNCTIONS_SINCE} or later and the model has "
            f"{opset}; raise it, or use a primitive form"
        )
        raise UsageError(message)
    declared = {each.name: each.kind for each in norm.attributes}
    attributes = [
        ir.convenience.convert_attribute(each.name, each.default)
        if each.default is not None
        else ir.Attr(each.name, each.kind, None)
        for each in norm.attributes
    ]
    if opset < _CAST_LIKE:
        declared[OUTPUT_TYPE] = ir.AttributeType.INT
        attributes.append(ir.AttrInt64(OUTPUT_TYPE, int(ir.DataType.FLOAT)))
    op = Tracer(opset, declared=declared, outputs=len(norm.outputs))
    inputs = [ir.Value(name="X"), *(ir.Value(name=each.name) for each in norm.parameters)]
    outputs = norm.body.write(op, inputs[0], inputs[1:])
    for name, value in zip(norm.outputs, outputs, strict=True):
        value.name = name
    graph = ir.Graph(inputs, outputs, nodes=op.nodes, name=norm.name, opset_imports={"": opset})
    return ir.Function(DOMAIN, norm.name, graph=graph, attributes=attributes)


def check_known(opset: int) -> None:
    """Refuse an opset that the onnx package does not know.

    Raises:
        UsageError: It is newer.
    """
    highest = onnx.defs.onnx_opset_version()
    if opset > highest:
        message = (
            f"opset {opset} is newer than onnx {onnx.__version__} here, which knows {highest} and "
            "earlier"
        )
        raise UsageError(message)


def call_attributes(call: NormCall, opset: int) -> dict[str, ir.Attr]:
    """Attributes of a call of the function: all of them, since not every inliner knows defaults."""
    made = {
        name: ir.convenience.convert_attribute(name, value)
        for name, value in call.attributes.items()
    }
    if opset < _CAST_LIKE:
        kind = int(ir.DataType.from_numpy(call.dtype))
        made[OUTPUT_TYPE] = ir.AttrInt64(OUTPUT_TYPE, kind)
    return made


@dataclass(frozen=True, slots=True)
class Traced:
    """A form as it stands in a graph.

    Attributes:
        nodes: In order.
        constants: Initializers, without names.
        outputs: The outputs that were wanted.
    """

    nodes: tuple[ir.Node, ...]
    constants: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]


def trace(
    call: NormCall,
    form: Form,
    opset: int,
    inputs: Sequence[ir.Value],
    *,
    outputs: int = 1,
) -> Traced:
    """Write a form.

    Args:
        call: What is normalized.
        form: One of `call.forms_at(opset)`.
        opset: Version of the default operator set.
        inputs: X and all parameters, with their types.
        outputs: How many outputs are wanted; at most `form.outputs`.
    """
    facts = Facts(call.shape, ir.DataType.from_numpy(call.dtype), call.stored)
    op = Tracer(opset, facts, working=form.working, outputs=outputs)
    found = form.write(op, inputs[0], inputs[1:])[:outputs]
    nodes = needed(op.nodes, found)
    read = {id(value) for node in nodes for value in node.inputs}
    constants = tuple(value for value in op.initializers if id(value) in read)
    return Traced(tuple(nodes), constants, found)


def needed(nodes: Sequence[ir.Node], outputs: Sequence[ir.Value | None]) -> list[ir.Node]:
    """The nodes that outputs depend on; the others read nothing any more."""
    read, kept = {id(value) for value in outputs}, []
    for node in reversed(nodes):
        if any(id(value) in read for value in node.outputs):
            kept.append(node)
            read |= {id(value) for value in node.inputs}
        else:
            release([node])
    return kept[::-1]


def release(nodes: Iterable[ir.Node]) -> None:
    """Let nodes that stand in no graph read nothing: their inputs have these readers no longer."""
    for node in nodes:
        for index in range(len(node.inputs)):
            node.replace_input_with(index, None)


def chosen(call: NormCall, name: str, opset: int) -> Form:
    """The form of that name, if the call may take it at that opset.

    Raises:
        UsageError: There is none, or it may not.
    """
    form = call.norm.form(name)
    if opset < form.since or (form.until is not None and opset > form.until):
        span = f"{form.since} to {form.until}" if form.until else f"{form.since} or later"
        message = f"the form {name!r} of {call.norm.name} needs opset {span}; {opset} was asked for"
        raise UsageError(message)
    reason = form.requires(call)
    if reason is not None:
        message = f"the form {name!r} of {call.norm.name} is not for this call: {reason}"
        raise UsageError(message)
    return form


def model(call: NormCall, name: str, opset: int) -> ir.Model:
    """A model of one call; see `NormCall.model`."""
    check_known(opset)
    lowest = call.lowest_opset
    if opset < lowest:
        known = "" if lowest == LOWEST else ", the first that knows bfloat16"
        message = f"opset {opset} is not supported; expected {lowest} or later{known}"
        raise UsageError(message)
    kind = ir.DataType.from_numpy(call.dtype)
    x = _input("X", kind, call.shape)
    inputs, initializers, parameters = [x], [], []
    for parameter in call.norm.parameters:
        found = call.parameters[parameter.name]
        if isinstance(found, tuple):
            value = _input(parameter.name, kind, found)
            inputs.append(value)
        else:
            tensor = ir.tensor(found, name=parameter.name)
            value = _input(parameter.name, tensor.dtype, tensor.shape.numpy())
            value.const_value = tensor
            initializers.append(value)
        parameters.append(value)
    functions: list[ir.Function] = []
    opsets = {"": opset}
    if name == FUNCTION:
        functions.append(function(call.norm, opset))
        opsets[DOMAIN] = 1
        node = ir.Node(
            DOMAIN,
            call.norm.name,
            [x, *parameters],
            call_attributes(call, opset).values(),
            num_outputs=len(call.norm.outputs),
        )
        traced = Traced((node,), (), tuple(node.outputs[:1]))
    else:
        traced = trace(call, chosen(call, name, opset), opset, [x, *parameters])
        opsets.update({node.domain: VERSIONS[node.domain] for node in traced.nodes if node.domain})
    for number, value in enumerate(traced.constants):
        value.name = f"constant_{number}"
    initializers += traced.constants
    used = {id(value) for node in traced.nodes for value in node.inputs}
    y = traced.outputs[0]
    y.name, y.dtype, y.shape = "Y", kind, ir.Shape(call.shape)
    graph = ir.Graph(
        inputs,
        [y],
        nodes=traced.nodes,
        initializers=[value for value in initializers if id(value) in used],
        name=call.norm.name,
        opset_imports=opsets,
    )
    return ir.Model(
        graph,
        ir_version=next(version for since, version in IR_VERSIONS if opset >= since),
        producer_name="normonnx",
        producer_version=VERSION,
        functions=functions,
    )


def _input(name: str, kind: ir.DataType, shape: Sequence[int | str | None]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(shape))
