"""Curves: DynamicTanh, scalers with a clip and power transforms, in whatever spelling; and others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import normonnx
from tests.rewriting import check_same_function, feeds_of, parsed
from tests.unit.recognize.recognising import recognised

TOKENS = "g (float[N,T,4] x) => (float[N,T,4] y) "
ROWS = "g (float[N,4] x) => (float[N,4] y) "
ML = '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> '
AFFINE = "float[4] g, float[4] b"
POWERS = [0.5, -1.5, 0.0, 2.0]
NUMBERS = "float half = {0.5}, float zero = {0}, float one = {1}, float two = {2}"
LAMBDAS = "float[4] l = {0.5, -1.5, 0.25, 3}"
REST = "float[4] k = {1.5, 3.5, 1.75, -1}"

TANHS = [
    pytest.param(
        "{ a = Mul(x, alpha) t = Tanh(a) m = Mul(t, g) y = Add(m, b) }", 0.75, id="Mul Tanh Mul Add"
    ),
    pytest.param(
        "{ a = Mul(alpha, x) t = Tanh(a) m = Mul(g, t) y = Add(b, m) }", 0.75, id="turned"
    ),
    pytest.param(
        "{ a = Div(x, alpha) t = Tanh(a) m = Mul(t, g) y = Sub(m, b) }", 4 / 3, id="Div Sub"
    ),
    pytest.param("{ a = Mul(x, alpha) t = Tanh(a) y = Mul(t, g) }", 0.75, id="no bias"),
    pytest.param("{ a = Mul(x, alpha) t = Tanh(a) y = Add(t, b) }", 0.75, id="no scale"),
    pytest.param(
        "{ a = Mul(x, alpha) n = Neg(a) t = Tanh(n) m = Mul(t, g) y = Add(m, b) }", -0.75, id="Neg"
    ),
]


@pytest.mark.parametrize(("nodes", "alpha"), TANHS)
def test_dynamic_tanh(nodes: str, alpha: float) -> None:
    """Scale tanh(alpha x) + bias with features on the last axis."""
    text = TOKENS + f"<float[1] alpha = {{0.75}}, {AFFINE}> " + nodes
    found = recognised(text)
    assert found.names == "DynamicTanh"
    assert found.parameter("alpha") == pytest.approx(alpha, rel=1e-6)
    assert found.only.fixed
    assert not found.reasons


NO_TANHS = [
    pytest.param(
        "<float c = {0.044715}, float r = {0.7978845}, float h = {0.5}, float one = {1}, "
        "float three = {3}> { p = Pow(x, three) q = Mul(p, c) s = Add(x, q) a = Mul(s, r) "
        "t = Tanh(a) u = Add(t, one) v = Mul(x, u) y = Mul(v, h) }",
        id="GELU",
    ),
    pytest.param(
        "<float c = {0.02}, float r = {50}> { a = Mul(x, c) t = Tanh(a) y = Mul(t, r) }",
        id="a soft cap",
    ),
    pytest.param(
        "<float h = {0.5}> { a = Mul(x, h) t = Tanh(a) m = Mul(t, h) y = Add(m, h) }",
        id="a sigmoid",
    ),
    pytest.param("<float alpha = {0.75}> { a = Mul(x, alpha) y = Tanh(a) }", id="nothing after it"),
]


@pytest.mark.parametrize("nodes", NO_TANHS)
def test_other_tanhs(nodes: str) -> None:
    """An activation is neither a normalization nor nearly one."""
    found = recognised(TOKENS + nodes)
    assert (found.names, found.reasons) == ("", ())


def test_a_tanh_of_slope_one_is_an_activation() -> None:
    """Also where its input was passed on."""
    text = TOKENS + f"<{AFFINE}> {{ i = Identity(x) t = Tanh(i) m = Mul(t, g) y = Add(m, b) }}"
    assert "DynamicTanh" not in recognised(text).names


def test_a_plain_tanh_is_an_activation() -> None:
    """What comes after it is a scaler of its own; here it can't be one."""
    text = (
        TOKENS
        + "<float[4] g = {-1, 1, 1, 1}, float[4] b> { t = Tanh(x) m = Mul(t, g) y = Add(m, b) }"
    )
    found = recognised(text)
    assert found.names == ""
    assert "a factor is -1 at place 0" in found.reasons[0]


