"""Lengths of dimensions, known or not: arithmetic that stays certain where a length is unknown.

A dimension of unknown length is an `Unknown`, equal to itself alone. It travels with the dimension
through the graph, so that two values can be known to agree in a length that nobody knows, and a
Reshape can be followed past a dynamic batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Unknown:
    """The length of one dimension, which is not known; equal to itself alone."""


Length = int | Unknown
Lengths = tuple[Length, ...]
Dims = tuple[int | None, ...]


def static(lengths: Sequence[Length]) -> Dims:
    """The lengths that are known, None for the others."""
    return tuple(length if isinstance(length, int) else None for length in lengths)


def completed(dims: Sequence[Length | None]) -> Lengths:
    """Each None becomes an `Unknown` of its own."""
    return tuple(Unknown() if length is None else length for length in dims)


def broadcast(lengths: Sequence[Length]) -> Length | None:
    """What several lengths make when they are broadcast; None when that is not certain."""
    larger = [length for length in lengths if isinstance(length, int) and length != 1]
    if larger:
        return larger[0]
    unknown = [length for length in lengths if isinstance(length, Unknown)]
    if not unknown:
        return 1
    return unknown[0] if all(length is unknown[0] for length in unknown) else None


def quotient(dividend: Sequence[Length], divisor: Sequence[Length]) -> Length | None:
    """The product of some lengths divided by that of others; None when that is not certain."""
    left = list(dividend)
    below = 1
    for length in divisor:
        if isinstance(length, int):
            below *= length
        elif any(length is other for other in left):
            left = _without(left, length)
        else:
            return None
    unknown = [length for length in left if isinstance(length, Unknown)]
    above = math.prod(length for length in left if isinstance(length, int))
    if unknown:
        return unknown[0] if len(unknown) == 1 and above == below else None
    return above // below if below and above % below == 0 else None


def same_product(left: Sequence[Length], right: Sequence[Length]) -> bool:
    """Whether two shapes certainly have as many elements."""
    remaining = list(right)
    for length in left:
        if isinstance(length, Unknown):
            if not any(length is other for other in remaining):
                return False
            remaining = _without(remaining, length)
    if any(isinstance(length, Unknown) for length in remaining):
        return False
    return math.prod(n for n in left if isinstance(n, int)) == math.prod(
        n for n in remaining if isinstance(n, int)
    )


def _without(lengths: list[Length], gone: Unknown) -> list[Length]:
    position = next(i for i, length in enumerate(lengths) if length is gone)
    return lengths[:position] + lengths[position + 1 :]
