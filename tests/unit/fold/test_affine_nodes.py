"""What becomes of several affines in a row where nothing above them absorbs them."""

from __future__ import annotations

import re

import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,4,H,W] x) => (float[N,4,H,W] y) "
MERGED = [
    pytest.param(
        "<NORM4> { r = Relu(x) a = BN(r) y = BN(a) }", "Relu BatchNormalization", id="BN, BN"
    ),
    pytest.param("<NORM4> { r = BN(x) y = BN(r) }", "BatchNormalization", id="BN, BN on the input"),
    pytest.param(
        "<NORM4, float[4,1,1] k> { a = BN(x) y = Mul(a, k) }", "BatchNormalization", id="BN, Mul"
    ),
    pytest.param(
        "<NORM4, float[4,1,1] k> { a = Add(k, x) y = BN(a) }", "BatchNormalization", id="Add, BN"
    ),
    pytest.param(
        "<NORM4, float k> { a = Neg(x) b = BN(a) y = Sub(k, b) }",
        "BatchNormalization",
        id="Neg, BN, Sub",
    ),
    pytest.param(
        "<float k, float[4,1,1] h> { a = Mul(x, k) b = Neg(a) y = Div(b, h) }", "Mul", id="scales"
    ),
    pytest.param("<float k, float[4,1,1] h> { a = Sub(x, k) y = Add(h, a) }", "Add", id="shifts"),
    pytest.param(
        "<float[4] k, float[1,4] h> { a = Mul(x, k) y = Mul(a, h) }", "Mul", id="scales along W"
    ),
    pytest.param(
        "<float k> { a = Mul(x, k) b = Identity(a) y = Mul(b, k) }",
        "Mul Identity",
        id="through Identity",
    ),
]


@pytest.mark.parametrize(("text", "ops"), MERGED)
def test_chains_merge(text: str, ops: str) -> None:
    """A chain becomes one BatchNormalization, Mul or Add."""
    found = rewritten(HEAD.replace("W]", "4]") + text)
    assert found.ops == ops
    assert " merged into " in found.applied
    names = {tensor.name for tensor in found.original.graph.initializer}
    if "NORM4" in text and text.count("BN") == 1:
        assert {tensor.name for tensor in found.proto.graph.initializer} <= names


@pytest.mark.parametrize(
    ("first", "second", "added"),
    [
        ("Mul(x, k)", "Mul(a, h)", 0),
        ("Mul(k, x)", "Div(a, h)", 0),
        ("Add(x, k)", "Sub(a, h)", 0),
        ("Sub(x, k)", "Add(a, h)", 1),
        ("Sub(k, x)", "Add(a, h)", 0),
        ("Sub(x, k)", "Sub(h, a)", 1),
        ("Div(x, k)", "Mul(a, h)", 1),
    ],
)
def test_a_node_that_can_hold_both_stays(first: str, second: str, added: int) -> None:
    """With its constant under the old name; another operator takes the place of one that can't."""
    body = f"<float[4,1,1] vark, float[4,1,1] varh> {{ a = {first} y = {second} }}"
    for name in "kh":
        body = body.replace(f"({name}, ", f"(var{name}, ").replace(f", {name})", f", var{name})")
    found = rewritten(HEAD + body)
    assert len(found.ops.split()) == 1
    assert [event.added for event in found.report.applied] == [added]


def test_what_takes_the_place_of_a_division_reads_the_data_first() -> None:
    """As people write a product."""
    found = rewritten(
        HEAD + "<float[4,1,1] k, float[4,1,1] var1> { a = Mul(x, k) y = Div(a, var1) }"
    )
    (node,) = found.proto.graph.node
    assert (node.op_type, node.input[0]) == ("Mul", "x")


GUARDS = [
    pytest.param("<float one = {1}, float tiny = {1e-30}> { a = Sub(x, one) y = Add(a, tiny) }", id="Sub, Add"),
    pytest.param("<float one = {1}, float tiny = {1e-9}> { a = Add(x, one) y = Sub(a, tiny) }", id="Add, Sub"),
    pytest.param("<NORM4, float tiny = {1e-20}> { a = BN(x) y = Add(tiny, a) }", id="BN, Add"),
    pytest.param("<double one = {1}, double tiny = {1e-17}> { a = Sub(x, one) y = Add(a, tiny) }", id="fp64"),
    pytest.param(
        "<float one = {1}, float tiny = {1e-4}> {"
        " h = Cast<to = 10>(one) t = Cast<to = 10>(tiny) a = Sub(x, h) y = Add(a, t) }",
        id="fp16",
    ),
]  # fmt: skip


@pytest.mark.parametrize("text", GUARDS)
def test_what_guards_a_difference_against_zero_is_kept(text: str) -> None:
    """(x - 1) + tiny is tiny where x is 1, and x - (1 - tiny) would be 0."""
    kind = "double" if "double" in text else "float16" if "Cast" in text else "float"
    text = HEAD.replace("float", kind) + text
    found = rewritten(text)
    assert not found.report.modified
    assert "would be lost in what is added before that" in found.report.refused[0].reason
    assert rewritten(re.sub(r"tiny = \{.*?\}", "tiny = {0.5}", text)).report.modified


def test_what_is_added_to_what_is_tiny_takes_it_along() -> None:
    """X + tiny + 1 is x + 1 in any case; and one channel that counts is enough."""
    assert (
        rewritten(
            HEAD + "<float one = {1}, float tiny = {1e-30}> { a = Add(x, tiny) y = Add(a, one) }"
        ).ops
        == "Add"
    )
    text = "<float[4,1,1] k = {1e-30, 0.5, 1e-30, 0}, float one = {1}> { a = Sub(x, one) y = Add(a, k) }"
    assert rewritten(HEAD + text).ops == "Add"


LEFT = [
    pytest.param(
        "<float k> { a = Mul(x, k) y = Add(a, k) }", id="a scale and a shift take two nodes"
    ),
    pytest.param(
        "<NORM4, float[4] k> { a = BN(x) y = Mul(a, k) }",
        id="(C) on NCHW is W, as many as channels",
    ),
    pytest.param("<float[4] k, float[4,1] h> { a = Mul(x, k) y = Mul(a, h) }", id="two axes"),
    pytest.param("{ a = Neg(x) y = Neg(a) }", id="no constant to keep"),
    pytest.param("<NORM4> { a = BN(x) r = Relu(a) y = BN(r) }", id="something in between"),
]


@pytest.mark.parametrize("text", LEFT)
def test_chains_that_no_node_can_hold(text: str) -> None:
    """They stay as they are."""
    assert not rewritten(HEAD.replace("W]", "4]") + text).report.modified


def test_channels_that_may_have_been_enlarged() -> None:
    """Where the channels of the input are unknown, a Mul before a BN may have enlarged them from 1."""
    text = "g (float[N,{},H,W] x) => (float[N,4,H,W] y) <float[4,1,1] k, NORM4> {{ a = Mul(x, k) y = BN(a) }}"
    assert rewritten(text.format(4)).ops == "BatchNormalization"
    assert not rewritten(text.format("D"), compare=False).report.modified


def test_unknown_rank_is_left_alone() -> None:
    """A constant of shape (1) may raise a scalar to a vector."""
    found = rewritten(
        "g (float[N,4] x) => (float[a] y) <float[1] k> { v = local.Any(x) a = Mul(v, k) y = Mul(a, k) }"
    )
    assert not found.report.modified


@pytest.mark.parametrize("scale", ["1e-4", "6e4"], ids=["underflow", "overflow"])
def test_merged_parameters_must_fit(scale: str) -> None:
    """Two fp16 norms whose product leaves the range of fp16 stay two."""
    found = rewritten(
        f"""g (float16[N,2,H,W] x) => (float16[N,2,H,W] y)
            <float[2] s32 = {{1, {scale}}}, float16[2] bias, float16[2] mean, float16[2] var> {{
            s = Cast<to = 10>(s32)
            a = BatchNormalization(x, s, bias, mean, var)
            [bn] y = BatchNormalization(a, s, bias, mean, var) }}"""
    )
    assert not found.report.modified
    assert "would not fit float16 in channel 1" in found.refused["bn"]


def test_merged_factors_must_fit() -> None:
    """Two fp16 factors whose product is none any more stay two."""
    found = rewritten(
        """g (float16[N,2] x) => (float16[N,2] y) <float[2] k32 = {1, 1e-5}> {
            k = Cast<to = 10>(k32) s = Sigmoid(x) a = Mul(s, k) [it] y = Mul(a, k) }"""
    )
    assert not found.report.modified
    assert "would not fit float16 in channel 1" in found.refused["it"]


SPLIT = [
    pytest.param(
        "g (float[N,T,3] x) => (float[N,4,T] y) <float[3,4] w, float[4] b, NORM4> { c = MatMul(x, w) d = Add(c, b) t = Transpose<perm = [0,2,1]>(d) y = BN(t) }",
        "MatMul Add Transpose",
        id="MatMul, Add, BN: the Add takes the shift",
    ),
    pytest.param(
        "g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, float[4] b, float[4] k> { c = MatMul(x, w) d = Sub(b, c) y = Mul(d, k) }",
        "MatMul Sub",
        id="MatMul, Sub from a constant, Mul",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) <float[4] b, float[4] k> { r = Relu(x) a = Add(r, b) s = Neg(a) y = Sub(k, s) }",
        "Relu Add",
        id="two signs make one Add",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) <float[4] b> { r = Relu(x) a = Add(b, r) y = Neg(a) }",
        "Relu Sub",
        id="a negated Add is a Sub",
    ),
    pytest.param(
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) <float[4,1,1] k, NORM4> { m = Mul(x, k) y = BN(m) z = Mul(m, k) }",
        "BatchNormalization Mul",
        id="down into two affines",
    ),
    pytest.param(
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y) { r = Relu(x) a = Neg(r) b = Neg(a) y = Sigmoid(b) }",
        "Relu Sigmoid",
        id="two that cancel",
    ),
]


@pytest.mark.parametrize(("text", "ops"), SPLIT)
def test_affines_meet(text: str, ops: str) -> None:
    """Each holds what it can."""
    assert rewritten(text).ops == ops
