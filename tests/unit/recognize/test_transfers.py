"""Elementwise operators within a chain: which spellings of it are the normalization, and which are none."""

from __future__ import annotations

import pytest

from tests.unit.recognize.chains import FREE, IMAGE, LAYER, LENGTH, RMS, chain, described

ML = '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> '
LAYER_NORM = "LayerNorm axis=-1 epsilon=0.1"
AFFINE = "LayerNorm bias scale axis=-1 epsilon=0.1"
SCALED = "LayerNorm scale axis=-1 epsilon=0.1"
BIASED = "LayerNorm bias axis=-1 epsilon=0.1"
RMS_NORM = "RMSNorm axis=-1 epsilon=0.1"
LENGTHS = "LpNorm axis=-1 p=2 epsilon=1e-05"
AT_RUN_TIME = "g (float[N,4,6] x, float[6] p) => (float[N,4,6] y)"
ALL_AT_RUN_TIME = "g (float[N,4,6] x, float[N,4,6] p) => (float[N,4,6] y)"
ONE_AT_RUN_TIME = "g (float[N,4,6] x, float p) => (float[N,4,6] y)"
SUMS = {"v": "z = ReduceSum<keepdims = 1>(q, last); Div(z, c)"}
FRN = {
    "q": "Mul(x, x)",
    "v": "ReduceMean<axes = [2, 3]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "n": "Div(x, r)",
    "a": "Mul(n, s4)",
    "f": "Add(a, b4)",
    "y": "Max(f, t)",
}
THRESHOLD = "float[4,1,1] t = {0.1, -0.2, 0, 0.3}"
WHOLE = "FilterResponseNorm bias scale threshold epsilon=0.1"


