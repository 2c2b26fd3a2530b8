"""All nodes of a model as they are at one moment, kept while the model is changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from normonnx.graph import walk
from normonnx.graph.constants import reads_content
from normonnx.validation.islands import captured


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node as it was at one moment.

    Attributes:
        node: The node, which may since have changed or gone.
        inputs: What it read.
        contents: For each input the content of a constant; None for what is computed.
        computed: The inputs that are no constants.
        attributes: Its attributes.
        names: Of its outputs.
        reached: What its subgraphs read of the graphs around.
    """

    node: ir.Node
    inputs: tuple[ir.Value | None, ...]
    contents: tuple[Any, ...]
    computed: tuple[ir.Value, ...]
    attributes: tuple[ir.Attr, ...]
    names: tuple[str | None, ...]
    reached: tuple[ir.Value, ...] = ()

    @property
    def content(self) -> tuple[ir.Value, ...]:
        """What is computed of its inputs, but for those of which it reads the shape alone."""
        return tuple(
            value
            for index, (value, content) in enumerate(zip(self.inputs, self.contents, strict=True))
            if value is not None and content is None and reads_content(self.node, index)
        )

    @property
    def read(self) -> tuple[ir.Value, ...]:
        """The same with what its subgraphs read."""
        return self.computed + self.reached

    def is_like(self, other: Step) -> bool:
        """Whether nothing has changed but where that comes from which is computed."""
        return (
            _are_same(self.contents, other.contents)
            and _are_same(self.attributes, other.attributes)
            and len(self.computed) == len(other.computed)
        )

    def is_same(self, other: Step) -> bool:
        """Whether nothing about it has changed."""
        return _are_same(self.inputs, other.inputs) and self.is_like(other)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A model as it was at one moment.

    Attributes:
        graphs: The nodes of each graph in their order, without those that are constants.
        outputs: The outputs of each graph.
    """

    graphs: Mapping[ir.Graph, Mapping[ir.Node, Step]] = field(default_factory=dict)
    outputs: Mapping[ir.Graph, tuple[ir.Value, ...]] = field(default_factory=dict)


def snapshot(model: ir.Model) -> Snapshot:
    """A model as it is now."""
    graphs, outputs = {}, {}
    for graph in walk.all_graphs(model):
        graphs[graph] = {node: _step(node) for node in graph if node.op_type != "Constant"}
        outputs[graph] = tuple(value for value in graph.outputs)
    return Snapshot(graphs, outputs)


def _step(node: ir.Node) -> Step:
    inputs, attributes = tuple(node.inputs), tuple(node.attributes.values())
    contents = tuple([None if value is None else _content(value) for value in inputs])
    pairs = zip(inputs, contents, strict=True)
    inner = any(one.type is ir.AttributeType.GRAPH for one in attributes)
    return Step(
        node,
        inputs,
        contents,
        tuple([value for value, content in pairs if value is not None and content is None]),
        attributes,
        tuple([value.name for value in node.outputs]),
        tuple(captured(node)) if inner else (),
    )


def _content(value: ir.Value) -> Any:  # noqa: ANN401  # a tensor, or the attribute of a Constant
    """What a constant holds, as one object; None for what is computed."""
    producer = value.producer()
    if producer is None:
        return value.const_value if value.is_initializer() else None
    if producer.op_type == "Constant":
        return next(iter(producer.attributes.values()), None)
    return None


def _are_same(some: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return len(some) == len(others) and all(
        one is other for one, other in zip(some, others, strict=True)
    )
