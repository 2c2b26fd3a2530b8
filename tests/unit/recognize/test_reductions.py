"""Reductions within a chain: which means, sums and norms are a normalization's, and which are none."""

from __future__ import annotations

import pytest

from tests.unit.recognize.chains import FREE, IMAGE, LAYER, LENGTH, RMS, chain, described

LAYER_NORM = "LayerNorm axis=-1 epsilon=0.1"
RMS_NORM = "RMSNorm axis=-1 epsilon=0.1"
EUCLIDEAN = "LpNorm axis=-1 p=2 epsilon=1e-05"
MANHATTAN = "LpNorm axis=-1 p=1 epsilon=1e-05"
LARGEST = "LpNorm axis=-1 p=inf epsilon=1e-05"
SQUARES = {
    "q": "Mul(x, x)",
    "l": "ReduceSum<keepdims = 1>(q, last)",
    "f": "Sqrt(l)",
    "g": "Max(f, tiny)",
    "y": "Div(x, g)",
}
TOP = {"a": "Abs(x)", "l, i": "TopK<axis = -1>(a, k)", "f": "Max(l, tiny)", "y": "Div(x, f)"}
FRN = {
    "q": "Mul(x, x)",
    "v": "GlobalAveragePool(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "y": "Div(x, r)",
}
COUNT = "h = Shape(x); o = Gather(h, index); c = Cast<to = 1>(o); "
SUMMED = {
    "m": COUNT + "t = ReduceSum(x, last); Div(t, c)",
    "v": "u = ReduceSum(q, last); Div(u, c)",
}
TWO = "h = Shape(x); o = Slice(h, from, to); p = ReduceProd<keepdims = 0>(o); c = Cast<to = 1>(p); "
FROM = "int64[1] from = {1}, int64[1] to = {3}, int64[1] second = {1}, int64[2] all = {1, 2}"
PLANE = "LayerNorm axis=-2 epsilon=0.1"
RESPONSE = {
    "l": "ReduceL2<axes = [2, 3]>(x)",
    "m": "ReduceMean<axes = [1]>(l)",
    "w": "Add(m, e)",
    "n": "Div(l, w)",
    "z": "Mul(x, n)",
    "a": "Mul(z, s4)",
    "y": "Add(a, x)",
}

