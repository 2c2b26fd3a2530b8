"""Walking over the messages of a parsed ModelProto, nested graphs and functions included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

_GRAPH, _GRAPHS = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS


def graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph, and every graph that an attribute holds, in functions too."""
    yield from main_graphs(proto)
    yield from function_graphs(proto)


def function_graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """Every graph that an attribute in a function holds."""
    for function in proto.functions:
        yield from _nested(_graphs_of(function.attribute_proto))
        yield from _nested(_graphs_of(a for node in function.node for a in node.attribute))


def main_graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph and every graph nested in it."""
    return _nested([proto.graph])


def _nested(waiting: list[onnx.GraphProto]) -> Iterator[onnx.GraphProto]:
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += _graphs_of(a for node in graph.node for a in node.attribute)


def nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node, of all graphs and functions."""
    for graph in graphs(proto):
        yield from graph.node
    for function in proto.functions:
        yield from function.node


def attributes(proto: onnx.ModelProto) -> Iterator[onnx.AttributeProto]:
    """Every attribute of every node, and the default values of functions."""
    for node in nodes(proto):
        yield from node.attribute
    for function in proto.functions:
        yield from function.attribute_proto


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every initializer and every tensor that an attribute holds."""
    for graph in graphs(proto):
        yield from graph.initializer
    for attribute in attributes(proto):
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.HasField("t"):
            yield attribute.t
        elif attribute.type == onnx.AttributeProto.TENSORS:
            yield from attribute.tensors


def _graphs_of(found: Iterable[onnx.AttributeProto]) -> list[onnx.GraphProto]:
    nested: list[onnx.GraphProto] = []
    for attribute in found:
        if attribute.type == _GRAPH and attribute.HasField("g"):
            nested.append(attribute.g)
        elif attribute.type == _GRAPHS:
            nested += attribute.graphs
    return nested
