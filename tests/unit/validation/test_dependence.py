"""What an output depends on."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from normonnx.validation.dependence import DECISIONS, RANDOM, depends_on

HEAD = '<ir_version: 8, opset_import: ["": 17, "own": 1]>\n'
X = "g (float[N, 4] x, bool[N, 4] c) => (float[N, 4] y) "

DECIDED = {
    "directly": "{ y = Round(x) }",
    "at a distance": "{ r = Floor(x) s = Neg(r) y = Add(s, x) }",
    "by a cast to an integer": "{ i = Cast<to = 7>(x) y = Cast<to = 1>(i) }",
    "by its other output": "{ k = Constant<value_ints = [4]>() v, i = TopK(x, k) y = Neg(v) }",
    "in a branch": (
        "{ k = Constant<value = bool {1}>()"
        " y = If(k) <then_branch = a () => (float[N, 4] p) { p = Sign(x) },"
        " else_branch = b () => (float[N, 4] q) { q = Neg(x) }> }"
    ),
}
SMOOTH = {
    "arithmetic": "{ y = Mul(x, x) }",
    "a cast to a float": "{ h = Cast<to = 10>(x) y = Cast<to = 1>(h) }",
    "a decision beside": "{ r = Round(x) y = Neg(x) }",
    "a given mask": "{ f = Cast<to = 1>(c) y = Mul(x, f) }",
}


def _output(body: str) -> ir.Value:
    return ir.from_proto(onnx.parser.parse_model(HEAD + X + body)).graph.outputs[0]


@pytest.mark.parametrize("body", DECIDED.values(), ids=DECIDED)
def test_decisions_are_found(body: str) -> None:
    """Wherever on the way they are taken."""
    assert depends_on(_output(body), DECISIONS)
    assert not depends_on(_output(body), RANDOM)


@pytest.mark.parametrize("body", SMOOTH.values(), ids=SMOOTH)
def test_smooth_outputs_depend_on_no_decision(body: str) -> None:
    """Nor on one that is taken for another output."""
    assert not depends_on(_output(body), DECISIONS)


def test_a_function_is_looked_into() -> None:
    """Its body decides, or draws, for whoever calls it."""
    text = HEAD + X + "{ y = own.F(x) }\n"
    text += '<domain: "own", opset_import: ["": 17]> F (a) => (b) { r = RandomNormalLike(a)'
    text += " b = Ceil(r) }"
    model = ir.from_proto(onnx.parser.parse_model(text))
    value = model.graph.outputs[0]
    assert depends_on(value, DECISIONS, model.functions)
    assert depends_on(value, RANDOM, model.functions)


@pytest.mark.parametrize(
    ("body", "random"),
    [
        ("{ y = Dropout(x) }", False),
        ("{ k = Constant<value = bool {0}>() y = Dropout(x, , k) }", False),
        ("{ k = Constant<value = bool {1}>() y = Dropout(x, , k) }", True),
        ("{ k = ReduceMin<keepdims = 0>(c) y = Dropout(x, , k) }", True),
    ],
    ids=["without a mode", "in inference", "in training", "as computed"],
)
def test_dropout_is_random_unless_it_surely_does_not_train(body: str, *, random: bool) -> None:
    """A mode that is not known might be training."""
    assert depends_on(_output(body), RANDOM) is random
