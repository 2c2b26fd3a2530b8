"""LpNorm of rows of any length: zeros, tiny ones whose squares vanish, huge ones that overflow."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Array
from normonnx.core.dtypes import unit_roundoff
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import forms_at, run

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

ANY: Final = ("function", "scaled by the largest")  # right at any length that float32 has
LENGTHS: Final = (1e-38, 1e-30, 1e-20, 1e-19, 1e-15, 1e-6, 1.0, 1e6, 1e18, 1e20, 1e30, 1e36)
SQUARES: Final = (1e-15, 1e18)  # between these no square vanishes or overflows
OPSETS: Final = (7, 12, 17, 23)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("epsilon", [0.0, 1e-12])
@pytest.mark.parametrize("order", [1.0, 2.0])
def test_rows_of_any_length(order: float, epsilon: float, length: float) -> None:
    """Right where squares can be told apart; else smaller than they should be, never larger."""
    norm = CATALOGUE["LpNorm"]
    call = norm.define((2, 16), np.float32, p=order, epsilon=epsilon)
    drawn = np.random.default_rng(0).standard_normal((2, 16)) * length
    x = np.asarray(drawn, np.float32)
    truth = call.reference(x)
    least, most = SQUARES if order == 2.0 else (0.0, np.inf)
    told_apart = (epsilon > 0 or length >= least) and length <= most
    for opset in OPSETS:
        for form in forms_at(call, opset):
            y = run(call.model(form, opset=opset), {"X": x})[0].astype(np.float64)
            if told_apart or form in ANY:
                error = relative_error(y, truth, unit_roundoff(np.float32))
                assert error <= 16.0, (opset, form)
            assert np.linalg.norm(y, order, axis=-1).max() <= 1.0 + 1e-2, (opset, form)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", [1.0, 2.0, 3.0, np.inf])
def test_a_row_of_zeros_beside_others(order: float, kind: type) -> None:
    """Zero, in every form: nothing is divided by zero, and the others are what they are alone."""
    call = CATALOGUE["LpNorm"].define((2, 16), kind, p=order)
    x: Array = np.random.default_rng(0).standard_normal((2, 16)).astype(kind)
    x[0] = 0
    truth = call.reference(x)
    for opset in OPSETS:
        for form in forms_at(call, opset):
            y = run(call.model(form, opset=opset), {"X": x})[0].astype(np.float64)
            assert not y[0].any(), (opset, form)
            np.testing.assert_allclose(y, truth, 1e-3 if kind == np.float16 else 1e-6)
