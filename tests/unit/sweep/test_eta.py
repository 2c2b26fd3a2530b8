"""When a sweep will be done."""

from __future__ import annotations

import pytest

from normonnx.sweep.eta import CONSTANT, Estimate, weight


def test_nothing_is_known_before_the_first() -> None:
    """Nor if all was done before."""
    estimate = Estimate(100.0, jobs=2)
    assert estimate.seconds is None
    estimate.reused(40.0)
    assert estimate.seconds is None


def test_what_is_left_takes_as_long_as_what_is_done() -> None:
    """By weight, shared by all jobs."""
    estimate = Estimate(100.0, jobs=1)
    estimate.done(25.0, 10.0)
    assert estimate.seconds == pytest.approx(30.0)
    estimate.reused(25.0)
    assert estimate.seconds == pytest.approx(20.0)
    estimate.jobs = 2
    assert estimate.seconds == pytest.approx(10.0)
    estimate.done(50.0, 20.0)
    assert estimate.seconds == 0.0


def test_a_model_without_weights_is_work_too() -> None:
    """It costs a start."""
    assert weight(0) == CONSTANT
    assert weight(CONSTANT) == 2 * CONSTANT