def test_dynamic_tanh_by_channel() -> None:
    """With channels on axis 1 it has no function, and says so."""
    text = "g (float[N,4,H,W] x) => (float[N,4,H,W] y) <float alpha = {0.5}, float[4,1,1] g, float[4,1,1] b> "
    found = recognised(text + "{ a = Mul(x, alpha) t = Tanh(a) m = Mul(t, g) y = Add(m, b) }")
    assert "DynamicTanh" not in found.names
    assert found.names == "BatchNorm"  # of what Tanh gives


def test_dynamic_tanh_whose_tanh_is_used_elsewhere() -> None:
    """Nothing within may be read from outside."""
    text = "g (float[N,T,4] x) => (float[N,T,4] y, float[N,T,4] t) <float alpha = {0.5}, float[4] g, float[4] b> "
    found = recognised(text + "{ a = Mul(x, alpha) t = Tanh(a) m = Mul(t, g) y = Add(m, b) }")
    assert "DynamicTanh" not in found.names


CLIPS = [
    pytest.param("{ c = Sub(x, low) m = Mul(c, f) y = Clip(m, zero, one) }", id="Clip"),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) t = Max(m, zero) y = Min(t, one) }", id="Max Min"
    ),
    pytest.param("{ c = Sub(x, low) m = Mul(c, f) t = Min(one, m) y = Relu(t) }", id="Relu"),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) p = Less(m, zero) q = Where(p, zero, m) "
        "r = Greater(q, one) y = Where(r, one, q) }",
        id="Where",
    ),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) p = GreaterOrEqual(m, zero) q = Where(p, m, zero) "
        "r = LessOrEqual(m, one) y = Where(r, q, one) }",
        id="Where, the other way",
    ),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) p = Clip(m, zero) i = Identity(p) y = Min(i, one) }",
        id="one after the other",
    ),
]


@pytest.mark.parametrize("nodes", CLIPS)
def test_min_max_scaler_with_a_clip(nodes: str) -> None:
    """However the range is kept."""
    text = ROWS + f"<float[4] low, float[4] f, {NUMBERS}> " + nodes
    found = recognised(text, low=[-1, 0.5, 2, -3], f=[2, 0.25, 1, 0.5])
    assert found.names == "MinMaxScaler"
    np.testing.assert_allclose(found.parameter("scale"), [2, 0.25, 1, 0.5], 1e-6)
    np.testing.assert_allclose(found.parameter("shift"), [2, -0.125, -2, 1.5], 1e-6)
    assert found.parameter("minimum") == [0.0]
    assert found.parameter("maximum") == [1.0]
    assert not found.reasons


def test_min_max_scaler_as_scikit_learn_keeps_it() -> None:
    """x scale_ + min_, with a range of its own."""
    text = ROWS + f"<float[4] s, float[4] b, {NUMBERS}, float least = {{-1}}> "
    nodes = "{ m = Mul(x, s) a = Add(m, b) y = Clip(a, least, two) }"
    found = recognised(text + nodes, s=[3, 1, 0.5, 2], b=[0, -1, 4, 0.25])
    assert found.names == "MinMaxScaler"
    assert found.parameter("minimum") == [-1]
    assert found.parameter("maximum") == [2]


NO_CLIPS = [
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) y = Clip(m, zero) }", "StandardScaler", id="no upper bound"
    ),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, two) y = Clip(m, zero, one) }",
        "StandardScaler",
        id="one factor",
    ),
    pytest.param("{ c = Sub(x, low) y = Clip(c, zero, one) }", "", id="no factor"),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) y = Clip(m, one, one) }",
        "StandardScaler",
        id="an empty range",
    ),
    pytest.param(
        "{ c = Sub(x, low) n = Mul(c, minus) y = Clip(n, zero, one) }",
        "BatchNorm",
        id="a negative factor",
    ),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) y = Clip(m, zero, most) }",
        "StandardScaler",
        id="a bound by feature",
    ),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) p = Less(m, half) q = Where(p, zero, m) "
        "y = Clip(q, zero, one) }",
        "StandardScaler",
        id="a gap within the range",
    ),
    pytest.param(
        "{ c = Sub(x, low) m = Mul(c, f) p = Less(m, zero) q = Where(p, m, zero) "
        "r = Greater(q, one) y = Where(r, one, q) }",
        "StandardScaler",
        id="the wrong side",
    ),
]


