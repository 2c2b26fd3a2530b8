"""What Conv and ConvTranspose absorb, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rewriting import rewritten

# text, opset, operators afterwards
ABSORBED = [
    pytest.param(
        "g (float[N,3,W] x) => (float[N,4,W] y) <float[4,3,1] w, NORM4> { c = Conv(x, w) y = BN(c) }",
        "Conv",
        id="1d",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,a,b] y) <float[4,3,3,2] w, float[4] k, NORM4> {
            c = Conv<pads=[1,0,1,1], strides=[2,1], dilations=[1,2]>(x, w, k) y = BN(c) }""",
        "Conv",
        id="2d with bias, pads, strides, dilations",
    ),
    pytest.param(
        """g (float[N,2,D,H,W] x) => (float[N,4,D,H,W] y) <float[4,2,1,1,1] w, NORM4> {
            c = Conv(x, w) y = BN(c) }""",
        "Conv",
        id="3d",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,6,a,b] y) <float[6,2,3,3] w, NORM6> {
            c = Conv<group=2>(x, w) y = BN(c) }""",
        "Conv",
        id="grouped",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,8,a,b] y) <float[8,1,3,3] w, float[8] k, NORM8> {
            c = Conv<group=4>(x, w, k) y = BN(c) }""",
        "Conv",
        id="depthwise with multiplier 2",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,3,3] w, NORM4> {
            c = Conv<auto_pad="SAME_LOWER">(x, w) y = BN(c) }""",
        "Conv",
        id="auto_pad",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,a,b] y) <float[4,3,2,2] w, NORM4> {
            c = Conv(x, w, "") y = BN(c) }""",
        "Conv",
        id="bias is the empty string",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,a,b] y) <float[4,3,2,2] w, NORM4> {
            zero = Constant<value = float {0}>()
            like = CastLike(zero, x)
            shape = Shape<start = 0, end = 1>(w)
            k = Expand(like, shape)
            c = Conv(x, w, k)
            y = BN(c) }""",
        "Conv",
        id="bias computed by Expand of CastLike",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,a,b] y) <float[4,3,2,2] w, float[4] mean, float[4] var> {
            c = Conv(x, w)
            one = Constant<value = float {1}>()
            like = CastLike(one, c)
            four = Constant<value = int64[1] {4}>()
            scale = Expand(like, four)
            bias = Sub(scale, scale)
            y = BN(c) }""",
        "Conv",
        id="CastLike and Shape read no numbers of the output",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[3,4,1,1] w, NORM4> {
            c = ConvTranspose(x, w) y = BN(c) }""",
        "ConvTranspose",
        id="transposed",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,6,a,b] y) <float[4,3,3,2] w, float[6] k, NORM6> {
            c = ConvTranspose<group=2, strides=[2,1], output_padding=[1,0], pads=[1,0,1,0]>(x, w, k)
            y = BN(c) }""",
        "ConvTranspose",
        id="transposed, grouped",
    ),
    pytest.param(
        """g (float[N,4,W] x) => (float[N,4,a] y) <float[4,1,3] w, NORM4> {
            c = ConvTranspose<group=4>(x, w) y = BN(c) }""",
        "ConvTranspose",
        id="transposed, depthwise, 1d",
    ),
    pytest.param(
        """g (float[N,2,D,H,W] x) => (float[N,6,a,b,c] y) <float[2,3,2,2,2] w, NORM6> {
            c = ConvTranspose<group=2>(x, w) y = BN(c) }""",
        "ConvTranspose",
        id="transposed, grouped, 3d",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[4,1,1] k> {
            c = Conv(x, w) y = Mul(c, k) }""",
        "Conv",
        id="Mul without a bias needs none",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[1,4,1,1] k> {
            c = Conv(x, w) y = Add(k, c) }""",
        "Conv",
        id="Add leaves the weight alone",
    ),
]


@pytest.mark.parametrize(("text", "ops"), ABSORBED)
def test_convolutions_absorb(text: str, ops: str) -> None:
    """The affine goes into weight and bias; nothing of it is left."""
    found = rewritten(text, opset=18)
    constants = ("Constant", "CastLike", "Shape", "Expand", "Sub")
    assert " ".join(op for op in found.ops.split() if op not in constants) == ops


@pytest.mark.parametrize(
    ("outputs", "inputs"), [(4, 0), (0, 3)], ids=["no input channels", "no output channels"]
)
def test_empty_weights_fold(outputs: int, inputs: int) -> None:
    """A weight without elements is folded like any other."""
    found = rewritten(
        f"""g (float[N,{inputs},H,W] x) => (float[N,{outputs},H,W] y)
            <float[{outputs},{inputs},1,1] w, NORM{outputs}> {{ c = Conv(x, w) y = BN(c) }}""",
        compare=False,
    )
    assert found.ops == "Conv"
    assert found.weight("w").shape == (outputs, inputs, 1, 1)


