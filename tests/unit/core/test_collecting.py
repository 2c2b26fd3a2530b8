"""Less collecting while graphs are worked on, and as before afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

import normonnx
from normonnx.core.collecting import rarely_collecting


@pytest.fixture(autouse=True)
def _threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_less_often_inside_and_as_before_outside() -> None:
    """The youngest generation waits longer; nested and after an error it is set back once."""

    @rarely_collecting()
    def inner() -> int:
        return gc.get_threshold()[0]

    @rarely_collecting()
    def outer() -> None:
        assert inner() > 10_000
        assert gc.get_threshold()[0] > 10_000
        raise KeyError

    with pytest.raises(KeyError):
        outer()
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("threshold", [0, 1_000_000])
def test_a_collector_that_looks_less_often_is_left_alone(threshold: int) -> None:
    """Nobody's choice is made worse: 0 is off."""
    gc.set_threshold(threshold, 10, 10)
    with rarely_collecting():
        assert gc.get_threshold() == (threshold, 10, 10)


def test_the_public_functions_leave_it_as_it_was(tmp_path: Path) -> None:
    """Also when they raise."""
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(normonnx.InvalidModelError):
        normonnx.optimize(tmp_path / "empty.onnx")
    assert gc.get_threshold() == (700, 10, 10)