@pytest.mark.parametrize(("nodes", "names"), NO_CLIPS)
def test_no_min_max_scaler(nodes: str, names: str) -> None:
    """What is kept within no such range; the affine before it may be a norm of its own."""
    text = ROWS + f"<float[4] low, float[4] f, float[4] minus, float[4] most, {NUMBERS}> "
    numbers: dict[str, Any] = {
        "low": [-1, 0.5, 2, -3],
        "f": [2, 0.25, 1, 0.5],
        "minus": [-1, -2, -3, -4],
    }
    found = recognised(text + nodes, **numbers, most=[1, 2, 3, 4])
    assert found.names == names


def test_an_activation_with_an_upper_bound_is_no_scaler() -> None:
    """BatchNorm taken apart and Relu6, after a linear operator."""
    text = ROWS + f"<float[4,4] w, float[4] s = {{1, 2, 3, 4}}, float[4] b, {NUMBERS}> "
    found = recognised(
        text + "{ h = MatMul(x, w) m = Mul(h, s) a = Add(m, b) y = Clip(a, zero, two) }"
    )
    assert found.names == "BatchNorm"
    nodes = "{ h = MatMul(x, w) i = Add(h, c) m = Mul(i, s) a = Add(m, b) y = Clip(a, zero, two) }"
    assert (
        recognised(text.replace("float[4] b", "float[4] b, float[4] c") + nodes).names
        == "BatchNorm"
    )


SIGNED = (
    "{ c = Less(x, zero) s = Add(x, one) r = Max(s, one) p = Pow(r, l) q = Sub(p, one) u = Div(q, l) "
    "t = Sub(one, x) v = Max(t, one) w = Pow(v, k) i = Sub(one, w) j = Div(i, k) "
)
YEO_JOHNSONS = [
    pytest.param(SIGNED + "y = Where(c, j, u) }", id="Where of two powers"),
    pytest.param(SIGNED + "n = Not(c) y = Where(n, u, j) }", id="Not"),
    pytest.param(SIGNED + "y = Add(u, j) }", id="a sum, each 0 where the other counts"),
    pytest.param(
        SIGNED + "f = Cast<to=1>(c) h = Sub(one, f) a = Mul(f, j) d = Mul(h, u) y = Add(a, d) }",
        id="masks",
    ),
    pytest.param(
        "{ a = Abs(x) s = Sign(x) c = Less(x, zero) e = Where(c, k, l) r = Add(a, one) p = Pow(r, e) "
        "q = Sub(p, one) u = Div(q, e) y = Mul(s, u) }",
        id="with the sign of x",
    ),
    pytest.param(
        "{ a = Abs(x) s = Sign(x) c = Less(x, zero) e = Where(c, k, l) r = Add(a, one) o = Log(r) "
        "z = Mul(e, o) p = Exp(z) q = Sub(p, one) u = Div(q, e) y = Mul(s, u) }",
        id="Exp and Log",
    ),
]


@pytest.mark.parametrize("nodes", YEO_JOHNSONS)
@pytest.mark.parametrize("standardized", [False, True])
def test_yeo_johnson(nodes: str, standardized: bool) -> None:  # noqa: FBT001
    """However it was spelled, and what is subtracted and divided by afterwards."""
    tail = ""
    if standardized:
        nodes = nodes.replace(" y = ", " out = ").replace(" }", " ")
        tail = "z0 = Sub(out, mean) y = Div(z0, scale) }"
    text = ROWS + f"<{NUMBERS}, {LAMBDAS}, {REST}, float[4] mean, float[4] scale> " + nodes + tail
    found = recognised(text, mean=[1, -2, 3, 40], scale=[0.5, 1, 2, 3])
    assert found.names == "YeoJohnson"
    np.testing.assert_array_equal(found.parameter("lambdas"), [0.5, -1.5, 0.25, 3])
    assert found.only.call.attributes["stash_type"] == 1
    assert not found.reasons
    if standardized:
        np.testing.assert_array_equal(found.parameter("mean"), [1, -2, 3, 40])
        np.testing.assert_allclose(found.parameter("scale"), [0.5, 1, 2, 3], 1e-6)


