"""A scaler's nodes, put in front of a model: between one of its inputs and all that reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import onnx_ir as ir

from normonnx.core.errors import UsageError
from normonnx.graph import walk

_INITIALIZERS_ALONE: Final = 4  # first IR version whose initializers need not be graph inputs
_FUNCTIONS: Final = 8  # first IR version that has functions
_OURS: Final = "normonnx."


def attach(model: ir.Model, target: ir.Value, scaler: ir.Model, prefix: str) -> ir.Value:
    """Let everything that reads an input of a model read what a scaler makes of it, in place.

    Args:
        model: Changed in place.
        target: One of its inputs; keeps its name, and takes shape and type of the scaler's input.
        scaler: Of the model's opset, with one input and one output; taken apart.
        prefix: What names of its nodes and values begin with.

    Returns:
        What the model reads now, under a name of its own, with the type that it had.

    Raises:
        UsageError: A function of the scaler differs from the model's function of that name.
    """
    kind, shape = target.type, target.shape
    readers = [(use.node, use.idx) for use in target.uses()]
    _add_functions(model, scaler)
    x, y = scaler.graph.inputs[0], scaler.graph.outputs[0]
    nodes = list(scaler.graph)
    constants = [_copied(value) for value in scaler.graph.initializers.values()]
    for old, new in zip(list(scaler.graph.initializers.values()), constants, strict=True):
        old.replace_all_uses_with(new)
    x.replace_all_uses_with(target)
    scaler.graph.outputs.clear()
    scaler.graph.remove(nodes)
    _name(model, nodes, constants, prefix)
    nodes, y = _cast_back(nodes, y, kind, prefix)
    nodes = _with_constants(model, nodes, constants)
    _put_first(model.graph, nodes)
    for node, index in readers:
        node.replace_input_with(index, y)
    y.name = _free(f"{target.name}_scaled", _names(model))
    y.type, y.shape = kind, shape
    target.type, target.shape = x.type, _shape(x.shape, shape)
    copy_notes(scaler, model)
    return y


def _shape(features: ir.Shape | None, before: ir.Shape | None) -> ir.Shape:
    """Of an input that takes features as they are before scaling: the batch stays."""
    batch = ir.SymbolicDim("N") if before is None else before[0]
    width = None if features is None else features[1]
    if not isinstance(width, int) and before is not None:
        width = before[1]
    return ir.Shape([batch, ir.SymbolicDim(None) if width is None else width])


def copy_notes(scaler: ir.Model, model: ir.Model) -> None:
    """What the metadata says of a scaler."""
    for key, text in scaler.metadata_props.items():
        if key.startswith(_OURS):
            model.metadata_props.setdefault(key, text)


def _add_functions(model: ir.Model, scaler: ir.Model) -> None:
    for identifier, function in scaler.functions.items():
        known = model.functions.get(identifier)
        if known is None:
            model.functions[identifier] = function
            model.ir_version = max(model.ir_version, _FUNCTIONS)
        elif not _alike(known, function):
            message = (
                f"the model has a function {identifier[0]}::{identifier[1]} that is another than "
                "the scaler's; write the scaler in style='primitive'"
            )
            raise UsageError(message)
    for domain, version in scaler.opset_imports.items():
        model.opset_imports.setdefault(domain, version)


def _alike(one: ir.Function, other: ir.Function) -> bool:
    texts = [ir.to_proto(each).SerializeToString(deterministic=True) for each in (one, other)]
    return bool(texts[0] == texts[1])


def _copied(value: ir.Value) -> ir.Value:
    """A constant of its own, since tensors may be shared with the model that was handed in."""
    if value.const_value is None:
        message = f"initializer {value.name!r} has no content"
        raise ValueError(message)
    tensor = ir.tensor(value.const_value.numpy())
    return ir.Value(
        name=value.name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(tensor.shape.numpy()),
        const_value=tensor,
    )


def _name(
    model: ir.Model, nodes: Iterable[ir.Node], constants: Iterable[ir.Value], prefix: str
) -> None:
    taken = _names(model)
    for constant in constants:
        constant.name = _free(f"{prefix}/{constant.name}", taken)
        if constant.const_value is not None:
            constant.const_value.name = constant.name
    for node in nodes:
        node.name = _free(f"{prefix}/{node.name or node.op_type}", taken)
        for value in node.outputs:
            value.name = _free(f"{prefix}/{value.name or node.op_type}", taken)


def _names(model: ir.Model) -> set[str]:
    """Every name that a node or a value of a model has."""
    found = {value.name or "" for value in model.graph.inputs}
    for graph in walk.all_graphs(model):
        found.update(graph.initializers)
        for node in graph:
            found.add(node.name or "")
            found.update(value.name or "" for value in node.outputs)
    return found


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 0
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def _cast_back(
    nodes: list[ir.Node], y: ir.Value, kind: ir.TypeProtocol | None, prefix: str
) -> tuple[list[ir.Node], ir.Value]:
    """The result in the type that the model reads, where the scaler gives another."""
    if kind is None or kind.dtype == y.dtype:
        return nodes, y
    to = ir.AttrInt64("to", int(kind.dtype))
    cast = ir.Node("", "Cast", [y], [to], name=f"{prefix}/Cast")
    cast.outputs[0].name = f"{prefix}/Cast/output"
    return [*nodes, cast], cast.outputs[0]


def _with_constants(
    model: ir.Model, nodes: list[ir.Node], constants: Iterable[ir.Value]
) -> list[ir.Node]:
    """Constants as initializers; as nodes where those would have to be inputs of the graph."""
    made: list[ir.Node] = []
    for value in constants:
        if model.ir_version >= _INITIALIZERS_ALONE or value.const_value is None:
            model.graph.register_initializer(value)
            continue
        node = ir.Node(
            "", "Constant", [], [ir.AttrTensor("value", value.const_value)], name=value.name
        )
        value.replace_all_uses_with(node.outputs[0])
        node.outputs[0].name = value.name
        made.append(node)
    return [*made, *nodes]


def _put_first(graph: ir.Graph, nodes: list[ir.Node]) -> None:
    first = next(iter(graph), None)
    if first is None:
        graph.extend(nodes)
    else:
        graph.insert_before(first, nodes)
