"""Which summed convolutions of one input become one, and which stay, with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,4,H,W] x) => (float[N,4,a,b] y) "
# text, operators afterwards
MERGED = [
    pytest.param(
        "<float[4,4,3,3] w, float[4,4,1,1] v> { c = Conv<pads=[1,1,1,1]>(x, w) d = Conv(x, v) y = Add(c, d) }",
        "Conv",
        id="3x3 and 1x1",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4] k, float[4,4,1,1] v, float[4] l, NORM4> {
            c = Conv<pads=[1,1,1,1]>(x, w, k) d = Conv(x, v, l) e = BN(x) f = Add(d, c) y = Add(e, f) }""",
        "Conv",
        id="3x3, 1x1 and BN of the input, as RepVGG",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,3,3] v, float[4,4,3,3] u, float[4,4,1,1] t> {
            c = Conv<pads=[1,1,1,1]>(x, w) d = Conv<pads=[1,1,1,1]>(x, v) e = Conv<pads=[1,1,1,1]>(x, u)
            f = Conv(x, t) y = Sum(c, d, e, f, x) }""",
        "Conv",
        id="several 3x3, as MobileOne, by Sum",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,1,3] v, float[4,4,3,1] u> {
            c = Conv<pads=[0,1,0,1]>(x, v) d = Conv<pads=[1,0,1,0]>(x, u) e = Conv<pads=[1,1,1,1]>(x, w)
            f = Add(c, d) y = Add(f, e) }""",
        "Conv",
        id="1x3, 3x1 and 3x3, as ACNet",
    ),
    pytest.param(
        """<float[4,4,5,5] w, float[4,4,3,3] v> {
            c = Conv<pads=[2,2,2,2], strides=[2,2]>(x, w) d = Conv<pads=[1,1,1,1], strides=[2,2]>(x, v) y = Add(c, d) }""",
        "Conv",
        id="5x5 and 3x3 of stride 2",
    ),
    pytest.param(
        """<float[4,4,5,5] w, float[4,4,3,3] v> {
            c = Conv<pads=[2,2,2,2]>(x, w) d = Conv<pads=[2,2,2,2], dilations=[2,2]>(x, v) y = Add(c, d) }""",
        "Conv",
        id="taps at distance 2 between those of 5x5",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,1,1] v> {
            c = Conv<pads=[2,2,2,2], dilations=[2,2]>(x, w) d = Conv(x, v) y = Add(c, d) }""",
        "Conv",
        id="1x1 under a dilated 3x3",
    ),
    pytest.param(
        """<float[4,4,2,2] w, float[4,4,1,1] v> {
            c = Conv<pads=[0,1,1,0]>(x, w) d = Conv(x, v) y = Add(c, d) }""",
        "Conv",
        id="even kernel with uneven pads",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,1,1] v> {
            c = Conv<auto_pad="SAME_UPPER">(x, w) d = Conv<auto_pad="VALID">(x, v) y = Add(c, d) }""",
        "Conv",
        id="auto_pad that is known without the input's size",
    ),
    pytest.param(
        """<float[4,4,2,4] w, float[4,4,1,1] v> {
            c = Conv<auto_pad="SAME_LOWER">(x, w) d = Conv<auto_pad="SAME_UPPER">(x, v) y = Add(c, d) }""",
        "Conv",
        id="even kernels of SAME_LOWER",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4,4,1,1] v> {
            c = Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w) d = Conv<strides=[2,2]>(x, v) y = Add(c, d) }""",
        "Conv",
        id="SAME of stride 2 pads nothing around one tap",
    ),
    pytest.param(
        """<float[4,2,3,3] w, float[4,2,1,1] v, NORM4> {
            c = Conv<pads=[1,1,1,1], group=2>(x, w) d = Conv<group=2>(x, v) e = BN(x) f = Add(c, d) y = Add(f, e) }""",
        "Conv",
        id="grouped, with identity",
    ),
    pytest.param(
        """<float[4,1,3,3] w, float[4,1,1,1] v> {
            c = Conv<pads=[1,1,1,1], group=4>(x, w) d = Conv<group=4>(x, v) e = Add(c, d) y = Add(x, e) }""",
        "Conv",
        id="depthwise, with identity",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,1,3,3] v> {
            c = Conv<pads=[1,1,1,1], group=4>(x, v) d = Conv<pads=[1,1,1,1]>(x, w) y = Add(c, d) }""",
        "Conv",
        id="depthwise inside dense",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4,1,1] k, float h> {
            c = Conv(x, w) d = Mul(x, k) e = Sub(h, d) y = Add(c, e) }""",
        "Conv",
        id="a chain of affines of the input",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4,4,1,1] v, float[4,1,1] k> {
            c = Conv(x, w) d = Conv(x, v) e = Add(c, d) y = Mul(e, k) }""",
        "Conv",
        id="what follows the sum is folded afterwards",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,1,1] v> {
            c = Conv<pads=[1,1,1,1]>(x, w) d = Conv(x, v) r = Relu(x) e = Add(c, r) f = Sigmoid(x) h = Sum(d, f)
            y = Add(e, h) }""",
        "Conv Relu Add Sigmoid Add",
        id="other summands stay",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4,4,1,1] v> {
            c = Conv(x, w) d = Conv(x, v) r = Relu(x) s = Sigmoid(x) y = Sum(r, d, c, s) }""",
        "Conv Relu Sigmoid Sum",
        id="a Sum keeps its other operands",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,1,1] v, float[4,4,1,1] u> {
            c = Conv<pads=[1,1,1,1]>(x, w) d = Conv(x, v) e = Conv(x, u) r = Relu(x) f = Add(c, d) y = Sum(f, r, e) }""",
        "Conv Relu Sum",
        id="a Sum that gets shorter over an Add that goes",
    ),
    pytest.param(
        """<float[4,4,3,3] w, float[4,4,1,1] v, float[4,4,3,3] u> {
            r = Relu(x) c = Conv<pads=[1,1,1,1]>(x, w) d = Conv(x, v) e = Conv<pads=[1,1,1,1]>(r, u) h = Conv(r, v)
            f = Add(c, e) i = Add(d, h) y = Add(f, i) }""",
        "Relu Conv Conv Add",
        id="two inputs, a Conv each",
    ),
    pytest.param(
        "<float[4,4,1,1] w> { c = Conv(x, w) d = Conv(x, w) y = Add(c, d) }",
        "Conv",
        id="one weight, read twice",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4,4,1,1] v> {
            a = Conv(x, w) b = Conv(x, v) c = Add(a, b) r = Relu(c) d = Conv(r, w) e = Add(d, r) y = Relu(e) }""",
        "Conv Relu Conv Relu",
        id="a weight that stays elsewhere",
    ),
]


