"""Medians and ratios of timings, with intervals that assume no distribution.

The interval of a median is made of order statistics: of n samples, as many lie below the true
median as heads fall in n tosses of a coin, so the k-th smallest and the k-th largest enclose it
with a probability that the binomial distribution gives (Conover, Practical Nonparametric
Statistics, 3rd ed., section 3.2).

A ratio is the median of ratios taken pair by pair, in the same round: what slows a round down slows
both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from normonnx.core.intervals import Interval, round_to

__all__ = ["LEVEL", "Interval", "of_median", "of_ratio", "plain", "round_to"]

LEVEL: Final = 0.95
_EXACT: Final = 1000  # tosses; 0.5**1000 is no subnormal number yet
_DEVIATIONS: Final = 20  # standard deviations below the middle, where chances are as good as 0


def plain(found: Interval) -> dict[str, float]:
    """An interval as plain JSON, four digits each."""
    parts = {"median": found.median, "low": found.low, "high": found.high, "level": found.level}
    return {name: round_to(part, 4) for name, part in parts.items()} | {"n": found.samples}


def of_median(samples: Sequence[float], level: float = LEVEL) -> Interval:
    """The median of samples and its interval.

    Raises:
        ValueError: There are no samples.
    """
    if not samples:
        message = "there are no samples to take a median of"
        raise ValueError(message)
    ordered = sorted(samples)
    rank, reached = _rank(len(ordered), level)
    return Interval(
        statistics.median(ordered),
        ordered[rank],
        ordered[-1 - rank],
        reached,
        len(ordered),
    )


def of_ratio(
    numerators: Sequence[float], denominators: Sequence[float], level: float = LEVEL
) -> Interval:
    """The median of ratios, pair by pair, and its interval.

    Raises:
        ValueError: There are no pairs, or one side has more samples.
    """
    return of_median([a / b for a, b in zip(numerators, denominators, strict=True)], level)


def _rank(count: int, level: float) -> tuple[int, float]:
    """How many of the smallest, and of the largest, can be left out; and the level that leaves.

    The median lies below the sample of rank k with the probability that at most k of `count` fair
    coins show heads.
    """
    rank, reached = 0, 0.0
    for heads, at_most in _at_most(count):
        if heads and (2 * heads >= count or 1.0 - 2 * at_most < level):
            break
        rank, reached = heads, 1.0 - 2 * at_most
    return rank, max(0.0, reached)


def _at_most(count: int) -> Iterator[tuple[int, float]]:
    """The probability of at most so many heads, from where it is not yet 0 in float64."""
    first = 0 if count <= _EXACT else max(0, int(count / 2 - _DEVIATIONS * math.sqrt(count) / 2))
    chance, total = math.exp(_log_chance(count, first)) if first else math.ldexp(1.0, -count), 0.0
    for heads in range(first, count):
        total += chance
        yield heads, total
        chance *= (count - heads) / (heads + 1)


def _log_chance(count: int, heads: int) -> float:
    ways = math.lgamma(count + 1) - math.lgamma(heads + 1) - math.lgamma(count - heads + 1)
    return ways - count * math.log(2.0)
