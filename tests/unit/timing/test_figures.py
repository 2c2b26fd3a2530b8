"""From times to ratios: which way round, pair by pair, on which clock."""

from __future__ import annotations

import pytest

from normonnx.core.benchmark import Noise
from normonnx.core.clocks import Stopwatch, Took
from normonnx.core.intervals import Interval
from normonnx.timing import figures


def test_twice_as_fast_is_a_speedup_of_two() -> None:
    """Time of the base over its own; each clock by itself."""
    base = [Took(4.0, 1.0)] * 7
    own = [Took(2.0, 2.0)] * 7
    found = figures.times(own, base, figures.wall)
    assert found is not None
    assert found.milliseconds.median == 2000.0
    assert found.speedup is not None
    assert (found.speedup.low, found.speedup.median, found.speedup.high) == (2.0, 2.0, 2.0)
    by_cpu = figures.times(own, base, figures.cpu)
    assert by_cpu is not None
    assert by_cpu.speedup is not None
    assert by_cpu.speedup.median == 0.5


def test_the_base_has_no_speedup_and_who_did_not_run_no_times() -> None:
    """None, not 1 and not 0."""
    found = figures.times([Took(1.0, 1.0)], None, figures.wall)
    assert found is not None
    assert found.speedup is None
    assert figures.times([], [Took(1.0, 1.0)], figures.wall) is None
    assert figures.noise("a", [], []) is None


def test_pairs_are_those_of_the_last_rounds() -> None:
    """Where the base ran again in fewer rounds than there were."""
    base = [Took(100.0, 100.0), *([Took(1.0, 1.0)] * 7)]
    found = figures.noise("a", base, [Took(1.0, 1.0)] * 7)
    assert found is not None
    assert found.wall.samples == 7
    assert found.wall.high == 1.0


def _interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95, 20)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(1.1, 1.2, 1), (0.8, 0.9, -1), (0.99, 1.2, 0), (1.01, 1.02, 0), (0.97, 0.98, 0)],
)
def test_a_difference_must_be_beyond_one_and_beyond_the_noise(
    low: float, high: float, outcome: int
) -> None:
    """A/A from 0.96 to 1.03: neither 1.02 nor 0.97 is a difference."""
    noise = Noise("a", _interval(0.96, 1.03), _interval(1.0, 1.0))
    assert noise.outcome(_interval(low, high)) == outcome


def test_noise_is_told_by_the_farther_end() -> None:
    """5 % is where small differences stop meaning anything."""
    quiet = Noise("a", _interval(0.97, 1.04), _interval(0.0, 9.0))
    assert not quiet.noisy
    assert Noise("a", _interval(0.94, 1.0), quiet.cpu).noisy
    assert Noise("a", _interval(1.0, 1.06), quiet.cpu).noisy


def test_sleep_takes_time_but_no_processor() -> None:
    """The two clocks are different clocks."""
    import time

    watch = Stopwatch.started()
    time.sleep(0.05)
    found = watch.took()
    assert found.wall >= 0.05
    assert found.cpu < 0.04