@pytest.mark.parametrize(("text", "ops"), MERGED)
def test_branches_merge(text: str, ops: str) -> None:
    """One Conv is left for the branches of one input."""
    found = rewritten(HEAD + text)
    assert found.ops == ops
    assert "parallel to it" in found.applied


OTHER_RANKS = [
    pytest.param(
        """g (float[N,3,W] x) => (float[N,3,a] y) <float[3,3,3] w, float[3,3,1] v> {
            c = Conv<pads=[1,1]>(x, w) d = Conv(x, v) e = Add(c, d) y = Add(e, x) }""",
        id="1d",
    ),
    pytest.param(
        """g (float[N,2,D,H,W] x) => (float[N,2,a,b,c] y) <float[2,2,3,1,3] w, float[2,2,1,1,1] v> {
            c = Conv<pads=[1,0,1,1,0,1]>(x, w) d = Conv(x, v) e = Add(c, d) y = Add(e, x) }""",
        id="3d",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,6,a,b] y) <float[6,3,3,3] w, float[6,3,1,1] v> {
            c = Conv<pads=[1,1,1,1], strides=[2,1]>(x, w) d = Conv<strides=[2,1]>(x, v) y = Add(c, d) }""",
        id="more outputs than inputs",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,8,a,b] y) <float[8,1,3,3] w, float[8,2,1,1] v, float[8,4,3,3] u> {
            c = Conv<pads=[1,1,1,1], group=4>(x, w) d = Conv<group=2>(x, v) e = Conv<pads=[1,1,1,1]>(x, u)
            y = Sum(c, d, e) }""",
        id="three groupings",
    ),
]


@pytest.mark.parametrize("text", OTHER_RANKS)
def test_other_ranks_and_sizes(text: str) -> None:
    """Any number of spatial axes, and of channels."""
    assert rewritten(text).ops == "Conv"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "double"])
