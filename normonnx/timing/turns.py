"""Latencies of several contenders in turns; with the first of them twice A/A tells the noise."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from normonnx.timing import intervals

AGAIN: Final = "the first again"
_SHORTEST: Final = 5e-4  # seconds of one sample; shorter runs are repeated
_MOST_REPEATED: Final = 64
_LEAST_ROUNDS: Final = 7  # below that the interval is less sure than 95 %
_WARM: Final = 3


def in_turns(
    contenders: Mapping[str, Callable[[], None]],
    *,
    rounds: int,
    seconds: float,
    slowest: float | None = None,
) -> dict[str, list[float]]:
    """Time each contender once a round, each round beginning with another one.

    Args:
        contenders: What to run, by name.
        rounds: How many rounds at most.
        seconds: Time after which no round begins, once there are seven.
        slowest: A contender, but not the first, that takes this many times as long as the quickest
            leaves after seven rounds; None for none.

    Returns:
        Seconds of one run, for each contender and round that it took part in.
    """
    end = time.perf_counter() + seconds
    repeats = {name: _repeats(run) for name, run in contenders.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds if names else 0):
        if turn >= _LEAST_ROUNDS and time.perf_counter() > end:
            break
        if turn == _LEAST_ROUNDS and slowest is not None:
            names = _staying(found, slowest)
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(_timed(contenders[name], repeats[name]))
    return found


def table(samples: Mapping[str, Sequence[float]], first: str) -> dict[str, dict[str, Any]]:
    """Median milliseconds of each contender, and its ratio to the first with a 95 % interval."""
    return {
        name: {
            "ms": intervals.round_to(1e3 * intervals.of_median(times).median, 4),
            "ratio": intervals.of_ratio(times, samples[first][: len(times)]).plain,
        }
        for name, times in samples.items()
    }


def _staying(samples: Mapping[str, Sequence[float]], slowest: float) -> list[str]:
    """The first, which all others are held against, and those that are quick enough."""
    medians = {name: statistics.median(times) for name, times in samples.items()}
    most = slowest * min(medians.values())
    return [name for number, name in enumerate(medians) if not number or medians[name] <= most]


def _repeats(run: Callable[[], None]) -> int:
    for _ in range(_WARM - 1):
        run()
    once = _timed(run, 1)
    return max(1, min(_MOST_REPEATED, round(_SHORTEST / max(once, 1e-9))))


def _timed(run: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats
