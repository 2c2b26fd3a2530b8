"""Constants in the layout of the root: equal in every view that they are met in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from normonnx.graph.lengths import Unknown
from normonnx.recognize import frames
from normonnx.recognize.fields import Field, field, number
from normonnx.recognize.frames import Atom, Frame

N = Unknown()
LENGTHS = (N, 6, 4)
WHOLE = frames.whole(LENGTHS)
LAST: Frame = (WHOLE[0], WHOLE[2], WHOLE[1])
GROUPED: Frame = (WHOLE[0], (Atom(1, 3, 2),), (Atom(1, 1, 3),), WHOLE[2])
GAMMA = np.arange(1.0, 7.0)
VIEWS: dict[str, tuple[Frame, tuple[int, ...]]] = {
    "channels first": (WHOLE, (6, 1)),
    "channels first, all axes": (WHOLE, (1, 6, 1)),
    "channels last": (LAST, (6,)),
    "in groups": (GROUPED, (2, 3, 1)),
    "in groups, all axes": (GROUPED, (1, 2, 3, 1)),
}


def _met(frame: Frame, array: np.ndarray) -> Field:
    found = field(array, frame)
    assert found is not None
    return found


@pytest.mark.parametrize("name", VIEWS)
def test_round_trip(name: str) -> None:
    """The same gamma in each view, and back as an array that broadcasts to it."""
    frame, shape = VIEWS[name]
    found = _met(frame, GAMMA.reshape(shape))
    assert found.equals(_met(WHOLE, GAMMA.reshape(6, 1)))
    full = found.spread_over(frame)
    rank = len(frame)
    np.testing.assert_array_equal(full, GAMMA.reshape((1,) * (rank - len(shape)) + shape))
    np.testing.assert_array_equal(found.spread_over(WHOLE).reshape(-1), GAMMA)


def test_a_matrix_is_turned_with_its_view() -> None:
    """(4, 6) in the transposed view is (6, 4) in the root."""
    matrix = np.arange(24.0).reshape(4, 6)
    found = _met(LAST, matrix)
    np.testing.assert_array_equal(found.spread_over(WHOLE)[0], matrix.T)


REFUSED: dict[str, tuple[Frame, np.ndarray]] = {
    "larger than the view": (WHOLE, np.arange(12.0).reshape(2, 6, 1)),
    "of a length that is not known": (WHOLE, np.arange(3.0).reshape(3, 1, 1)),
    "along a dimension of one element": (((), WHOLE[1]), np.arange(12.0).reshape(2, 6)),
    "of another length": (WHOLE, np.arange(5.0)),
    "more axes than the view": (WHOLE, np.arange(12.0).reshape(2, 1, 6, 1)),
    "empty": (WHOLE, np.zeros((0, 1))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_none(name: str) -> None:
    """It would make the view larger, or lengths aren't known."""
    frame, array = REFUSED[name]
    assert field(array, frame) is None


def test_equal_numbers_run_along_nothing() -> None:
    """They are one number, but only where they fit."""
    assert _met(WHOLE, np.full((6, 1), 2.0)).is_number(2.0)
    assert field(np.full((5, 1), 2.0), WHOLE) is None
    assert (_met(WHOLE, GAMMA.reshape(6, 1)) - _met(WHOLE, GAMMA.reshape(6, 1))).is_number(0.0)


def test_arithmetic_aligns_digits() -> None:
    """Sums and products of fields along different axes run along both."""
    channels, positions = _met(WHOLE, GAMMA.reshape(6, 1)), _met(WHOLE, np.arange(4.0))
    product = channels * positions + number(1.0)
    expected = GAMMA.reshape(6, 1) * np.arange(4.0) + 1
    np.testing.assert_array_equal(product.spread_over(WHOLE)[0], expected)
    np.testing.assert_allclose(channels.inverse().spread_over(WHOLE).reshape(-1), 1 / GAMMA)
    grouped = _met(GROUPED, np.asarray([1.0, 2.0]).reshape(2, 1, 1))
    np.testing.assert_array_equal(
        (grouped * channels).spread_over(WHOLE).reshape(-1), GAMMA * [1, 1, 1, 2, 2, 2]
    )
    assert grouped.varies_along(frozenset([Atom(1, 1, 6)]))
    assert not grouped.varies_along(frozenset([Atom(1, 1, 3)]))


def test_mean_over_digits() -> None:
    """Of a group, of all channels, and along what it doesn't vary."""
    channels = _met(WHOLE, GAMMA.reshape(6, 1))
    assert channels.mean(frozenset([Atom(1, 1, 6)])).is_number(3.5)
    group = channels.mean(frozenset([Atom(1, 1, 3)]))
    np.testing.assert_array_equal(group.spread_over(GROUPED).reshape(-1), [2.0, 5.0])
    assert channels.mean(frozenset([Atom(2, 1, 4)])).equals(channels)


def test_a_field_does_not_stand_where_its_digits_are_not() -> None:
    """A gamma along channels has no place in a mean over them."""
    with pytest.raises(ValueError, match="does not stand along"):
        _met(WHOLE, GAMMA.reshape(6, 1)).spread_over((WHOLE[0], (), WHOLE[2]))
    assert not number(math.nan).equals(number(1.0))
