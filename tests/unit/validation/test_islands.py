"""Nodes as models of their own: what they read and give, by names that nothing else has."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.runtime.oracle import evaluate
from normonnx.validation.islands import Island, Types, archipelago, can_stand_alone, captured

_HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'


def _model(text: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(_HEAD + text))


_TWO = (
    "g (float[2] x) => (float[2] y) <float[2] i0_0 = {1, 2}> { a = Add(x, i0_0) y = Mul(a, i0_0) }"
)


def test_nodes_stand_side_by_side() -> None:
    """Neither reads from the other, and a weight may have a name as an island's input has."""
    model = _model(_TWO)
    add, multiply = model.graph
    x, a = np.array([1, 1], np.float32), np.array([5, 5], np.float32)
    made = archipelago(
        model, [Island(add, {"x": x}, {"a": a}), Island(multiply, {"a": a}, {"y": a})]
    )
    found = evaluate(made.model, made.feeds)
    assert found[made.outputs[0, "a"]].tolist() == [2, 3]
    assert found[made.outputs[1, "y"]].tolist() == [5, 10]
    assert "i0_0" not in made.feeds


def test_a_weight_is_shared_with_the_model() -> None:
    """Not copied, so that a large model can be taken apart."""
    model = _model(_TWO)
    add = model.graph[0]
    x = np.ones(2, np.float32)
    made = archipelago(model, [Island(add, {"x": x}, {"a": x})])
    assert made.model.graph.initializers["i0_0"].const_value is (
        model.graph.initializers["i0_0"].const_value
    )


def test_small_integers_become_constants() -> None:
    """A runtime may want to know a shape before it runs."""
    model = _model("g (float[4] x, int64[2] s) => (float[2, 2] y) { y = Reshape(x, s) }")
    node = model.graph[0]
    x, s = np.ones(4, np.float32), np.array([2, 2])
    made = archipelago(model, [Island(node, {"x": x, "s": s}, {"y": x.reshape(2, 2)})])
    assert list(made.feeds) == ["i0_0"]
    assert evaluate(made.model, made.feeds)["o0_0"].shape == (2, 2)


def test_functions_come_along() -> None:
    """A call runs by itself, too."""
    text = """<ir_version: 8, opset_import: ["": 17, "d": 1]>
    g (float[2] x) => (float[2] y) { y = d.twice(x) }
    <domain: "d", opset_import: ["": 17]> twice (a) => (b) { b = Add(a, a) }"""
    model = ir.from_proto(onnx.parser.parse_model(text))
    x = np.ones(2, np.float32)
    made = archipelago(model, [Island(model.graph[0], {"x": x}, {"y": x})])
    assert evaluate(made.model, made.feeds)["o0_0"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("kind", "expected"), [("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)]
)
def test_types_are_those_of_the_model(kind: str, expected: type) -> None:
    """Inferred where nothing declares them."""
    model = _model(f"g ({kind}[2] x) => ({kind}[2] y) {{ a = Neg(x) y = Neg(a) }}")
    types = Types(model)
    a = model.graph[0].outputs[0]
    assert types.of(a) == np.dtype(expected)
    assert types.given(a, np.array([1.0, 1e-3])).dtype == np.dtype(expected)


def test_types_are_known_whatever_dimensions_are_called() -> None:
    """Exporters write "?", which is no name of a dimension to shape inference."""
    text = "g (float[N] x) => (float[N] y) { a = Exp(x) h = Cast<to = 10>(a) b = Abs(h) s = Shape(b) y = Cast<to = 1>(b) }"
    proto = onnx.parser.parse_model(_HEAD + text)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "?"
    model = ir.from_proto(proto)
    types = Types(model)
    kinds = [types.of(node.outputs[0]) for node in model.graph]
    assert kinds == [np.float32, np.float16, np.float16, np.int64, np.float32]


def test_a_node_with_a_branch_does_not_stand_alone() -> None:
    """What its branches read from around them is known."""
    model = _model(
        "g (float[2] x, bool c) => (float[2] y) { a = Neg(x) y = If (c) "
        "<then_branch = t () => (float[2] p) { p = Neg(a) }, else_branch = e () => (float[2] q) { q = Abs(a) }> }"
    )
    neg, branch = model.graph
    assert can_stand_alone(neg)
    assert not can_stand_alone(branch)
    assert {value.name for value in captured(branch) if value.graph is model.graph} == {"a"}
