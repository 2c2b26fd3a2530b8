"""Tensors on the way: what is compared, and what counts as infinite on one side only."""

from __future__ import annotations

import numpy as np
import pytest

from tools.evidence.recorded import _ratio

_HALF = 2.0**-11
_TOP = 65504.0


def test_a_ratio_is_error_over_floor() -> None:
    """An error of four roundoffs where the truth itself moves by two."""
    truth = np.ones(100)
    found = (truth * (1 + 4 * _HALF)).astype(np.float16)
    ratio, error, floor, odd = _ratio(found, truth, [truth * (1 + 2 * _HALF)], _HALF)
    assert [ratio, error, floor] == pytest.approx([2, 4, 2])
    assert odd == 0


def test_a_wide_tensor_of_a_narrow_model_is_measured_in_the_narrow_type() -> None:
    """What was rounded to float16 before is no worse for being in float32 now."""
    truth = np.linspace(1, 2, 100)
    found = truth.astype(np.float16).astype(np.float32)
    assert _ratio(found, truth, [truth], _HALF)[0] <= 1
    assert _ratio(found, truth, [truth], 2.0**-24)[0] > 1000


@pytest.mark.parametrize(
    ("found", "truth", "odd"),
    [
        (_TOP, _TOP + 8, 0),  # rounds to the largest number
        (np.inf, _TOP + 8, 0),
        (np.inf, 1e5, 0),  # beyond the range, so infinity is right
        (_TOP, 1e5, 1),
        (np.inf, 1e4, 1),
        (np.nan, 1.0, 1),
        (np.nan, np.nan, 0),
        (1.0, np.inf, 1),
        (1.0, np.nan, 1),
    ],
)
def test_what_is_infinite_on_one_side_only(found: float, truth: float, odd: int) -> None:
    """A number beyond the type's range is infinite there, and rightly."""
    others = np.ones(3)
    numbers = np.append(others, found).astype(np.float16)
    assert _ratio(numbers, np.append(others, truth), [np.append(others, truth)], _HALF)[3] == odd
