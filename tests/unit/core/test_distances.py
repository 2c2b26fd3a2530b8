"""Sizes and errors of arrays that are taken in in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from normonnx.core.blocks import LARGEST, blocks, both_finite
from normonnx.core.distances import Squares, finite_rms, relative_error, rms
from normonnx.validation.measures import judge_output
from normonnx.validation.statistics import statistics

Array = npt.NDArray[Any]
U = 2.0**-24
F32 = np.dtype(np.float32)
rng = np.random.default_rng(7)
WIDE = rng.standard_normal((5, LARGEST // 2))
MANY: dict[str, Array] = {
    "several pieces": WIDE,
    "transposed": WIDE.T,
    "every other": WIDE[:, ::2],
    "float32": WIDE.astype(np.float32),
    "one number everywhere": np.broadcast_to(np.float64(3), (3, LARGEST)),
}


@pytest.mark.parametrize("array", MANY.values(), ids=MANY)
def test_pieces_hold_each_entry_once(array: Array) -> None:
    """However the array lies in memory; and those of two arrays belong together."""
    pieces = [(a.copy(), b.copy()) for a, b in blocks(array, array + 1)]
    assert len(pieces) > 1
    assert all(len(a) <= LARGEST and np.array_equal(a + 1, b) for a, b in pieces)
    assert np.array_equal(
        np.sort(np.concatenate([a for a, _ in pieces])), np.sort(array.reshape(-1))
    )


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200, 5e-324])
@pytest.mark.parametrize("array", MANY.values(), ids=MANY)
def test_sizes_in_pieces_are_sizes(array: Array, scale: float) -> None:
    """As of the whole array; without overflow, also where pieces differ in scale."""
    numbers = array.astype(np.float64) * scale
    far = np.concatenate([numbers.reshape(-1), np.full(LARGEST, 1e-300)])
    for one in (numbers, far):
        squares = np.square(one.astype(np.longdouble))
        assert rms(one) == pytest.approx(float(np.sqrt(squares.mean())), rel=1e-12)


def test_squares_of_nothing_and_of_odd_numbers() -> None:
    """Nothing has the size 0; what is infinite is infinite, what is no number none."""
    squares = Squares()
    squares.add(np.zeros(0))
    assert squares.rms == squares.norm == 0
    squares.add(np.asarray([3.0, 4.0]))
    assert squares.rms == pytest.approx(5 / np.sqrt(2))
    assert squares.norm == 5
    squares.add(np.asarray([np.inf]))
    assert squares.rms == np.inf
    squares.add(np.asarray([np.nan]))
    assert np.isnan(squares.rms)


def test_errors_in_pieces_are_errors() -> None:
    """NaN and infinity on either side are left out, wherever they stand."""
    truth = WIDE.copy()
    found = truth * (1 + 3 * U)
    truth[0, 5], found[4, -1] = np.nan, np.inf
    assert relative_error(found, truth, U) == pytest.approx(3)
    assert relative_error(found, truth, U, size=2 * finite_rms(truth)) == pytest.approx(
        1.5, rel=1e-5
    )
    assert sum(a.size for a, _ in both_finite(found, truth)) == truth.size - 2
    assert relative_error(found * np.nan, truth, U) == 0


def test_an_output_of_several_pieces_is_judged_as_a_whole() -> None:
    """One wrong entry in the last piece is enough, and is told."""
    truth = WIDE.copy()
    moved = [truth * (1 + U)]
    good = truth.astype(np.float32)
    assert judge_output(good, truth, F32, moved, 16).verdict.value == "pass"
    bad = good.copy()
    bad[-1, -1] += 100
    judged = judge_output(bad, truth, F32, moved, 16)
    assert judged.verdict.value == "mismatch"
    assert judged.max_abs == pytest.approx(100)
    constant = np.full_like(truth, 2.0)
    assert "constant" in judge_output(constant, constant, F32, [], 16).reason


def test_statistics_of_several_pieces_are_those_of_the_whole() -> None:
    """Each figure as its definition has it, over the entries where both sides are finite."""
    truth = WIDE.copy()
    found = truth + rng.standard_normal(truth.shape) * 1e-5
    truth[1, 1] = np.inf
    measured = statistics(found, truth, F32)
    assert measured is not None
    kept = np.isfinite(truth)
    ours, theirs = found[kept], truth[kept]
    difference = np.abs(ours - theirs)
    assert measured.mean_abs == pytest.approx(difference.mean())
    assert measured.max_rel == (difference / np.abs(theirs)).max()
    assert (
        list(measured.percentiles.values())
        == np.percentile(difference, list(measured.percentiles)).tolist()
    )
    cosine = ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert measured.cosine == pytest.approx(1 - cosine, rel=1e-3)
    ulps = difference / np.spacing(np.abs(theirs.astype(np.float32))).astype(np.float64)
    assert sum(measured.ulps.values()) == kept.sum()
    assert measured.ulps[0.5] == pytest.approx(np.count_nonzero(ulps <= 0.5), rel=1e-3)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_narrow_types_are_measured_in_float64(kind: type) -> None:
    """Sums of squares, and lengths above 65504, are no numbers of float16."""
    assert rms(np.ones(LARGEST, kind)) == 1
    assert rms(np.full(3, 300, kind)) == pytest.approx(300)
    found: Array = (1000 * rng.standard_normal(100_000)).astype(kind)
    measured = statistics(found, found.astype(np.float64), np.dtype(kind))
    assert measured is not None
    assert measured.cosine == 0
    truth = rng.standard_normal(10_000)
    measured = statistics(truth.astype(kind), truth, np.dtype(kind))
    assert measured is not None
    assert measured.cosine <= float(np.finfo(kind).eps) ** 2
