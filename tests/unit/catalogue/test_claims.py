"""What is said about normalizations, as tests of their float64 references."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from normonnx.catalogue.contents import CATALOGUE

Array = npt.NDArray[np.float64]
_SHAPE: Final = (4, 6, 3, 5)
_ROUNDOFFS: Final = 1e-12


def _x(*, mean: float = 3.0, spread: float = 2.0, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(mean, spread, _SHAPE)


def _norm(name: str, **given: Any) -> Callable[[Array], Array]:  # noqa: ANN401  # as Norm.reference
    """A normalization with these attributes, its other inputs at their default."""

    def run(x: Array) -> Array:
        return np.asarray(CATALOGUE[name].reference(x, **given))

    return run


def _in_groups(y: Array) -> Array:
    """Two groups of three channels, their positions on the last axes."""
    return y.reshape(_SHAPE[0], 2, 3, *_SHAPE[2:])


CENTERED: Final[dict[str, tuple[Callable[[Array], Array], tuple[int, ...]]]] = {
    "BatchNormTraining": (_norm("BatchNormTraining", epsilon=0.0), (0, 2, 3)),
    "LayerNorm": (_norm("LayerNorm", axis=1, epsilon=0.0), (1, 2, 3)),
    "LayerNorm, last axis": (_norm("LayerNorm", epsilon=0.0), (3,)),
    "InstanceNorm": (_norm("InstanceNorm", epsilon=0.0), (2, 3)),
    "GroupNorm": (
        lambda x: _in_groups(_norm("GroupNorm", num_groups=2, epsilon=0.0)(x)),
        (2, 3, 4),
    ),
}


@pytest.mark.parametrize(("run", "axes"), CENTERED.values(), ids=CENTERED)
def test_a_centered_norm_gives_mean_0_and_deviation_1(
    run: Callable[[Array], Array], axes: tuple[int, ...]
) -> None:
    """Over its own axes, whatever mean and spread its input has."""
    for x in (_x(), _x(mean=-1000.0, spread=0.01), _x(mean=0.0, spread=1e6)):
        y = run(x)
        np.testing.assert_allclose(y.mean(axes), 0.0, atol=1e-9)
        np.testing.assert_allclose(y.std(axes), 1.0, rtol=1e-9)


@pytest.mark.parametrize(("run", "axes"), CENTERED.values(), ids=CENTERED)
def test_and_over_no_other_axes(run: Callable[[Array], Array], axes: tuple[int, ...]) -> None:
    """Leave one axis out, and the mean is 0 no more: the test above knows the axes apart."""
    y = run(_x())
    for left_out in axes if len(axes) > 1 else ():
        rest = tuple(axis for axis in axes if axis != left_out)
        assert np.abs(y.mean(rest)).max() > 0.01


@pytest.mark.parametrize(("run", "axes"), CENTERED.values(), ids=CENTERED)
def test_a_centered_norm_forgets_shift_and_scale(
    run: Callable[[Array], Array], axes: tuple[int, ...]
) -> None:
    """y(a x + b) = y(x) for a > 0."""
    del axes
    x = _x()
    np.testing.assert_allclose(run(4.0 * x + 7.0), run(x), rtol=1e-9, atol=1e-9)


def test_rms_norm_gives_mean_square_1_and_keeps_the_mean() -> None:
    """It forgets the scale, and not the shift."""
    run = _norm("RMSNorm", epsilon=0.0)
    x = _x()
    np.testing.assert_allclose(np.square(run(x)).mean(-1), 1.0, rtol=_ROUNDOFFS)
    np.testing.assert_allclose(run(4.0 * x), run(x), rtol=_ROUNDOFFS)
    assert np.abs(run(x + 7.0) - run(x)).max() > 0.1
    assert run(x).mean() > 0.5


OF_ONE_SAMPLE: Final = {
    "LayerNorm": _norm("LayerNorm", axis=1),
    "GroupNorm": _norm("GroupNorm", num_groups=3),
    "InstanceNorm": _norm("InstanceNorm"),
    "RMSNorm": _norm("RMSNorm"),
    "LocalResponseNorm": _norm("LocalResponseNorm", size=3),
    "BatchNorm": _norm("BatchNorm", mean=np.full(6, 3.0), var=np.full(6, 4.0)),
}


@pytest.mark.parametrize("run", OF_ONE_SAMPLE.values(), ids=OF_ONE_SAMPLE)
def test_a_sample_is_normalized_the_same_in_any_batch(run: Callable[[Array], Array]) -> None:
    """Alone, or beside others that are a thousand times larger."""
    x = _x()
    beside = x.copy()
    beside[1:] *= 1000.0
    whole = run(x)
    np.testing.assert_allclose(run(x[:1]), whole[:1], rtol=_ROUNDOFFS)
    np.testing.assert_allclose(run(beside)[:1], whole[:1], rtol=_ROUNDOFFS)


def test_batch_statistics_depend_on_the_batch() -> None:
    """The same sample beside others comes out differently: why training mode is no inference."""
    run, x = _norm("BatchNormTraining"), _x()
    beside = x.copy()
    beside[1:] *= 1000.0
    assert np.abs(run(x[:1]) - run(x)[:1]).max() > 0.1
    assert np.abs(run(beside)[:1] - run(x)[:1]).max() > 0.1


def test_batch_norm_with_the_batch_s_own_statistics_is_the_one_of_training() -> None:
    """They differ in where mean and variance come from, and in nothing else."""
    x = _x()
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    fixed = _norm("BatchNorm", mean=mean, var=var)(x)
    np.testing.assert_allclose(fixed, _norm("BatchNormTraining")(x), rtol=1e-9, atol=1e-9)


def test_group_norm_lies_between_layer_norm_and_instance_norm() -> None:
    """One group is LayerNorm over C, H, W; as many as channels is InstanceNorm."""
    x = _x()
    one, each = _norm("GroupNorm", num_groups=1), _norm("GroupNorm", num_groups=6)
    layer, instance = _norm("LayerNorm", axis=1)(x), _norm("InstanceNorm")(x)
    np.testing.assert_allclose(one(x), layer, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(each(x), instance, rtol=1e-9, atol=1e-12)
    two = _norm("GroupNorm", num_groups=2)(x)
    assert np.abs(two - layer).max() > 0.01
    assert np.abs(two - instance).max() > 0.01


def test_one_sample_and_training_statistics_are_instance_norm() -> None:
    """Over a batch of one the batch has nothing to add."""
    x = _x()[:1]
    batch, instance = _norm("BatchNormTraining")(x), _norm("InstanceNorm")(x)
    np.testing.assert_allclose(batch, instance, rtol=1e-9, atol=1e-12)


def test_a_strong_channel_damps_its_neighbours_in_the_window_and_no_others() -> None:
    """Lateral inhibition: what LocalResponseNorm was made for."""
    run = _norm("LocalResponseNorm", size=3, alpha=1.0, beta=0.75, bias=1.0)
    calm = np.ones((1, 7, 2, 2))
    strong = calm.copy()
    strong[0, 3, 0, 0] = 100.0
    y, ratio = run(strong)[0], (run(strong) / run(calm))[0]
    assert (ratio[[2, 4], 0, 0] < 0.05).all()
    np.testing.assert_array_equal(ratio[[0, 1, 5, 6], 0, 0], 1.0)
    np.testing.assert_array_equal(ratio[:, 0, 1], 1.0)
    np.testing.assert_array_equal(ratio[:, 1], 1.0)
    assert y[3, 0, 0] > 50 * y[[2, 4], 0, 0].max()


def test_dividing_by_alpha_and_size_as_the_formula_says() -> None:
    """In numbers: (bias + alpha / size * sum of squares) ^ beta of three ones."""
    run = _norm("LocalResponseNorm", size=3, alpha=0.6, beta=0.5, bias=2.0)
    y = run(np.ones((1, 5, 1, 1)))
    np.testing.assert_allclose(y[0, 2], 1 / np.sqrt(2.0 + 0.2 * 3), rtol=1e-6)
    np.testing.assert_allclose(y[0, 0], 1 / np.sqrt(2.0 + 0.2 * 2), rtol=1e-6)


def test_batch_norm_in_training_mode_is_the_other_one() -> None:
    """By ONNX's attribute; with 0 it is the inference of every day."""
    x = np.random.default_rng(4).standard_normal((5, 3, 2, 2))
    mean, var = np.full(3, 0.5), np.full(3, 2.0)
    batch = CATALOGUE["BatchNorm"]
    found = batch.reference(x, None, None, mean, var, training_mode=1, momentum=0.5, outputs=3)
    truth = CATALOGUE["BatchNormTraining"].reference(x, mean=mean, var=var, momentum=0.5, outputs=3)
    assert all(np.array_equal(one, other) for one, other in zip(found, truth, strict=True))
    plain = batch.reference(x, None, None, mean, var, training_mode=0)
    assert np.array_equal(plain, batch.reference(x, mean=mean, var=var))
    assert batch.define(x.shape, training_mode=1).norm is CATALOGUE["BatchNormTraining"]