FOUND = [
    pytest.param(
        chain(LAYER, y="i = Div(s, r); Mul(i, d)"),
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="scale over the deviation",
    ),
    pytest.param(
        chain(RMS, FREE, w="Add(v, u)", more="float u = {1e-35}"),
        "RMSNorm axis=-1 epsilon=1e-35",
        id="a negligible epsilon and an unknown length",
    ),
    pytest.param(
        chain(
            LAYER, y="n = Div(d, r); n2 = Div(x, r); n3 = Div(m, r); n4 = Add(n, n2); Sub(n4, n3)"
        ),
        SCALED,
        id="a sum of parts over one deviation",
    ),
    pytest.param(
        chain(LAYER, r="r0 = Sqrt(w); Mul(r0, two)"), SCALED, id="over twice the deviation"
    ),
    pytest.param(
        chain(LAYER, r="r0 = Sqrt(w); Mul(r0, two)", y="i = Reciprocal(r); Mul(d, i)"),
        SCALED,
        id="times one over twice the deviation",
    ),
    pytest.param(
        chain(LAYER, r="r0 = Sqrt(w); Div(r0, two)"), SCALED, id="over half the deviation"
    ),
    pytest.param(
        chain(
            LENGTH,
            l="a = Abs(x); p = Pow(a, three); t = ReduceSum(p, last); Pow(t, third)",
            more="float three = {3}, float third = {0.33333333}",
        ),
        "LpNorm axis=-1 p=3 epsilon=1e-05",
        id="a norm of order 3",
    ),
    pytest.param(
        chain(LAYER, q="a1 = Abs(d); Mul(a1, a1)"), LAYER_NORM, id="the size times itself"
    ),
    pytest.param(chain(LAYER, q="a1 = Abs(d); Pow(a1, two)"), LAYER_NORM, id="the size squared"),
    pytest.param(
        chain(LAYER, q="a1 = Abs(d); a2 = Mul(a1, two); p1 = Mul(a2, a1); Mul(p1, half)"),
        LAYER_NORM,
        id="half of twice the size times itself",
    ),
    pytest.param(chain(RMS, q="p1 = Mul(x, x); Abs(p1)"), RMS_NORM, id="Abs of a square"),
    pytest.param(
        chain(LAYER, y="z1 = Mul(x, zero); z2 = Add(z1, two); n = Div(d, r); Add(n, z2)"),
        BIASED,
        id="plus a constant in the shape of X",
    ),
    pytest.param(
        chain(LAYER, y="z1 = Mul(x, zero); z2 = Add(z1, two); n = Div(d, r); Add(z2, n)"),
        BIASED,
        id="a constant in the shape of X plus it",
    ),
    pytest.param(
        chain(LAYER, y="z1 = Mul(x, zero); z2 = Add(z1, two); n = Div(d, r); Sub(z2, n)"),
        AFFINE,
        id="a constant in the shape of X minus it",
    ),
    pytest.param(
        chain(LAYER, y="z1 = Mul(x, zero); z2 = Add(z1, two); n = Div(d, r); Mul(z2, n)"),
        SCALED,
        id="times a constant in the shape of X",
    ),
    pytest.param(
        chain(LAYER, w="h1 = Mul(v, half); h2 = Add(h1, h1); Add(h2, e)"),
        LAYER_NORM,
        id="half the variance twice",
    ),
    pytest.param(
        chain(LAYER, w="h1 = Mul(v, two); h2 = Sub(h1, v); Add(h2, e)"),
        LAYER_NORM,
        id="twice the variance less the variance",
    ),
    pytest.param(
        chain(LAYER, w="h1 = Add(v, e); h2 = Add(h1, h1); Mul(h2, half)"),
        LAYER_NORM,
        id="half of twice all",
    ),
    pytest.param(
        chain(
            LAYER,
            w="h1 = Add(v, one); h2 = Mul(v, half); h3 = Mul(h1, half); h4 = Add(h2, h3); Sub(h4, u)",
            more="float u = {0.4}",
        ),
        LAYER_NORM,
        id="epsilons of parts",
    ),
    pytest.param(chain(LAYER, d="c = Sub(x, m); Pow(c, one)"), LAYER_NORM, id="to the power of 1"),
    pytest.param(
        chain(LAYER, r="r0 = Sqrt(w); Pow(r0, one)"),
        LAYER_NORM,
        id="the deviation to the power of 1",
    ),
    *(
        pytest.param(
            ML
            + chain(
                LAYER,
                "g (float[N,6] x) => (float[N,6] y)",
                y=f"n = Div(d, r); ai.onnx.ml.Scaler<{numbers}>(n)",
            ),
            expected,
            id=f"Scaler, {numbers}",
        )
        for numbers, expected in (
            ("offset = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", BIASED),
            ("scale = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", SCALED),
            ("scale = [0.5], offset = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", AFFINE),
        )
    ),
    pytest.param(
        chain(
            RMS,
            w="Add(v, u)",
            y="n = Div(x, r); Mul(n, unit)",
            more="float u = {1e-35}, float unit = {0.40824829}",
        ),
        "LpNorm axis=-1 p=2 epsilon=0",
        id="an RMSNorm scaled to length 1",
    ),
    pytest.param(chain(LAYER), LAYER_NORM, id="plain"),
    # Add, Sub, Sum
    pytest.param(chain(LAYER, w="Add(e, v)"), LAYER_NORM, id="epsilon first"),
    pytest.param(
        chain(LAYER, w="Sub(v, u)", more="float u = {-0.1}"), LAYER_NORM, id="minus a negative"
    ),
    pytest.param(chain(LAYER, w="Sum(e, v)"), LAYER_NORM, id="epsilon in a Sum"),
    pytest.param(
        chain(LAYER, w="Sum(f, v, f)", more="float f = {0.05}"), LAYER_NORM, id="two in a Sum"
    ),
    pytest.param(chain(LAYER, y="n = Div(d, r); a = Mul(n, s); Add(a, b)"), AFFINE, id="affine"),
    pytest.param(
        chain(LAYER, y="n = Div(d, r); a = Mul(s, n); Add(b, a)"), AFFINE, id="affine, other way"
    ),
    pytest.param(chain(LAYER, y="n = Div(d, r); Sub(n, b)"), BIASED, id="minus a bias"),
    pytest.param(chain(LAYER, y="n = Div(d, r); Sub(b, n)"), AFFINE, id="bias minus it"),
    pytest.param(chain(LAYER, y="n = Div(d, r); Neg(n)"), SCALED, id="Neg"),
    pytest.param(chain(LAYER, d="Sub(m, x)"), SCALED, id="mean minus X"),
    pytest.param(chain(LAYER, d="h = Neg(m); Sum(h, x)"), LAYER_NORM, id="the mean in a Sum"),
    pytest.param(chain(LAYER, y="n = Div(d, r); Sum(b, n, b)"), BIASED, id="bias twice in a Sum"),
    # Mul, Div, Reciprocal
    pytest.param(chain(LAYER, y="i = Reciprocal(r); Mul(d, i)"), LAYER_NORM, id="Reciprocal"),
    pytest.param(chain(LAYER, y="i = Div(one, r); Mul(i, d)"), LAYER_NORM, id="one over"),
    pytest.param(chain(LAYER, y="i = Div(two, r); Mul(i, d)"), SCALED, id="scale over"),
    pytest.param(
        chain(LAYER, y="i = Reciprocal(r); j = Mul(i, two); z = Mul(d, j); Add(z, b)"),
        AFFINE,
        id="scale times the inverse",
    ),
    pytest.param(chain(LAYER, y="n = Div(d, r); Div(n, s)"), SCALED, id="over a scale"),
    pytest.param(chain(LAYER, r="Pow(w, half)"), LAYER_NORM, id="Pow"),
    pytest.param(
        chain(LAYER, r="Pow(w, h)", y="Mul(d, r)", more="float[1] h = {-0.5}"),
        LAYER_NORM,
        id="Pow to -0.5",
    ),
    pytest.param(
        chain(LAYER, q="Pow(d, t)", more="float[6] t = {2, 2, 2, 2, 2, 2}"),
        LAYER_NORM,
        id="the same exponent everywhere",
    ),
    pytest.param(
        chain(
            LAYER,
            y="z = Mul(x, zero); a = Add(z, two); i = Reciprocal(a); n = Div(d, r); Mul(n, i)",
        ),
        SCALED,
        id="one over a constant in the shape of X",
    ),
    pytest.param(
        chain(LAYER, y="z = Mul(x, zero); a = Add(z, two); n = Div(d, r); Div(n, a)"),
        SCALED,
        id="over a constant in the shape of X",
    ),
    # at run time
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); Mul(n, p)"), SCALED, id="scale at run time"
    ),
    pytest.param(chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); Mul(p, n)"), SCALED, id="scale first"),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); Add(n, p)"), BIASED, id="bias at run time"
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, s); Add(p, a)"),
        AFFINE,
        id="a constant scale, bias at run time",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, p); Add(a, b)"),
        AFFINE,
        id="scale at run time, a constant bias",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, p); Add(a, p)"),
        AFFINE,
        id="both at run time",
    ),
    # Max, Clip, Relu
    pytest.param(chain(LENGTH), LENGTHS, id="Max"),
    pytest.param(chain(LENGTH, f="Max(tiny, l)"), LENGTHS, id="Max, bound first"),
    pytest.param(
        chain(LENGTH, f="Max(tiny, l, u)", more="float u = {0.001}"),
        "LpNorm axis=-1 p=2 epsilon=0.001",
        id="the larger of two bounds",
    ),
    pytest.param(chain(LENGTH, f="Clip(l, tiny)"), LENGTHS, id="Clip"),
    pytest.param(
        chain(LENGTH, f="Clip(l, tiny, u)", more="float u = {3e38}"), LENGTHS, id="no real limit"
    ),
    pytest.param(
        chain(LENGTH, f="a = Max(l, tiny); Max(a, u)", more="float u = {0.001}"),
        "LpNorm axis=-1 p=2 epsilon=0.001",
        id="bounded twice",
    ),
    pytest.param(
        chain(LENGTH, f="a = Max(l, u); Max(a, tiny)", more="float u = {0.001}"),
        "LpNorm axis=-1 p=2 epsilon=0.001",
        id="bounded twice, the larger first",
    ),
    pytest.param(
        chain(
            {
                "q": "ReduceSumSquare<axes = [-1]>(x)",
                "f": "Max(q, tiny)",
                "l": "Sqrt(f)",
                "y": "Div(x, l)",
            }
        ),
        "LpNorm axis=-1 p=2 epsilon=0.0031623",
        id="squares bounded",
    ),
    pytest.param(chain(LAYER, w="c = Relu(v); Add(c, e)"), LAYER_NORM, id="Relu of a variance"),
    pytest.param(chain(FRN, IMAGE, THRESHOLD), WHOLE, id="a threshold"),
    pytest.param(chain(FRN, IMAGE, THRESHOLD, y="Max(t, f)"), WHOLE, id="the threshold first"),
    pytest.param(chain(FRN, IMAGE, y="Max(f, half)"), WHOLE, id="one threshold"),
    pytest.param(
        chain(RMS, w="a = Abs(v); Add(a, e)"),
        RMS_NORM,
        id="Abs of what is positive",
    ),
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_found(text: str, expected: str) -> None:
    """The same normalization, however its arithmetic is spelled."""
    assert described(text) == expected


