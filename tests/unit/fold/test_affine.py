"""The algebra of per-channel affines."""

from __future__ import annotations

import numpy as np
import pytest

from normonnx.core.dtypes import FloatArray
from normonnx.fold.affine import ChannelAffine, broadcastable


def _affine(*axes: int, shape: tuple[int, ...] = (), seed: int = 0) -> ChannelAffine:
    random = np.random.default_rng(seed)
    return ChannelAffine(axes, random.normal(size=shape), random.normal(size=shape))


def _applied(affine: ChannelAffine, x: FloatArray) -> FloatArray:
    scale = broadcastable(affine.scale, affine.axes, x.ndim)
    return np.asarray(scale * x + broadcastable(affine.shift, affine.axes, x.ndim))


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (_affine(1, shape=(3,)), _affine(1, shape=(3,), seed=1)),
        (_affine(), _affine(1, shape=(3,))),
        (_affine(1, shape=(3,)), _affine()),
        (_affine(), _affine(seed=1)),
        (_affine(1, shape=(3,)), _affine(2, shape=(4,))),
        (_affine(2, shape=(4,)), _affine(1, 2, shape=(3, 4))),
    ],
    ids=["same axis", "uniform first", "uniform last", "both uniform", "two axes", "one of two"],
)
def test_composition_is_application_in_turn(outer: ChannelAffine, inner: ChannelAffine) -> None:
    """outer.after(inner) is inner, then outer."""
    x = np.random.default_rng(2).normal(size=(2, 3, 4, 5))
    expected = _applied(outer, _applied(inner, x))
    assert np.allclose(_applied(outer.after(inner), x), expected, rtol=1e-14)


def test_lengths_that_differ_do_not_compose() -> None:
    """Two affines along one axis need the same length."""
    with pytest.raises(ValueError, match="broadcast"):
        _affine(1, shape=(3,)).after(_affine(1, shape=(4,)))


@pytest.mark.parametrize(
    ("axes", "scale", "shift"),
    [((1,), (3,), (4,)), ((1,), (), ()), ((), (3,), (3,)), ((1, 2), (3,), (3,))],
)
def test_shapes_must_fit_the_axes(
    axes: tuple[int, ...], scale: tuple[int, ...], shift: tuple[int, ...]
) -> None:
    """One dimension per axis, in both."""
    with pytest.raises(ValueError, match="must have one dimension per axis"):
        ChannelAffine(axes, np.ones(scale), np.ones(shift))


def test_over_writes_along_one_axis() -> None:
    """A uniform affine is written along any axis; another only along its own, at its own length."""
    uniform, channels = _affine(), _affine(1, shape=(3,))
    along = uniform.over(1, 4)
    assert along is not None
    assert np.array_equal(along.scale, np.repeat(uniform.scale, 4))
    assert channels.over(1, 3) is channels
    assert channels.over(1, 4) is None
    assert channels.over(2, 3) is None


def test_what_an_affine_lacks() -> None:
    """is_scale, is_shift and is_finite look at the numbers."""
    one, zero, two = np.ones(2), np.zeros(2), np.full(2, 2.0)
    assert ChannelAffine((1,), two, zero).is_scale
    assert not ChannelAffine((1,), two, one).is_scale
    assert ChannelAffine((1,), one, two).is_shift
    assert not ChannelAffine((1,), two, two).is_shift
    assert ChannelAffine((1,), one, one).is_finite
    assert not ChannelAffine((1,), one, np.array([1.0, np.nan])).is_finite
    assert not ChannelAffine((1,), np.array([np.inf, 1.0]), one).is_finite


@pytest.mark.parametrize(
    ("axes", "rank", "shape"),
    [((), 4, ()), ((1,), 4, (5, 1, 1)), ((3,), 4, (5,)), ((0,), 2, (5, 1)), ((1, 3), 4, (5, 1, 6))],
)
def test_broadcastable_has_no_leading_ones(
    axes: tuple[int, ...], rank: int, shape: tuple[int, ...]
) -> None:
    """The vector lies along its axes, counted from the left, and broadcasts from the right."""
    vector = np.zeros((5, 6)[: len(axes)])
    assert broadcastable(vector, axes, rank).shape == shape