SAFE = {
    "a": "Abs(x)",
    "h": "ReduceMax<axes = [-1]>(a)",
    "u": "Div(a, h)",
    "q": "Mul(u, u)",
    "v": "ReduceSum<keepdims = 1>(q, last)",
    "l": "Sqrt(v)",
    "p": "Mul(l, h)",
    "f": "Max(p, tiny)",
    "y": "Div(x, f)",
}
TERMS = (
    "xx = Mul(x, x); xm = Mul(x, m); mm = Mul(m, m); t = Mul(xm, two); z = Sub(xx, t); Add(z, mm)"
)
UNIT = "h0 = ReduceMax<axes = [-1]>(a); c = Equal(h0, zero); Where(c, one, h0)"
TWICE = {**SAFE, "h": UNIT, "p": "", "f": "", "y": "n = Div(x, h); Div(n, l)"}
FOUND = [
    pytest.param(
        chain(RMS, q="p = Mul(x, x); p1 = Mul(p, half); Add(p1, p1)"),
        17,
        RMS_NORM,
        id="half the square twice",
    ),
    pytest.param(
        chain(RMS, q="p = Mul(x, x); p1 = Mul(p, two); Sub(p1, p)"),
        17,
        RMS_NORM,
        id="twice the square less the square",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="l0 = ReduceL2<axes = [-1], keepdims = 0>(x); u = Unsqueeze(l0, last); p = Pow(u, two); Sqrt(p)",
        ),
        17,
        EUCLIDEAN,
        id="the root of a power of a length, keepdims 0",
    ),
    pytest.param(
        chain(LENGTH, l="l0 = ReduceL2<axes = [-1]>(x); ReduceMean<axes = [-1]>(l0)"),
        17,
        EUCLIDEAN,
        id="the mean of one length",
    ),
    pytest.param(
        chain(LAYER, v="v0 = ReduceMean<axes = [-1]>(q); ReduceMean<axes = [-1]>(v0)"),
        17,
        LAYER_NORM,
        id="the mean of one variance",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="l0 = ReduceL2<axes = [-1], keepdims = 0>(x); u = Unsqueeze(l0, last); p = Mul(u, u); Sqrt(p)",
        ),
        17,
        EUCLIDEAN,
        id="the root of a square of a length, keepdims 0",
    ),
    pytest.param(
        chain(LENGTH, l="x2 = Mul(x, minus); a = Abs(x2); ReduceSum(a, last)"),
        17,
        MANHATTAN,
        id="of -X",
    ),
    pytest.param(
        chain(
            SQUARES,
            q="a = Abs(x); a2 = Mul(a, two); p = Mul(a2, a2); Mul(p, quarter)",
            more="float quarter = {0.25}",
        ),
        17,
        EUCLIDEAN,
        id="a quarter of the squares of twice the sizes",
    ),
    pytest.param(
        chain(TWICE, l="l0 = Sqrt(v); c1 = Equal(l0, zero); Where(c1, one, l0)"),
        17,
        "LpNorm axis=-1 p=2 epsilon=0",
        id="divided twice",
    ),
    pytest.param(
        chain(LENGTH, l="l0 = ReduceL2<axes = [-1]>(x); p = Mul(l0, l0); Sqrt(p)"),
        17,
        EUCLIDEAN,
        id="the root of a square of a length",
    ),
    pytest.param(
        chain(LENGTH, l="l0 = ReduceL2<axes = [-1]>(x); p = Pow(l0, two); Sqrt(p)"),
        17,
        EUCLIDEAN,
        id="the root of a power of a length",
    ),
    pytest.param(chain(SAFE), 17, EUCLIDEAN, id="of parts of the largest"),
    pytest.param(chain(SAFE, p="Mul(h, l)"), 17, EUCLIDEAN, id="of parts of the largest, turned"),
    pytest.param(
        chain(SAFE, h="ReduceL1<axes = [-1]>(x)"), 17, EUCLIDEAN, id="of parts of the sum"
    ),
    pytest.param(chain(LAYER, q=TERMS), 17, LAYER_NORM, id="the square in terms"),
    pytest.param(
        chain(LAYER, q=TERMS.replace("z = Sub(xx, t); Add(z, mm)", "z = Add(xx, mm); Sub(z, t)")),
        17,
        LAYER_NORM,
        id="the square in other terms",
    ),
    pytest.param(
        chain(
            LAYER,
            q="",
            v="xx = Mul(x, x); e2 = ReduceMean<axes = [-1]>(xx); mm = Mul(m, m); Sub(e2, mm)",
        ),
        17,
        LAYER_NORM,
        id="E[X^2] - E[X]^2",
    ),
    pytest.param(
        chain(LAYER, q="xm = Mul(x, d); Identity(xm)"), 17, LAYER_NORM, id="X times the centered"
    ),
    # axes
    pytest.param(
        chain(LAYER, m="ReduceMean<axes = [2]>(x)", v="ReduceMean<axes = [2], keepdims = 1>(q)"),
        17,
        LAYER_NORM,
        id="axes from the front",
    ),
    pytest.param(
        chain(LAYER, m="ReduceMean(x, last)", v="ReduceMean<keepdims = 1>(q, last)"),
        18,
        LAYER_NORM,
        id="axes as an input",
    ),
    pytest.param(
        chain(
            LAYER,
            m="ReduceMean<axes = [-1], keepdims = 0>(x)",
            d="c = Unsqueeze(m, last); Sub(x, c)",
        ),
        17,
        LAYER_NORM,
        id="keepdims 0",
    ),
    pytest.param(
        chain(LAYER, m="ReduceMean<axes = [1, 2]>(x)", v="ReduceMean<axes = [-1, -2]>(q)"),
        17,
        PLANE,
        id="two axes",
    ),
    pytest.param(
        chain(
            LAYER,
            m="k1 = ReduceMean<axes = [2]>(x); ReduceMean<axes = [1]>(k1)",
            v="k2 = ReduceMean<axes = [1]>(q); ReduceMean<axes = [2]>(k2)",
        ),
        17,
        PLANE,
        id="one axis after the other",
    ),
    pytest.param(
        chain(LAYER, m="ReduceMean(x)", v="ReduceMean(q)"),
        17,
        "LayerNorm axis=-3 epsilon=0.1",
        id="all axes",
    ),
    pytest.param(
        chain(LAYER, m="ReduceMean(x, none)", v="ReduceMean(q, none)", more="int64[0] none = {}"),
        18,
        "LayerNorm axis=-3 epsilon=0.1",
        id="an empty list is all",
    ),
    # sums over how many
    pytest.param(
        chain(
            LAYER,
            m="t = ReduceSum(x, last); Div(t, six)",
            v="u = ReduceSum(q, last); Div(u, six)",
            more="float six = {6}",
        ),
        17,
        LAYER_NORM,
        id="sums over 6",
    ),
    pytest.param(
        chain(
            LAYER,
            m="t = ReduceSum(x, last); Mul(t, sixth)",
            q="",
            v="u = ReduceSumSquare<axes = [-1]>(d); Mul(u, sixth)",
            more="float sixth = {0.16666667}",
        ),
        17,
        LAYER_NORM,
        id="sums times a sixth",
    ),
    pytest.param(chain(LAYER, FREE, **SUMMED), 17, LAYER_NORM, id="sums over a length at run time"),
    pytest.param(chain(LAYER, **SUMMED), 17, LAYER_NORM, id="sums over a length that is known"),
    pytest.param(
        chain(
            LAYER,
            FREE,
            FROM,
            m=TWO + "t = ReduceSum(x, all); Div(t, c)",
            v="u = ReduceSum(q, all); Div(u, c)",
        ),
        17,
        PLANE,
        id="over two lengths at run time",
    ),
    pytest.param(
        chain(
            LAYER,
            FREE,
            FROM,
            m=TWO + "t0 = ReduceSum(x, last); t = ReduceSum(t0, second); Div(t, c)",
            v="ReduceMean<axes = [1, 2]>(q)",
        ),
        17,
        PLANE,
        id="sums of sums over two lengths",
    ),
    pytest.param(
        chain(
            RMS, FREE, FROM, v=TWO + "u = ReduceSum(q, last); t = ReduceSum(u, second); Div(t, c)"
        ),
        17,
        "RMSNorm axis=-2 epsilon=0.1",
        id="sums of sums of squares",
    ),
    pytest.param(
        chain(RMS, FREE, FROM, v="u = ReduceMean<axes = [-1]>(q); ReduceMean<axes = [1]>(u)"),
        17,
        "RMSNorm axis=-2 epsilon=0.1",
        id="means of means",
    ),
    pytest.param(
        chain(
            LAYER,
            FREE,
            m="n6 = Size(x); c = Cast<to = 1>(n6); t = ReduceSum(x); Div(t, c)",
            v="u = ReduceSum(q); Div(u, c)",
        ),
        17,
        "LayerNorm axis=-3 epsilon=0.1",
        id="over the size",
    ),
    # norms
    pytest.param(chain(LENGTH), 17, EUCLIDEAN, id="ReduceL2"),
    pytest.param(
        chain(
            LENGTH,
            l="ReduceL2<axes = [2], keepdims = 0>(x)",
            f="u = Unsqueeze(l, last); Max(u, tiny)",
        ),
        17,
        EUCLIDEAN,
        id="ReduceL2, keepdims 0",
    ),
    pytest.param(chain(LENGTH, FREE), 17, EUCLIDEAN, id="ReduceL2 of unknown length"),
    pytest.param(chain(SQUARES), 17, EUCLIDEAN, id="ReduceSum of squares"),
    pytest.param(chain(SQUARES, FREE), 17, EUCLIDEAN, id="of unknown length"),
    pytest.param(
        chain(SQUARES, q="Abs(x)", l="ReduceSumSquare<axes = [-1]>(q)"),
        17,
        EUCLIDEAN,
        id="of absolute values",
    ),
    pytest.param(
        chain(SQUARES, q="a = Abs(x); Mul(a, a)"), 17, EUCLIDEAN, id="squares of absolute values"
    ),
    pytest.param(
        chain(SQUARES, q="a = Abs(x); Pow(a, two)"), 17, EUCLIDEAN, id="powers of absolute values"
    ),
    pytest.param(chain(LENGTH, l="ReduceL1<axes = [-1]>(x)"), 17, MANHATTAN, id="ReduceL1"),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); ReduceSum(a, last)"),
        17,
        MANHATTAN,
        id="a sum of absolute values",
    ),
    pytest.param(
        chain(LENGTH, FREE, l="a = Abs(x); ReduceSum(a, last)"),
        17,
        MANHATTAN,
        id="of unknown lengths",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); ReduceL1<axes = [-1]>(a)"),
        17,
        MANHATTAN,
        id="ReduceL1 of absolute values",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); ReduceMax<axes = [-1]>(a)"), 17, LARGEST, id="the largest"
    ),
    pytest.param(chain(TOP), 17, LARGEST, id="the first of TopK"),
    pytest.param(
        chain(TOP, **{"l, i": "TopK<axis = 2, largest = 1, sorted = 0>(a, k)"}),
        17,
        LARGEST,
        id="TopK, axis from the front",
    ),
    pytest.param(chain(TOP, **{"l, i": "TopK(a, k)"}), 17, LARGEST, id="TopK of the last axis"),
    pytest.param(chain(TOP, **{"l, i": "TopK<k = 1>(a)"}), 9, LARGEST, id="TopK below opset 10"),
    pytest.param(
        chain(TOP, **{"l, i": "TopK<axis = 1>(a, k)"}),
        17,
        "LpNorm axis=-2 p=inf epsilon=1e-05",
        id="TopK of axis 1",
    ),
    pytest.param(
        chain(FRN, IMAGE, v="GlobalAveragePool(q)"),
        17,
        "RMSNorm axis=-2 epsilon=0.1",
        id="GlobalAveragePool",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE),
        17,
        "GlobalResponseNorm scale axis=-3 epsilon=0.1",
        id="GlobalResponseNorm",
    ),
    pytest.param(
        chain(RESPONSE, "g (float[N,4,H,W] x) => (float[N,4,H,W] y)"),
        17,
        "GlobalResponseNorm scale axis=-3 epsilon=0.1",
        id="GlobalResponseNorm of unknown size",
    ),
    pytest.param(
        chain(RESPONSE, "g (float[N,4,1,1] x) => (float[N,4,1,1] y)"),
        17,
        "GlobalResponseNorm scale axis=-3 epsilon=0.1",
        id="GlobalResponseNorm of one position",
    ),
    pytest.param(
        chain(
            LENGTH,
            "g (float[N,4,6] x) => (float[N,24] y)",
            l="c = Reshape(x, flat); ReduceL2<axes = [-1]>(c)",
            y="Div(c, f)",
            more="int64[2] flat = {0, 24}",
        ),
        17,
        EUCLIDEAN,
        id="of a view",
    ),
]


