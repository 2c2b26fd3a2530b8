"""Maxima and minima that are taken before what keeps the order of elements, and those that are not."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import Verdict
from tests.rewriting import feeds_of, parsed

ROWS = "g (float[N,T,4] x) => (float[a,b] y) <float[4] b, float[4] p = {1, 2, 0.5, 4}> "
KEPT = "g (float[N,T,4] x) => (float[a,b,c] y) <float[4] b, float[1,1,4] w, float[1,T,4] t> "
IMAGE = "g (float[N,4,H,W] x) => (float[N,4,1,1] y) <float[4,1,1] b, float s = {-2}> "

# text, operators afterwards
EARLIER = [
    pytest.param(
        ROWS + "{ a = Add(x, b) r = Relu(a) y = ReduceMax<axes=[1], keepdims=0>(r) }",
        "ReduceMax Add Relu",
        id="a bias and Relu",
    ),
    pytest.param(
        ROWS + "{ a = Sub(x, b) r = Div(a, p) y = ReduceMin<axes=[-2], keepdims=0>(r) }",
        "ReduceMin Sub Div",
        id="the smallest",
    ),
    pytest.param(
        ROWS
        + "{ a = Mul(p, x) r = LeakyRelu<alpha=0.1>(a) i = Identity(r) y = ReduceMax<axes=[1], keepdims=0>(i) }",
        "ReduceMax Mul LeakyRelu Identity",
        id="a positive factor, the other way round",
    ),
    pytest.param(
        KEPT + "{ a = Add(x, w) s = Sigmoid(a) y = ReduceMax<axes=[1]>(s) }",
        "ReduceMax Add Sigmoid",
        id="kept as 1, a constant of full rank",
    ),
    pytest.param(
        IMAGE + "{ a = Add(x, b) r = Tanh(a) y = GlobalMaxPool(r) }",
        "GlobalMaxPool Add Tanh",
        id="a pool over everything",
    ),
    pytest.param(
        ROWS + "{ n = Neg(x) a = Add(n, b) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        "Neg ReduceMax Add",
        id="up to what turns the order around",
    ),
    pytest.param(
        '<ir_version: 8, opset_import: ["": 18]> ' + ROWS + "{ a = Add(x, b) r = Relu(a) "
        "i = Constant<value = int64[1] {1}>() y = ReduceMax<keepdims=0>(r, i) }",
        "Constant ReduceMax Add Relu",
        id="axes from a node between",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float y) <float b = {3}> "
        "{ a = Add(x, b) y = ReduceMax<keepdims=0>(a) }",
        "ReduceMax Add",
        id="over all axes",
    ),
]


@pytest.mark.parametrize(("text", "ops"), EARLIER)
def test_it_is_the_same_bit_for_bit(text: str, ops: str) -> None:
    """The reduction goes ahead; ONNX Runtime gives the very numbers it gave; names and shapes stay."""
    ort = pytest.importorskip("onnxruntime", reason="runs both: install normonnx[cpu]")
    proto = parsed(text)
    result = normonnx.optimize(proto, passes=("reduce-early",), verify="each")
    assert " ".join(node.op_type for node in result.model.graph) == ops
    assert result.report.verification is not None
    assert result.report.verification.verdict is Verdict.PASS
    assert result.report.checked == 1
    written = ir.to_proto(result.model)
    onnx.checker.check_model(written, full_check=True)
    assert written.graph.output == proto.graph.output
    sessions = [
        ort.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
        for each in (proto, written)
    ]
    for feeds in feeds_of(proto):
        before, after = (session.run(None, feeds)[0] for session in sessions)
        np.testing.assert_array_equal(before, after)
    assert normonnx.optimize(result.model, passes=("reduce-early",)).report.applied == ()


LATER = [
    pytest.param(
        ROWS + "{ a = Mul(x, b) y = ReduceMax<axes=[1], keepdims=0>(a) }", id="factors of any sign"
    ),
    pytest.param(
        ROWS + "{ a = Sub(b, x) y = ReduceMax<axes=[1], keepdims=0>(a) }", id="b - x falls"
    ),
    pytest.param(
        ROWS + "{ a = Div(p, x) y = ReduceMax<axes=[1], keepdims=0>(a) }", id="p / x falls"
    ),
    pytest.param(ROWS + "{ a = Abs(x) y = ReduceMax<axes=[1], keepdims=0>(a) }", id="Abs"),
    pytest.param(
        ROWS + "{ a = LeakyRelu<alpha=-0.1>(x) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        id="a slope that falls",
    ),
    pytest.param(
        ROWS + "{ a = Add(x, b) y = ReduceMax<axes=[2], keepdims=0>(a) }",
        id="a constant along what is reduced",
    ),
    pytest.param(
        KEPT + "{ a = Add(x, t) y = ReduceMax<axes=[1]>(a) }", id="another constant along it"
    ),
    pytest.param(
        KEPT.replace("float[a,b,c]", "float[a,b]")
        + "{ a = Add(x, w) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        id="a constant of full rank where the axis goes",
    ),
    pytest.param(ROWS + "{ a = Add(x, b) y = ReduceMean<axes=[1], keepdims=0>(a) }", id="a mean"),
    pytest.param(
        "g (float[N,T,4] x) => (float[a,b] y, float[N,T,4] a) <float[4] b> "
        "{ a = Add(x, b) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        id="read outside",
    ),
    pytest.param(
        "g (float[N,T,4] x, float[4] b) => (float[a,b] y) "
        "{ a = Add(x, b) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        id="an operand at run time",
    ),
    pytest.param(
        ROWS + "{ i = Identity(x) y = ReduceMax<axes=[1], keepdims=0>(i) }", id="nothing to gain"
    ),
    pytest.param(
        "g (float[N,1,4] x) => (float[a,b] y) <float[4] b> "
        "{ a = Add(x, b) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        id="one element",
    ),
    pytest.param(
        '<ir_version: 8, opset_import: ["": 18]> g (float[N,T,4] x, int64[1] i) => (float[a,b] y) <float[4] b> '
        "{ a = Add(x, b) y = ReduceMax<keepdims=0>(a, i) }",
        id="axes at run time",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[a,b] y) <float[N,T,4] a> "
        "{ a = local.Relu(x) y = ReduceMax<axes=[1], keepdims=0>(a) }",
        id="an operator of another domain",
    ),
    *(
        pytest.param(
            f"g (float[N,T,4] x) => (float[a,b] y) <float p = {{inf}}> {{ a = {op}(x, p) y = ReduceMax<axes=[1], keepdims=0>(a) }}",
            id=f"{op} of infinity, which may make NaN",
        )
        for op in ("Add", "Sub", "Mul", "Div")
    ),
]


@pytest.mark.parametrize("text", LATER)
def test_it_stays(text: str) -> None:
    """Where the order would not be kept, or more would be read than is there."""
    assert normonnx.optimize(parsed(text), passes=("reduce-early",)).report.applied == ()


def test_what_is_kept_stays() -> None:
    """Neither the reduction nor what is before it moves."""
    text = ROWS + "{ a = Add(x, b) r = Relu(a) y = ReduceMax<axes=[1], keepdims=0>(r) }"
    for name in ("y", "r"):
        result = normonnx.optimize(parsed(text), passes=("reduce-early",), keep=(name,))
        assert result.report.applied == ()
    (event,) = normonnx.optimize(parsed(text), passes=("reduce-early",), keep=("a",)).report.applied
    assert event.reason == "ReduceMax 'y' taken before Relu 'r', which see less then"


def test_eight_are_passed_at_once() -> None:
    """And what is left in another step, so that a reason stays a line."""
    chain = " ".join(f"r{i + 1} = Relu(r{i})" for i in range(9))
    text = f"g (float[N,T,4] x) => (float[a,b] y) {{ r0 = Abs(x) {chain} y = ReduceMax<axes=[1], keepdims=0>(r9) }}"
    result = normonnx.optimize(parsed(text), passes=("reduce-early",))
    assert [n.op_type for n in result.model.graph] == ["Abs", "ReduceMax", *["Relu"] * 9]
    assert [event.reason.count("Relu") for event in result.report.applied] == [8, 1]


def test_two_reductions_in_a_row() -> None:
    """What is known of lengths is worked out anew after the first has moved."""
    text = """g (float[N,T,4] x) => (float[a] y) <float[4] b, float c = {2}> {
        a = Add(x, b) m = ReduceMax<axes=[1], keepdims=0>(a) d = Add(m, c)
        y = ReduceMax<axes=[1], keepdims=0>(d) }"""
    result = normonnx.optimize(parsed(text), passes=("reduce-early",), verify="final")
    assert [n.op_type for n in result.model.graph] == ["ReduceMax", "Add", "ReduceMax", "Add"]
    assert result.report.verification is not None
    assert result.report.verification.verdict is Verdict.PASS
