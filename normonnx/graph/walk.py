"""Walking over all graphs, nodes and tensors of a model.

Tensors are read by `Attr.value`: `Attr.as_tensor` compares with a protocol, name by name.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator

import onnx_ir as ir

Attributes = UserDict[str, ir.Attr]
ReplaceTensor = Callable[[ir.TensorProtocol], ir.TensorProtocol | None]


def label(node: ir.Node) -> str:
    """What to call a node: its name, else its first output's."""
    return node.name or (node.outputs[0].name if node.outputs else "") or node.op_type or ""


def all_graphs(model: ir.Model) -> Iterator[ir.Graph]:
    """The main graph, the bodies of functions, and every subgraph of these."""
    yield from _with_subgraphs(model.graph)
    for function in model.functions.values():
        yield from _with_subgraphs(function.graph)


def _with_subgraphs(graph: ir.Graph) -> list[ir.Graph]:
    """A graph and those inside it, each before its own; `Graph.subgraphs` takes far longer."""
    found = [graph]
    for node in graph:
        for attribute in node.attributes.data.values():
            kind = attribute.type
            if kind is ir.AttributeType.GRAPH and not attribute.is_ref():
                found += _with_subgraphs(attribute.as_graph())
            elif kind is ir.AttributeType.GRAPHS and not attribute.is_ref():
                for inner in attribute.as_graphs():
                    found += _with_subgraphs(inner)
    return found


def all_tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    """Every initializer and every attribute tensor, in all graphs and defaults of functions."""
    for graph in all_graphs(model):
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value.const_value
    for attributes in _all_attributes(model):
        for attribute in attributes.data.values():
            kind = attribute.type
            if kind is ir.AttributeType.TENSOR and not attribute.is_ref():
                yield attribute.value
            elif kind is ir.AttributeType.TENSORS and not attribute.is_ref():
                yield from attribute.value


def replace_tensors(model: ir.Model, replace: ReplaceTensor) -> None:
    """Replace initializers and attribute tensors for which `replace` returns another tensor."""
    for graph in all_graphs(model):
        for value in graph.initializers.values():
            if value.const_value is not None and (found := replace(value.const_value)) is not None:
                value.const_value = found
    for attributes in _all_attributes(model):
        _replace_attribute_tensors(attributes, replace)


def _all_attributes(model: ir.Model) -> Iterator[Attributes]:
    """The attributes of every node that has some, and the defaults of every function's."""
    for graph in all_graphs(model):
        for node in graph:
            if node.attributes.data:
                yield node.attributes
    for function in model.functions.values():
        yield function.attributes


def _replace_attribute_tensors(attributes: Attributes, replace: ReplaceTensor) -> None:
    for name, attribute in list(attributes.data.items()):
        kind = attribute.type
        if kind is ir.AttributeType.TENSOR and not attribute.is_ref():
            if (found := replace(attribute.value)) is not None:
                attributes[name] = ir.AttrTensor(name, found, attribute.doc_string)
        elif kind is ir.AttributeType.TENSORS and not attribute.is_ref():
            old: tuple[ir.TensorProtocol, ...] = attribute.value
            new = [replace(tensor) or tensor for tensor in old]
            if any(a is not b for a, b in zip(old, new, strict=True)):
                attributes[name] = ir.AttrTensors(name, new, attribute.doc_string)
