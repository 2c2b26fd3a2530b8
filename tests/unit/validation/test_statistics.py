"""Distributions of errors, against numbers worked out by hand."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from normonnx.core.verdicts import Statistics
from normonnx.validation.measures import judge_output
from normonnx.validation.statistics import statistics

F16, F32, F64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
BF16 = np.dtype(ml_dtypes.bfloat16)
INF, NAN = float("inf"), float("nan")


def _measured(found: Any, truth: Any, dtype: Any = F64) -> Statistics:
    measured = statistics(np.asarray(found), np.asarray(truth), np.dtype(dtype))
    assert measured is not None
    return measured


def _filled(measured: Statistics) -> dict[float, int]:
    """The bins that hold something."""
    return {bound: number for bound, number in measured.ulps.items() if number}


# A unit in the last place of each type around some numbers, by hand: 2**(exponent - digits + 1).
ULPS = {
    "float32 at 1": (F32, 1.0, 2.0**-23),
    "float32 below 2": (F32, 2 - 2.0**-23, 2.0**-23),
    "float32 at 2": (F32, 2.0, 2.0**-22),
    "float32 at -3": (F32, -3.0, 2.0**-22),
    "float32 below 1": (F32, 0.75, 2.0**-24),
    "float32 at 1e10": (F32, 1e10, 1024.0),
    "float32 smallest normal": (F32, 2.0**-126, 2.0**-149),
    "float32 subnormal": (F32, 2.0**-140, 2.0**-149),
    "float32 zero": (F32, 0.0, 2.0**-149),
    "float16 at 1": (F16, 1.0, 2.0**-10),
    "float16 at 1000": (F16, 1000.0, 0.5),
    "float16 subnormal": (F16, 2.0**-20, 2.0**-24),
    "float16 zero": (F16, 0.0, 2.0**-24),
    "bfloat16 at 1": (BF16, 1.0, 2.0**-7),
    "bfloat16 at 100": (BF16, 100.0, 0.5),
    "bfloat16 zero": (BF16, 0.0, 2.0**-133),
    "float64 at 1": (F64, 1.0, 2.0**-52),
    "float8_e4m3fn at 1": (np.dtype(ml_dtypes.float8_e4m3fn), 1.0, 2.0**-3),
}


@pytest.mark.parametrize(("dtype", "truth", "ulp"), ULPS.values(), ids=ULPS)
def test_errors_are_counted_in_units_in_the_last_place(
    dtype: np.dtype[Any], truth: float, ulp: float
) -> None:
    """Of the declared type around the truth: 0 to half a unit, to 1, to 2, ... and beyond."""
    errors = np.asarray([0.0, 0.5, 1.0, 2.0, 3.0, 16.0, 17.0, 1024.0, 1025.0])
    if dtype == F64 and truth == 1:
        errors = np.ceil(errors)  # there are no halves of a unit in float64
    expected = {0.5: 2, 1.0: 1, 2.0: 1, 4.0: 1, 16.0: 1, 64.0: 1, 1024.0: 1, INF: 1}
    if dtype == F64:
        expected = expected | {0.5: 1, 1.0: 2}
    for sign in (1, -1):
        found = truth + sign * (1 if truth >= 0 else -1) * errors * ulp
        assert _filled(_measured(found, np.full(9, truth), dtype)) == expected


@pytest.mark.parametrize("dtype", [F16, F32, BF16])
def test_rounding_to_a_type_is_half_a_unit_at_most(dtype: np.dtype[Any]) -> None:
    """Numbers of all sizes, rounded to nearest, subnormal ones included."""
    rng = np.random.default_rng(3)
    low = int(np.log2(float(ml_dtypes.finfo(dtype).smallest_subnormal)))
    truth = rng.uniform(-1, 1, 2000) * 2.0 ** rng.integers(low, 15, 2000)
    measured = _measured(truth.astype(dtype), truth, dtype)
    assert _filled(measured) == {0.5: 2000}
    assert max(np.abs(measured.max_rel), 0) > float(ml_dtypes.finfo(dtype).eps) / 4


def test_every_bin_is_there_and_the_numbers_add_up() -> None:
    """Also those that hold nothing."""
    measured = _measured(np.ones(7), np.ones(7), F32)
    assert list(measured.ulps) == [0.5, 1, 2, 4, 16, 64, 1024, INF]
    assert sum(measured.ulps.values()) == 7


def test_mean_and_percentiles_by_hand() -> None:
    """Of 1, 2, ..., 101: half stay within 51, nine tenths within 91."""
    errors = np.arange(1, 102.0)
    np.random.default_rng(0).shuffle(errors)
    measured = _measured(1000 - errors, np.full(101, 1000.0))
    assert measured.mean_abs == 51
    assert measured.percentiles == pytest.approx({50: 51, 90: 91, 99: 100, 99.9: 100.9})
    assert measured.max_rel == pytest.approx(0.101)


def test_the_sign_of_an_error_does_not_matter() -> None:
    """Errors of both signs don't cancel."""
    assert _measured([1.5, 0.5], [1.0, 1.0]).mean_abs == 0.5


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([1.1, 2.0], [1.0, 4.0], 0.5),
        ([-1.0, 2.0], [1.0, 2.0], 2.0),
        ([5.0, 2.0], [0.0, 2.0], 0.0),
        ([5.0, 3.0], [0.0, 2.0], 0.5),
        ([5.0], [0.0], NAN),
    ],
    ids=["half", "sign", "right but for a zero", "a zero aside", "nothing but zero"],
)
def test_the_largest_ratio_leaves_out_where_the_truth_is_zero(
    found: list[float], truth: list[float], expected: float
) -> None:
    """There is no ratio to zero; the other entries still have theirs."""
    assert _measured(found, truth).max_rel == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("angle", [1e-12, 1e-8, 1e-4, 0.1, math.pi / 2, math.pi])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_cosine_tells_the_smallest_angles(angle: float, scale: float) -> None:
    """1 - cos(a) is 2 sin(a/2)², to all digits; computed as written it would be 0 below 1e-8."""
    found = [scale * math.cos(angle), scale * math.sin(angle)]
    expected = 2 * math.sin(angle / 2) ** 2
    assert _measured(found, [3 * scale, 0.0]).cosine == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [([2, 4], [1, 2], 0), ([0, 0], [0, 0], 0), ([0, 0], [1, 0], 1), ([1, 0], [0, 0], 1), ([1, 0], [-1, 0], 2)],
    ids=["parallel", "both nothing", "found nothing", "truth nothing", "opposite"],
)  # fmt: skip
def test_the_cosine_of_borders(found: list[float], truth: list[float], expected: float) -> None:
    """Length does not count; nothing against something is as wrong as a right angle."""
    assert _measured(np.asarray(found, float), np.asarray(truth, float)).cosine == expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int64])