IMPUTED = "ai.onnx.ml.Imputer<imputed_value_floats=[0.0], replaced_value_float={}>"
SKLEARN = (
    "{ one = Div(x, x) zero = Sub(x, x) less = Less(x, zero) lm = Cast<to=1>(less) "
    "more = Not(less) gm = Cast<to=1>(more) s = Add(x, one) t = Sub(one, x) "
    "p = Pow(s, l) q = Sub(p, one) u = Div(q, l) u1 = Mul(u, lnz) o = Log(s) o1 = Mul(o, lz) "
    "g0 = Add(u1, o1) g1 = IMPUTE(g0) g2 = Mul(g1, gm) "
    "w = Pow(t, k) i = Sub(one, w) j = Div(i, k) j1 = Mul(j, knz) o2 = Log(t) o3 = Neg(o2) "
    "o4 = Mul(o3, kz) n0 = Add(j1, o4) n1 = IMPUTE(n0) n2 = Mul(n1, lm) tmp = Add(g2, n2) "
    "y = ai.onnx.ml.Scaler<offset=[1.0, -2.0, 3.0, 0.5], scale=[2.0, 1.0, 0.5, 3.0]>(tmp) }"
)


def test_power_transformer_as_skl2onnx_writes_it() -> None:
    """Ones and zeros made of x, masks in place of Where, NaN replaced, and a Scaler."""
    weights = "float[4] l, float[4] lz, float[4] lnz, float[4] k, float[4] kz, float[4] knz"
    nodes = SKLEARN.replace("IMPUTE", IMPUTED.format("nan"))
    found = recognised(
        ML + ROWS + f"<{weights}> " + nodes,
        l=[0.5, -1.5, 0.25, 3], lz=[0] * 4, lnz=[1] * 4,
        k=[1.5, 3.5, 1.75, -1], kz=[0] * 4, knz=[1] * 4,
    )  # fmt: skip
    assert found.names == "YeoJohnson"
    np.testing.assert_array_equal(found.parameter("mean"), [1, -2, 3, 0.5])
    np.testing.assert_array_equal(found.parameter("scale"), [0.5, 1, 2, np.float32(1 / 3)])


BOX_COXES = [
    pytest.param("{ p = Pow(x, l) q = Sub(p, one) y = Div(q, l) }", id="Pow Sub Div"),
    pytest.param("{ p = Pow(x, l) q = Div(p, l) y = Sub(q, inv) }", id="divided first"),
    pytest.param(
        "{ z = Equal(l, zero) o = Log(x) p = Pow(x, l) q = Sub(p, one) u = Div(q, l) y = Where(z, o, u) }",
        id="Where the exponent is 0",
    ),
]


@pytest.mark.parametrize("nodes", BOX_COXES)
def test_box_cox(nodes: str) -> None:
    """Powers of positive numbers."""
    text = ROWS + f"<{NUMBERS}, {LAMBDAS}, float[4] inv> " + nodes
    found = recognised(text, inv=1 / np.array([0.5, -1.5, 0.25, 3]))
    assert found.names == "BoxCox"
    np.testing.assert_array_equal(found.parameter("lambdas"), [0.5, -1.5, 0.25, 3])


def test_box_cox_of_shifted_numbers() -> None:
    """(1 + x)^lambda is the half of Yeo-Johnson for x >= 0, and Box-Cox of 1 + x."""
    nodes = "{ s = Add(x, one) p = Pow(s, l) q = Sub(p, one) y = Div(q, l) }"
    found = recognised(ROWS + f"<{NUMBERS}, {LAMBDAS}> " + nodes)
    assert found.names == "BoxCox"
    assert found.only.root.name == "s"


