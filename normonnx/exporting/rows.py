"""Rows of features such as a scaler was fitted to, drawn from its statistics, to judge it on."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normonnx.exporting.stages import Branches, Scaled, Scaling, Stage

Rows = npt.NDArray[np.float64]

_WIDTH: Final = 6  # where any number of features will do
_BEYOND: Final = 0.1  # share of a range by which new data exceeds it
_STEEPEST: Final = 40.0  # logarithm: what is drawn fits float32
_LEAST: Final = -0.99  # of power times result, which ends at -1


def drawn(scaling: Scaling, count: int, seed: int) -> Rows:
    """Rows (count, features) that the first normalization takes to the usual range.

    They are numbers of float32, so that they are the same in both types.
    """
    source = np.random.default_rng(seed)
    rows = _drawn(scaling.stages, (count, scaling.width or _WIDTH), source)
    return rows.astype(np.float32).astype(np.float64)


def accepted(fitted: Any, rows: Rows) -> Rows:  # noqa: ANN401  # an estimator, not imported
    """As many rows as were given, of those that the estimator takes; none where it takes none.

    A Box-Cox transform takes no number below 0, and what comes before it may give one.
    """
    with contextlib.suppress(ValueError):
        transformed(fitted, rows)
        return rows
    good = []
    for row in rows:
        with contextlib.suppress(ValueError):
            transformed(fitted, row[None])
            good.append(row)
    return np.resize(np.asarray(good), rows.shape) if good else rows[:0]


def transformed(fitted: Any, rows: Rows) -> Rows:  # noqa: ANN401  # as above
    """What the estimator itself makes of rows, in float64; fed as a table where it wants one.

    Raises:
        ValueError: It doesn't take them.
    """
    given: Any = rows
    names = getattr(fitted, "feature_names_in_", None)
    if names is not None:
        with contextlib.suppress(ImportError):
            given = import_module("pandas").DataFrame(rows, columns=list(names))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that are missing
        found: Any = fitted.transform(given)
    found = found.toarray() if hasattr(found, "toarray") else found
    return np.asarray(found, np.float64)


def _drawn(stages: Sequence[Stage], shape: tuple[int, int], source: np.random.Generator) -> Rows:
    if not stages:
        return source.standard_normal(shape)
    first = stages[0]
    if isinstance(first, Branches):
        rows = source.standard_normal(shape)
        for branch in first.branches:
            part = shape[0], len(branch.columns)
            rows[:, branch.columns] = _drawn(branch.stages, part, source)
        return rows
    draw = _DRAWS.get(first.norm.name)
    return source.standard_normal(shape) if draw is None else draw(first, shape, source)


def _of(stage: Scaled, name: str, default: float) -> Rows:
    return np.asarray(stage.given.get(name, default), np.float64).reshape(-1)


def _standard(stage: Scaled, shape: tuple[int, int], source: np.random.Generator) -> Rows:
    centre = _of(stage, "mean", 0.0) + _of(stage, "center", 0.0)
    return centre + _of(stage, "scale", 1.0) * source.standard_normal(shape)


def _range(stage: Scaled, shape: tuple[int, int], source: np.random.Generator) -> Rows:
    low, high = stage.image
    y = low + source.uniform(-_BEYOND, 1 + _BEYOND, shape) * (high - low)
    return (y - _of(stage, "shift", 0.0)) / _of(stage, "scale", 1.0)


def _largest(stage: Scaled, shape: tuple[int, int], source: np.random.Generator) -> Rows:
    return source.uniform(-1 - _BEYOND, 1 + _BEYOND, shape) * _of(stage, "max_abs", 1.0)


def _powers(stage: Scaled, shape: tuple[int, int], source: np.random.Generator) -> Rows:
    """What the power takes to N(mean, scale), where there is such a number."""
    y = _standard(stage, shape, source)
    lambdas = _of(stage, "lambdas", 1.0)
    if stage.norm.name == "BoxCox":
        return np.exp(_logarithm(y, lambdas))
    exponent = np.where(y < 0, 2 - lambdas, lambdas)
    return np.copysign(np.expm1(_logarithm(np.abs(y), exponent)), y)


def _logarithm(y: Rows, exponent: Rows) -> Rows:
    """log(base) where (base^exponent - 1) / exponent is y."""
    product = np.maximum(exponent * y, _LEAST)
    flat = exponent == 0
    found = np.where(flat, y, np.log1p(product) / np.where(flat, 1.0, exponent))
    return np.clip(found, -_STEEPEST, _STEEPEST)


_Draw = Callable[[Scaled, tuple[int, int], np.random.Generator], Rows]
_DRAWS: Final[Mapping[str, _Draw]] = {
    "StandardScaler": _standard,
    "RobustScaler": _standard,
    "MinMaxScaler": _range,
    "MaxAbsScaler": _largest,
    "YeoJohnson": _powers,
    "BoxCox": _powers,
}
