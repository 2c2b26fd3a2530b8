"""Affines with constants: which are BatchNorm, or a scaler, and which are none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.recognize.recognising import recognised

IMAGE = "g (float[N,4,H,W] x) => (float[N,4,H,W] y) "
CONV = "g (float[N,3,H,W] x) => (float[N,4,H,W] y) "
WEIGHT = "float[4,3,1,1] w"
ROWS = "g (float[N,4] x) => (float[N,4] y) "
TOKENS = "g (float[N,T,4] x) => (float[N,T,4] y) "
PAIR = "float[4,1,1] s = {2, -1, 0.5, 3}, float[4,1,1] b = {1, 2, 3, 4}"
ALONG = "float[4] s = {2, 1, 0.5, 3}, float[4] b = {1, 2, 3, 4}"

BATCH_NORMS = [
    pytest.param(IMAGE + f"<{PAIR}> {{ m = Mul(x, s) y = Add(m, b) }}", 17, id="Mul Add"),
    pytest.param(IMAGE + f"<{PAIR}> {{ m = Mul(s, x) y = Add(b, m) }}", 17, id="the other way"),
    pytest.param(IMAGE + f"<{PAIR}> {{ c = Sub(x, b) y = Div(c, s) }}", 17, id="Sub Div"),
    pytest.param(
        IMAGE + "<float[4,1,1] b, float s = {58}> { c = Sub(x, b) y = Div(c, s) }",
        17,
        id="one factor",
    ),
    pytest.param(IMAGE + f"<{PAIR}> {{ c = Sub(b, x) y = Mul(c, s) }}", 17, id="b - x"),
    pytest.param(
        IMAGE + f"<{PAIR}, float[1,4,1,1] g, float[4,1,1] q> "
        "{ c = Sub(x, b) d = Div(c, s) e = Mul(d, g) y = Add(e, q) }",
        17,
        id="Sub Div Mul Add",
    ),
    pytest.param(
        IMAGE + f"<{PAIR}, float[1] e = {{0.00001}}, float[4,1,1] var> "
        "{ c = Sub(x, b) v = Add(var, e) r = Sqrt(v) i = Reciprocal(r) d = Mul(c, i) "
        "f = Mul(d, s) y = Add(f, b) }",
        17,
        id="computed from the variance",
    ),
    pytest.param(
        IMAGE + f"<{PAIR}> {{ m = Mul(x, s) i = Identity(m) y = Sum(b, i) }}", 17, id="Sum"
    ),
    pytest.param(
        "g (float16[N,4,H,W] x) => (float16[N,4,H,W] y) <" + PAIR + "> "
        "{ w = Cast<to=1>(x) m = Mul(w, s) a = Add(m, b) y = Cast<to=10>(a) }",
        17,
        id="float16 through float32",
    ),
    pytest.param(
        CONV + f"<{WEIGHT}, {PAIR}> {{ c = Conv(x, w) m = Mul(c, s) y = Add(m, b) }}",
        17,
        id="after a Conv",
    ),
    pytest.param(
        CONV + f"<{WEIGHT}, {PAIR}> {{ c = Conv(x, w) m = Sub(c, b) y = Div(m, s) }}",
        17,
        id="the mean of a Conv is no bias",
    ),
    pytest.param(
        "g (float[N,H,W,4] x) => (float[N,H,W,4] y) <" + PAIR + "> "
        "{ t = Transpose<perm=[0,3,1,2]>(x) m = Mul(t, s) a = Add(m, b) "
        "y = Transpose<perm=[0,2,3,1]>(a) }",
        17,
        id="between Transposes",
    ),
    pytest.param(
        "g (float[N,H,W,4] x) => (float[N,H,W,4] y) <float[4,1,1] s = {2, 1, 3, 4}, float[4,1,1] b> "
        "{ t = Transpose<perm=[0,3,1,2]>(x) m = Mul(t, s) a = Add(m, b) "
        "y = Transpose<perm=[0,2,3,1]>(a) }",
        17,
        id="between Transposes, though a scaler would do",
    ),
    pytest.param(ROWS + f"<{ALONG}> {{ m = Mul(x, s) y = Add(m, b) }}", 17, id="rows"),
    pytest.param(
        IMAGE + f"<{PAIR}, float[4,1,1,1] w> "
        "{ c = Sub(x, b) y = Conv<group=4, kernel_shape=[1,1]>(c, w) }",
        17,
        id="a depthwise Conv",
    ),
    pytest.param(IMAGE + "<NORM4> { y = BN(x) }", 15, id="BatchNormalization"),
    pytest.param(
        IMAGE + "<NORM4> { y = BatchNormalization<spatial=1>(x, scale, bias, mean, var) }",
        7,
        id="opset 7",
    ),
    pytest.param(
        "g (float16[N,4,H,W] x) => (float16[N,4,H,W] y) <NORM4> "
        "{ w = Cast<to=1>(x) b = BN(w) y = Cast<to=10>(b) }",
        15,
        id="BatchNormalization between Casts",
    ),
    pytest.param(
        "g (float[N,4,H,W] x, float[4] scale) => (float[N,4,H,W] y) "
        "<float[4] bias, float[4] mean, float[4] var> { y = BN(x) }",
        15,
        id="BatchNormalization with a scale at run time",
    ),
]


@pytest.mark.parametrize(("text", "opset"), BATCH_NORMS)
def test_batch_norm(text: str, opset: int) -> None:
    """A scale and a shift for each channel on axis 1 is one BatchNorm."""
    found = recognised(text, opset=opset)
    assert found.names == "BatchNorm"
    assert found.only.fixed
    assert not found.reasons


SCALERS = [
    pytest.param(
        ROWS + f"<{ALONG}> {{ c = Sub(x, b) y = Div(c, s) }}", "StandardScaler", id="rows"
    ),
    pytest.param(
        TOKENS + f"<{ALONG}> {{ c = Sub(x, b) y = Div(c, s) }}", "StandardScaler", id="tokens"
    ),
    pytest.param(
        "g (float[N,H,W,4] x) => (float[N,H,W,4] y) <"
        + ALONG
        + "> { m = Mul(x, s) y = Add(m, b) }",
        "StandardScaler",
        id="channels last",
    ),
    pytest.param(
        TOKENS + "<float[4] s = {2, 1, 0.5, 3}> { y = Div(x, s) }", "MaxAbsScaler", id="Div"
    ),
    pytest.param(
        '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> ' + ROWS + "{ y = "
        "ai.onnx.ml.Scaler<offset=[1.0, 2.0, 3.0, 4.0], scale=[0.5, 2.0, 1.0, 0.25]>(x) }",
        "StandardScaler",
        id="Scaler",
    ),
    pytest.param(
        '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> ' + ROWS + "{ y = "
        "ai.onnx.ml.Scaler<offset=[1.0, 2.0, 3.0, 4.0], scale=[0.5, 0.0, -1.0, 0.25]>(x) }",
        "BatchNorm",
        id="Scaler with a factor of 0",
    ),
]


@pytest.mark.parametrize(("text", "name"), SCALERS)
def test_scalers(text: str, name: str) -> None:
    """Features on the last axis."""
    found = recognised(text)
    assert found.names == name
    assert not found.reasons


NONE = [
    pytest.param(IMAGE + "<float[4,1,1] s> { y = Mul(x, s) }", id="a lone Mul"),
    pytest.param(IMAGE + "<float[4,1,1] s> { y = Add(x, s) }", id="a lone Add"),
    pytest.param(IMAGE + "<float[4,1,1] s> { y = Div(x, s) }", id="a lone Div by channel"),
    pytest.param(
        IMAGE + "<float[4,1,1] s, float[4,1,1] t> { m = Mul(x, s) y = Mul(m, t) }", id="two Muls"
    ),
    pytest.param(
        IMAGE + "<float[4,1,1] s, float[4,1,1] t> { m = Add(x, s) y = Sub(m, t) }", id="two shifts"
    ),
    pytest.param(
        IMAGE + "<float s = {2}, float b = {3}> { m = Mul(x, s) y = Add(m, b) }", id="one number"
    ),
    pytest.param(
        IMAGE + "<float[4,1,1] s = {2,2,2,2}, float[1] b = {3}> { m = Mul(x, s) y = Add(m, b) }",
        id="the same number everywhere",
    ),
    pytest.param(
        CONV + f"<{WEIGHT}, {PAIR}> {{ c = Conv(x, w) a = Add(c, b) y = Mul(a, s) }}",
        id="a bias of a Conv, then a layer scale",
    ),
    pytest.param(
        TOKENS + f"<float[4,4] w, {ALONG}> {{ c = MatMul(x, w) a = Add(c, b) y = Mul(a, s) }}",
        id="a bias of a MatMul, then a layer scale",
    ),
    pytest.param(
        IMAGE + "<float s = {2}, float[4,1,1] b> { m = Mul(x, s) y = Add(m, b) }",
        id="an attention's scale and a bias of each head",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) <float s = {2}, float[3,4] b> "
        "{ m = Mul(x, s) y = Add(m, b) }",
        id="an embedding of positions",
    ),
    pytest.param(
        "g (float[N,4,H,W] x, float[4,1,1] s) => (float[N,4,H,W] y) <float[4,1,1] b> "
        "{ m = Mul(x, s) y = Add(m, b) }",
        id="a scale at run time",
    ),
    pytest.param(
        "g (float[N,4,6,6] x) => (float[N,4,3,3] y) <float[4,1,1,1] w, float[4,1,1] b> "
        "{ c = Sub(x, b) y = Conv<group=4, strides=[2,2]>(c, w) }",
        id="a depthwise Conv with a stride",
    ),
    pytest.param(
        "g (float[N,4,6,6] x) => (float[N,4,8,8] y) <float[4,1,1,1] w, float[4,1,1] b> "
        "{ c = Sub(x, b) y = Conv<group=4, pads=[1,1,1,1]>(c, w) }",
        id="a depthwise Conv with padding",
    ),
    pytest.param(
        IMAGE + "<float[4,1,1,1] w, float[4] b> { y = Conv<group=4>(x, w, b) }",
        id="a lone depthwise Conv",
    ),
]


@pytest.mark.parametrize("text", NONE)
def test_neither_a_norm_nor_nearly_one(text: str) -> None:
    """A scale alone, a shift alone, or the same for all channels."""
    found = recognised(text)
    assert (found.names, found.reasons) == ("", ())


REFUSED = [
    pytest.param(
        "g (float[N,3,H,4] x) => (float[N,4,H,4] y) " + f"<{WEIGHT}, {ALONG}> "
        "{ c = Conv(x, w) m = Mul(c, s) y = Add(m, b) }",
        "its scale and bias run along the last axis, which isn't the channels' after Conv",
        id="along the width after a Conv",
    ),
    pytest.param(
        "g (float[N,3,4,W] x) => (float[N,3,4,W] y) <float[4,1] s, float[4,1] b> "
        "{ m = Mul(x, s) y = Add(m, b) }",
        "run along axis 2 of 4: neither channels nor the last axis",
        id="along the height",
    ),
    pytest.param(
        TOKENS + "<float[4] s = {2, 0, 1, 3}, float[4] b> { m = Mul(x, s) y = Add(m, b) }",
        "a factor is 0 at place 1",
        id="a factor of 0 along the last axis",
    ),
    pytest.param(
        TOKENS + "<float[4] s = {2, 1, -1, 3}, float[4] b> { m = Mul(x, s) y = Add(m, b) }",
        "a factor is -1 at place 2",
        id="a negative factor along the last axis",
    ),
    pytest.param(
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] m) "
        f"<{PAIR}> {{ m = Mul(x, s) y = Add(m, b) }}",
        "the result of Mul 'm' is an output of the graph",
        id="what is scaled is an output",
    ),
    pytest.param(
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) "
        f"<{PAIR}> {{ m = Mul(x, s) y = Add(m, b) z = Exp(m) }}",
        "the result of Mul 'm' is used by Exp 'z', too",
        id="what is scaled is used elsewhere",
    ),
    pytest.param(
        '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> '
        "g (float[N,4,4] x) => (float[N,4,4] y) { y = "
        "ai.onnx.ml.Scaler<offset=[1.0, 2.0, 3.0, 4.0], scale=[0.5, 2.0, 1.0, 0.25]>(x) }",
        "Scaler is defined for X of shape [N, C] or [C]",
        id="Scaler of rank 3",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_refused(text: str, words: str) -> None:
    """What looks like one and is none, with the reason."""
    found = recognised(text)
    assert found.names == ""
    assert any(words in reason for reason in found.reasons), found.reasons


def test_statistics_of_the_batch_are_no_batch_norm() -> None:
    """training_mode=1 makes it another normalization."""
    node = "y, m, v = BatchNormalization<training_mode=1>(x, scale, bias, mean, var)"
    text = IMAGE.replace("[N,4,H,W] y)", "[N,4,H,W] y, float[4] m, float[4] v)")
    assert "BatchNorm" not in recognised(text + f"<NORM4> {{ {node} }}", opset=15).names.split()


def test_overridable_numbers_are_no_constants() -> None:
    """A weight that the caller may override is known at run time only."""
    text = IMAGE.replace("x)", "x, float[4,1,1] s)").replace(
        "y) ", "y) <float[4,1,1] s = {1, 2, 3, 4}, float[4,1,1] b> "
    )
    found = recognised(text + "{ m = Mul(x, s) y = Add(m, b) }")
    assert (found.names, found.reasons) == ("", ())


def test_what_is_subtracted_first_is_kept() -> None:
    """x - mean is exact near the mean, and the mean is the model's own constant."""
    text = ROWS + "<float[4] m, float[4] s> { c = Sub(x, m) y = Div(c, s) }"
    found = recognised(text, m=[1e4, -3e4, 0.1, 7], s=[1e-2, 3, 0.7, 11])
    arguments = {each.name: each for each in found.only.arguments}
    assert [arguments[name].value.name for name in ("mean", "scale")] == ["m", "s"]  # type: ignore[union-attr]


