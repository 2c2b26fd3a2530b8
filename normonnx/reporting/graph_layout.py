"""Where the nodes of a small graph are drawn: in layers from top to bottom, few lines crossing.

After Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures,
1981: each node lies one layer below the lowest that it reads; an edge over several layers gets an
invisible point in each; within a layer nodes are ordered by the mean place of their neighbors, a
few times up and down.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Edge = tuple[str, str]
Point = tuple[float, float]
_SWEEPS: Final = 4
_ROUNDS: Final = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A node in the plane, y downwards.

    Attributes:
        x: Of its middle.
        y: Of its upper edge.
        width: Of the box.
        height: Of the box.
    """

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is.

    Attributes:
        boxes: By node.
        lines: By edge: the points that it goes through, from box to box.
        width: Of the whole.
        height: Of the whole.
    """

    boxes: Mapping[str, Box] = field(default_factory=dict)
    lines: Mapping[Edge, tuple[Point, ...]] = field(default_factory=dict)
    width: float = 0.0
    height: float = 0.0


@dataclass(frozen=True, slots=True)
class Gaps:
    """Space between boxes.

    Attributes:
        across: Between two of a layer.
        down: Between two layers.
    """

    across: float = 20.0
    down: float = 34.0


def laid_out(
    sizes: Mapping[str, tuple[float, float]],
    edges: Sequence[Edge],
    gaps: Gaps = Gaps(),
) -> Layout:
    """Give each node a place.

    Args:
        sizes: Width and height by node, in the order that they are computed in.
        edges: From what gives to what reads; both are in `sizes`, the giver first.
        gaps: Space between boxes.
    """
    depth = _depths(sizes, edges)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, number in depth.items():
        layers[number].append(name)
    chains = {edge: _chain(edge, depth, layers) for edge in edges}
    links = [pair for chain in chains.values() for pair in itertools.pairwise(chain)]
    _order(layers, links)
    width_of: Callable[[str], float] = lambda name: sizes[name][0] if name in sizes else 0.0  # noqa: E731
    across = _columns(layers, links, width_of, gaps.across)
    tops, y = list[float](), 0.0
    for names in layers:
        tops.append(y)
        y += max(sizes[name][1] if name in sizes else 0.0 for name in names) + gaps.down
    left = min((across[name] - width_of(name) / 2 for name in across), default=0.0)
    boxes = {name: Box(across[name] - left, tops[depth[name]], *sizes[name]) for name in sizes}
    places = {name: across[name] - left for name in across}
    lines = {}
    for edge, chain in chains.items():
        upper, lower = boxes[edge[0]], boxes[edge[1]]
        between = [
            (places[name], tops[depth[edge[0]] + number] + upper.height / 2)
            for number, name in enumerate(chain[1:-1], 1)
        ]
        ends = (upper.x, upper.y + upper.height), (lower.x, lower.y)
        lines[edge] = (ends[0], *between, ends[1])
    width = max((places[name] + width_of(name) / 2 for name in places), default=0.0)
    return Layout(boxes, lines, width, max(0.0, y - gaps.down))


def _depths(names: Mapping[str, object], edges: Sequence[Edge]) -> dict[str, int]:
    """Layer of each node: below all that it reads; what nothing is read by there moves down."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for giver, reader in edges:
            depth[reader] = max(depth[reader], depth[giver] + 1)
    for name in reversed(list(names)):
        below = [depth[reader] for giver, reader in edges if giver == name]
        above = any(reader == name for _, reader in edges)
        if below and not above:
            depth[name] = min(below) - 1
    return depth


def _chain(edge: Edge, depth: Mapping[str, int], layers: list[list[str]]) -> list[str]:
    """The edge's ends, with a point in each layer between."""
    giver, reader = edge
    chain = [giver]
    for layer in range(depth[giver] + 1, depth[reader]):
        point = f"{giver}>{reader}@{layer}"
        layers[layer].append(point)
        chain.append(point)
    return [*chain, reader]


def _order(layers: list[list[str]], links: Sequence[Edge]) -> None:
    """Sort each layer by the mean place of what its nodes are linked with, down and up again."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for number in range(1, len(layers)) if down else range(len(layers) - 2, -1, -1):
            beside = layers[number - 1 if down else number + 1]
            places = {name: place for place, name in enumerate(beside)}
            own = {name: place for place, name in enumerate(layers[number])}

            def mean(
                name: str, places: Mapping[str, int] = places, own: Mapping[str, int] = own
            ) -> float:
                found = [places[o] for o in _linked(name, links) if o in places]
                return sum(found) / len(found) if found else own[name]

            layers[number].sort(key=mean)


def _linked(name: str, links: Sequence[Edge]) -> list[str]:
    return [b if a == name else a for a, b in links if name in (a, b)]


def _columns(
    layers: Sequence[Sequence[str]],
    links: Sequence[Edge],
    width_of: Callable[[str], float],
    gap: float,
) -> dict[str, float]:
    """The middle of each node and point: over or under its neighbors, without overlaps."""
    across: dict[str, float] = {}
    for layer in layers:
        x = 0.0
        total = sum(width_of(name) for name in layer) + gap * (len(layer) - 1)
        for name in layer:
            across[name] = x + width_of(name) / 2 - total / 2
            x += width_of(name) + gap
    for sweep in range(2 * _SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for name in layer:
                beside = [across[other] for other in _linked(name, links)]
                wanted.append(sum(beside) / len(beside) if beside else across[name])
            _spread(layer, wanted, across, width_of, gap)
    return across


def _spread(
    layer: Sequence[str],
    wanted: Sequence[float],
    across: dict[str, float],
    width_of: Callable[[str], float],
    gap: float,
) -> None:
    """Put a layer as near to where it is wanted as its widths allow."""
    places = list(wanted)
    for _ in range(_ROUNDS):
        for number in range(1, len(layer)):
            least = (width_of(layer[number - 1]) + width_of(layer[number])) / 2 + gap
            short = least - (places[number] - places[number - 1])
            if short > 0:
                places[number - 1] -= short / 2
                places[number] += short / 2
    for number in range(1, len(layer)):
        least = (width_of(layer[number - 1]) + width_of(layer[number])) / 2 + gap
        places[number] = max(places[number], places[number - 1] + least)
    across.update(zip(layer, places, strict=True))
