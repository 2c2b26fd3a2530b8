"""Judging one output: errors in roundoffs, floors, and what proves nothing."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from normonnx.core.distances import rms
from normonnx.core.verdicts import Tolerance, Verdict
from normonnx.validation.measures import (
    LEAST_FLOOR,
    judge_output,
    noise_floor,
    proves_something,
    relative_error,
)

Array = npt.NDArray[Any]
U = 2.0**-24
F32 = np.dtype(np.float32)
TRUTH = np.linspace(-1, 3, 64).reshape(8, 8)
NAN, INF = float("nan"), float("inf")


def _verdict(found: Array, truth: Array = TRUTH, dtype: Any = F32, floor: float = 1.0) -> Verdict:
    """The verdict where the truth moves by `floor` roundoffs."""
    moved = [truth * (1 + floor * U)] if truth.dtype.kind == "f" else [truth]
    return judge_output(found, truth, np.dtype(dtype), moved, 16.0).verdict


def test_the_error_is_rms_over_rms_in_roundoffs() -> None:
    """rms(difference) / rms(truth) / u, as the report says."""
    found = TRUTH.copy()
    found[0, 0] += 0.5
    expected = 0.5 / 8 / np.sqrt(np.mean(TRUTH**2)) / U
    assert relative_error(found, TRUTH, U) == pytest.approx(expected)
    judged = judge_output(found, TRUTH, F32, [TRUTH], 16.0)
    assert judged.error == pytest.approx(expected)
    assert (judged.u, judged.max_abs) == (U, 0.5)


@pytest.mark.parametrize("scale", [1e-300, 1e-6, 1.0, 1e5, 1e300])
def test_the_error_does_not_depend_on_scale(scale: float) -> None:
    """Tiny and huge outputs are judged alike, without overflow."""
    found = TRUTH * (1 + 3 * U)
    assert relative_error(found * scale, TRUTH * scale, U) == pytest.approx(3, rel=1e-6)
    assert rms(TRUTH * scale) == pytest.approx(rms(TRUTH) * scale)


def test_the_floor_is_the_largest_draw_but_never_nothing() -> None:
    """Several draws, and none at all; rounding the output itself costs half a roundoff."""
    moved = [TRUTH * (1 + k * U) for k in (1, 5, 3)]
    assert noise_floor(TRUTH, moved, U) == pytest.approx(5, rel=1e-6)
    assert noise_floor(TRUTH, [TRUTH], U) == LEAST_FLOOR
    assert noise_floor(TRUTH, [], U) == LEAST_FLOOR


@pytest.mark.parametrize(
    ("roundoffs", "verdict"),
    [(0, Verdict.PASS), (31, Verdict.PASS), (33, Verdict.MISMATCH), (1e5, Verdict.MISMATCH)],
)
def test_up_to_the_factor_times_the_floor_passes(roundoffs: float, verdict: Verdict) -> None:
    """Floor 2 u and factor 16: the border is at 32 u."""
    assert _verdict(TRUTH * (1 + roundoffs * U), floor=2.0) is verdict


def test_a_sign_flip_is_seen_at_any_scale() -> None:
    """One of eight rows negated, in outputs of 1e-6 and of 1e5."""
    for scale in (1e-6, 1.0, 1e5):
        found = TRUTH * scale
        found[3] *= -1
        assert _verdict(found, TRUTH * scale) is Verdict.MISMATCH


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (TRUTH.reshape(4, 16), "shape"),
        (TRUTH[None], "shape"),
        (TRUTH[:1], "shape"),
        (TRUTH.astype(np.float16), "type float16"),
        (TRUTH.astype(np.int64), "type int64"),
    ],
)
def test_another_shape_or_type_is_a_mismatch(found: Array, word: str) -> None:
    """Also where the numbers would broadcast, or fit."""
    judged = judge_output(found, TRUTH, F32, [TRUTH], 16.0)
    assert judged.verdict is Verdict.MISMATCH
    assert word in judged.reason


def _with(array: Array, *entries: float) -> Array:
    changed = array.copy()
    changed.flat[: len(entries)] = entries
    return changed


@pytest.mark.parametrize(
    ("found", "truth", "verdict"),
    [
        ((NAN,), (), Verdict.MISMATCH),
        ((), (NAN,), Verdict.MISMATCH),
        ((INF,), (), Verdict.MISMATCH),
        ((INF,), (-INF,), Verdict.MISMATCH),
        ((NAN,), (INF,), Verdict.MISMATCH),
        ((NAN, INF), (NAN, INF), Verdict.INCONCLUSIVE),
        ((NAN,) * 64, (NAN,) * 64, Verdict.INCONCLUSIVE),
        ((INF,), (1e39,), Verdict.INCONCLUSIVE),
    ],
)
def test_nan_and_infinity(
    found: tuple[float, ...], truth: tuple[float, ...], verdict: Verdict
) -> None:
    """On one side only it is wrong; on both it proves nothing; beyond the type's range it is due."""
    assert _verdict(_with(TRUTH, *found), _with(TRUTH, *truth)) is verdict


