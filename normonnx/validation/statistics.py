"""How the errors of one output are distributed: mean, percentiles, cosine, units in the last place.

A unit in the last place (ulp) of x is the distance between neighbours of the output's own type
around x, 2u·2**floor(log2|x|), and below the normal range that of the smallest normal number
(Goldberg, 1991, What every computer scientist should know about floating-point arithmetic).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from normonnx.core.blocks import both_finite
from normonnx.core.distances import Squares
from normonnx.core.dtypes import is_float, smallest_normal, unit_roundoff
from normonnx.core.verdicts import Statistics
from normonnx.runtime.invocation import Array
from normonnx.validation.measures import absolute_difference

_PERCENT: Final = (50.0, 90.0, 99.0, 99.9)
_BOUNDS: Final = (0.5, 1.0, 2.0, 4.0, 16.0, 64.0, 1024.0, float("inf"))  # ulps


def statistics(found: Array, truth: Array, dtype: np.dtype[Any]) -> Statistics | None:
    """Measure the errors of an output; None where there are no numbers to measure.

    Args:
        found: The output, of any shape.
        truth: The truth, of the same shape.
        dtype: The type that the model declares for the output; ulps are meant in it.
    """
    if found.shape != truth.shape or not truth.size or truth.dtype.kind not in "biuf":
        return None
    if not is_float(found.dtype) and found.dtype.kind not in "biu":
        return None
    lengths, difference, done = (Squares(), Squares()), np.empty(truth.size), 0
    largest, counts = float("nan"), np.zeros(len(_BOUNDS), np.int64)
    with np.errstate(all="ignore"):  # what overflows is infinitely far off
        for ours, theirs in both_finite(found, truth):
            if not ours.size:
                continue
            apart = difference[done : done + ours.size]
            apart[:] = absolute_difference(ours, theirs)
            done += ours.size
            size = np.abs(theirs.astype(np.float64, copy=False))
            largest = np.fmax(largest, _largest_ratio(apart, size))
            if is_float(dtype):
                counts += _in_ulps(apart, size, dtype)
            for length, each in zip(lengths, (ours, theirs), strict=True):
                length.add(each)
        if not done:
            return None
        return Statistics(
            mean_abs=float(np.mean(difference[:done])),
            cosine=_cosine_distance(found, truth, (lengths[0].norm, lengths[1].norm)),
            max_rel=float(largest),
            ulps=dict(zip(_BOUNDS, counts.tolist(), strict=True)) if is_float(dtype) else {},
            percentiles=_percentiles(difference[:done]),
        )


def _percentiles(difference: Array) -> dict[float, float]:
    """In the end: it puts the differences in another order."""
    found = np.percentile(difference, _PERCENT, overwrite_input=True)
    return dict(zip(_PERCENT, found.tolist(), strict=True))


def _cosine_distance(found: Array, truth: Array, lengths: tuple[float, float]) -> float:
    """1 - cos, computed from the difference of unit vectors so that small angles are not lost."""
    if not all(lengths):
        return 0.0 if lengths[0] == lengths[1] else 1.0
    total = 0.0
    for ours, theirs in both_finite(found, truth):
        apart = ours.astype(np.float64, copy=False) / lengths[0]
        apart -= theirs.astype(np.float64, copy=False) / lengths[1]
        total += float(np.sum(np.square(apart, out=apart)))
    return total / 2


def _largest_ratio(difference: Array, size: Array) -> float:
    some = size > 0
    if some.all():
        return float(np.max(difference / size))
    return float(np.max(difference[some] / size[some])) if some.any() else float("nan")


def _in_ulps(difference: Array, size: Array, dtype: np.dtype[Any]) -> Array:
    """How many differences are up to each bound."""
    _, exponent = np.frexp(np.maximum(size, smallest_normal(dtype)))
    ulps = difference / np.ldexp(2 * unit_roundoff(dtype), exponent - 1)
    return np.bincount(np.searchsorted(_BOUNDS, ulps), minlength=len(_BOUNDS))