def test_integers_do_not_wrap_around(kind: Any) -> None:
    """0 against 1 is off by 1, not by 255; the largest against 0 by the largest."""
    top = int(np.iinfo(kind).max)
    measured = _measured(np.asarray([0, 1, top], kind), np.asarray([1, 0, 0], kind), kind)
    assert measured.percentiles[50] == 1
    assert measured.mean_abs == pytest.approx((top + 2) / 3)
    assert measured.max_rel == 1
    assert measured.ulps == {}


def test_integers_of_many_digits_are_not_rounded_together() -> None:
    """2**53 and its neighbour are one number in float64."""
    truth = np.asarray([2**53, 2**62, -(2**63)])
    measured = _measured(truth + 1, truth, np.int64)
    assert measured.mean_abs == 1
    assert measured.percentiles[50] == 1
    judged = judge_output(truth + 1, truth, truth.dtype, [], 16.0)
    assert judged.max_abs == 1


def test_booleans_are_zero_and_one() -> None:
    """One of four flags is wrong."""
    measured = _measured([True, False, True, True], [True, False, True, False], np.bool_)
    assert measured.mean_abs == 0.25
    assert measured.percentiles[50] == 0


def test_only_entries_that_are_finite_on_both_sides_count() -> None:
    """NaN and infinity are another question; the rest has its figures."""
    found = [NAN, 1.0, INF, 2.0, -INF, 5.0]
    truth = [1.0, NAN, INF, 1.0, 1.0, 5.0]
    measured = _measured(found, truth, F32)
    assert (measured.mean_abs, measured.max_rel) == (0.5, 1.0)
    assert sum(measured.ulps.values()) == 2


UNMEASURED = {
    "another shape": (np.ones(2), np.ones((1, 2)), F64),
    "empty": (np.ones(0), np.ones(0), F64),
    "strings": (np.asarray(["a"], object), np.asarray(["a"], object), np.dtype(object)),
    "strings against numbers": (np.asarray(["a"], object), np.ones(1), F64),
    "complex": (np.ones(1, complex), np.ones(1), F64),
    "never finite on both sides": (np.asarray([NAN, 1.0]), np.asarray([1.0, INF]), F32),
}


@pytest.mark.parametrize(("found", "truth", "dtype"), UNMEASURED.values(), ids=UNMEASURED)
def test_what_has_no_differences_is_not_measured(found: Any, truth: Any, dtype: Any) -> None:
    """No figures rather than wrong ones."""
    assert statistics(found, truth, dtype) is None


@pytest.mark.parametrize(
    "kind", [np.float16, np.float32, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2]
)
def test_answers_in_their_own_type_are_measured_in_float64(kind: Any) -> None:
    """A difference in float16 would itself be rounded."""
    truth = np.asarray([1.0, 1 + 2.0**-30])
    assert _measured(np.ones(2, kind), truth, kind).mean_abs == 2.0**-31


@pytest.mark.parametrize(
    ("found", "truth"),
    [([1.0], [0.0]), ([1e308, 1.0], [-1e308, 1.0]), ([1.0], [5e-324]), ([1e300], [1e-300])],
    ids=["units of the smallest", "difference", "ratio to the smallest", "ratio"],
)
def test_what_overflows_is_infinitely_far_off(found: list[float], truth: list[float]) -> None:
    """Without a warning, which a caller might have turned into an error."""
    assert _filled(_measured(found, truth)).keys() >= {INF}


def test_zero_dimensions_are_one_number() -> None:
    """A scalar output."""
    measured = _measured(np.float32(1.5), np.float64(1.0), F32)
    assert (measured.mean_abs, measured.max_rel, measured.percentiles[99.9]) == (0.5, 0.5, 0.5)
