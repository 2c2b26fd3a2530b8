"""Operators that a runtime has no kernel for, and what it then runs instead."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest

from normonnx.lower.bodies import inside
from normonnx.lower.targets import runs
from normonnx.runtime.kernel_registry import installed

CPU = "CPUExecutionProvider"
ONNX_NAMES = {"float32": "float", "float64": "double"}
TYPES = ("float32", "float64", "float16", "bfloat16")
CALLS = {
    "GroupNormalization": (21, "GroupNormalization <num_groups = 2> (x, c, c)"),
    "RMSNormalization": (23, "RMSNormalization (x, s)"),
    "LayerNormalization": (17, "LayerNormalization (x, s)"),
    "MeanVarianceNormalization": (13, "MeanVarianceNormalization (x)"),
    "CastLike": (15, "CastLike (x, x)"),
    "InstanceNormalization": (17, "InstanceNormalization (x, c, c)"),
    "LRN": (17, "LRN <size = 3> (x)"),
    "Tanh": (17, "Tanh (x)"),
}


def _loads(operator: str, dtype: str) -> bool:
    opset, call = CALLS[operator]
    kind = ONNX_NAMES.get(dtype, dtype)
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g ({kind}[2, 4, 3, 5] x, {kind}[4] c, '
        f"{kind}[5] s) => ({kind}[2, 4, 3, 5] y) {{ y = {call} }}"
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    except Exception:  # noqa: BLE001  # onnxruntime raises many kinds
        return False
    return True


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("operator", CALLS)
def test_an_operator_runs_where_a_session_loads(operator: str, dtype: str) -> None:
    """By kernel, by casts or by body; a body with a part that has no kernel does not run."""
    opset, _ = CALLS[operator]
    assert runs(installed(CPU), "", operator, opset, dtype) is _loads(operator, dtype)


def test_types_inside_a_body_are_those_that_are_computed_in() -> None:
    """Statistics in float32, the last product in X's own type."""
    found = inside("", "RMSNormalization", 23, "bfloat16")
    assert found is not None
    assert ("", "ReduceMean", "float32") in found
    assert found[-1] == ("", "Mul", "bfloat16")


def test_operators_of_their_own_have_no_body() -> None:
    """Nothing stands for them."""
    assert inside("", "LRN", 13, "float32") is None
    assert inside("", "Add", 14, "float32") is None


def test_a_body_is_that_of_the_opset() -> None:
    """From 18 on ReduceMean takes its axes as an input, which is one constant more."""
    old = inside("", "MeanVarianceNormalization", 13, "float32")
    new = inside("", "MeanVarianceNormalization", 18, "float32")
    assert old is not None
    assert new is not None
    constant = ("", "Constant", "float32")
    assert new.count(constant) == old.count(constant) + 1