NO_CONSTANT = "its epsilon is no constant"
REFUSED = [
    pytest.param(
        chain(LAYER, w="v1 = Sub(v, one); v2 = Relu(v1); Add(v2, u)", more="float u = {1.1}"),
        "",
        id="a variance less one, bounded",
    ),
    pytest.param(
        chain(
            RMS,
            w="",
            r="r0 = Sqrt(v); r1 = Sub(r0, one); r2 = Relu(r1); Add(r2, u)",
            more="float u = {1.1}",
        ),
        "",
        id="a root less one, bounded",
    ),
    pytest.param(
        ML
        + chain(
            LAYER,
            "g (float[N,D] x) => (float[N,D] y)",
            y="n = Div(d, r); ai.onnx.ml.Scaler<offset = [1.0, 2.0, 3.0]>(n)",
        ),
        LAYER_NORM + "; StandardScaler mean scale",
        id="Scaler of unknown length",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, p); Add(n, a)"),
        LAYER_NORM,
        id="it and itself scaled at run time",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, p); Add(a, n)"),
        LAYER_NORM,
        id="itself scaled at run time, and it",
    ),
    pytest.param(
        chain(RMS, r="r0 = Sqrt(w); Max(r0, half)"),
        "the divisor has both an epsilon and a lower bound",
        id="an epsilon and a bound",
    ),
    pytest.param(
        chain(LENGTH, f="Clip(l)"),
        "a row of zeros would be divided by zero",
        id="Clip without bounds",
    ),
    pytest.param(
        chain(LENGTH, f="Clip(l, , u)", more="float u = {3e38}"),
        "a row of zeros would be divided by zero",
        id="Clip without a lower bound",
    ),
    pytest.param(
        chain(
            LAYER,
            y="n = Div(d, r); t = Add(x, n); t2 = Sub(t, x); LayerNormalization<epsilon = 0.1>(t2, s)",
        ),
        "LayerNorm axis=-1 epsilon=0.1; LayerNorm scale axis=-1 epsilon=0.1",
        id="X added and subtracted again",
    ),
    pytest.param(
        chain(
            LAYER,
            y="n = Div(d, r); t = Add(n, x); t2 = Sub(t, x); LayerNormalization<epsilon = 0.1>(t2, s)",
        ),
        "LayerNorm axis=-1 epsilon=0.1; LayerNorm scale axis=-1 epsilon=0.1",
        id="added to X, which is subtracted again",
    ),
    pytest.param(
        chain(LAYER, y="n = Div(d, r); r2 = Sqrt(v); n2 = Div(d, r2); Add(n, n2)"),
        "the result of ReduceMean 'v' is used by Add 'w', too",
        id="a sum of two",
    ),
    pytest.param(
        chain(LAYER, w="Add(v, e4)", more="float[4,1] e4 = {0.1, 0.2, 0.3, 0.4}"),
        "its epsilon is a vector",
        id="an epsilon for each row",
    ),
    pytest.param(
        chain(
            LAYER,
            v="u = ReduceMean<axes = [-1]>(q); Mul(u, e4)",
            more="float[4,1] e4 = {0.1, 0.2, 0.3, 0.4}",
        ),
        "BatchNorm bias mean scale var epsilon=0",
        id="a variance times a number for each row",
    ),
    pytest.param(
        chain(LAYER, r="r0 = Sqrt(w); Add(r0, e4)", more="float[4,1] e4 = {0.1, 0.2, 0.3, 0.4}"),
        "",
        id="a number for each row added to the deviation",
    ),
    pytest.param(
        chain(LAYER, r="r0 = Sqrt(w); Mul(r0, e4)", more="float[4,1] e4 = {0.1, 0.2, 0.3, 0.4}"),
        "",
        id="a deviation times a number for each row",
    ),
    pytest.param(
        chain(LAYER, q="q0 = Mul(d, d); Mul(q0, e4)", more="float[4,1] e4 = {0.1, 0.2, 0.3, 0.4}"),
        "",
        id="squares times a number for each row",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="a = Abs(x); z = Mul(a, e4); ReduceSum(z, last)",
            more="float[4,1] e4 = {0.1, 0.2, 0.3, 0.4}",
        ),
        "",
        id="sizes times a number for each row",
    ),
    pytest.param(chain(LAYER, y="Mul(d, r)"), "", id="times the deviation"),
    pytest.param(chain(LAYER, y="Mul(r, d)"), "", id="the deviation times it"),
    pytest.param(chain(LAYER, y="z = Mul(x, x); Mul(z, r)"), "", id="squares times the deviation"),
    pytest.param(chain(LAYER, y="z = Mul(x, x); Div(z, r)"), "", id="squares over the deviation"),
    pytest.param(chain(LAYER, y="z = Abs(x); Mul(z, r)"), "", id="sizes times the deviation"),
    pytest.param(
        chain(LAYER, v="u = ReduceMean<axes = [-1]>(q); Sub(u, q)"),
        "",
        id="the variance less squares",
    ),
    pytest.param(
        chain(LAYER, q="", v="xx = Mul(x, x); e2 = ReduceMean<axes = [-1]>(xx); Sub(e2, xx)"),
        "",
        id="mean squares less squares",
    ),
    pytest.param(
        chain(RMS, q="Pow(x, three)", more="float three = {3}"),
        "its statistic is a mean of powers of 3 in place of squares",
        id="a mean of cubes",
    ),
    pytest.param(
        chain(LAYER, q="Pow(d, three)", more="float three = {3}"),
        "its statistic is a mean of powers of 3 in place of squares",
        id="a mean of cubes of the centered",
    ),
    pytest.param(
        chain(RMS, y="n = Div(x, r); Mul(n, one4)", more="float[1,1,1,1] one4 = {2}"),
        "RMSNorm axis=-1 epsilon=0.1",
        id="a scale with more axes",
    ),
    pytest.param(
        chain(RMS, r="r0 = Sqrt(w); Mul(r0, one4)", more="float[1,1,1,1] one4 = {2}"),
        "its result has other axes than what is normalized",
        id="a divisor with more axes",
    ),
    pytest.param(
        chain(RMS, q="q0 = Mul(x, x); Mul(q0, one4)", more="float[1,1,1,1] one4 = {1}"),
        "its result has other axes than what is normalized",
        id="squares with more axes",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="a = Abs(x); a1 = Mul(a, one4); ReduceSum(a1, last)",
            more="float[1,1,1,1] one4 = {1}",
        ),
        "its result has other axes than what is normalized",
        id="sizes with more axes",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="l0 = ReduceL2<axes = [-1]>(x); Add(l0, one4)",
            more="float[1,1,1,1] one4 = {1}",
        ),
        "its result has other axes than what is normalized",
        id="a length with more axes",
    ),
    pytest.param(
        chain(
            LAYER, y="xs = Mul(x, s); m2 = ReduceMean<axes = [-1]>(xs); d2 = Sub(x, m2); Div(d2, r)"
        ),
        "",
        id="the mean of X times a vector",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, s); Mul(a, p)"),
        "LayerNorm scale axis=-1 epsilon=0.1",
        id="a constant scale and one at run time",
    ),
    pytest.param(
        chain(LAYER, q="a1 = Abs(d); dm = Mul(m, two); d2 = Sub(x, dm); a2 = Abs(d2); Mul(a1, a2)"),
        "",
        id="two sizes",
    ),
    pytest.param(
        chain(
            LAYER,
            q="a1 = Abs(d); m2 = ReduceMean<axes = [1]>(x); d2 = Sub(x, m2); a2 = Abs(d2); Mul(a1, a2)",
        ),
        "",
        id="sizes from two means",
    ),
    pytest.param(
        chain(LAYER, q="a1 = Abs(d); a2 = Pow(a1, half); Mul(a1, a2)"),
        "the mean of powers of 1.5 is raised to the power 0.5",
        id="sizes to the power of 1.5",
    ),
    pytest.param(
        chain(LAYER, q="a1 = Abs(d); a2 = Abs(x); Mul(a1, a2)"),
        "",
        id="the size of the centered times that of X",
    ),
    pytest.param(
        chain(LAYER, y="z1 = Mul(x, zero); z2 = Add(z1, two); c = Add(d, z2); Div(c, r)"),
        "a constant is added to what is normalized, but not to its statistic",
        id="a constant in the shape of X before the division",
    ),
    pytest.param(
        chain(LAYER, y="z1 = Mul(x, zero); z2 = Add(z1, two); c = Add(z2, d); Div(c, r)"),
        "a constant is added to what is normalized, but not to its statistic",
        id="a constant in the shape of X first",
    ),
    pytest.param(chain(RMS, q="z = Mul(x, s); Mul(z, z)"), "", id="the squares of something else"),
    pytest.param(
        chain(RMS, q="z = Mul(x, s); Mul(z, z)", y="Div(z, r)"), RMS_NORM, id="of X times a vector"
    ),
    pytest.param(chain(RMS, q="z = Mul(x, s); Mul(z, x)"), "", id="X times a vector times X"),
    pytest.param(chain(RMS, q="z = Add(x, one); Mul(z, z)"), "", id="the squares of X + 1"),
    pytest.param(
        chain(LAYER, q="dm = Mul(m, s); z = Sub(x, dm); Mul(z, z)"),
        "",
        id="the mean times a vector",
    ),
    pytest.param(
        chain(
            FRN,
            "g (float[N,4,3,5] x, float[4,1,1] p) => (float[N,4,3,5] y)",
            THRESHOLD,
            f="",
            y="z = Max(a, t); Add(z, p)",
        ),
        "FilterResponseNorm scale threshold epsilon=0.1",
        id="a bias at run time behind a threshold",
    ),
    pytest.param(chain(LAYER, r="Pow(w, zero)"), "", id="to the power of 0"),
    pytest.param(
        chain(LAYER, d="c = Sub(x, m); Pow(c, zero)"),
        "RMSNorm axis=-1 epsilon=0.1",
        id="the centered to the power of 0",
    ),
    pytest.param(
        chain(LENGTH, l="p = Pow(x, zero); ReduceSum(p, last)"), "", id="how many there are"
    ),
    pytest.param(
        chain(LAYER, ALL_AT_RUN_TIME, y="n = Div(d, r); Add(n, p)"),
        "LayerNorm axis=-1 epsilon=0.1",
        id="another value is added",
    ),
    pytest.param(
        chain(
            LAYER, "g (float[N,6] x, float[N,6] p) => (float[N,6] y)", y="n = Div(d, r); Add(n, p)"
        ),
        "LayerNorm axis=-1 epsilon=0.1",
        id="another value of rank 2 is added",
    ),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, w="Add(v, p)", r="Pow(w, third)", more="float third = {0.3}"),
        "its epsilon is no constant",
        id="two faults",
    ),
    pytest.param(
        chain(RMS, y="n = Div(x, r); Mul(n, unit)", more="float unit = {0.40824829}"),
        "RMSNorm scale axis=-1 epsilon=0.1",
        id="an RMSNorm scaled to length 1",
    ),
    pytest.param(
        chain(
            RMS,
            w="Add(v, u)",
            y="n = Div(x, r); Mul(n, unit)",
            more="float u = {1e-35}, float unit = {0.4}",
        ),
        "RMSNorm scale axis=-1 epsilon=1e-35",
        id="another scale than to length 1",
    ),
    pytest.param(
        chain(
            RMS,
            w="Add(v, u)",
            y="n = Div(x, r); a = Mul(n, unit); Add(a, b)",
            more="float u = {1e-35}, float unit = {0.40824829}",
        ),
        "LpNorm axis=-1 p=2 epsilon=0",
        id="a bias behind a length",
    ),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, y="n = Div(d, r); Mul(n, p)"),
        LAYER_NORM,
        id="one number at run time",
    ),
    pytest.param(
        chain(LAYER, w="Add(v, u)", more="float[1,1,1,1] u = {0.1}"),
        "its result has other axes than what is normalized",
        id="a larger epsilon",
    ),
    pytest.param(
        chain(
            LAYER,
            m="ReduceMean<axes = [-1], keepdims = 0>(x)",
            d="c = Unsqueeze(m, last); Sub(x, c)",
            v="ReduceMean<axes = [-1], keepdims = 0>(q)",
            w="z = Add(v, u); Unsqueeze(z, last)",
            more="float[1,1,1] u = {0.1}",
        ),
        "its result has other axes than what is normalized",
        id="epsilon with an axis more",
    ),
    pytest.param(chain(LAYER, w="Add(v, s)"), "", id="an epsilon for each feature"),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, w="Add(v, p)"), NO_CONSTANT, id="epsilon at run time"
    ),
    pytest.param(chain(LAYER, ONE_AT_RUN_TIME, w="Sub(v, p)"), "", id="less at run time"),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, w="Sum(v, e, p)"),
        NO_CONSTANT,
        id="a Sum with one at run time",
    ),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, y="n = Div(d, r); Sub(p, n)"), LAYER_NORM, id="p - n"
    ),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, y="i = Div(p, r); Mul(d, i)"), "", id="p over the deviation"
    ),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, y="i = Reciprocal(r); j = Mul(i, p); Mul(d, j)"),
        "",
        id="p times the inverse",
    ),
    pytest.param(
        chain(LAYER, ONE_AT_RUN_TIME, y="i = Reciprocal(r); j = Add(i, p); Mul(d, j)"),
        "",
        id="p plus the inverse",
    ),
    pytest.param(
        chain(LAYER, d="c = Sub(x, m); Div(one, c)"),
        "RMSNorm axis=-1 epsilon=0.1",
        id="one over the centered",
    ),
    pytest.param(
        chain(LAYER, d="c = Sub(x, m); Reciprocal(c)"),
        "RMSNorm axis=-1 epsilon=0.1",
        id="reciprocal of the centered",
    ),
    pytest.param(chain(LAYER, ONE_AT_RUN_TIME, r="Pow(w, p)"), "", id="an exponent at run time"),
    pytest.param(chain(LAYER, r="Pow(half, w)"), "", id="base and exponent swapped"),
    pytest.param(
        chain(LAYER, q="Pow(d, t)", more="float[6] t = {2, 2, 2, 2, 2, 3}"),
        "",
        id="another exponent for the last",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Add(n, b); Mul(a, p)"),
        BIASED,
        id="a scale after the bias",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Mul(n, p); Mul(a, p)"),
        SCALED,
        id="two scales at run time",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Add(n, p); Add(a, p)"),
        BIASED,
        id="two biases at run time",
    ),
    pytest.param(
        chain(LAYER, AT_RUN_TIME, y="n = Div(d, r); a = Add(n, p); Mul(a, p)"),
        BIASED,
        id="a scale after the bias at run time",
    ),
    pytest.param(
        chain(LAYER, ALL_AT_RUN_TIME, y="n = Div(d, r); Mul(n, p)"),
        LAYER_NORM,
        id="a scale of its own for each element",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[N,4,6] x, float[2,1,1,6] p) => (float[2,N,4,6] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        LAYER_NORM,
        id="a scale with an axis more",
    ),
    pytest.param(
        chain(
            LAYER,
            "g (float[1,4,6] x, float[7,1,6] p) => (float[7,4,6] y)",
            y="n = Div(d, r); Mul(n, p)",
        ),
        LAYER_NORM,
        id="a scale that makes it larger",
    ),
    pytest.param(chain(LENGTH, f="Max(l, s)"), "", id="a bound for each feature"),
    pytest.param(chain(LENGTH, ONE_AT_RUN_TIME, f="Max(l, p)"), "", id="a bound at run time"),
    pytest.param(
        chain(LENGTH, ONE_AT_RUN_TIME, f="Max(l, tiny, p)"), "", id="another bound at run time"
    ),
    pytest.param(chain(LENGTH, ONE_AT_RUN_TIME, f="Clip(l, p)"), "", id="Clip at run time"),
    pytest.param(
        chain(LENGTH, ONE_AT_RUN_TIME, f="Clip(l, tiny, p)"), "", id="Clip to a limit at run time"
    ),
    pytest.param(
        chain(LENGTH, f="Clip(l, tiny, u)", more="float u = {1e30}"), "", id="Clip with a limit"
    ),
    pytest.param(chain(LENGTH, f="Max(l)"), "", id="no bound"),
    pytest.param(chain(LENGTH, f="Max(l, l)"), "", id="bounded by itself"),
    pytest.param(
        chain(LENGTH, f="Max(l, half)"),
        "its lower bound 0.5 limits lengths and guards against no zero",
        id="a large bound",
    ),
    pytest.param(
        chain(FRN, IMAGE, THRESHOLD, y="Max(f, t, t)"),
        "FilterResponseNorm bias scale epsilon=0.1",
        id="two thresholds",
    ),
    pytest.param(
        chain(FRN, IMAGE, THRESHOLD, y="z = Max(f, t); Max(z, t)"),
        "FilterResponseNorm bias scale threshold epsilon=0.1",
        id="a threshold after a threshold",
    ),
    pytest.param(
        chain(FRN, IMAGE, THRESHOLD, y="z = Max(f, t); Add(z, b4)"),
        "FilterResponseNorm bias scale threshold epsilon=0.1",
        id="a bias after the threshold",
    ),
    pytest.param(
        chain(FRN, IMAGE, THRESHOLD, n="c = Max(x, t); Div(c, r)", y="Add(a, b4)", f=""),
        "BatchNorm bias mean scale var epsilon=0",
        id="a bound of X",
    ),
    pytest.param(
        chain(FRN, IMAGE, y="Max(f, t)", more="float[3,1] t"),
        "FilterResponseNorm bias scale epsilon=0.1",
        id="a threshold by row",
    ),
    pytest.param(
        chain(FRN, "g (float[N,4,3,5] x, float[4,1,1] t) => (float[N,4,3,5] y)"),
        "FilterResponseNorm bias scale epsilon=0.1",
        id="a threshold at run time",
    ),
    pytest.param(
        chain(FRN, IMAGE, y="Relu(f)"), "FilterResponseNorm bias scale epsilon=0.1", id="Relu"
    ),
    pytest.param(
        chain(FRN, IMAGE, y="Abs(f)"), "FilterResponseNorm bias scale epsilon=0.1", id="Abs"
    ),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_refused(text: str, expected: str) -> None:
    """What is computed otherwise is none, or one that ends before."""
    assert described(text) == expected
