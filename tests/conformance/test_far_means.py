"""Inputs with a mean of 1e4 and a spread of 1: what `optimize` makes of GroupNorm and the like."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx_ir as ir
import pytest

pytest.importorskip("onnxruntime", reason="it runs ONNX Runtime: install normonnx[cpu]")

import onnxruntime

import normonnx
from normonnx.core.distances import relative_error
from normonnx.core.dtypes import Array, unit_roundoff

MEAN: Final = 1e4
SHAPES: Final = {
    "GroupNorm": (2, 32, 16, 16),
    "InstanceNorm": (2, 8, 24, 24),
    "LayerNorm": (4, 16, 256),
}


def use(norm: str, opset: int) -> tuple[ir.Model, Array, Array]:
    """A model of the native operator, an input, and the truth."""
    shape, random = SHAPES[norm], np.random.default_rng(4)
    size = shape[-1] if norm == "LayerNorm" else shape[1]
    given: dict[str, Any] = {
        "scale": random.normal(1, 0.2, size).astype(np.float32),
        "bias": random.normal(0, 0.2, size).astype(np.float32),
    }
    if norm == "GroupNorm":
        given["num_groups"] = 8
    call = normonnx.norms[norm].define(("N", *shape[1:]), np.float32, **given)
    x = (random.standard_normal(shape) + MEAN).astype(np.float32)
    return call.model("native", opset=opset), x, call.reference(x)


def run(model: ir.Model, x: Array) -> Array:
    """What ONNX Runtime computes."""
    made = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    found: Array = session.run(None, {"X": x})[0]
    return found


@pytest.mark.parametrize("target", ["portable", "ort-cpu"])
@pytest.mark.parametrize("opset", [21, 23])
def test_what_was_nan_is_right(opset: int, target: str) -> None:
    """GroupNormalization is expanded to E[x²] - E[x]², whose root is NaN there."""
    model, x, truth = use("GroupNorm", opset)
    assert np.isnan(run(model, x)).any()
    found = run(normonnx.optimize(model, target=target).model, x)
    assert np.isfinite(found).all()
    assert np.abs(found - truth).max() / np.abs(truth).max() < 1e-2


@pytest.mark.parametrize("target", ["portable", "ort-cpu", "openvino"])
@pytest.mark.parametrize("opset", [13, 17, 21, 23])
@pytest.mark.parametrize("norm", SHAPES)
def test_accuracy_is_preferred(norm: str, opset: int, target: str) -> None:
    """Within 16 u, whatever the opset, as far as the normalization is an operator of it or not."""
    first = {"GroupNorm": 21, "InstanceNorm": 7, "LayerNorm": 17}[norm]
    model, x, truth = use(norm, max(opset, first))
    asked: dict[str, Any] = {"target": target, "prefer": "accuracy"}
    if opset < first:
        asked["opset"] = opset
    result = normonnx.optimize(model, verify="final", **asked)
    assert result.report.verification is not None
    assert result.report.verification.passed
    found = run(result.model, x)
    assert relative_error(found.astype(np.float64), truth, unit_roundoff(found.dtype)) <= 16
