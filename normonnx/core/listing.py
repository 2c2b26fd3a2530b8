"""The nodes of a model and what lies around one of them, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fate = Literal["gone", "new", "changed", "kept"]


@dataclass(frozen=True, slots=True)
class NodeListed:
    """One node.

    Attributes:
        node: Its name; its first output's name where it has none.
        op_type: Its operator, other domains as "domain::name".
        graph: Name of the graph or function that holds it; empty for the main graph.
        outputs: Names of the values that it gives.
    """

    node: str
    op_type: str
    graph: str
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One node of a picture.

    Attributes:
        key: What edges call it; unique within a `Part`.
        op_type: Its operator; empty for a graph input or output.
        name: Its own name, or that of the value.
        constants: What it reads that is constant: "W 64×3×7×7".
        fate: What becomes, or became, of it.
    """

    key: str
    op_type: str
    name: str
    constants: tuple[str, ...] = ()
    fate: Fate = "kept"


@dataclass(frozen=True, slots=True)
class Part:
    """A few nodes of one graph and how they are connected.

    Attributes:
        nodes: In graph order.
        edges: Keys of the node that gives a value and of one that reads it.
        open_above: Keys of nodes that also read what is not drawn.
        open_below: Keys of nodes that others read that are not drawn.
        left_out: Number of nodes that belong to the place and are not drawn.
    """

    nodes: tuple[Drawn, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    open_above: tuple[str, ...] = ()
    open_below: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """One place of a model, before and after.

    Attributes:
        title: What it shows, in a few words.
        before: As it was.
        after: As it is now; None where nothing was changed.
    """

    title: str
    before: Part
    after: Part | None = None
