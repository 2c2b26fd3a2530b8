"""How the errors of one output are distributed: mean, percentiles, cosine, units in the last place.

A unit in the last place (ulp) of x is the distance between neighbours of the output's own type
around x, 2u·2**floor(log2|x|), and below the normal range that of the smallest normal number
(Goldberg, 1991, What every computer scientist should know about floating-point arithmetic).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from normonnx.core.distances import SQUARED
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
    found, truth = found.reshape(-1), truth.reshape(-1)
    ours, theirs = found.astype(np.float64, copy=False), truth.astype(np.float64, copy=False)
    both = np.isfinite(ours)
    both &= np.isfinite(theirs)
    if not both.any():
        return None
    if not both.all():  # a selection is a copy
        found, truth, ours, theirs = (each[both] for each in (found, truth, ours, theirs))
    with np.errstate(all="ignore"):  # what overflows is infinitely far off
        difference = absolute_difference(found, truth)
        return Statistics(
            mean_abs=float(np.mean(difference)),
            cosine=_cosine_distance(ours, theirs),
            max_rel=_largest_ratio(difference, np.abs(theirs)),
            ulps=_histogram(difference, theirs, dtype) if is_float(dtype) else {},
            percentiles=_percentiles(difference),
        )


def _percentiles(difference: Array) -> dict[float, float]:
    """In the end: it puts the differences in another order."""
    found = np.percentile(difference, _PERCENT, overwrite_input=True)
    return dict(zip(_PERCENT, found.tolist(), strict=True))


def _cosine_distance(ours: Array, theirs: Array) -> float:
    """1 - cos, computed from the difference of unit vectors so that small angles are not lost."""
    sizes = _length(ours), _length(theirs)
    if not all(sizes):
        return 0.0 if sizes[0] == sizes[1] else 1.0
    apart = ours / sizes[0]
    apart -= theirs / sizes[1]
    return float(np.sum(np.square(apart, out=apart)) / 2)


def _length(vector: Array) -> float:
    top = float(np.max(np.abs(vector)))
    if 1 / SQUARED < top < SQUARED:
        return float(np.linalg.norm(vector))
    return top * float(np.linalg.norm(vector / top)) if top else 0.0


def _largest_ratio(difference: Array, size: Array) -> float:
    some = size > 0
    if some.all():
        return float(np.max(difference / size))
    return float(np.max(difference[some] / size[some])) if some.any() else float("nan")


def _histogram(difference: Array, truth: Array, dtype: np.dtype[Any]) -> dict[float, int]:
    _, exponent = np.frexp(np.maximum(np.abs(truth), smallest_normal(dtype)))
    ulps = difference / np.ldexp(2 * unit_roundoff(dtype), exponent - 1)
    counts = np.bincount(np.searchsorted(_BOUNDS, ulps), minlength=len(_BOUNDS))
    return dict(zip(_BOUNDS, counts.tolist(), strict=True))