@pytest.mark.parametrize(("text", "opset", "expected"), FOUND)
def test_found(text: str, opset: int, expected: str) -> None:
    """The same normalization, however its reductions are spelled."""
    assert described(text, opset=opset) == expected


AXES = "g (float[N,4,6] x, int64[1] at) => (float[N,4,6] y)"
REFUSED = [
    pytest.param(
        chain(
            LENGTH,
            l="a = Abs(x); a2 = Neg(a); ReduceMax<axes = [-1]>(a2)",
            f="c = Equal(l, zero); Where(c, one, l)",
            y="i = Reciprocal(f); n = Mul(x, i); Neg(n)",
        ),
        17,
        "",
        id="the smallest, as the largest of minus the sizes",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); a2 = Neg(a); a3 = Abs(a2); ReduceMax<axes = [-1]>(a3)"),
        17,
        "",
        id="the sizes of minus the sizes",
    ),
    pytest.param(
        chain(
            LENGTH,
            more="int64[4] parts = {0, 4, 2, 3}",
            l="c = Reshape(x, parts); ReduceL2<axes = [-1]>(c)",
            y="n = Div(c, f); h = Shape(x); Reshape(n, h)",
        ),
        17,
        EUCLIDEAN,
        id="lengths of parts of rows",
    ),
    pytest.param(
        chain(SQUARES, FREE, f="l1 = Add(l, e); l2 = Max(l1, half); Sqrt(l2)"),
        17,
        "",
        id="a sum of unknown length with an epsilon and a bound",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, l="ReduceL2<axes = [3]>(x)", m="ReduceMean<axes = [1, 2]>(l)"),
        17,
        "its response is relative to no axis of channels",
        id="relative to two axes",
    ),
    *(
        pytest.param(
            chain(
                RMS,
                v=f"a = Abs(x); t = ReduceMean<axes = [-1]>(a); u = ReduceMean<axes = [-1]>(q); l1 = ReduceMean<axes = [1]>(q); bound = Max(u, half); {v}",
            ),
            17,
            "",
            id=v,
        )
        for v in (
            "Add(u, t)",
            "Add(t, u)",
            "Add(u, bound)",
            "Add(bound, u)",
            "Add(u, l1)",
            "Sub(u, t)",
        )
    ),
    pytest.param(
        chain(TWICE),
        17,
        "a row of zeros would be divided by zero",
        id="divided twice, at last by zero",
    ),
    pytest.param(
        chain(LAYER, v="v0 = ReduceMean<axes = [-1]>(q); ReduceMean<axes = [1]>(v0)"),
        17,
        "what is divided is centered over other axes than its statistic",
        id="a mean of variances",
    ),
    pytest.param(
        chain(RMS, v="u = ReduceMean<axes = [-1]>(q); z = Add(u, e); ReduceMean<axes = [1]>(z)"),
        17,
        "",
        id="a mean with an epsilon within",
    ),
    pytest.param(
        chain(RMS, v="u = ReduceMean<axes = [-1]>(q); z = Max(u, e); ReduceMean<axes = [1]>(z)"),
        17,
        "",
        id="a mean with a bound within",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); a2 = Mul(a, two); z = ReduceSum(a2, last); Mul(z, half)"),
        17,
        "its statistic is no p-norm: a mean in place of a sum",
        id="half the sum of twice the sizes",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); a2 = Mul(a, two); ReduceSum(a2, last)"),
        17,
        "its statistic is no p-norm: a mean in place of a sum",
        id="the sum of twice the sizes",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); a2 = Mul(a, two); ReduceMax<axes = [-1]>(a2)"),
        17,
        "it is scaled by a number, which a p-norm is not",
        id="the largest of twice the sizes",
    ),
    pytest.param(
        chain(SQUARES, q="a = Abs(x); a2 = Mul(a, two); Mul(a2, a2)"),
        17,
        "its statistic is no p-norm: a mean in place of a sum",
        id="squares of twice the sizes",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); a2 = Mul(a, minus); ReduceSum(a2, last)"),
        17,
        "",
        id="minus the sizes",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); a2 = Add(a, e); ReduceSum(a2, last)"),
        17,
        "",
        id="sizes and an epsilon each",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, z="x1 = Add(x, one); Mul(x1, n)"),
        17,
        "its input is not added to its result",
        id="X + 1 by response",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, z="m1 = ReduceMean<axes = [2, 3]>(x); x1 = Sub(x, m1); Mul(x1, n)"),
        17,
        "its input is not added to its result",
        id="the centered by response",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, y="y1 = Add(a, x); Add(y1, x)"),
        17,
        "GlobalResponseNorm scale axis=-3 epsilon=0.1",
        id="X added twice",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, y="x1 = Mul(x, two); Add(a, x1)"),
        17,
        "its input is not added to its result",
        id="twice X added",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, y="y1 = Add(a, x); Max(y1, half)"),
        17,
        "GlobalResponseNorm scale axis=-3 epsilon=0.1",
        id="a response with a bound",
    ),
    pytest.param(
        chain(
            LENGTH, l="l0 = ReduceL2<axes = [-1]>(x); l1 = Mul(l0, two); p = Mul(l1, l1); Sqrt(p)"
        ),
        17,
        "",
        id="the square of twice a length",
    ),
    pytest.param(
        chain(LENGTH, l="l0 = ReduceL2<axes = [-1]>(x); l1 = Add(l0, e); p = Mul(l1, l1); Sqrt(p)"),
        17,
        "",
        id="the square of a length and an epsilon",
    ),
    pytest.param(
        chain(
            LENGTH, l="l0 = ReduceL2<axes = [-1]>(x); l1 = Max(l0, tiny); p = Mul(l1, l1); Sqrt(p)"
        ),
        17,
        "",
        id="the square of a length with a bound",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="l0 = ReduceL2<axes = [-1]>(x); c = Equal(l0, zero); l1 = Where(c, one, l0); p = Mul(l1, l1); Sqrt(p)",
        ),
        17,
        "",
        id="the square of a guarded length",
    ),
    pytest.param(
        chain(LENGTH, l="l0 = ReduceL1<axes = [-1]>(x); p = Mul(l0, l0); Sqrt(p)"),
        17,
        "",
        id="the square of a sum",
    ),
    pytest.param(chain(TWICE), 17, "a row of zeros would be divided by zero", id="0 / 1 / 0"),
    pytest.param(
        chain(TWICE, v="v0 = ReduceSum<keepdims = 1>(q, last); Add(v0, e)"),
        17,
        "the result of Where 'h' is used by Div 'u', too",
        id="divided twice, an epsilon",
    ),
    pytest.param(
        chain(TWICE, l="l0 = Sqrt(v); Add(l0, e)"),
        17,
        "the result of Where 'h' is used by Div 'u', too",
        id="divided twice, an epsilon outside",
    ),
    pytest.param(
        chain(TWICE, l="l0 = Sqrt(v); Max(l0, tiny)"),
        17,
        "the result of Where 'h' is used by Div 'u', too",
        id="divided twice, a bound",
    ),
    pytest.param(
        chain(TWICE, y="h1 = ReduceL1<axes = [-1]>(x); n = Div(x, h1); Div(n, l)"),
        17,
        "a row of zeros would be divided by zero",
        id="divided by this and that",
    ),
    pytest.param(
        chain(TWICE, y="n = Div(x, h); n1 = Add(n, one); Div(n1, l)"),
        17,
        "it has a scale for each feature or a bias, which a p-norm has not",
        id="divided twice, one added between",
    ),
    pytest.param(
        chain(TWICE, h=UNIT.replace("Where(", "h7 = Where(") + "; Mul(h7, two)"),
        17,
        "",
        id="divided by twice the largest",
    ),
    pytest.param(
        chain(SAFE, v="v0 = ReduceSum<keepdims = 1>(q, last); Add(v0, e)"),
        17,
        "",
        id="parts and an epsilon",
    ),
    pytest.param(
        chain(SAFE, l="l0 = Sqrt(v); Add(l0, e)"), 17, "", id="parts and an epsilon outside"
    ),
    pytest.param(chain(SAFE, l="l0 = Sqrt(v); Max(l0, e)"), 17, "", id="parts and a bound"),
    pytest.param(
        chain(SAFE, v="v0 = ReduceSum<keepdims = 1>(q, last); Max(v0, e)"),
        17,
        "",
        id="parts and a bound of squares",
    ),
    pytest.param(
        chain(SAFE, p="h1 = ReduceL1<axes = [-1]>(x); Mul(l, h1)"),
        17,
        "",
        id="parts times something else",
    ),
    pytest.param(
        chain(SAFE, p="Identity(l)"),
        17,
        "its statistic is one of numbers that were divided before",
        id="parts alone",
    ),
    pytest.param(
        chain(SAFE, u="h1 = ReduceL1<axes = [-1]>(x); u1 = Div(a, h1); Div(u1, h)"),
        17,
        "",
        id="parts of parts",
    ),
    pytest.param(
        chain(SAFE, q="h1 = ReduceL1<axes = [-1]>(x); u1 = Div(a, h1); Mul(u, u1)"),
        17,
        "",
        id="parts of this times parts of that",
    ),
    pytest.param(
        chain(
            LAYER,
            q=TERMS.replace("mm = Mul(m, m)", "m1 = ReduceMean<axes = [1]>(x); mm = Mul(m1, m1)"),
        ),
        17,
        "",
        id="terms over other axes",
    ),
    pytest.param(
        chain(
            LAYER,
            q=TERMS.replace("mm = Mul(m, m)", "m1 = ReduceMean<axes = [1]>(x); mm = Mul(m, m1)"),
        ),
        17,
        "",
        id="a product of means",
    ),
    pytest.param(
        chain(LAYER, q=TERMS.replace("Add(z, mm)", "Sub(z, mm)")),
        17,
        "its statistic is no variance",
        id="a term with another sign",
    ),
    pytest.param(
        chain(
            LAYER,
            q="",
            v="xx = Mul(x, x); e2 = ReduceMean<axes = [-1]>(xx); mm = Mul(m, m); Add(e2, mm)",
        ),
        17,
        "its statistic is no variance",
        id="E[X^2] + E[X]^2",
    ),
    pytest.param(
        chain(
            LAYER,
            q="",
            v="xx = Mul(x, x); e2 = ReduceMean<axes = [1]>(xx); mm = Mul(m, m); Sub(e2, mm)",
        ),
        17,
        "",
        id="E[X^2] over another axis",
    ),
    pytest.param(
        chain(
            LAYER,
            q="",
            v="xx = Mul(x, x); e2 = ReduceMean<axes = [-1]>(xx); mm = Mul(m, m); Sub(mm, e2)",
        ),
        17,
        "",
        id="E[X]^2 - E[X^2]",
    ),
    pytest.param(
        chain(
            LAYER,
            q="",
            v="xx = Mul(x, x); e2 = ReduceMean<axes = [-1]>(xx); xm = Mul(x, m); Sub(e2, xm)",
        ),
        17,
        "",
        id="E[X^2] - X E[X]",
    ),
    pytest.param(
        chain(
            RMS, FREE, v=COUNT + "u = ReduceSum(q, last); z = Max(u, e); Div(z, c)", w="Identity(v)"
        ),
        17,
        "",
        id="a bound, then a division by how many",
    ),
    pytest.param(
        chain(LAYER, AXES, m="ReduceMean(x, at)", v="ReduceMean(q, last)"),
        18,
        "",
        id="the mean over axes at run time",
    ),
    pytest.param(
        chain(LAYER, AXES, v="ReduceMean(q, at)", m="ReduceMean(x, last)"),
        18,
        "",
        id="the variance over axes at run time",
    ),
    pytest.param(
        chain(
            LAYER,
            m="ReduceMean<noop_with_empty_axes = 1>(x)",
            v="ReduceMean<noop_with_empty_axes = 1>(q)",
        ),
        18,
        "",
        id="over nothing",
    ),
    pytest.param(
        chain(LAYER, v="ReduceMean<axes = [1]>(q)"),
        17,
        "no normalization layer has statistics over axes [1] of 3 and such a scale and bias",
        id="the variance over another axis",
    ),
    pytest.param(
        chain(LAYER, v="ReduceMean<axes = [1, 2]>(q)"),
        17,
        "what is divided is centered over other axes than its statistic",
        id="the variance over more axes",
    ),
    pytest.param(
        chain(LAYER, v="ReduceSum(q, last)"),
        17,
        "the variance is multiplied by 6: a sum in place of a mean, or another number of degrees of freedom",
        id="a sum of squares",
    ),
    pytest.param(
        chain(LAYER, v="u = ReduceSum(q, last); Div(u, five)", more="float five = {5}"),
        17,
        "the variance is multiplied by 1.2: a sum in place of a mean, or another number of degrees of freedom",
        id="one degree of freedom less",
    ),
    pytest.param(
        chain(LAYER, FREE, **{**SUMMED, "v": "ReduceSum(q, last)"}),
        17,
        "the variance is multiplied by 1: a sum in place of a mean, or another number of degrees of freedom",
        id="a sum of unknown length",
    ),
    pytest.param(
        chain(
            LAYER,
            FREE,
            m=COUNT.replace("index", "first") + "t = ReduceSum(x, last); Div(t, c)",
            v=SUMMED["v"],
            more="int64 first = {0}",
        ),
        17,
        "",
        id="over another length",
    ),
    pytest.param(
        chain(
            LAYER,
            FREE,
            m=SUMMED["m"],
            v="u = ReduceSum(q, last); ue = Add(u, e); Div(ue, c)",
            w="Add(v, tiny)",
        ),
        17,
        "",
        id="epsilon before the division",
    ),
    pytest.param(
        chain(
            LAYER,
            FREE,
            m=SUMMED["m"],
            v="u = ReduceSum(q, last); ue = Max(u, e); Div(ue, c)",
            w="Add(v, tiny)",
        ),
        17,
        "",
        id="a bound before the division",
    ),
    pytest.param(
        chain(LAYER, FREE, m=SUMMED["m"], v="u0 = ReduceMean<axes = [-1]>(q); Div(u0, c)"),
        17,
        "",
        id="divided once too often",
    ),
    pytest.param(
        chain(LAYER, FREE, m=SUMMED["m"], d="Sub(x, t)"),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="the sum is subtracted",
    ),
    pytest.param(
        chain(
            LAYER,
            m="m0 = ReduceMean<axes = [-1]>(x); h = Shape(x); m1 = Expand(m0, h); ReduceSum(m1, last)",
        ),
        17,
        "RMSNorm axis=-1 epsilon=0.1",
        id="a sum of what is the same",
    ),
    pytest.param(
        chain(
            LAYER,
            v="u = ReduceMean<axes = [-1]>(q); h = Shape(x); v1 = Expand(u, h); ReduceSum(v1, last)",
        ),
        17,
        "",
        id="a sum of the same variance",
    ),
    pytest.param(
        chain(LENGTH, l="ReduceMax<axes = [-1]>(x)"), 17, "", id="the largest, with its sign"
    ),
    pytest.param(chain(LENGTH, l="ReduceMin<axes = [-1]>(x)"), 17, "", id="the smallest"),
    pytest.param(
        chain(LENGTH, l="a = Mul(x, x); ReduceMax<axes = [-1]>(a)"), 17, "", id="the largest square"
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); p = Pow(a, half); ReduceMax<axes = [-1]>(p)"),
        17,
        "",
        id="the largest root",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="m = ReduceMean<axes = [-1]>(x); d = Sub(x, m); a = Abs(d); ReduceMax<axes = [-1]>(a)",
        ),
        17,
        "",
        id="the largest deviation",
    ),
    pytest.param(
        chain(
            LENGTH,
            l="a = Abs(x); n = ReduceL1<axes = [-1]>(x); u = Div(a, n); ReduceMax<axes = [-1]>(u)",
        ),
        17,
        "",
        id="the largest part",
    ),
    pytest.param(
        chain(TOP, **{"l, i": "TopK<axis = -1, largest = 0>(a, k)"}),
        17,
        "",
        id="the smallest of TopK",
    ),
    pytest.param(
        chain(
            TOP,
            f="g = ReduceMean<axes = [-1]>(l); Max(g, tiny)",
            **{"l, i": "TopK<axis = -1>(a, k2)"},
            more="int64[1] k2 = {2}",
        ),
        17,
        "",
        id="the first two of TopK",
    ),
    pytest.param(
        chain(
            TOP,
            "g (float[N,4,6] x, int64[1] at) => (float[N,4,6] y)",
            **{"l, i": "TopK<axis = -1>(a, at)"},
        ),
        17,
        "",
        id="TopK at run time",
    ),
    pytest.param(
        chain(TOP, f="g = Cast<to = 1>(i); Max(g, tiny)"), 17, "", id="the place of the largest"
    ),
    pytest.param(
        chain(LENGTH, l="ReduceL2<axes = [1, 2]>(x)"),
        17,
        "its norm is over several axes, or over part of one",
        id="over two axes",
    ),
    pytest.param(
        chain(SQUARES, l="ReduceMean<axes = [-1]>(q)"),
        17,
        "its statistic is no p-norm: a mean in place of a sum",
        id="a mean of squares, bounded",
    ),
    pytest.param(
        chain(LENGTH, l="a = Abs(x); ReduceMean<axes = [-1]>(a)"),
        17,
        "",
        id="a mean of absolute values",
    ),
    pytest.param(
        chain(LENGTH, l="p = Pow(x, three); ReduceSum(p, last)", more="float three = {3}"),
        17,
        "",
        id="a sum of cubes",
    ),
    pytest.param(chain(LENGTH, l="ReduceSum(x, last)"), 17, "", id="a sum"),
    pytest.param(chain(LENGTH, l="ReduceLogSumExp<axes = [-1]>(x)"), 17, "", id="a softmax"),
    pytest.param(
        chain(
            RESPONSE,
            IMAGE,
            m="h = Shape(x); l2 = Expand(l, h); ReduceSum(l2, second)",
            more="int64[1] second = {1}",
        ),
        17,
        "its response is relative to no axis of channels",
        id="the sum of expanded sizes",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, m="ReduceSum(l, second)", more="int64[1] second = {1}"),
        17,
        "its response is relative to no axis of channels",
        id="the sum of sizes",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, y="Mul(a, one)"),
        17,
        "its input is not added to its result",
        id="X is not added",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, l="ReduceL2<axes = [3]>(x)"),
        17,
        "its sizes are not over all positions",
        id="sizes over one axis",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, l="ReduceL1<axes = [2, 3]>(x)"),
        17,
        "its sizes are no norms over all positions",
        id="other sizes",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, l="g1 = ReduceL2<axes = [2, 3]>(x); Max(g1, tiny)"),
        17,
        "its response is relative to no axis of channels",
        id="sizes with a bound",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, l="g1 = ReduceL2<axes = [2, 3]>(x); Add(g1, e)"),
        17,
        "its response is relative to no axis of channels",
        id="sizes with an epsilon",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, m="m1 = ReduceMean<axes = [1]>(l); Mul(m1, two)"),
        17,
        "its response is relative to no axis of channels",
        id="twice the mean",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, n="l3 = ReduceL2<axes = [1, 2]>(x); Div(l3, w)"),
        17,
        "",
        id="sizes over other axes",
    ),
]


@pytest.mark.parametrize(("text", "opset", "expected"), REFUSED)
def test_refused(text: str, opset: int, expected: str) -> None:
    """What is reduced otherwise is none, or another."""
    assert described(text, opset=opset) == expected
