"""From what each round took to medians, ratios and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from normonnx.core.benchmark import Noise, Times
from normonnx.core.clocks import Took
from normonnx.core.intervals import Interval
from normonnx.timing import intervals

_MILLI: Final = 1e3
Clock = Callable[[Took], float]


def wall(took: Took) -> float:
    """Seconds that went by."""
    return took.wall


def cpu(took: Took) -> float:
    """Seconds of the processor."""
    return took.cpu


def times(own: Sequence[Took], base: Sequence[Took] | None, clock: Clock) -> Times | None:
    """What something takes, and how that stands to the base; None where nothing was measured.

    Args:
        own: Round by round.
        base: The same of the base; None for the base itself, or where it did not run.
        clock: Which time counts.
    """
    if not own:
        return None
    found = intervals.of_median([_MILLI * clock(one) for one in own])
    return Times(found, None if base is None else speedup(own, base, clock))


def speedup(own: Sequence[Took], base: Sequence[Took], clock: Clock) -> Interval | None:
    """Time of the base over its own, pair by pair from the last on; None where there are none."""
    pairs = min(len(own), len(base))
    if not pairs:
        return None
    mine, theirs = ([max(clock(one), 1e-12) for one in side[-pairs:]] for side in (own, base))
    return intervals.of_ratio(theirs, mine)


def noise(name: str, first: Sequence[Took], again: Sequence[Took]) -> Noise | None:
    """A/A: one contender against itself; None where it did not run."""
    found = [speedup(again, first, clock) for clock in (wall, cpu)]
    return None if found[0] is None or found[1] is None else Noise(name, found[0], found[1])
