"""How far off each node of a model is, as data: what it adds by itself, and what it inherits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class NodeError:
    """One node on one case of inputs; all errors in u, the roundoff of the tensor's own type.

    Attributes:
        node: Name of the node; its first output's name where the node has none.
        op_type: Its operator.
        tensor: The output of it that is farthest off, over its floor.
        local: What the node adds by itself, fed with the truth; NaN where it could not be run.
        upstream: What its inputs have inherited, the worst of them; NaN where not measured.
        total: How far the tensor is off in a run of the whole model; NaN where not measured.
        floor: How far roundoff of inputs and weights moves the tensor.
    """

    node: str
    op_type: str
    tensor: str
    local: float = float("nan")
    upstream: float = float("nan")
    total: float = float("nan")
    floor: float = float("nan")

    @property
    def ratio(self) -> float:
        """What the node adds over its floor; NaN where either is not known."""
        known = math.isfinite(self.floor) and self.floor > 0
        return self.local / self.floor if known else float("nan")


@dataclass(frozen=True, slots=True)
class NodeErrors:
    """Every node of a model that gives floating-point numbers, in graph order.

    Attributes:
        question: "computes": a backend against float64; "equivalent": a model against another,
            both in float64.
        backend: What ran it.
        case: Name of the inputs.
        factor: Error over floor up to which a node is as good as roundoff allows.
        nodes: The nodes.
        notes: What a reader must know, as sentences.
    """

    question: Literal["computes", "equivalent"]
    backend: str
    case: str
    factor: float
    nodes: tuple[NodeError, ...] = ()
    notes: tuple[str, ...] = ()
