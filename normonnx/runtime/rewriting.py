"""What a runtime made of a graph before it ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RewrittenNode:
    """A node of the graph that a runtime really runs.

    Attributes:
        name: The runtime's name of it.
        domain: Of its operator; empty for ONNX's own.
        op_type: Its operator.
        inputs: Names of the values it reads, those of subgraphs not included.
        outputs: Names of the values it gives.
    """

    name: str
    domain: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from other nodes, whatever it is called."""
        return self.domain, self.op_type, self.inputs, self.outputs


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A graph as a runtime rewrote it.

    Attributes:
        nodes: In the order of the graph.
        optimizers: The runtime's optimizers that changed something, in the order they ran.
    """

    nodes: tuple[RewrittenNode, ...] = ()
    optimizers: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"nodes": [astuple(node) for node in self.nodes], "optimizers": self.optimizers}

    @classmethod
    def of_plain(cls, found: Mapping[str, Any]) -> Self:
        """From what `plain` gave."""
        nodes = (
            RewrittenNode(name, domain, op_type, tuple(inputs), tuple(outputs))
            for name, domain, op_type, inputs, outputs in found["nodes"]
        )
        return cls(tuple(nodes), tuple(found["optimizers"]))