def test_nan_at_the_same_places_does_not_hide_a_wrong_number() -> None:
    """The rest of the output still counts."""
    assert _verdict(_with(TRUTH, NAN, 7.0), _with(TRUTH, NAN)) is Verdict.MISMATCH


@pytest.mark.parametrize(
    "truth",
    [
        np.zeros((0, 3)),
        np.zeros((2, 3)),
        np.full((2, 3), 0.7),
        1 + U * np.arange(6.0).reshape(2, 3),
        np.zeros(()),
        np.zeros((2, 3), np.int64),
        np.full((2, 3), 5, np.int64),
        np.ones((2, 3), np.bool_),
        np.asarray(["a", "a"], object),
    ],
    ids=[
        "empty",
        "zero",
        "constant",
        "constant but for roundoff",
        "one zero",
        "integer zeros",
        "one integer",
        "true",
        "one string",
    ],
)
def test_agreement_that_proves_nothing_is_inconclusive(truth: Array) -> None:
    """Anything could have computed these; what differs from them is wrong all the same."""
    dtype = F32 if truth.dtype.kind == "f" else truth.dtype
    assert _verdict(truth.copy(), truth, dtype) is Verdict.INCONCLUSIVE
    if truth.size and truth.dtype.kind in "fi":
        assert _verdict(truth + 1, truth, dtype) is Verdict.MISMATCH


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_, object])
def test_exact_types_must_be_equal(kind: Any) -> None:
    """Equal passes; one entry off is a mismatch. 0 and 255 do not wrap into each other."""
    truth = np.asarray([0, 1, 1, 0]).astype(kind)
    found = truth.copy()
    found[0] = np.asarray(255).astype(kind)
    assert _verdict(truth.copy(), truth, kind) is Verdict.PASS
    assert _verdict(found, truth, kind) is Verdict.MISMATCH


@pytest.mark.parametrize(("dtype", "u"), [(np.float16, 2**-11), (ml_dtypes.bfloat16, 2**-8)])
def test_half_precision_is_measured_in_its_own_roundoff(dtype: Any, u: float) -> None:
    """Rounding to it passes; a roundoff of float32 would have made that an error of thousands."""
    judged = judge_output(TRUTH.astype(dtype), TRUTH, np.dtype(dtype), [TRUTH], 16.0)
    assert judged.verdict is Verdict.PASS
    assert judged.u == u
    assert 0.1 < judged.error < 1


def test_an_output_drowned_in_noise_proves_nothing() -> None:
    """Where a roundoff moves the truth by as much as its size, agreement within that is no news."""
    moved = [TRUTH * 1.1]
    judged = judge_output(TRUTH * 1.05, TRUTH, F32, moved, 16.0)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "noise floor" in judged.reason
    assert not proves_something(TRUTH, F32, moved, 16.0)
    assert proves_something(TRUTH, F32, [TRUTH], 16.0)


# --- a plain tolerance --------------------------------------------------------------------------


def _within(found: Any, truth: Any, tolerance: Tolerance, dtype: Any = F32) -> Any:
    """The judgement by a tolerance, where the truth's own floor would allow next to nothing."""
    ours, theirs = np.asarray(found, np.float64), np.asarray(truth, np.float64)
    return judge_output(ours, theirs, np.dtype(dtype), [theirs], 16.0, tolerance=tolerance)


BORDERS = {
    "atol": (Tolerance(atol=0.25), 0.25),
    "rtol": (Tolerance(rtol=0.125), 0.5),
    "both": (Tolerance(rtol=0.125, atol=0.25), 0.75),
    "equality": (Tolerance(), 0.0),
}


