"""Latencies of several contenders in turns; with the first of them twice A/A tells the noise.

Each round has an order of its own, drawn from a seed: who runs behind a contender that leaves the
caches cold, or threads that still spin, is another one each time. Were the order only rotated, the
same one would always follow.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from normonnx.core.clocks import Stopwatch, Took
from normonnx.timing import intervals

AGAIN: Final = "the first again"
_SHORTEST: Final = 5e-4  # seconds of one sample; shorter runs are repeated
_MOST_REPEATED: Final = 64
LEAST_ROUNDS: Final = 7  # with fewer than six the interval is less sure than 95 %
WARM: Final = 3
_WARMING: Final = 0.3  # share of the time


def in_turns(
    contenders: Mapping[str, Callable[[], None]],
    *,
    rounds: int,
    seconds: float,
    slowest: float | None = None,
) -> dict[str, list[float]]:
    """Time each contender on the wall; as `timed_in_turns`.

    Returns:
        Seconds of one run, for each contender and round that it took part in.
    """
    found = timed_in_turns(contenders, rounds=rounds, seconds=seconds, slowest=slowest)
    return {name: [one.wall for one in times] for name, times in found.items()}


def timed_in_turns(  # noqa: PLR0913
    contenders: Mapping[str, Callable[[], None]],
    *,
    rounds: int,
    seconds: float,
    slowest: float | None = None,
    least: int = LEAST_ROUNDS,
    warm: int = WARM,
) -> dict[str, list[Took]]:
    """Time each contender once a round, in another order each time.

    Args:
        contenders: What to run, by name.
        rounds: How many rounds at most.
        seconds: Time after which no round begins, once there are `least`.
        slowest: A contender, but not the first, that takes this many times as long as the quickest
            leaves after `least` rounds; None for none.
        least: Rounds that there are at any rate, as far as `rounds` allows.
        warm: Runs of each contender before the first round, at least one; fewer where they would
            take most of the time.

    Returns:
        What one run took, for each contender and round that it took part in.
    """
    watch = Stopwatch.started()
    share = _WARMING * seconds / max(1, len(contenders))
    repeats = {name: _repeats(run, warm, share) for name, run in contenders.items()}
    found: dict[str, list[Took]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds if names else 0):
        if turn >= least and watch.took().wall > seconds:
            break
        if turn == least and slowest is not None:
            names = _staying(found, slowest)
        for name in random.Random(turn).sample(names, len(names)):  # noqa: S311  # no secret
            found[name].append(_timed(contenders[name], repeats[name]))
    return found


def table(samples: Mapping[str, Sequence[float]], first: str) -> dict[str, dict[str, Any]]:
    """Median milliseconds of each contender, and its ratio to the first with a 95 % interval."""
    return {
        name: {
            "ms": intervals.round_to(1e3 * intervals.of_median(times).median, 4),
            "ratio": intervals.plain(intervals.of_ratio(times, samples[first][: len(times)])),
        }
        for name, times in samples.items()
    }


def _staying(samples: Mapping[str, Sequence[Took]], slowest: float) -> list[str]:
    """The first, which all others are held against, and those that are quick enough."""
    medians = {
        name: statistics.median(one.wall for one in times) for name, times in samples.items()
    }
    most = slowest * min(medians.values())
    return [name for number, name in enumerate(medians) if not number or medians[name] <= most]


def _repeats(run: Callable[[], None], warm: int, seconds: float) -> int:
    """How often to run it for one sample, after warming it up."""
    watch = Stopwatch.started()
    for _ in range(warm - 1):
        run()
        if watch.took().wall > seconds:
            break
    once = _timed(run, 1).wall
    return max(1, min(_MOST_REPEATED, round(_SHORTEST / max(once, 1e-9))))


def _timed(run: Callable[[], None], repeats: int) -> Took:
    watch = Stopwatch.started()
    for _ in range(repeats):
        run()
    return watch.took().of(repeats)
