"""Arithmetic on facts: a table of sums, products, powers and means, and what they are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from normonnx.recognize import algebra, frames, means, powers
from normonnx.recognize.facts import (
    ONE,
    ZERO,
    Absolute,
    Average,
    Combination,
    Damping,
    Fact,
    Quadratic,
    Response,
    Spread,
    Statistic,
    Window,
)
from normonnx.recognize.fields import field, number

WHOLE = frames.whole((4, 4, 4))
ROWS = frames.atoms_of(WHOLE, [2])
COLUMNS = frames.atoms_of(WHOLE, [1])
BOTH = frames.atoms_of(WHOLE, [1, 2])
KEPT = frames.reduced(WHOLE, [2], keep=True)
X = Combination(WHOLE)
MEAN = Combination(KEPT, ZERO, ONE, ROWS)
CENTERED = Combination(WHOLE, ONE, number(-1.0), ROWS)
SQUARE = Quadratic(WHOLE, frozenset(), 1.0, 0.0, 0.0)
MEAN_SQUARE = Statistic(KEPT, ROWS, 2.0, 1.0)
VARIANCE = Statistic(KEPT, ROWS, 2.0, 1.0, -1.0)
STABLE = replace(VARIANCE, epsilon=1e-5)
DEVIATION = Spread(KEPT, STABLE)
INVERSE = Combination(KEPT, ZERO, c0=ONE, spread=DEVIATION)
NORMAL = replace(CENTERED, spread=DEVIATION)
SIZES = Absolute(WHOLE, 1.0)
LENGTH = Spread(KEPT, replace(MEAN_SQUARE, square=4.0))
WINDOW = Window(WHOLE, WHOLE[1][0], 1, 1, 0.5)
COLUMN = frames.reduced(WHOLE, [1], keep=True)
AVERAGE = Average(frames.reduced(KEPT, [1], keep=True), LENGTH, COLUMNS)


def _total(one: Fact, other: Fact, sign: float = 1.0) -> Callable[[], Fact | None]:
    return lambda: algebra.total(one, other, sign)


def _product(one: Fact, other: Fact) -> Callable[[], Fact | None]:
    return lambda: algebra.product(one, other)


def _quotient(one: Fact, other: Fact) -> Callable[[], Fact | None]:
    return lambda: algebra.quotient(one, other)


def _powered(fact: Fact, exponent: float) -> Callable[[], Fact | None]:
    return lambda: powers.powered(fact, exponent)


FACTS: dict[str, tuple[Callable[[], Fact | None], Fact | None]] = {
    "x - mean": (_total(X, MEAN, -1.0), CENTERED),
    "mean - x": (_total(MEAN, X, -1.0), replace(CENTERED, cx=number(-1.0), cm=ONE)),
    "x - mean + mean is x": (_total(CENTERED, MEAN), X),
    "means over different axes": (
        _total(CENTERED, Combination(COLUMN, ZERO, ONE, COLUMNS)),
        None,
    ),
    "x x": (_product(X, X), SQUARE),
    "(x - mean)^2": (_powered(CENTERED, 2.0), Quadratic(WHOLE, ROWS, 1.0, -2.0, 1.0)),
    "x (x - mean)": (_product(X, CENTERED), Quadratic(WHOLE, ROWS, 1.0, -1.0, 0.0)),
    "|x|^2": (_powered(SIZES, 2.0), SQUARE),
    "|x| |x|": (_product(SIZES, SIZES), SQUARE),
    "|x - mean|^2": (
        lambda: powers.powered(powers.absolute(CENTERED) or X, 2.0),
        Quadratic(WHOLE, ROWS, 1.0, -2.0, 1.0),
    ),
    "|x| |x - mean|": (lambda: algebra.product(SIZES, powers.absolute(CENTERED) or X), None),
    "E[x^2] - mean^2": (
        _total(MEAN_SQUARE, Quadratic(KEPT, ROWS, 0.0, 0.0, 1.0), -1.0),
        VARIANCE,
    ),
    "E[x^2] - mean^2 over other axes": (
        _total(MEAN_SQUARE, Quadratic(KEPT, COLUMNS, 0.0, 0.0, 1.0), -1.0),
        None,
    ),
    "sqrt(variance)": (_powered(STABLE, 0.5), DEVIATION),
    "variance^-0.5": (_powered(STABLE, -0.5), INVERSE),
    "1 / deviation": (_powered(DEVIATION, -1.0), INVERSE),
    "(x - mean) / deviation": (_quotient(CENTERED, DEVIATION), NORMAL),
    "(x - mean) inverse": (_product(INVERSE, CENTERED), NORMAL),
    "x inverse - mean inverse": (
        lambda: algebra.total(
            algebra.product(X, INVERSE) or X, algebra.product(MEAN, INVERSE) or X, -1.0
        ),
        NORMAL,
    ),
    "|length|^2 is a sum": (_powered(LENGTH, 2.0), LENGTH.statistic),
    "length length is a sum": (_product(LENGTH, LENGTH), LENGTH.statistic),
    "length times another": (_product(LENGTH, DEVIATION), None),
    "a length with a floor, squared": (_powered(replace(LENGTH, floor=1e-3), 2.0), None),
    "length over its average": (_quotient(AVERAGE.spread, AVERAGE), Response(KEPT, AVERAGE)),
    "another length over the average": (_quotient(DEVIATION, AVERAGE), None),
    "x over a window": (
        _quotient(X, WINDOW),
        replace(X, spread=Damping(WHOLE, WINDOW, 1.0)),
    ),
    "a window to a power": (_powered(WINDOW, 0.75), Damping(WHOLE, WINDOW, 0.75)),
    "sqrt(s) sqrt(sqrt(s))": (
        _product(Damping(WHOLE, WINDOW, 0.5), Damping(WHOLE, WINDOW, 0.25)),
        Damping(WHOLE, WINDOW, 0.75),
    ),
    "x x x": (lambda: algebra.product(SQUARE, X), None),
    "a variance times x": (_product(VARIANCE, X), None),
    "mean of the squares": (lambda: means.mean_of_quadratic(SQUARE, ROWS, KEPT), MEAN_SQUARE),
    "mean of the centered squares": (
        lambda: means.mean_of_quadratic(Quadratic(WHOLE, ROWS, 1.0, -2.0, 1.0), ROWS, KEPT),
        VARIANCE,
    ),
    "mean of squares centered over fewer axes": (
        lambda: means.mean_of_quadratic(Quadratic(WHOLE, ROWS, 1.0, -2.0, 1.0), COLUMNS, COLUMN),
        None,
    ),
    "mean of the mean": (lambda: means.mean_of_combination(CENTERED, ROWS, KEPT), None),
}


@pytest.mark.parametrize("name", FACTS)
def test_facts(name: str) -> None:
    """Each gives just this fact, or none."""
    compute, expected = FACTS[name]
    found = compute()
    if name == "mean of the mean":  # the mean of the centered is 0
        assert isinstance(found, Combination)
        assert found.is_constant
        return
    assert _shown(found) == _shown(expected)


def _shown(fact: Fact | None) -> str:
    """Fields compare by their numbers."""
    return repr(fact).replace("=-0.0", "=0.0")


def test_squares_are_averaged_axis_by_axis() -> None:
    """(x - mean over both)^2 over one axis is no statistic, over the other as well the variance."""
    squares = Quadratic(WHOLE, BOTH, 1.0, -2.0, 1.0)
    partly = means.mean_of_quadratic(squares, ROWS, KEPT)
    assert isinstance(partly, Quadratic)
    assert not partly.is_square
    kept = frames.reduced(WHOLE, [1, 2], keep=True)
    found = means.mean_of_quadratic(partly, COLUMNS, kept)
    assert found == Statistic(kept, BOTH, 2.0, 1.0, -1.0)
    assert means.mean_of_quadratic(partly, ROWS, KEPT) is None


FLAWS: dict[str, tuple[Callable[[], Fact | None], str]] = {
    "another root": (_powered(STABLE, 0.25), "powers of 2 is raised to the power 0.25"),
    "one over another root": (_powered(STABLE, -0.4), "raised to the power 0.4"),
    "power 3": (
        lambda: means.mean_of_powers(Absolute(WHOLE, 3.0, inner=CENTERED), ROWS, KEPT),
        "a mean of powers of 3",
    ),
    "a vector as epsilon": (
        lambda: algebra.shifted(
            VARIANCE, field(np.arange(4.0).reshape(4, 1, 1), WHOLE) or ZERO, KEPT
        ),
        "its epsilon is a vector",
    ),
}


@pytest.mark.parametrize("name", FLAWS)
def test_flaws_are_said(name: str) -> None:
    """What is no statistic of a normalization says why."""
    compute, words = FLAWS[name]
    found = compute()
    spread = found.spread if isinstance(found, Combination) else found
    statistic = spread.statistic if isinstance(spread, Spread) else spread
    assert isinstance(statistic, Statistic)
    assert words in str(statistic.flaw)


def test_a_constant_scales_every_part() -> None:
    """Scale after the root also scales what was added after it."""
    shifted = algebra.shifted(NORMAL, number(2.0), WHOLE)
    assert shifted is not None
    found = algebra.scaled(shifted, number(3.0), WHOLE)
    assert isinstance(found, Combination)
    assert (found.cx.number, found.cm.number, found.c1.number) == (3.0, -3.0, 6.0)
    assert found.spread == DEVIATION


BOUNDED: dict[str, tuple[Fact, float, float | None]] = {
    "a variance, at least 0": (VARIANCE, 0.0, None),
    "a mean square": (MEAN_SQUARE, 1e-6, 1e-6),
    "a length": (LENGTH, 1e-3, 1e-3),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_bounded(name: str) -> None:
    """A bound that never holds changes nothing; another is remembered."""
    fact, least, expected = BOUNDED[name]
    found = powers.bounded(fact, least)
    bound = found.floor if isinstance(found, Spread) else None
    bound = found.least if isinstance(found, Statistic) else bound
    assert bound == expected


@pytest.mark.parametrize("fact", [STABLE, X, NORMAL], ids=["epsilon", "x", "normal"])
def test_a_bound_of_something_else_is_not_followed(fact: Fact) -> None:
    """Not over an epsilon, and not of what may be negative."""
    assert powers.bounded(fact, 1.0) is None


@pytest.mark.parametrize("factor", [0.0, -1.0, math.inf, math.nan])
def test_statistics_are_scaled_by_positive_numbers_only(factor: float) -> None:
    """Anything else is no statistic."""
    assert algebra.scaled(VARIANCE, number(factor), KEPT) is None
