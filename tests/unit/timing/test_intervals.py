"""Medians and ratios with intervals: right on numbers whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from normonnx.timing import intervals


def test_the_interval_is_made_of_order_statistics() -> None:
    """Of ten samples the second smallest and the second largest enclose the median at 97.9 %."""
    found = intervals.of_median([float(n) for n in range(1, 11)])
    assert (found.median, found.low, found.high, found.samples) == (5.5, 2.0, 9.0, 10)
    assert found.level == pytest.approx(1 - 2 * (1 + 10) / 1024)


@pytest.mark.parametrize("count", [6, 7, 20, 51, 101, 400, 2000])
def test_the_level_is_kept_and_hardly_exceeded(count: int) -> None:
    """At least 95 %, and one more sample left out on each side would be less."""
    found = intervals.of_median([float(n) for n in range(count)])
    assert found.level >= 0.95
    rank = int(found.low)
    at_most = [
        sum(math.comb(count, heads) for heads in range(last + 1)) for last in (rank, rank + 1)
    ]
    left, one_more = (1 - 2 * ways / 2**count for ways in at_most)  # in whole numbers
    assert found.level == pytest.approx(left, abs=1e-9)
    assert one_more < 0.95


def test_too_few_samples_say_that_they_are_less_sure() -> None:
    """Three samples can't enclose a median at 95 %: all are used, and the level is told."""
    found = intervals.of_median([3.0, 1.0, 2.0])
    assert (found.low, found.median, found.high) == (1.0, 2.0, 3.0)
    assert found.level == pytest.approx(0.75)


def test_nothing_has_no_median() -> None:
    """No samples are an error, not a number."""
    with pytest.raises(ValueError, match="no samples"):
        intervals.of_median([])


def test_intervals_enclose_the_true_ratio_as_often_as_they_say() -> None:
    """Synthetic timings with a ratio of 0.8 and heavy tails: 95 % of the intervals hold it."""
    source = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        slow = 1 + 0.1 * source.exponential(size=41)  # what disturbs a round disturbs both
        first = slow * np.exp(0.05 * source.standard_normal(41))
        second = 0.8 * slow * np.exp(0.05 * source.standard_normal(41))
        found = intervals.of_ratio(second.tolist(), first.tolist())
        held += found.low <= 0.8 <= found.high
    assert 0.92 <= held / 400 <= 0.995


def test_a_ratio_is_taken_pair_by_pair() -> None:
    """A round that is ten times slower for both leaves every ratio at 2."""
    first = [1.0, 1.0, 10.0, 1.0, 1.0, 1.0, 100.0]
    found = intervals.of_ratio([2 * one for one in first], first)
    assert (found.low, found.median, found.high) == (2.0, 2.0, 2.0)


def test_pairs_must_match() -> None:
    """Seven against six is no set of pairs."""
    with pytest.raises(ValueError, match="zip"):
        intervals.of_ratio([1.0] * 7, [1.0] * 6)


def test_many_samples_take_no_longer() -> None:
    """As exact whole numbers the chances of 100,000 tosses took minutes."""
    found = intervals.of_median([float(number) for number in range(200_001)])
    assert found.median == 100_000
    # the normal distribution, which is exact to a rank or so here
    assert found.low == pytest.approx(100_000 - 0.98 * 200_001**0.5, abs=2)
    assert 0.95 <= found.level < 0.951
