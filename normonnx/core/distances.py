"""How far numbers are from the truth, relative to its size, in roundoffs u."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from normonnx.core.blocks import blocks, both_finite
from normonnx.core.dtypes import Array

# Up to how many noise floors a backend's error passes, and up to how many usual errors a form's.
# Correct runs of 100 models on three runtimes were measured at up to 4.8 times the floor, also
# where a softmax hangs on two logits; inner tensors at up to 12.4.
FACTOR: Final = 16.0
SQUARED: Final = 1e140  # numbers from its inverse to it have squares that float64 holds


class Squares:
    """The size of numbers that come in pieces, without overflow."""

    def __init__(self) -> None:
        self._count = 0
        self._parts: list[tuple[float, float]] = []  # scale, sum of the squares of numbers / scale
        self._odd: list[float] = []  # infinities and NaN

    def add(self, numbers: Array) -> None:
        """Take a piece in; of any shape, empty as well."""
        numbers = numbers.astype(np.float64, copy=False)
        self._count += numbers.size
        top = float(np.max(np.abs(numbers))) if numbers.size else 0.0
        if not np.isfinite(top):
            self._odd.append(top)
        elif top:
            plain = 1 / SQUARED < top < SQUARED
            scaled = numbers if plain else numbers / top
            self._parts.append((1.0 if plain else top, float(np.sum(np.square(scaled)))))

    @property
    def rms(self) -> float:
        """Root of the mean square; 0 of nothing."""
        return self._root(self._count)

    @property
    def norm(self) -> float:
        """Root of the sum of squares."""
        return self._root(1)

    def _root(self, count: int) -> float:
        if self._odd:
            return float(np.max(self._odd))
        if not self._parts:
            return 0.0
        scale = max(own for own, _ in self._parts)
        total = sum(
            part if own == scale else part * (own / scale) ** 2 for own, part in self._parts
        )
        return scale * math.sqrt(total / count)


def rms(array: Array) -> float:
    """Root mean square, without overflow."""
    return _size_of(piece for (piece,) in blocks(array))


def finite_rms(array: Array) -> float:
    """The same over the finite entries; 0 without any."""
    return _size_of(piece for (piece,) in both_finite(array))


def _size_of(pieces: Iterable[Array]) -> float:
    squares = Squares()
    for piece in pieces:
        squares.add(piece)
    return squares.rms


def relative_error(found: Array, truth: Array, u: float, size: float | None = None) -> float:
    """rms(found - truth) / rms(truth) in u, over the entries where both are finite.

    With `size`, that is what the difference is relative to.
    """
    apart, whole = Squares(), Squares()
    for ours, theirs in both_finite(found, truth):
        apart.add(ours - theirs)
        if size is None:
            whole.add(theirs)
    difference = apart.rms
    if difference == 0:
        return 0.0
    size = whole.rms if size is None else size
    return float("inf") if size == 0 else difference / size / u