NO_POWERS = [
    pytest.param("{ p = Pow(x, l) q = Sub(p, two) y = Div(q, l) }", id="another number subtracted"),
    pytest.param("{ p = Pow(x, l) q = Sub(p, one) y = Div(q, k) }", id="another divisor"),
    pytest.param("{ s = Abs(x) y = Pow(s, l) }", id="a lone power"),
    pytest.param(
        SIGNED.replace("Pow(v, k)", "Pow(v, l)") + "y = Where(c, j, u) }",
        id="the same exponent on both sides",
    ),
    pytest.param(
        SIGNED.replace("Less(x, zero)", "Less(x, one)") + "y = Where(c, j, u) }",
        id="another place of the seam",
    ),
    pytest.param(SIGNED + "y = Where(c, u, j) }", id="sides swapped"),
    pytest.param(
        SIGNED.replace("Max(s, one)", "Clip(s, one, most)") + "y = Where(c, j, u) }",
        id="limited within",
    ),
]


@pytest.mark.parametrize("nodes", NO_POWERS)
def test_other_powers(nodes: str) -> None:
    """Powers by feature that are no such transform are nearly one, with that reason."""
    text = ROWS + f"<{NUMBERS}, {LAMBDAS}, {REST}, float most = {{1000000}}> "
    found = recognised(text + nodes)
    assert found.names in ("", "BoxCox")  # of one side
    assert found.reasons
    assert all("neither Box-Cox nor Yeo-Johnson" in reason for reason in found.reasons)


def test_exponents_along_another_axis() -> None:
    """Features are on the last axis; with as many steps as features only the place tells."""
    text = "g (float[N,4,4] x) => (float[N,4,4] y) <float one = {1}, float[4,1] l = {0.5, -1.5, 0.25, 3}> "
    nodes = "{ a = Abs(x) p = Pow(a, l) q = Sub(p, one) y = Div(q, l) }"
    found = recognised(text + nodes)
    assert found.names == ""
    assert "neither Box-Cox nor Yeo-Johnson" in found.reasons[0]


def test_a_limit_before_a_power_is_no_part_of_it() -> None:
    """What is limited is the root; limited within, it would be another function."""
    nodes = "{ h = Clip(x, low, high) p = Pow(h, l) q = Sub(p, one) y = Div(q, l) }"
    text = ROWS + f"<{NUMBERS}, {LAMBDAS}, float low = {{0.001}}, float high = {{1e20}}> "
    found = recognised(text + nodes)
    assert found.names == "BoxCox"
    assert found.only.root.name == "h"


CALLS = [
    pytest.param(
        TANHS[0].values[0], f"float[1] alpha = {{0.75}}, {AFFINE}", "DynamicTanh", id="tanh"
    ),
    pytest.param(
        CLIPS[0].values[0],
        f"float[4] low, float[4] f = {{1, 2, 3, 4}}, {NUMBERS}",
        "MinMaxScaler",
        id="clip",
    ),
    pytest.param(
        YEO_JOHNSONS[0].values[0], f"{NUMBERS}, {LAMBDAS}, {REST}", "YeoJohnson", id="power"
    ),
]


@pytest.mark.parametrize(("nodes", "weights", "name"), CALLS)
def test_it_becomes_one_call(nodes: str, weights: str, name: str) -> None:
    """The same function, of the same input, and a second run changes nothing."""
    proto = parsed(ROWS + f"<{weights}> " + nodes)
    result = normonnx.optimize(proto, style="function")
    assert [node.op_type for node in result.model.graph] == [name]
    check_same_function(proto, ir.to_proto(result.model), next(iter(feeds_of(proto))))
    assert not normonnx.optimize(result.model, style="function").report.modified


def test_usual_powers_are_none() -> None:
    """A square, a root or a gamma correction is no transform of features."""
    for exponent in (2, 0.5, 2.2):
        nodes = f"<float e = {{{exponent}}}> {{ a = Abs(x) y = Pow(a, e) }}"
        found = recognised(TOKENS + nodes)
        assert (found.names, found.reasons) == ("", ())
