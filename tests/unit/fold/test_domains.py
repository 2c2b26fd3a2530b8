"""An operator of another domain is another operator, whatever it is called."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,4,5,4] x) => (float[N,a,b,c] y) "
FOREIGN = [
    # what is declared, and nodes that would fold or merge if L were the default domain
    ("float[4,4,1,1] w, NORM4", "c = L.Conv(x, w) y = BN(c)"),
    ("float[4,4,1,1] w, NORM4", "n = BN(x) y = L.Conv(n, w)"),
    ("float[4,4,1,1] w, NORM4", "c = Conv(x, w) y = L.BN(c)"),
    ("float[4,4,1,1] w, float var1", "c = Conv(x, w) y = L.Mul(c, var1)"),
    ("float[4,4,1,1] w, float var1", "n = L.Mul(x, var1) y = Conv(n, w)"),
    ("float[4,4,1,1] w, float var1", "c = Conv(x, w) d = L.Relu(c) y = Mul(d, var1)"),
    ("float[4,4,1,1] w, float var1", "n = Mul(x, var1) d = L.Relu(n) y = Conv(d, w)"),
    ("float[4,4,1,1] w, float var1", "c = Conv(x, w) d = L.Identity(c) y = Mul(d, var1)"),
    ("float[4,4,1,1] w, float var1", "c = Conv(x, w) d = L.Dropout(c) y = Mul(d, var1)"),
    (
        "float[2,4,5,4] n, float[4] s, float[4] b, float[4,4] w, float[4] h",
        "n = L.LayerNormalization(x, s, b) m = MatMul(n, w) y = Add(m, h)",
    ),
    (
        "int8[4,4,1,1] q, float s, NORM4",
        "w = L.DequantizeLinear(q, s) c = Conv(x, w) y = BN(c)",
    ),
    ("", "r = Relu(x) a = L.Transpose<perm = [0,1,3,2]>(r) y = Transpose<perm = [0,1,3,2]>(a)"),
    ("", "r = Relu(x) a = Transpose<perm = [0,1,3,2]>(r) y = L.Transpose<perm = [0,1,3,2]>(a)"),
    (
        "int64[4] s = {2, 4, 4, 5}, int64[4] t = {2, 4, 5, 4}",
        "a = L.Reshape(x, s) y = Reshape(a, t)",
    ),
    ("float[4,4,1,1] w, float[4,4,1,1] v", "c = Conv(x, w) d = Conv(x, v) y = L.Add(c, d)"),
    ("float[4,4,1,1] w, float[4,4,1,1] v", "c = L.Conv(x, w) d = Conv(x, v) y = Add(c, d)"),
    ("float[4,4] w, float[4,4] v", "c = L.MatMul(x, w) d = MatMul(x, v) y = Add(c, d)"),
    ("float[4,4,1,1] w, float[4,4,1,1] v", "c = L.Conv(x, w) y = Conv(c, v)"),
    ("float[4,4,1,1] w, float[4,4,1,1] v", "c = Conv(x, w) y = L.Conv(c, v)"),
    ("float[4,4] w, float[4,4] v", "c = L.MatMul(x, w) y = MatMul(c, v)"),
    ("float[4,4] w, float[4,4] v", "c = MatMul(x, w) y = L.MatMul(c, v)"),
]


def _model(declared: str, body: str) -> str:
    return HEAD + (f"<{declared}> " if declared else "") + f"{{ {body} }}"


@pytest.mark.parametrize(("declared", "body"), FOREIGN, ids=[body for _, body in FOREIGN])
def test_operators_of_another_domain_are_left_alone(declared: str, body: str) -> None:
    """The same model in the default domain changes."""
    foreign = body.replace(
        "L.BN(c)", "local.BatchNormalization(c, scale, bias, mean, var)"
    ).replace("L.", "local.")
    assert not rewritten(_model(declared, foreign), compare=False).report.modified
    assert rewritten(_model(declared, body.replace("L.", "")), compare=False).report.modified