REFUSED = [
    pytest.param(
        "g (float[N,3,H,W] x, float[4,3,1,1] w) => (float[N,4,H,W] y) <NORM4> { c = Conv(x, w) [bn] y = BN(c) }",
        "Conv: its weight 'w' is an input of the graph, not a constant",
        id="weight is an input",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, float[4,3,1,1] w) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) [bn] y = BN(c) }""",
        "Conv: its weight 'w' is a graph input, whose default the caller may override; drop it",
        id="weight is an overridable input",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, float[4] k) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[4] k, NORM4> {
            c = Conv(x, w, k) [bn] y = BN(c) }""",
        "Conv: its bias 'k' is a graph input, whose default",
        id="bias is an overridable input",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, float[4,3,1,1] v) => (float[N,4,H,W] y) <NORM4> {
            w = Tanh(v) c = Conv(x, w) [bn] y = BN(c) }""",
        "Conv: its weight 'w' is computed at run time, not a constant",
        id="weight is computed",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, float[4] v) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> {
            k = Tanh(v) c = Conv(x, w, k) [bn] y = BN(c) }""",
        "Conv: its bias 'k' is computed at run time",
        id="bias is computed",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,4,4] y) <float[4,3,2,1] w, float[4] k> {
            c = Conv(x, w) [bn] y = Mul(c, k) }""",
        "Conv: it has 4 output channels on axis 1, but the affine has shape [4] over axes (3,)",
        id="(C) on NCHW is W, even where W equals C",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,4,4,4] y) <float[4,4,2,1] w, float[4,1] k> {
            c = ConvTranspose<pads=[1,0,1,0]>(x, w) [bn] y = Add(c, k) }""",
        "ConvTranspose: it has 4 output channels on axis 1, but the affine has shape [4] over axes (2,)",
        id="(C,1) on NCHW is H, even where H equals C",
    ),
    pytest.param(
        """g (float[4,4,H,W] x) => (float[4,4,H,W] y) <float[4,4,1,1] w, float[4,1,1,1] k> {
            c = Conv(x, w) [bn] y = Mul(c, k) }""",
        "over axes (0,)",
        id="(N,1,1,1) is the batch, even where N equals C",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[1,3,1,1] w, float[4,1,1] k> {
            c = Conv(x, w) [bn] y = Mul(c, k) }""",
        "its constant of shape [4, 1, 1] enlarges its input along axis 1",
        id="one channel enlarged to four",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[1,N,4,H,W] y) <float[4,3,1,1] w, float[1,1,1,1,1] k> {
            c = Conv(x, w) [bn] y = Mul(c, k) }""",
        "its constant of shape [1, 1, 1, 1, 1] has more dimensions than its input",
        id="one more dimension",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[4,1,1] k> {
            c = Conv(x, w) [bn] y = Div(k, c) }""",
        None,
        id="a constant divided by the output is no affine",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_convolutions_refuse(text: str, words: str | None) -> None:
    """Nothing is changed, and the reason is said."""
    found = rewritten(text)
    assert not found.report.modified
    assert ("bn" in found.refused) == (words is not None)
    assert words is None or words in found.refused["bn"]


def test_only_a_bias_is_added_where_nothing_is_scaled() -> None:
    """An Add after a Conv changes the bias and leaves the weight's bytes alone."""
    found = rewritten(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float k> { c = Conv(x, w) y = Add(c, k) }"
    )
    was = found.original.graph.initializer[0]
    assert found.proto.graph.initializer[0].SerializeToString() == was.SerializeToString()
    assert found.weight("w_bias").shape == (4,)


def test_grouped_transposed_weight_is_scaled_group_by_group() -> None:
    """Output channel m of a grouped ConvTranspose is column m % (M/group) of group m // (M/group)."""
    found = rewritten("""
        g (float[N,4,H,W] x) => (float[N,4,H,W] y)
        <float[4,2,1,1] w = {1,1,1,1,1,1,1,1}, float[4,1,1] k = {2,3,5,7}> {
            c = ConvTranspose<group = 2>(x, w) y = Mul(c, k)
        }""")
    expected = [[2, 3], [2, 3], [5, 7], [5, 7]]
    assert np.array_equal(found.weight("w").reshape(4, 2), expected)


DOWN = [
    pytest.param(
        "g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[3,4,3,2] w, NORM4> { n = BN(x) y = Conv(n, w) }",
        "Conv",
        id="no padding",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[6,2,3,2] w, float[6] k, NORM4> {
            n = BN(x) y = Conv<group = 2, strides = [2,1], pads = [0,0,0,0]>(n, w, k) }""",
        "Conv",
        id="grouped, with bias and strides",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[8,1,3,3] w, NORM4> {
            n = BN(x) y = Conv<group = 4, auto_pad = "VALID">(n, w) }""",
        "Conv",
        id="depthwise, auto_pad VALID",
    ),
    pytest.param(
        """g (float[N,4,W] x) => (float[N,a,b] y) <float[3,4,1] w, NORM4> {
            n = BN(x) y = Conv<auto_pad = "SAME_UPPER", strides = [2]>(n, w) }""",
        "Conv",
        id="auto_pad SAME of a kernel of one element pads nothing",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[3,4,3,3] w, float[4,1,1] k> {
            n = Mul(x, k) y = Conv<pads = [1,1,1,1]>(n, w) }""",
        "Conv",
        id="padding, and a scale alone",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[4,3,2,3] w, float[6] b, float[4,1,1] k> {
            n = Div(x, k) y = ConvTranspose<group = 2, strides = [2,2], pads = [1,1,0,0]>(n, w, b) }""",
        "ConvTranspose",
        id="transposed: a scale",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[4,3,1,1] w, float[6] b, NORM4> {
            n = BN(x) y = ConvTranspose<group = 2>(n, w, b) }""",
        "ConvTranspose",
        id="transposed: pointwise",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,a,b,c] y) <float[3,1,1] m, float[3,1,1] d, float[5,3,2,2] w, float[5] b> {
            s = Sub(x, m) n = Div(s, d) y = Conv(n, w, b) }""",
        "Conv",
        id="preprocessing",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,a,b,c] y) <float[3,1,1] m, float[3,1,1] d, float[5,3,2,2] w> {
            s = Sub(x, m) n = Div(s, d) y = Conv<pads = [1,1,1,1]>(n, w) }""",
        "Sub Conv",
        id="preprocessing before padding: the scale alone",
    ),
]


@pytest.mark.parametrize(("text", "ops"), DOWN)
def test_convolutions_absorb_from_above(text: str, ops: str) -> None:
    """An affine of the input goes into weight and bias."""
    assert rewritten(text, opset=18).ops == ops


def test_a_contribution_to_the_bias_is_rounded_once() -> None:
    """The new bias is the rounded exact b + sum W t."""
    found = rewritten(
        """g (float[N,2,H,W] x) => (float[N,a,b,c] y) <float[2,1,1] k, float[3,2,2,2] w, float[3] b> {
            n = Add(x, k) y = Conv(n, w, b) }"""
    )
    was = {t.name: np.frombuffer(t.raw_data, np.float32) for t in found.original.graph.initializer}
    w, k = was["w"].reshape(3, 2, 4).astype(np.float64), was["k"].astype(np.float64)
    exact = was["b"].astype(np.float64) + (w * k[:, None]).sum(axis=(1, 2))
    assert np.allclose(found.weight("b"), exact.astype(np.float32), rtol=2**-23, atol=0)
    assert found.weight("w").tobytes() == was["w"].tobytes()


DOWN_REFUSED = [
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[3,4,3,3] w, NORM4> {
            [bn] n = BN(x) y = Conv<pads = [0,1,0,1]>(n, w) }""",
        "Conv: its zero padding would not be shifted, so only a scale could go in",
        id="padding and a shift",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[3,4,3,3] w, NORM4> {
            [bn] n = BN(x) y = Conv<auto_pad = "SAME_LOWER">(n, w) }""",
        "Conv: its zero padding would not be shifted",
        id="auto_pad SAME and a shift",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[4,3,2,2] w, NORM4> {
            [bn] n = BN(x) y = ConvTranspose(n, w) }""",
        "ConvTranspose: a shift of its input would reach the output differently from place to place",
        id="transposed: a kernel and a shift",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[4,3,1,1] w, NORM4> {
            [bn] n = BN(x) y = ConvTranspose<strides = [2,2]>(n, w) }""",
        "ConvTranspose: a shift of its input would reach the output differently",
        id="transposed: strides leave gaps",
    ),
    pytest.param(
        """g (float[N,4,H,W] x, float[3,4,1,1] w) => (float[N,a,b,c] y) <NORM4> {
            [bn] n = BN(x) y = Conv(n, w) }""",
        "Conv: its weight 'w' is an input of the graph",
        id="weight is an input",
    ),
    pytest.param(
        """g (float[N,4,H,W] x, float[3] b) => (float[N,a,b,c] y) <float[3,4,1,1] w, NORM4> {
            [bn] n = BN(x) y = Conv(n, w, b) }""",
        "Conv: its bias 'b' is an input of the graph",
        id="bias is an input",
    ),
    pytest.param(
        """g (float[N,4,4,4] x) => (float[N,a,b,c] y) <float[3,4,1,1] w, float[4,1] k> {
            [bn] n = Mul(x, k) y = Conv(n, w) }""",
        "Conv: it has 4 input channels on axis 1, but the affine has shape [4] over axes (2,)",
        id="along H, as long as C",
    ),
    pytest.param(
        """g (float[N,T,H,W] x) => (float[N,a,b,c] y) <float[3,4,1,1] w, float[4,1,1] k> {
            [bn] n = Mul(x, k) y = Conv(n, w) }""",
        "may enlarge its input along axis 1, whose length is unknown",
        id="channels that may have been enlarged",
    ),
    pytest.param(
        """g (float[N,4,1,1] x, float[N,4,H,W] z) => (float[N,a,b,c] y) <NORM4> {
            [bn] n = BN(x) y = Conv(z, n) }""",
        "Conv: it reads it as its weight or bias",
        id="it is the weight",
    ),
]


@pytest.mark.parametrize(("text", "words"), DOWN_REFUSED)
def test_convolutions_refuse_from_above(text: str, words: str) -> None:
    """Nothing is changed, and the reason is said."""
    found = rewritten(text, compare=False)
    assert not found.report.modified
    assert words in found.refused["bn"]
