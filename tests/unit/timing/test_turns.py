"""Turns: who runs when, and who leaves."""

from __future__ import annotations

import functools
import time

import pytest

from normonnx.timing import turns


def test_contenders_take_turns_and_each_follows_each() -> None:
    """Every contender runs once in every round, and none always runs behind the same other."""
    calls: list[str] = []

    def run(name: str) -> None:
        calls.append(name)
        time.sleep(1e-3)  # long enough that one run is a sample

    runs = {name: functools.partial(run, name) for name in "abc"}
    samples = turns.in_turns(runs, rounds=30, seconds=10)
    assert {name: len(times) for name, times in samples.items()} == {"a": 30, "b": 30, "c": 30}
    rounds = calls[-90:]
    assert all(sorted(rounds[k : k + 3]) == ["a", "b", "c"] for k in range(0, 90, 3))
    assert {rounds[k] for k in range(0, 90, 3)} == {"a", "b", "c"}
    pairs = {(rounds[k], rounds[k + 1]) for k in range(0, 90, 3)}
    assert pairs == {(one, other) for one in "abc" for other in "abc" if one != other}


def test_time_ends_the_rounds_but_not_before_seven() -> None:
    """With no time at all there are still as many as a 95 % interval takes."""
    samples = turns.in_turns({"a": lambda: None, "b": lambda: None}, rounds=50, seconds=0)
    assert [len(times) for times in samples.values()] == [7, 7]
    found = turns.table(samples, "a")
    assert found["a"]["ratio"]["median"] == 1.0
    assert found["b"]["ratio"]["n"] == 7


def test_what_is_too_slow_leaves_but_never_the_first() -> None:
    """After seven rounds; its ratio is that of the rounds that it took part in."""
    runs = {
        "slow first": lambda: time.sleep(2e-3),
        "quick": lambda: None,
        "slow": lambda: time.sleep(2e-3),
    }
    samples = turns.in_turns(runs, rounds=9, seconds=60, slowest=5.0)
    assert [len(times) for times in samples.values()] == [9, 9, 7]
    found = turns.table(samples, "slow first")
    assert found["slow"]["ratio"]["n"] == 7
    stays = turns.in_turns(runs, rounds=9, seconds=60)
    assert [len(times) for times in stays.values()] == [9, 9, 9]


@pytest.mark.parametrize("slowest", [None, 5.0])
def test_without_contenders_nothing_is_timed(slowest: float | None) -> None:
    """Where no form runs there are no samples."""
    assert turns.in_turns({}, rounds=9, seconds=0, slowest=slowest) == {}
