"""A median with what encloses it, as data; `timing.intervals` makes them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and what encloses it.

    Attributes:
        median: Of the samples.
        low: Lower end.
        high: Upper end.
        level: Probability that they enclose the true median; below the level asked for where there
            are too few samples.
        samples: How many.
    """

    median: float
    low: float
    high: float
    level: float
    samples: int


def round_to(value: float, digits: int) -> float:
    """A number to so many significant digits."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else value
