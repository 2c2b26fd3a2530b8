"""The messages of a parsed ModelProto, nested graphs and functions included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

_A = onnx.AttributeProto
_GRAPH, _GRAPHS, _TENSOR, _TENSORS = _A.GRAPH, _A.GRAPHS, _A.TENSOR, _A.TENSORS


class Parts:
    """The messages of a ModelProto, found in one walk: each look at one makes it anew.

    Attributes:
        proto: The model. Its messages may be changed, but none added or removed.
        main_graphs: The main graph and every graph nested in it.
        function_graphs: Every graph that an attribute in a function holds.
        nodes: Every node, of all graphs and functions.
        attributes: Every attribute of every node, and the default values of functions.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.nodes: list[onnx.NodeProto] = []
        self.attributes: list[onnx.AttributeProto] = []
        self.main_graphs = self._nested([proto.graph])
        self.function_graphs: list[onnx.GraphProto] = []
        for function in proto.functions:
            held = self._taken(function.attribute_proto) + self._graphs_in(function.node)
            self.function_graphs += self._nested(held)

    @property
    def graphs(self) -> list[onnx.GraphProto]:
        """The main graph, and every graph that an attribute holds, in functions too."""
        return [*self.main_graphs, *self.function_graphs]

    def tensors(self) -> Iterator[onnx.TensorProto]:
        """Every initializer and every tensor that an attribute holds."""
        for graph in self.graphs:
            yield from graph.initializer
        for attribute in self.attributes:
            kind = attribute.type
            if kind == _TENSOR and attribute.HasField("t"):
                yield attribute.t
            elif kind == _TENSORS:
                yield from attribute.tensors

    def _nested(self, waiting: list[onnx.GraphProto]) -> list[onnx.GraphProto]:
        found = []
        while waiting:
            graph = waiting.pop()
            found.append(graph)
            waiting += self._graphs_in(graph.node)
        return found

    def _graphs_in(self, nodes: Iterable[onnx.NodeProto]) -> list[onnx.GraphProto]:
        held: list[onnx.GraphProto] = []
        for node in nodes:
            self.nodes.append(node)
            if node.attribute:
                held += self._taken(node.attribute)
        return held

    def _taken(self, attributes: Iterable[onnx.AttributeProto]) -> list[onnx.GraphProto]:
        """Note attributes; the graphs that they hold."""
        held: list[onnx.GraphProto] = []
        for attribute in attributes:
            self.attributes.append(attribute)
            kind = attribute.type
            if kind == _GRAPH and attribute.HasField("g"):
                held.append(attribute.g)
            elif kind == _GRAPHS:
                held += attribute.graphs
        return held
