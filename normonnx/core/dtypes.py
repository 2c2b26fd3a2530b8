"""Floating-point formats: unit roundoff and range.

The unit roundoff u is half the distance from 1 to the next number: 2**-24 for float32
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 2.1).
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


def is_float(dtype: npt.DTypeLike) -> bool:
    """Whether `dtype` is a floating-point format, those of ml_dtypes included."""
    found = np.dtype(dtype)
    return found.kind == "f" or (found.kind == "V" and _finfo(found) is not None)


def is_narrow(dtype: npt.DTypeLike) -> bool:
    """Whether `dtype` is a floating-point format that rounds more than float32 does."""
    return is_float(dtype) and np.dtype(dtype).itemsize < np.dtype(np.float32).itemsize


def unit_roundoff(dtype: npt.DTypeLike) -> float:
    """Unit roundoff of a floating-point format, for example 2**-24 for float32.

    Raises:
        ValueError: `dtype` is no floating-point format.
    """
    found = _finfo(np.dtype(dtype))
    if found is None:
        message = f"{np.dtype(dtype)} is no floating-point format and has no unit roundoff"
        raise ValueError(message)
    return float(found.eps) / 2


def largest(dtype: npt.DTypeLike) -> float:
    """Largest finite number of a floating-point format."""
    return float(ml_dtypes.finfo(np.dtype(dtype)).max)


def smallest_normal(dtype: npt.DTypeLike) -> float:
    """Smallest positive number of a floating-point format that keeps full precision."""
    return float(ml_dtypes.finfo(np.dtype(dtype)).smallest_normal)


def smallest_subnormal(dtype: npt.DTypeLike) -> float:
    """Smallest positive number of a floating-point format: the distance between subnormal ones."""
    return float(ml_dtypes.finfo(np.dtype(dtype)).smallest_subnormal)


def _finfo(dtype: np.dtype[Any]) -> ml_dtypes.finfo | None:
    try:
        return ml_dtypes.finfo(dtype)
    except (ValueError, TypeError):
        return None
