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
from collections.abc import Sequence
from typing import Final

from normonnx.core.intervals import Interval, round_to

__all__ = ["LEVEL", "Interval", "of_median", "of_ratio", "plain", "round_to"]

LEVEL: Final = 0.95


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
    rank = _rank(len(ordered), level)
    return Interval(
        statistics.median(ordered),
        ordered[rank],
        ordered[-1 - rank],
        _enclosed(len(ordered), rank),
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


def _rank(count: int, level: float) -> int:
    """How many of the smallest, and of the largest, can be left out."""
    every = 2**count  # whole numbers: 2.0**1024 is too large
    combinations = below = 1  # with no head, and with at most none
    rank = 0
    while 2 * (rank + 1) < count:
        combinations = combinations * (count - rank) // (rank + 1)
        below += combinations
        if 1.0 - 2 * below / every < level:
            break
        rank += 1
    return rank


def _enclosed(count: int, rank: int) -> float:
    """Probability that the median lies between the ends with `rank` samples left out on each."""
    below = sum(math.comb(count, heads) for heads in range(rank + 1))
    return max(0.0, 1.0 - 2 * below / (1 << count))
