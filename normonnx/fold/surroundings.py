"""What a handler may ask about the model around a node."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from normonnx.fold.plan import Refusal
from normonnx.graph import checks
from normonnx.graph.constants import Constants, reads_content
from normonnx.graph.element_types import element_type
from normonnx.graph.ranks import Ranks
from normonnx.graph.walk import label

STANDARD = ("", "ai.onnx")


def described(node: ir.Node) -> str:
    """Operator and name, for messages."""
    return f"{node.op_type} {label(node)!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """One model, with what is known about its values, and what must not be touched."""

    model: ir.Model
    constants: Constants
    ranks: Ranks
    kept: frozenset[str]

    @classmethod
    def of(
        cls, model: ir.Model, keep: Collection[str] = (), keep_inputs: Collection[str] = ()
    ) -> Surroundings:
        """What is known about `model`; `keep` names nodes or values that must stay."""
        constants = Constants(model, keep_inputs)
        ranks = Ranks(model, constants)
        constants.learn_shapes(ranks.certain_dims)
        return cls(model, constants, ranks, frozenset(keep))

    def opset(self, node: ir.Node) -> int:
        """Version of the default operator set that a node is written in."""
        return checks.opset_at(self.model, node)

    def is_kept(self, node: ir.Node) -> bool:
        """Whether the user wants this node to stay as it is."""
        if not self.kept:
            return False
        return node.name in self.kept or any(value.name in self.kept for value in node.outputs)

    def kind(self, value: ir.Value | None) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
        """Shape and element type of a constant, without reading it; None if it is not constant."""
        if value is not None and self.constants.is_initializer(value):
            tensor = value.const_value
            if tensor is None or tensor.dtype is ir.DataType.STRING:
                return None
            return tuple(tensor.shape.numpy()), np.dtype(tensor.dtype.numpy())
        array = self.constants.get(value)
        return None if array is None else (array.shape, array.dtype)

    def element_type(self, value: ir.Value | None) -> np.dtype[Any] | None:
        """Element type of a value, as declared or as its producers imply; None when unknown."""
        return element_type(value)

    def why_not_constant(self, value: ir.Value | None, role: str) -> str:
        """Why a value is not a constant, as a sentence about its role."""
        if value is None:
            return f"its {role} is missing"
        if self.constants.is_overridable(value):
            return (
                f"its {role} {value.name!r} is a graph input, whose default the caller may "
                "override; drop it from the inputs to make it a constant"
            )
        if value.is_graph_input():
            return f"its {role} {value.name!r} is an input of the graph, not a constant"
        producer = value.producer()
        if producer is not None and producer.op_type == "DequantizeLinear":
            return f"its {role} {value.name!r} is stored as integers, which stay as they are"
        return f"its {role} {value.name!r} is computed at run time, not a constant"

    def sole_producer(self, node: ir.Node, index: int) -> ir.Node | Refusal:
        """The node that makes an input of `node`, if nobody else reads that value."""
        value = node.inputs[index]
        if value is None:
            return Refusal("its input is missing")
        if value.is_graph_input():
            return Refusal(f"its input {value.name!r} is an input of the graph", quiet=True)
        producer = value.producer()
        if producer is None:
            return Refusal(f"its input {value.name!r} is a constant", quiet=True)
        if producer.graph is not node.graph:
            return Refusal(f"its input {value.name!r} comes from outside the subgraph")
        if value.is_graph_output():
            return Refusal(
                f"{value.name!r}, the output of {described(producer)}, is a graph output"
            )
        readers = [use.node for use in value.uses() if reads_content(use.node, use.idx)]
        if len(readers) > 1 and all(reader is node for reader in readers):
            return Refusal(
                f"the output of {described(producer)} is read twice by {described(node)}"
            )
        if len(readers) > 1:
            others = sorted({described(other) for other in readers if other is not node})
            more = f" and {len(others) - 2} more" if len(others) > 2 else ""  # noqa: PLR2004
            return Refusal(
                f"the output of {described(producer)} is also read by {', '.join(others[:2])}{more}"
            )
        return producer
