"""Pieces of well-known networks, as exporters write them, from which every affine goes."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

PIECES = [
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[1,4,1,1] k, float[1,4,1,1] h> {
            c = Conv(x, w) m = Mul(c, k) a = Add(m, h) y = Relu(a) }""",
        "Conv Relu",
        id="FrozenBatchNorm of a detector",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,H,W,4] y)
            <float[4,3,1,1] w, float[4] b, float[4] mean, float[4] scale, float[4] shift> {
            c = Conv(x, w) t = Transpose<perm = [0,2,3,1]>(c) p = Cast<to = 1>(t) a = Add(p, b) q = Cast<to = 1>(a)
            d = Sub(q, mean) m = Mul(d, scale) s = Add(m, shift) y = Relu(s) }""",
        "Conv Transpose Cast Cast Relu",
        id="NHWC normalization taken apart, from TensorFlow",
    ),
    pytest.param(
        """g (float[N,4] x) => (float[N,2] y) <float[4,4] v, float[4] b, float[4,2] w, float[2] c, NORM4> {
            l = Gemm(x, v, b) r = Relu(l) n = BN(r) y = Gemm(n, w, c) }""",
        "Gemm Relu Gemm",
        id="BatchNorm1d behind the activation of an MLP",
    ),
    pytest.param(
        """g (float[N,4,5,4] x) => (float[N,7] y) <float[4,7] w, float[7] b, NORM4> {
            r = Relu(x) n = BN(r) p = GlobalAveragePool(n) f = Flatten(p) y = Gemm(f, w, b) }""",
        "Relu GlobalAveragePool Flatten Gemm",
        id="the head of a classifier",
    ),
    pytest.param(
        """g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, int64[2] s = {-1, 4}, int64[3] t = {-1, 3, 4}, NORM4> {
            c = MatMul(x, w) r = Reshape(c, s) n = BN(r) q = Reshape(n, t) y = HardSigmoid(q) }""",
        "MatMul Reshape Add Reshape HardSigmoid",
        id="LeViT: BatchNorm1d over tokens",
    ),
    pytest.param(
        """g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, float[4] b, NORM4> {
            c = MatMul(x, w) d = Add(b, c) t = Transpose<perm = [0,2,1]>(d) n = BN(t) u = Transpose<perm = [0,2,1]>(n)
            y = Relu(u) }""",
        "MatMul Add Relu",
        id="PointNet: BatchNorm1d between transposes",
    ),
    pytest.param(
        """g (float[N,2,H,W] x, float[N,3,10,8] z) => (float[N,c,d,e] y)
            <float[2,2,2,2] u, float[2,3,1,1] v, float[2] k, NORM4> {
            t = ConvTranspose<strides = [2,2]>(x, u, k) r = Conv(z, v) j = Concat<axis = 1>(r, t) n = BN(j) y = Relu(n) }""",
        "ConvTranspose Conv Concat Relu",
        id="U-Net: BatchNorm behind the concatenation",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,3,3] v, float[4,3,1,1] w, NORM4> {
            c = Conv<pads = [1,1,1,1]>(x, v) d = Conv(x, w) s = Add(c, d) n = BN(s) y = Relu(n) }""",
        "Conv Relu",
        id="a residual of two Convs",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,5,a,b] y) <float s = {255}, float[3,1,1] mean, float[3,1,1] var, float[5,3,3,3] w> {
            d = Div(x, s) m = Sub(d, mean) n = Div(m, var) y = Conv<strides = [2,2]>(n, w) }""",
        "Conv",
        id="preprocessing of an image",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[4,4,1,1] v, float[2,4,1,1] w, int64[8] pads = {0,0,1,1,0,0,1,1}, NORM4> {
            c = Conv(x, v) p = Pad<mode = "reflect">(c, pads) n = BN(p) y = Conv(n, w) }""",
        "Conv Pad Conv",
        id="reflection padding of a style network",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ops"), PIECES)
def test_no_affine_is_left(text: str, ops: str) -> None:
    """Folded in as few plans as there are chains, and the same function."""
    found = rewritten(text)
    assert found.ops == ops
    assert not found.refused