def test_of_a_chain_with_a_native_operator_each_is_one() -> None:
    """BatchNormalization keeps its parameters; a Mul and an Add behind it are another."""
    text = IMAGE + f"<NORM4, {PAIR}> {{ n = BN(x) m = Mul(n, s) y = Add(m, b) }}"
    assert recognised(text).names == "BatchNorm BatchNorm"


def test_a_norm_with_a_statistic_takes_its_own_affine() -> None:
    """The scale and bias of a LayerNorm are no scaler."""
    text = TOKENS + f"<{ALONG}, float e = {{0.00001}}, float two = {{2}}> "
    text += (
        "{ a = ReduceMean<axes=[-1]>(x) c = Sub(x, a) q = Pow(c, two) v = ReduceMean<axes=[-1]>(q) "
        "w = Add(v, e) r = Sqrt(w) n = Div(c, r) m = Mul(n, s) y = Add(m, b) }"
    )
    assert recognised(text).names == "LayerNorm"


def test_factors_of_zero_are_a_batch_norm() -> None:
    """A channel that is switched off is its bias."""
    text = (
        IMAGE + "<float[4,1,1] s = {2, 0, -1, 3}, float[4,1,1] b> { m = Mul(x, s) y = Add(m, b) }"
    )
    found = recognised(text)
    np.testing.assert_array_equal(found.parameter("scale"), [2, 0, -1, 3])