def test_types(dtype: str) -> None:
    """Weights are summed in float64 and rounded to their own type."""
    found = rewritten(
        f"""g ({dtype}[N,4,H,W] x) => ({dtype}[N,4,a,b] y)
            <{dtype}[4,4,3,3] w, {dtype}[4] k, {dtype}[4,4,1,1] v, NORM4:{dtype}> {{
            c = Conv<pads=[1,1,1,1]>(x, w, k) d = Conv(x, v) e = BN(x) f = Add(c, d) y = Add(f, e) }}""",
        opset=22,
    )
    assert found.ops == "Conv"
    assert found.weight("w").dtype.name == dtype.replace("double", "float64")


def test_the_surviving_conv_keeps_its_names() -> None:
    """The largest kernel stays, under its node and weight name; the sum gives its output's name."""
    found = rewritten(
        HEAD
        + """<float[4,4,1,1] small, float[4,4,3,3] large> {
            [one] c = Conv(x, small) [nine] d = Conv<pads=[1,1,1,1]>(x, large) [sum] y = Add(c, d) }"""
    )
    (node,) = found.proto.graph.node
    assert (node.name, list(node.input), list(node.output)) == ("nine", ["x", "large"], ["y"])
    (event,) = found.report.applied
    assert (event.rule, event.node, event.op_type) == ("merge-parallel", "sum", "Add")
    assert event.reason == "Conv 'one' merged into Conv 'nine', parallel to it"
    assert (event.removed, event.added, set(event.nodes)) == (2, 0, {"one", "sum"})


def test_a_weight_named_in_keep_stays() -> None:
    """The merged weight is a new one; the old one is left for whoever asked for it."""
    found = rewritten(
        HEAD
        + "<float[4,4,1,1] w, float[4,4,1,1] v> { c = Conv(x, w) d = Conv(x, v) e = Add(c, d) r = Relu(x) f = Conv(r, w) y = Add(e, f) }",
        keep=["w"],
    )
    assert found.weight("w").tobytes() == found.original.graph.initializer[0].raw_data


def test_weights_are_rounded_once() -> None:
    """The merged weight is the float64 sum of the folded, unrounded branches."""
    found = rewritten(
        HEAD
        + """<float[4,4,1,1] w, float[4,4,1,1] v, float[4,1,1] k> {
            c = Conv(x, w) d = Mul(c, k) e = Conv(x, v) f = Mul(e, k) y = Add(d, f) }"""
    )
    assert found.ops == "Conv"
    given = {t.name: t for t in found.original.graph.initializer}
    w, v, k = (
        np.frombuffer(given[name].raw_data, np.float32).astype(np.float64)
        for name in ("w", "v", "k")
    )
    exact = w.reshape(4, 4) * k[:, None] + v.reshape(4, 4) * k[:, None]
    assert np.array_equal(found.weight("w").reshape(4, 4), exact.astype(np.float32))


def test_only_the_pass_asked_for_runs() -> None:
    """A pass may be run alone, and left out."""
    text = HEAD + "<float[4,4,1,1] w> { c = Conv(x, w) d = Conv(x, w) y = Add(c, d) }"
    assert rewritten(text, passes=["merge-parallel"]).ops == "Conv"
    assert not rewritten(text, passes=["fold-affine"]).report.modified


def test_one_branch_makes_room_for_another() -> None:
    """The second fits only once the third has widened the window: all that pay are found."""
    found = rewritten(
        """g (float[N,1,W] x) => (float[N,1,a] y) <float[1,1,3] w, float[1,1,1] v, float[1,1,2] u> {
            c = Conv<pads=[0,4]>(x, w) d = Conv<pads=[2,0]>(x, v) e = Conv<pads=[1,2]>(x, u) y = Sum(c, d, e) }"""
    )
    assert found.ops == "Conv"
    assert found.weight("w").shape == (1, 1, 5)


def test_what_was_refused_first_and_merged_then_is_not_refused() -> None:
    """The BatchNormalization of the input folds into nothing above it, but goes with the branches."""
    found = rewritten(
        HEAD + "<float[4,4,1,1] w, NORM4> { r = Relu(x) c = Conv(r, w) d = BN(r) y = Add(c, d) }"
    )
    assert found.ops == "Relu Conv"
    assert not found.refused
