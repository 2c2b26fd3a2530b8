"""ONNX Runtime's fused operators: a call, and what they do besides as operators of its own."""

from __future__ import annotations

from typing import Final

import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import Verdict
from tests.rewriting import parsed

HEADER: Final = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> '
ROWS: Final = "g (float[N,4,8] x, float[N,4,8] k) => (float[N,4,8] y"
IMAGE: Final = "g (float[N,4,5,8] x) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
FIRST: Final = "g (float[N,8,4,5] x) => (float[N,8,4,5] y) <float[8] s, float[8] b> "

CASES: Final = [
    pytest.param(
        ROWS + ", float[N,4,8] t) <float[8] s, float[8] b, float[8] a> "
        "{ y, m, i, u = com.microsoft.SkipLayerNormalization<epsilon = 0.001>(x, k, s, b, a) t = Relu(u) }",
        "Add Add LayerNorm Relu",
        id="skip, bias and the sum",
    ),
    pytest.param(
        ROWS + ") <float[8] s> { y = com.microsoft.SkipLayerNormalization(x, k, s) }",
        "Add LayerNorm",
        id="the default epsilon and no bias",
    ),
    pytest.param(
        ROWS + ", float[N,4,8] u) <float[8] s> "
        "{ y, m, i, u = com.microsoft.SkipSimplifiedLayerNormalization(x, k, s) }",
        "Add RMSNorm",
        id="RMSNorm, and the sum as an output",
    ),
    pytest.param(
        IMAGE + "{ y = com.microsoft.GroupNorm<groups = 2, activation = 0>(x, s, b) }",
        "Transpose GroupNorm Transpose",
        id="channels last",
    ),
    pytest.param(
        IMAGE + "{ y = com.microsoft.GroupNorm<groups = 2, activation = 1>(x, s, b) }",
        "Transpose GroupNorm Transpose Sigmoid Mul",
        id="channels last and an activation",
    ),
    pytest.param(
        FIRST
        + "{ y = com.microsoft.GroupNorm<groups = 2, activation = 1, channels_last = 0>(x, s, b) }",
        "GroupNorm Sigmoid Mul",
        id="channels first and an activation",
    ),
    pytest.param(
        "g (float[N,4,5,8] x, float[N,4,5,8] k) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
        "{ y = com.microsoft.SkipGroupNorm<groups = 4, activation = 0>(x, s, b, k) }",
        "Add Transpose GroupNorm Transpose",
        id="skip before GroupNorm",
    ),
]


@pytest.mark.parametrize(("text", "ops"), CASES)
def test_a_fused_operator_is_taken_apart(text: str, ops: str) -> None:
    """The same function in float64, and a valid model without the operator."""
    result = normonnx.optimize(parsed(HEADER + text), passes=("recognize",), verify="final")
    assert " ".join(node.op_type for node in result.model.graph) == ops
    verification = result.report.verification
    assert verification is not None
    assert verification.verdict is Verdict.PASS, verification
    onnx.checker.check_model(ir.to_proto(result.model))
    assert normonnx.optimize(result.model, passes=("recognize",)).report.applied == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(
            ROWS + ", float[N,4,1] t) <float[8] s> "
            "{ y, m = com.microsoft.SkipLayerNormalization(x, k, s) t = Relu(m) }",
            "another output of SkipLayerNormalization is read",
            id="its mean",
        ),
        pytest.param(
            "g (float[N,4,5,8] x, float[N,8] k) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
            "{ y = com.microsoft.SkipGroupNorm<groups = 4, activation = 0>(x, s, b, k) }",
            "its skip is one row for each sample",
            id="a row a sample",
        ),
        pytest.param(
            IMAGE + "{ y = com.microsoft.GroupNorm<groups = 3, activation = 0>(x, s, b) }",
            "num_groups is 3",
            id="groups that don't divide",
        ),
    ],
)
def test_a_fused_operator_that_stays_says_why(text: str, reason: str) -> None:
    """As what is nearly a normalization."""
    result = normonnx.optimize(parsed(HEADER + text), passes=("recognize",))
    assert result.report.applied == ()
    (event,) = result.report.refused
    assert reason in event.reason
