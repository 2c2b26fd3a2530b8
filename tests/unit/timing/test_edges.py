"""Inputs at the edge: rounded first, legal, with the truth of what is really run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import normonnx
from normonnx.core.errors import UsageError
from normonnx.timing import edges

_ALL = ["random", "mean 1e2", "mean 1e4", "tiny", "huge", "constant", "zero rows"]


@pytest.mark.parametrize(
    ("norm", "shape", "attributes", "names"),
    [
        ("LayerNorm", (2, 3, 8), {}, _ALL[:-1]),
        ("RMSNorm", (2, 3, 8), {}, _ALL),
        ("LpNorm", (2, 3, 8), {"axis": 1}, _ALL),
        ("LocalResponseNorm", (1, 7, 4, 4), {"size": 5}, _ALL),
        ("StandardScaler", (5, 4), {}, _ALL[:-1]),
    ],
)
def test_zero_rows_are_for_what_divides_by_the_size_of_x(
    norm: str, shape: tuple[int, ...], attributes: dict[str, Any], names: list[str]
) -> None:
    """All other profiles are for every norm."""
    given = {
        parameter.name: np.ones(shape[-1], np.float32)
        for parameter in normonnx.norms[norm].parameters
        if parameter.default is None
    }
    call = normonnx.norms[norm].define(shape, **attributes, **given)
    assert list(edges.cases(call)) == names


@pytest.mark.parametrize("axis", [-1, 1])
def test_zero_rows_hold_a_row_of_zeros(axis: int) -> None:
    """Also with a batch of one, and along any axis; its result is zero."""
    case = edges.cases(normonnx.norms["LpNorm"].define((1, 6, 5), axis=axis))["zero rows"]
    sizes = np.abs(case.feeds["X"]).sum(axis=axis)
    assert (sizes == 0).sum() == 1
    assert np.isfinite(case.truth).all()


def test_x_is_rounded_before_the_truth_is_computed() -> None:
    """In float16 10000 plus a normal number is a multiple of 8; the truth is that of what is run."""
    call = normonnx.norms["LayerNorm"].define((4, 16), np.float16)
    case = edges.cases(call)["mean 1e4"]
    x = case.feeds["X"]
    assert x.dtype == np.float16
    assert np.array_equal(case.truth, call.reference(x))
    assert np.abs(edges.cases(call)["huge"].feeds["X"]).max() < np.finfo(np.float16).max


def test_the_logarithm_gets_positive_numbers() -> None:
    """BoxCox of a negative number is none."""
    lambdas = np.full(4, 0.5, np.float32)
    for case in edges.cases(normonnx.norms["BoxCox"].define((6, 4), lambdas=lambdas)).values():
        assert (case.feeds["X"] > 0).all()
        assert np.isfinite(case.truth).all()


def test_what_comes_at_run_time_is_drawn() -> None:
    """In the shape that X asks for where its own is not all known."""
    call = normonnx.norms["AdaptiveLayerNorm"].define((3, 5, 8), scale=("N", 8), bias=(3, 8))
    case = edges.cases(call)["random"]
    assert {name: array.shape for name, array in case.feeds.items()} == {
        "X": (3, 5, 8),
        "scale": (3, 8),
        "bias": (3, 8),
    }


def test_of_an_unknown_size_nothing_is_drawn() -> None:
    """The message has the shape."""
    with pytest.raises(UsageError, match=r"LayerNorm: X has shape \(N, \?, 8\); expected a number"):
        edges.cases(normonnx.norms["LayerNorm"].define(("N", None, 8)))


def test_errors_on_a_constant_are_relative_to_the_usual_size() -> None:
    """The truth there is 0, or roundoff, to which nothing is relative."""
    cases = edges.cases(normonnx.norms["LayerNorm"].define((4, 16)))
    assert cases["constant"].size == cases["random"].size == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([1.0, 1.0], [1.0, 1.0], 0.0),
        ([1.0 + 2**-23, 1.0], [1.0, 1.0], 2 / np.sqrt(2)),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([np.inf, 1.0], [1.0, 1.0], np.inf),
        ([np.inf, 1.0], [1e39, 1.0], 0.0),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([1.0], [1.0, 1.0], np.inf),
    ],
    ids=["equal", "two u", "nan", "inf", "beyond float32", "nan in both", "another shape"],
)
def test_what_is_not_finite_is_infinitely_wrong(
    found: list[float], truth: list[float], expected: float
) -> None:
    """Unless the truth is not finite there, or is beyond the type."""
    kind = np.dtype(np.float32)
    error = edges.error_of(np.array(found, kind), np.array(truth), 1.0, kind)
    assert error == pytest.approx(expected, rel=1e-6)
