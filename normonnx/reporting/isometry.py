"""The cube of samples, channels and positions in the plane, as Wu and He drew it.

Seen from above at the edge of the first sample and the first channel: positions go up, channels
to the left, samples to the right, each unit one cell long. Rows of features are a flat table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from normonnx.core.regions import Element, Region

Point = tuple[float, float]

_COS, _SIN = math.cos(math.pi / 6), math.sin(math.pi / 6)
_AWAY: Final = 0.75  # cells from an edge to its label


@dataclass(frozen=True, slots=True)
class Tile:
    """One visible face of one element.

    Attributes:
        element: Sample, channel and position.
        face: "top", "left" or "right".
        corners: In the plane.
    """

    element: Element
    face: str
    corners: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """The name of an axis.

    Attributes:
        text: The name.
        at: Its middle, in the plane.
    """

    text: str
    at: Point


def tiles(region: Region) -> tuple[Tile, ...]:
    """What is seen of the cube, or of the table, that a region lies on."""
    return tuple(_table(region) if region.layout == "NC" else _cube(region))


def labels(region: Region) -> tuple[Label, ...]:
    """The names of the axes."""
    sizes = region.cube
    samples, channels, positions = sizes.samples, sizes.channels, sizes.positions
    if region.layout == "NC":
        return (Label("N", (-_AWAY, samples / 2)), Label("C", (channels / 2, -_AWAY)))
    left, lower = _projected(0, channels / 2, 0), _projected(samples / 2, 0, 0)
    upright = _projected(0, channels, positions / 2)
    aside, down = _AWAY * _SIN, _AWAY * _COS
    return (
        Label("H, W", (upright[0] - 1.6 * _AWAY, upright[1])),
        Label("C", (left[0] - aside, left[1] - down)),
        Label("N", (lower[0] + aside, lower[1] - down)),
    )


def _projected(sample: float, channel: float, up: float) -> Point:
    return (sample - channel) * _COS, (sample + channel) * _SIN + up


def _cube(region: Region) -> Iterator[Tile]:
    sizes = region.cube
    samples, channels, positions = range(sizes.samples), range(sizes.channels), sizes.positions
    far = region.example[1] == sizes.channels - 1  # then the last channel is the one in front
    order = channels[::-1] if far else channels
    for n, (place, c) in product(samples, enumerate(order)):
        square = [(n, place), (n + 1, place), (n + 1, place + 1), (n, place + 1)]
        yield _tile((n, c, 0), "top", [(*corner, positions) for corner in square])
    for p in range(positions):
        up = positions - p
        for place, c in enumerate(order):
            edge = [(0, place), (0, place + 1)]
            yield _tile((0, c, p), "left", _standing(edge, up))
        for n in samples:
            yield _tile((n, order[0], p), "right", _standing([(n, 0), (n + 1, 0)], up))


def _standing(edge: Sequence[tuple[int, int]], up: int) -> list[tuple[int, int, int]]:
    one, other = edge
    return [(*one, up), (*other, up), (*other, up - 1), (*one, up - 1)]


def _tile(element: Element, face: str, corners: Sequence[tuple[int, int, int]]) -> Tile:
    return Tile(element, face, tuple(_projected(*corner) for corner in corners))


def _table(region: Region) -> Iterator[Tile]:
    samples, channels = region.cube.samples, region.cube.channels
    for n, c in product(range(samples), range(channels)):
        up = samples - n
        corners = ((c, up), (c + 1, up), (c + 1, up - 1), (c, up - 1))
        yield Tile((n, c, 0), "left", tuple((float(x), float(y)) for x, y in corners))
