"""ONNX Runtime's fused operators: defaults, operands at run time, and what is not known of them."""

from __future__ import annotations

from typing import Final

import pytest

import normonnx
from tests.rewriting import parsed

HEADER: Final = '<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> '
ROWS: Final = "g (float[N,4,8] x, float[N,4,8] k) => (float[N,4,8] y"
IMAGE: Final = "g (float[N,4,5,8] x) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
AT_RUN_TIME: Final = "g (float[N,4,5,8] x, float[8] p) => (float[N,4,5,8] y) <float[8] b> "
SKIP: Final = "g (float[N,4,5,8] x, {} k) => (float[N,4,5,8] y) <float[8] s, float[8] b> "

TAKEN: Final = [
    pytest.param(
        SKIP.format("float[N,4,5,8]").replace("y)", "y, float[N,4,5,8] z)")
        + "{ y, z = com.microsoft.SkipGroupNorm<groups = 2>(x, s, b, k) }",
        "Add Transpose GroupNorm Transpose",
        {"num_groups": 2},
        id="the sum is an output",
    ),
    pytest.param(
        IMAGE + "{ y = com.microsoft.GroupNorm<groups = 2>(x, s, b) }",
        "Transpose GroupNorm Transpose",
        {"num_groups": 2, "epsilon": 1e-5},
        id="no activation by default",
    ),
    pytest.param(
        IMAGE
        + "{ y = com.microsoft.GroupNorm<groups = 4, epsilon = 0.5, channels_last = 1>(x, s, b) }",
        "Transpose GroupNorm Transpose",
        {"num_groups": 4, "epsilon": 0.5},
        id="its epsilon",
    ),
    pytest.param(
        AT_RUN_TIME + "{ y = com.microsoft.GroupNorm<groups = 2>(x, p, b) }",
        "Transpose GroupNorm Transpose",
        {"num_groups": 2},
        id="a scale at run time",
    ),
    pytest.param(
        SKIP.format("float[8]") + "{ y = com.microsoft.SkipGroupNorm<groups = 2>(x, s, b, k) }",
        "Add Transpose GroupNorm Transpose",
        {"num_groups": 2},
        id="a vector as skip",
    ),
    pytest.param(
        SKIP.format("float[N,4,5,8]")
        + "{ y, z = com.microsoft.SkipGroupNorm<groups = 2>(x, s, b, k, b) }",
        "Add Add Transpose GroupNorm Transpose",
        {"num_groups": 2},
        id="skip and bias, and a sum that nothing reads",
    ),
    pytest.param(
        ROWS + ") <float[8] s> { y = com.microsoft.SkipLayerNormalization(x, k, s) }",
        "Add LayerNorm",
        {"axis": -1, "epsilon": 1e-12},
        id="LayerNorm's defaults",
    ),
    pytest.param(
        ROWS + ") <float[8] s, float[8] a> "
        "{ y = com.microsoft.SkipLayerNormalization<epsilon = 0.25>(x, k, s, , a) }",
        "Add Add LayerNorm",
        {"axis": -1, "epsilon": 0.25},
        id="no bias but one before",
    ),
    pytest.param(
        ROWS + ") <float[8] s, float[8] a> "
        "{ y = com.microsoft.SkipSimplifiedLayerNormalization<epsilon = 0.25>(x, k, s, a) }",
        "Add Add RMSNorm",
        {"axis": -1, "epsilon": 0.25},
        id="RMSNorm with a bias before",
    ),
]


@pytest.mark.parametrize(("text", "ops", "attributes"), TAKEN)
def test_a_fused_operator_is_taken_apart(text: str, ops: str, attributes: dict[str, float]) -> None:
    """The call has the operator's attributes or their defaults."""
    result = normonnx.optimize(parsed(HEADER + text), passes=("recognize",), verify="final")
    assert " ".join(node.op_type for node in result.model.graph) == ops
    call = next(node for node in result.model.graph if node.domain == "normonnx")
    found = {name: call.attributes[name].value for name in attributes}
    assert found == pytest.approx(attributes)
    verification = result.report.verification
    assert verification is not None
    assert verification.verdict.value == "pass"


STAYS: Final = [
    pytest.param(
        ROWS + ") <float[7] s> { y = com.microsoft.SkipLayerNormalization(x, k, s) }",
        "scale has shape (7)",
        id="a scale that does not fit",
    ),
    pytest.param(
        "g (float[N,4,5,8] x, float[7] p) => (float[N,4,5,8] y) <float[8] b> "
        "{ y = com.microsoft.GroupNorm<groups = 2>(x, p, b) }",
        "scale has shape (7)",
        id="a scale at run time that does not fit",
    ),
    pytest.param(
        SKIP.format("float[N,8]") + "{ y = com.microsoft.SkipGroupNorm<groups = 2>(x, s, b, k) }",
        "its skip is one row for each sample",
        id="a row as skip",
    ),
    pytest.param(
        "g (float x0, float[N,4,5,8] x) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
        "{ k = com.example.Unknown(x0) y = com.microsoft.SkipGroupNorm<groups = 2>(x, s, b, k) }",
        "its skip is one row for each sample",
        id="a skip of unknown shape",
    ),
    pytest.param(
        "g (float x0, float[N,4,5,8] x) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
        "{ k = com.example.Unknown(x0) y = com.microsoft.GroupNorm<groups = 2>(k, s, b) }",
        "the number of axes of what is normalized is not known",
        id="of unknown shape",
    ),
    pytest.param(
        "g (float x0, float[N,4,5,8] x) => (float[N,4,5,8] y) <float[8] s, float[8] b> "
        "{ k = com.example.Unknown(x0) y = com.microsoft.GroupNorm<groups = 2>(x, k, b) }",
        "the shape of its scale is not known",
        id="a scale of unknown shape",
    ),
    pytest.param(
        ROWS
        + ", float[N,4,1] m) <float[8] s> { y, m = com.microsoft.SkipLayerNormalization(x, k, s) }",
        "another output of SkipLayerNormalization is read",
        id="its mean is an output",
    ),
    pytest.param(
        IMAGE + "{ y = com.microsoft.GroupNorm<groups = 16>(x, s, b) }",
        "num_groups is 16",
        id="more groups than channels",
    ),
]


@pytest.mark.parametrize(("text", "reason"), STAYS)
def test_a_fused_operator_that_stays_says_why(text: str, reason: str) -> None:
    """What is not known of it, or what else is read."""
    header = HEADER.replace("]>", ', "com.example": 1]>')
    result = normonnx.optimize(parsed(header + text), passes=("recognize",))
    assert result.report.applied == ()
    assert any(reason in event.reason for event in result.report.refused), result.report.refused
