"""Fitted scalers, and data that is hard to scale."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

preprocessing = pytest.importorskip(
    "sklearn.preprocessing", reason="scalers are read from it: install normonnx[sklearn]"
)
ColumnTransformer = pytest.importorskip("sklearn.compose").ColumnTransformer
Pipeline = pytest.importorskip("sklearn.pipeline").Pipeline
make_pipeline = pytest.importorskip("sklearn.pipeline").make_pipeline

Array = npt.NDArray[Any]
Make = Callable[[], Any]

# One column each: usual, far from 0, tiny, huge, negative, constant, whole, far from 0 and tiny.
CENTRES: Final = np.array([0.5, 1e4, 0.0, -3e5, -50.0, 7.0, 2000.0, 1.0])
SPREADS: Final = np.array([1.0, 1.0, 1e-6, 1e6, 2.0, 0.0, 10.0, 1e-4])
FEATURES: Final = CENTRES.size


def data(*, rows: int = 200, seed: int = 0, positive: bool = False) -> Array:
    """Numbers of float32, so that they are the same in both types."""
    x = np.random.default_rng(seed).standard_normal((rows, FEATURES)) * SPREADS + CENTRES
    x[:, 6] = np.rint(x[:, 6])
    x = np.abs(x) + 1e-7 if positive else x
    return np.asarray(x.astype(np.float32).astype(np.float64))


LINEAR: Final[dict[str, Make]] = {
    "standard": preprocessing.StandardScaler,
    "standard, no mean": lambda: preprocessing.StandardScaler(with_mean=False),
    "standard, no std": lambda: preprocessing.StandardScaler(with_std=False),
    "standard, neither": lambda: preprocessing.StandardScaler(with_mean=False, with_std=False),
    "min-max": preprocessing.MinMaxScaler,
    "min-max, own range": lambda: preprocessing.MinMaxScaler((-0.1, 0.7)),
    "min-max, clip": lambda: preprocessing.MinMaxScaler((0.1, 0.9), clip=True),
    "robust": preprocessing.RobustScaler,
    "robust, no centering": lambda: preprocessing.RobustScaler(with_centering=False),
    "robust, no scaling": lambda: preprocessing.RobustScaler(with_scaling=False),
    "robust, unit variance": lambda: preprocessing.RobustScaler(
        unit_variance=True, quantile_range=(10.0, 80.0)
    ),
    "max-abs": preprocessing.MaxAbsScaler,
    "normalizer, max": lambda: preprocessing.Normalizer("max"),
    "pipeline": lambda: make_pipeline(
        preprocessing.MinMaxScaler(), "passthrough", preprocessing.StandardScaler()
    ),
    "columns": lambda: ColumnTransformer(
        [
            ("far", preprocessing.StandardScaler(), [7, 1]),
            ("gone", "drop", [5]),
            ("rest", make_pipeline(preprocessing.RobustScaler()), slice(2, 5)),
        ],
        remainder="passthrough",
    ),
    "pipeline of columns": lambda: Pipeline(
        [
            ("split", ColumnTransformer([("a", preprocessing.MaxAbsScaler(), [True] * FEATURES)])),
            ("then", preprocessing.MinMaxScaler()),
        ]
    ),
}
SUMMED: Final[dict[str, Make]] = {  # their sums may be made in another order
    "normalizer, l1": lambda: preprocessing.Normalizer("l1"),
    "normalizer, l2": preprocessing.Normalizer,
}
POWERS: Final[dict[str, Make]] = {
    "yeo-johnson": preprocessing.PowerTransformer,
    "yeo-johnson alone": lambda: preprocessing.PowerTransformer(standardize=False),
    "box-cox": lambda: preprocessing.PowerTransformer("box-cox"),
    "box-cox alone": lambda: preprocessing.PowerTransformer("box-cox", standardize=False),
}
EXTREME: Final = np.array([0.0, 1e-13, -1e-7, 2.0, 2 - 1e-12, 2 + 1e-7, -3.0, 4.5])


def bendable(name: str, *, rows: int = 200, seed: int = 0) -> Array:
    """Data that a power transformer stands.

    A Box-Cox is not fitted to what is constant, and takes the power of 200 of what is far from 0.
    """
    x = data(rows=rows, seed=seed, positive="box" in name)
    x[:, 3] /= 1e6  # the cube of 1e6 has too large a deviation
    if "box" in name:
        x[:, 5] += x[:, 0]
        x[:, 1] -= 9900
    return x.astype(np.float32).astype(np.float64)


def powered(name: str, lambdas: Array | None = None) -> Any:  # noqa: ANN401  # of scikit-learn
    """A power transformer fitted to hard data, or with powers of its own."""
    made = POWERS[name]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of powers of 200, for what lies far from 0
        made.fit(bendable(name))
    if lambdas is not None:
        made.lambdas_ = lambdas
    return made
