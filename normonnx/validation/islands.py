"""Nodes of a model as models of their own, each fed with the truth of what it reads.

Several nodes stand side by side in one model and none reads from another: each is an island. So a
runtime loads once for many nodes, and what a node adds is seen apart from what it inherits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.graph import walk
from normonnx.graph.element_types import element_type
from normonnx.graph.inference import inferred
from normonnx.validation.sketch import Array

_STANDARD: Final = ("", "ai.onnx")
_SMALL: Final = 64  # entries; integers that say where or how much


@dataclass(frozen=True, slots=True, eq=False)
class Island:
    """One node, and the truth around it.

    Attributes:
        node: Of the original model.
        inputs: What it reads, by the name of the value, in the types of the model.
        truths: What it should give, in float64, by the name of the value.
    """

    node: ir.Node
    inputs: Mapping[str, Array]
    truths: Mapping[str, Any]

    @property
    def nbytes(self) -> int:
        """Bytes of inputs and outputs."""
        arrays = [*self.inputs.values(), *self.truths.values()]
        return sum(int(getattr(array, "nbytes", 0)) for array in arrays)


@dataclass(slots=True, eq=False)
class Archipelago:
    """Several islands as one model.

    Attributes:
        model: The model.
        feeds: Its inputs.
        outputs: The name of each output in the model, by island and name of the value.
    """

    model: ir.Model
    feeds: dict[str, Array] = field(default_factory=dict)
    outputs: dict[tuple[int, str], str] = field(default_factory=dict)


class Types:
    """Types of the values of a model: declared, inferred, or handed on."""

    def __init__(self, model: ir.Model) -> None:
        found = inferred(model)
        graphs = walk.all_graphs(found)  # the main one first: its names are no others'
        values = [v for graph in graphs for v in (*graph.inputs, *_made(graph)) if v.name]
        self._known = {v.name: v.dtype for v in reversed(values) if v.dtype is not None}
        self._shapes = {v.name: v.shape for v in reversed(values) if v.shape is not None}

    def given(self, value: ir.Value, array: Any) -> Array:  # noqa: ANN401  # what the oracle gave
        """What the oracle computed for a value, in the type that a runtime has there."""
        found = np.asarray(array)
        kind = self.known(value)
        if kind is None:
            return found.astype(np.float32) if found.dtype.kind == "f" else found
        with np.errstate(all="ignore"):
            return found if kind.kind in "OUS" else found.astype(kind)

    def of(self, value: ir.Value) -> np.dtype[Any]:
        """The type of a value; float32 where nothing is known."""
        return self.known(value) or np.dtype(np.float32)

    def shape(self, value: ir.Value) -> ir.Shape | None:
        """The shape of a value; None where nothing is known."""
        return value.shape if value.shape is not None else self._shapes.get(value.name or "")

    def known(self, value: ir.Value) -> np.dtype[Any] | None:
        """The type of a value; None where nothing is known."""
        kind = value.dtype or self._known.get(value.name or "")
        if kind in (None, ir.DataType.UNDEFINED):
            return element_type(value)
        return np.dtype(kind.numpy())


def _made(graph: ir.Graph) -> list[ir.Value]:
    return [value for node in graph for value in node.outputs]


def is_weight(value: ir.Value) -> bool:
    """Whether a value is an initializer that no caller overrides."""
    return value.const_value is not None and value.producer() is None and not value.is_graph_input()


def can_stand_alone(node: ir.Node) -> bool:
    """Whether a node is no constant and has no subgraph of its own."""
    return node.op_type != "Constant" and not captured(node)


def captured(node: ir.Node) -> list[ir.Value]:
    """Values of the graph around that subgraphs of a node read."""
    graphs = [
        graph
        for attribute in node.attributes.values()
        if not attribute.is_ref() and attribute.type == ir.AttributeType.GRAPH
        for graph in (attribute.as_graph(),)
    ]
    found = []
    for graph in graphs:
        for inner in graph.all_nodes():
            found += [value for value in inner.inputs if value is not None]
        found += list(graph.outputs)
    return found


def archipelago(model: ir.Model, islands: Sequence[Island]) -> Archipelago:
    """One model of many islands; weights are shared with the original, not copied."""
    inputs: list[ir.Value] = []
    outputs: list[ir.Value] = []
    nodes: list[ir.Node] = []
    constants: dict[str, ir.Value] = {}
    graph_feeds: dict[str, Array] = {}
    names: dict[tuple[int, str], str] = {}
    taken = {v.name for one in islands for v in one.node.inputs if v is not None}
    for number, island in enumerate(islands):
        read: list[ir.Value | None] = []
        for place, value in enumerate(island.node.inputs):
            if value is None or not value.name:
                read.append(None)
            elif value.name in island.inputs:
                array = island.inputs[value.name]
                made = _value(_fresh(f"i{number}_{place}", taken), array)
                if array.dtype.kind in "iub" and array.size <= _SMALL:
                    made.const_value = ir.tensor(array, name=made.name)
                    constants[made.name or ""] = made
                else:
                    inputs.append(made)
                    graph_feeds[made.name or ""] = array
                read.append(made)
            else:
                read.append(constants.setdefault(value.name, _weight(value)))
        node = ir.Node(
            island.node.domain,
            island.node.op_type,
            read,
            island.node.attributes.values(),
            overload=island.node.overload,
            num_outputs=len(island.node.outputs),
            name=f"n{number}",
        )
        nodes.append(node)
        for place, value in enumerate(island.node.outputs):
            made_name = _fresh(f"o{number}_{place}", taken) if value.name else ""
            node.outputs[place].name = made_name
            if value.name and value.name in island.truths:
                outputs.append(node.outputs[place])
                names[number, value.name] = made_name
    graph = ir.Graph(
        inputs,
        outputs,
        nodes=nodes,
        initializers=list(constants.values()),
        name="islands",
        opset_imports=dict(model.graph.opset_imports),
    )
    made_model = ir.Model(
        graph, ir_version=max(model.ir_version, 4), functions=list(_copies(model, islands))
    )
    return Archipelago(made_model, graph_feeds, names)


def _fresh(name: str, taken: Collection[str | None]) -> str:
    """A name that no weight has."""
    while name in taken:
        name += "_"
    return name


def _copies(model: ir.Model, islands: Sequence[Island]) -> list[ir.Function]:
    called = any(one.node.op_identifier() in model.functions for one in islands)
    if not called:
        return []
    return list(model.clone().functions.values())


def _value(name: str, array: Array) -> ir.Value:
    kind = ir.DataType.from_numpy(array.dtype)
    return ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(array.shape))


def _weight(value: ir.Value) -> ir.Value:
    tensor = value.const_value
    if tensor is None:
        message = f"{value.name!r} has no value"
        raise ValueError(message)
    made = ir.Value(
        name=value.name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape(tensor.shape.numpy()),
    )
    made.const_value = tensor
    return made