@pytest.mark.parametrize(("tolerance", "allowed"), BORDERS.values(), ids=BORDERS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_tolerance_is_atol_and_rtol_times_the_truth(
    tolerance: Tolerance, allowed: float, sign: int
) -> None:
    """Up to and including atol + rtol * 4 around 4 and around -4; a hair more is too much."""
    truth = np.asarray([4.0, -4.0, 0.0, 1.0])
    for entry in (0, 1):
        found = truth.copy()
        found[entry] += sign * allowed
        assert _within(found, truth, tolerance).verdict is Verdict.PASS
        found[entry] += sign * 1e-6
        judged = _within(found, truth, tolerance)
        assert judged.verdict is Verdict.MISMATCH
        spelled = f"rtol {tolerance.rtol:g}, atol {tolerance.atol:g}"
        assert judged.reason == f"1 of 4 entries are beyond {spelled}"


def test_a_tolerance_takes_the_place_of_the_floor() -> None:
    """What the floor refuses it may allow, and the other way round; the figures are the same."""
    off = TRUTH * (1 + 1e-3)
    assert _verdict(off) is Verdict.MISMATCH
    judged = _within(off, TRUTH, Tolerance(rtol=2e-3))
    assert judged.verdict is Verdict.PASS
    assert judged.error == pytest.approx(1e-3 / U)
    close = TRUTH * (1 + U)
    assert _verdict(close) is Verdict.PASS
    assert _within(close, TRUTH, Tolerance(rtol=1e-9)).verdict is Verdict.MISMATCH


def test_one_entry_in_a_million_is_seen_by_a_tolerance() -> None:
    """A root mean square would drown it."""
    truth = np.random.default_rng(0).standard_normal(1_000_000)
    found = truth.copy()
    found[7] += 0.5
    judged = _within(found, truth, Tolerance(atol=0.4))
    assert judged.reason == "1 of 1000000 entries are beyond rtol 0, atol 0.4"


@pytest.mark.parametrize(
    ("found", "truth", "verdict"),
    [
        ((NAN,), (), Verdict.MISMATCH),
        ((), (NAN,), Verdict.MISMATCH),
        ((INF,), (-INF,), Verdict.MISMATCH),
        ((NAN, INF), (NAN, INF), Verdict.INCONCLUSIVE),
        ((NAN, 7.0), (NAN,), Verdict.MISMATCH),
    ],
)
def test_no_tolerance_allows_nan_on_one_side(
    found: tuple[float, ...], truth: tuple[float, ...], verdict: Verdict
) -> None:
    """However large; equal ones prove nothing, and don't hide what is off."""
    tolerance = Tolerance(rtol=0.5, atol=2)
    assert _within(_with(TRUTH, *found), _with(TRUTH, *truth), tolerance).verdict is verdict


def test_agreement_that_proves_nothing_proves_nothing_by_a_tolerance() -> None:
    """Constant and empty outputs."""
    for truth in (np.zeros((2, 3)), np.full((2, 3), 0.7), np.zeros((0, 3))):
        assert _within(truth, truth, Tolerance(rtol=1e-3)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
def test_integers_are_exact_under_any_tolerance(kind: Any) -> None:
    """A class is right or wrong."""
    truth = np.asarray([0, 1, 1, 0]).astype(kind)
    found = truth[::-1].copy()
    found[0] = 1
    judged = judge_output(found, truth, truth.dtype, [], 16.0, tolerance=Tolerance(atol=100))
    assert judged.verdict is Verdict.MISMATCH


def test_the_largest_difference_of_unsigned_integers_does_not_wrap() -> None:
    """0 against 1 is off by 1, not by 255."""
    truth, found = np.asarray([1, 200], np.uint8), np.asarray([0, 200], np.uint8)
    assert judge_output(found, truth, truth.dtype, [], 16.0).max_abs == 1


def test_half_precision_has_the_same_tolerance() -> None:
    """rtol is a number, not a multiple of the type's roundoff."""
    found, tolerance = TRUTH * (1 + 1e-3), Tolerance(rtol=2e-3)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        assert _within(found, TRUTH, tolerance, dtype).verdict is Verdict.PASS
        assert _within(found * (1 + 2e-3), TRUTH, tolerance, dtype).verdict is Verdict.MISMATCH


def test_a_tolerance_does_not_ask_how_noisy_the_model_is() -> None:
    """Whoever gives one has decided what is close enough, also where the floor is enormous."""
    moved, off = [TRUTH * 1.1], TRUTH * (1 + 1e-3)
    assert judge_output(off, TRUTH, F32, moved, 16.0).verdict is Verdict.INCONCLUSIVE
    judged = judge_output(off, TRUTH, F32, moved, 16.0, tolerance=Tolerance(rtol=2e-3))
    assert judged.verdict is Verdict.PASS


def test_what_lies_at_the_end_of_the_range_may_round_either_way() -> None:
    """65506 is 65504 in float16: an attention mask is no infinity on one side."""
    truth = np.asarray([-65506.0, -65519.0, 65521.0, 1.0, 2.0])
    for last in (65504.0, np.inf):
        found = np.asarray([-65504.0, -65504.0, last, 1.0, 2.0], np.float16)
        judged = judge_output(found, truth, np.dtype(np.float16), [truth], 16.0)
        assert judged.verdict is not Verdict.MISMATCH, judged
    far = np.asarray([-65504.0, -65504.0, 65504.0, 1.0, 2.0], np.float16)
    wrong = judge_output(far, truth * [1, 1, 2, 1, 1], np.dtype(np.float16), [truth], 16.0)
    assert wrong.verdict is Verdict.MISMATCH
