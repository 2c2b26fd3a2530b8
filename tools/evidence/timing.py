"""Latencies of several contenders in turns, the first of them twice: A/A tells the noise."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tools.evidence import intervals

AGAIN: Final = "the first again"
_SHORTEST: Final = 5e-4  # seconds of one sample; shorter runs are repeated
_MOST_REPEATED: Final = 64
_LEAST_ROUNDS: Final = 7  # below that the interval is less sure than 95 %
_WARM: Final = 3


def in_turns(
    contenders: Mapping[str, Callable[[], None]], *, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Time each contender once a round, each round beginning with another one.

    Args:
        contenders: What to run, by name.
        rounds: How many rounds at most.
        seconds: Time after which no round begins, once there are seven.

    Returns:
        Seconds of one run, for each contender and round.
    """
    end = time.perf_counter() + seconds
    repeats = {name: _repeats(run) for name, run in contenders.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds):
        if turn >= _LEAST_ROUNDS and time.perf_counter() > end:
            break
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(_timed(contenders[name], repeats[name]))
    return found


def table(samples: Mapping[str, Sequence[float]], first: str) -> dict[str, dict[str, Any]]:
    """Median milliseconds of each contender, and its ratio to the first with a 95 % interval."""
    return {
        name: {
            "ms": intervals.round_to(1e3 * intervals.of_median(times).median, 4),
            "ratio": intervals.of_ratio(times, samples[first]).plain,
        }
        for name, times in samples.items()
    }


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
