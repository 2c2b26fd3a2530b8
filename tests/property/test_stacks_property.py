"""Models of several norms in a row: the same function after any optimization, and nothing left to do."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx_ir as ir
import pytest

import normonnx
from normonnx.runtime.oracle import evaluate
from tests.property.stacked import Stack

_AT_ONCE: Final = 10
OPTIONS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"target": "ort-cpu"},
    {"style": "primitive"},
    {"style": "native"},
)


@pytest.mark.parametrize("first", range(0, 60, _AT_ONCE))
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_stack_is_optimized_once_and_for_all(options: dict[str, Any], first: int) -> None:
    """Rules and forms take turns, and must come to an end that a second run finds as it is."""
    for seed in range(first, first + _AT_ONCE):
        stack = Stack(seed)
        model = stack.model()
        x = np.random.default_rng(seed).standard_normal(stack.shape).astype(np.float32)
        once = normonnx.optimize(model, **options)
        expected = evaluate(ir.from_proto(model), {"x": x})
        for name, array in evaluate(once.model, {"x": x}).items():
            size = max(1.0, float(np.max(np.abs(expected[name]), initial=0.0)))
            assert np.allclose(array, expected[name], 1e-4, 1e-5 * size, equal_nan=True), seed
        assert normonnx.optimize(once.model, **options).report.applied == (), seed
