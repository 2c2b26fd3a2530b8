"""Comparing one output with the truth.

error = rms(output - truth) / rms(truth) in units of u, the unit roundoff of the output's own type.
It is judged by the noise floor: the same measure for the truth moved by one roundoff of inputs and
weights, the largest of a few draws. Up to `factor` times the floor passes. The floor is never below
`LEAST_FLOOR`: rounding the output itself costs that much, or half of the smallest number of its
type where that is more. A truth of zeros has no size to be relative to; errors are then relative
to how far it moves.

Agreement that proves nothing is inconclusive: empty outputs, outputs that are constant, NaN and
infinity at the same places, unless that is what was asked and other entries prove something. A
different shape or type, or NaN on one side only, is a mismatch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normonnx.core.blocks import both_finite
from normonnx.core.distances import FACTOR as FACTOR  # noqa: PLC0414  # for backends
from normonnx.core.distances import finite_rms
from normonnx.core.distances import relative_error as relative_error  # noqa: PLC0414
from normonnx.core.dtypes import is_float, largest, smallest_subnormal, unit_roundoff
from normonnx.core.verdicts import Tolerance, Verdict
from normonnx.runtime.invocation import Array

LEAST_FLOOR: Final = 0.5  # in u; rounding to nearest moves by at most 1 and 0.4 rms
# For two models in float64: they differ by how weights are rounded, and by nothing a kernel does.
# Exports of one network by different exporters were measured at up to 2.0 times the floor.
EQUIVALENT_FACTOR: Final = 6.0
_DROWNED: Final = 0.5  # a tolerance above half of the truth itself proves nothing
_AT_THE_END: Final = 4.0  # in u: what is that close to a type's largest number may round up or down
_CONSTANT: Final = 8.0  # in u: a spread below is roundoff


@dataclass(frozen=True, slots=True)
class Judgement:
    """What comparing one output says; see `normonnx.core.verdicts.Comparison`."""

    verdict: Verdict
    reason: str = ""
    error: float = float("nan")
    floor: float = float("nan")
    max_abs: float = float("nan")
    u: float = float("nan")


def absolute_difference(found: Array, truth: Array) -> Array:
    """|found - truth| in float64; integers are subtracted first, exactly and without wrapping."""
    if found.dtype.kind not in "iu" or found.dtype != truth.dtype:
        ours, theirs = (each.astype(np.float64, copy=False) for each in (found, truth))
        return np.asarray(np.abs(ours - theirs))
    unsigned = np.dtype(f"uint{8 * found.dtype.itemsize}")
    larger = np.maximum(found, truth).astype(unsigned)
    return np.asarray(larger - np.minimum(found, truth).astype(unsigned), np.float64)


def noise_floor(
    truth: Array, moved: Sequence[Array], u: float, size: float | None = None, step: float = 0.0
) -> float:
    """How far the truth moves under perturbation, in u: the largest draw, or LEAST_FLOOR.

    Args:
        truth: The float64 truth.
        moved: The truth under perturbation, a few draws.
        u: Unit roundoff of the output's type.
        size: What differences are relative to; None for the truth's own size.
        step: Smallest number of the output's type: numbers below 1 / u steps are rounded to it.
    """
    errors = [relative_error(one, truth, u, size) for one in moved if one.shape == truth.shape]
    finite = [error for error in errors if np.isfinite(error)]
    own = finite_rms(truth) if size is None else size
    rounding = step / 2 / own / u if step and own else 0.0
    return max([LEAST_FLOOR, rounding, *finite])


def _size(truth: Array, moved: Sequence[Array]) -> float:
    """What errors are relative to: the truth, or where it is all zeros, how far that moves."""
    draws = [truth, *(one for one in moved if one.shape == truth.shape)]
    sizes = (finite_rms(one) for one in draws)
    return next((size for size in sizes if size), 0.0)


def judge_output(  # noqa: PLR0913
    found: Array,
    truth: Array,
    dtype: np.dtype[Any],
    moved: Sequence[Array],
    factor: float,
    *,
    tolerance: Tolerance | None = None,
    odd_places: bool = False,
) -> Judgement:
    """Judge one output.

    Args:
        found: What is judged; its own type, or float64 if an oracle made it.
        truth: The float64 truth.
        dtype: The type that the model declares for this output.
        moved: The truth under perturbation, a few draws.
        factor: Error over floor up to which it passes.
        tolerance: Judge by this instead of the floor.
        odd_places: Whether NaN and infinity at the right places are part of what is asked: the
            output then passes if its finite entries do, and prove something.
    """
    if found.shape != truth.shape:
        reason = f"has shape {list(found.shape)}, expected {list(truth.shape)}"
        return Judgement(Verdict.MISMATCH, reason)
    if found.dtype not in (dtype, truth.dtype):
        return Judgement(Verdict.MISMATCH, f"has type {found.dtype}, expected {dtype}")
    if not truth.size:
        return Judgement(Verdict.INCONCLUSIVE, "is empty, so nothing was compared")
    if not is_float(dtype):
        return _judge_exact(found, truth)
    return _judge_float(
        found.astype(np.float64, copy=False), truth, dtype, (moved, factor, tolerance, odd_places)
    )


def _judge_exact(found: Array, truth: Array) -> Judgement:
    differing = int(np.count_nonzero(found != truth))
    if differing:
        reason = f"{differing} of {truth.size} entries differ"
        top = _largest_difference(found, truth)
        return Judgement(Verdict.MISMATCH, reason, float("inf"), 0.0, top)
    if _is_constant(truth, 0.0):
        return Judgement(Verdict.INCONCLUSIVE, "is constant, so agreement proves nothing", 0.0, 0.0)
    return Judgement(Verdict.PASS, error=0.0, floor=0.0, max_abs=0.0)


def _largest_difference(found: Array, truth: Array) -> float:
    if truth.dtype.kind not in "biu":
        return float("nan")
    return float(np.max(absolute_difference(found, truth)))


def _judge_float(
    found: Array,
    truth: Array,
    dtype: np.dtype[Any],
    how: tuple[Sequence[Array], float, Tolerance | None, bool],
) -> Judgement:
    moved, factor, tolerance, odd_places = how
    u = unit_roundoff(dtype)
    odd = _unmatched(found, truth, dtype)
    if odd:
        return Judgement(
            Verdict.MISMATCH, f"{odd} entries are NaN or infinite on one side only", u=u
        )
    both = np.isfinite(found) & np.isfinite(truth)
    draws = [one for one in moved if one.shape == truth.shape]
    finite = truth
    if not both.all():  # a selection is a copy
        draws, finite = [one[both] for one in draws], truth[both]
    size = _size(finite, draws)
    error = relative_error(found, truth, u, size)
    floor = noise_floor(finite, draws, u, size, smallest_subnormal(dtype))
    tops = [np.max(np.abs(a - b)) for a, b in both_finite(found, truth) if a.size]
    top = float(np.max(tops)) if tops else float("nan")
    if tolerance is not None:
        beyond = _beyond(found, truth, both, tolerance)
        if beyond:
            reason = f"{beyond} of {truth.size} entries are beyond {_spelled(tolerance)}"
            return Judgement(Verdict.MISMATCH, reason, error, floor, top, u)
    elif error > factor * floor:
        times = f"{error / floor:.3g} times the noise floor"
        reason = f"error {error:.3g} u is {times}, allowed is {factor:g}"
        return Judgement(Verdict.MISMATCH, reason, error, floor, top, u)
    if tolerance is None and factor * floor * u > _DROWNED:
        reason = "is not much larger than its own noise floor, so agreement proves nothing"
        return Judgement(Verdict.INCONCLUSIVE, reason, error, floor, top, u)
    if not both.all() and not (odd_places and both.any()):
        reason = "holds NaN or infinity at the same places, which proves nothing"
        return Judgement(Verdict.INCONCLUSIVE, reason, error, floor, top, u)
    if _is_constant(truth, _CONSTANT * u):
        reason = "is constant, so agreement proves nothing"
        return Judgement(Verdict.INCONCLUSIVE, reason, error, floor, top, u)
    return Judgement(Verdict.PASS, "", error, floor, top, u)


def _beyond(found: Array, truth: Array, where: Array, tolerance: Tolerance) -> int:
    """Number of entries that exceed a plain tolerance."""
    allowed = tolerance.atol + tolerance.rtol * np.abs(truth[where])
    return int(np.count_nonzero(np.abs(found[where] - truth[where]) > allowed))


def _spelled(tolerance: Tolerance) -> str:
    return f"rtol {tolerance.rtol:g}, atol {tolerance.atol:g}"


def proves_something(
    truth: Array, dtype: np.dtype[Any], moved: Sequence[Array], factor: float
) -> bool:
    """Whether agreement with this truth would mean anything."""
    if not is_float(dtype):
        return True
    return judge_output(truth, truth, dtype, moved, factor).verdict is Verdict.PASS


def _unmatched(found: Array, truth: Array, dtype: np.dtype[Any]) -> int:
    """Number of entries that are NaN or infinite on one side only.

    What is beyond the range of the output's type is infinite there, rightly. What lies within a
    few roundoffs of its end may be rounded either way: 65506 is 65504 in float16.
    """
    end = largest(dtype)
    sizes = [s for one in (found, truth) for s in (one.max(initial=0), -one.min(initial=0))]
    if all(float(size) < end / 2 for size in sizes):
        return 0  # nothing is near the end, nor is there a NaN
    beyond = np.abs(truth) > end
    expected = np.where(beyond, np.copysign(np.inf, truth), truth)
    seen = np.where(np.abs(found) > end, np.copysign(np.inf, found), found)
    nan = np.isnan(seen) != np.isnan(expected)
    infinite = (np.isinf(seen) | np.isinf(expected)) & (seen != expected) & ~np.isnan(seen)
    near = np.abs(np.abs(truth) / end - 1) <= _AT_THE_END * unit_roundoff(dtype)
    either_way = near & (np.sign(found) == np.sign(truth)) & (np.abs(found) > end / 2)
    return int(np.count_nonzero((nan | infinite) & ~either_way))


def _is_constant(truth: Array, tolerance: float) -> bool:
    """Whether all entries are the same, up to a relative tolerance; one zero counts as well."""
    if truth.dtype.kind in "OUS":
        return truth.size > 1 and len(set(truth.reshape(-1).tolist())) == 1
    if not truth.any():
        return True
    if truth.size == 1:
        return False
    if truth.dtype.kind != "f":
        return bool(truth.min() == truth.max())
    ranges = [(each.min(), each.max()) for (each,) in both_finite(truth) if each.size]
    if not ranges:
        return True
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    return float(high - low) <= tolerance * float(max(-low, high))
