"""Comparisons within a chain: a divisor that is replaced where it is zero or small."""

from __future__ import annotations

import pytest

from tests.unit.recognize.chains import IMAGE, LENGTH, chain, described

GUARDED = "LpNorm axis=-1 p=2 epsilon=0"
BOUNDED = "LpNorm axis=-1 p=2 epsilon=1e-05"
MASKED = {
    "l": "ReduceL2<axes = [-1]>(x)",
    "c": "Greater(l, tiny)",
    "k1": "Cast<to = 1>(c)",
    "p": "Mul(l, k1)",
    "o": "Sub(one, k1)",
    "t": "Mul(o, tiny)",
    "f": "Add(p, t)",
    "y": "Div(x, f)",
}
ZERO = {**MASKED, "c": "i = Equal(l, zero); Not(i)", "t": "", "f": "Add(p, o)"}
THRESHOLD = "float[4,1,1] t = {0.1, -0.2, 0, 0.3}, float[4,1,1] u = {0.1, -0.2, 0, 0.4}"
RESPONSE = {
    "q": "Mul(x, x)",
    "v": "ReduceMean<axes = [2, 3]>(q)",
    "w": "Add(v, e)",
    "r": "Sqrt(w)",
    "f": "Div(x, r)",
    "c": "Greater(f, t)",
    "y": "Where(c, f, t)",
}
LIMITED = {
    **{name: node for name, node in RESPONSE.items() if name != "y"},
    "k1": "Cast<to = 1>(c)",
    "p": "Mul(f, k1)",
    "o": "Sub(one, k1)",
    "h": "Mul(o, t)",
    "y": "Add(p, h)",
}
BOUNDED_RESPONSE = "FilterResponseNorm threshold epsilon=0.1"
BARE = "RMSNorm axis=-2 epsilon=0.1"
BESIDE = f"{BARE}; BatchNorm bias mean scale var epsilon=0"  # 1 less the mask, times the threshold
AT_RUN_TIME = "g (float[N,4,6] x, float p) => (float[N,4,6] y)"
FLAG = "g (float[N,4,6] x, bool flag) => (float[N,4,6] y)"
SQUARE_BOUND = "float small = {0.0001}"
SQUARES = {
    "q": "Mul(x, x)",
    "v": "ReduceSum(q, last)",
    "l": "Sqrt(v)",
    "f": "c = Equal(l, zero); Where(c, one, l)",
    "y": "Div(x, f)",
}

FOUND = [
    pytest.param(chain(LENGTH, f="c = Equal(l, zero); Where(c, one, l)"), GUARDED, id="Equal"),
    pytest.param(
        chain(LENGTH, f="c = Equal(zero, l); Where(c, one, l)"), GUARDED, id="Equal, turned"
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); h = Not(c); Where(h, l, one)"), GUARDED, id="Not Equal"
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); h = Not(c); i = Not(h); Where(i, one, l)"),
        GUARDED,
        id="Not Not Equal",
    ),
    pytest.param(
        chain(LENGTH, f="c = Greater(l, zero); Where(c, l, one)"), GUARDED, id="Greater than 0"
    ),
    pytest.param(chain(LENGTH, f="c = Less(zero, l); Where(c, l, one)"), GUARDED, id="0 less"),
    pytest.param(
        chain(LENGTH, f="c = LessOrEqual(l, zero); Where(c, one, l)"), GUARDED, id="LessOrEqual"
    ),
    pytest.param(
        chain(LENGTH, f="c = Cast<to = 9>(l); Where(c, l, one)"), GUARDED, id="Cast to bool"
    ),
    pytest.param(
        chain(LENGTH, f="c = Cast<to = 9>(l); h = Not(c); Where(h, one, l)"), GUARDED, id="Not Cast"
    ),
    pytest.param(chain(LENGTH, f="c = Greater(l, tiny); Where(c, l, tiny)"), BOUNDED, id="Greater"),
    pytest.param(
        chain(LENGTH, f="c = GreaterOrEqual(l, tiny); Where(c, l, tiny)"),
        BOUNDED,
        id="GreaterOrEqual",
    ),
    pytest.param(chain(LENGTH, f="c = Less(l, tiny); Where(c, tiny, l)"), BOUNDED, id="Less"),
    pytest.param(
        chain(LENGTH, f="c = Less(tiny, l); Where(c, l, tiny)"), BOUNDED, id="Less, turned"
    ),
    pytest.param(
        chain(LENGTH, f="c = GreaterOrEqual(tiny, l); Where(c, tiny, l)"),
        BOUNDED,
        id="GreaterOrEqual, turned",
    ),
    pytest.param(
        chain(LENGTH, f="c = Less(l, tiny); h = Not(c); Where(h, l, tiny)"), BOUNDED, id="Not Less"
    ),
    pytest.param(chain(SQUARES), GUARDED, id="of a root"),
    pytest.param(
        chain(SQUARES, l="c = Equal(v, zero); Where(c, one, v)", f="Sqrt(l)"), GUARDED, id="squares"
    ),
    pytest.param(
        chain(
            SQUARES, l="c = Greater(v, small); Where(c, v, small)", f="Sqrt(l)", more=SQUARE_BOUND
        ),
        "LpNorm axis=-1 p=2 epsilon=0.01",
        id="squares with a bound",
    ),
    pytest.param(
        chain(LENGTH, f="a = Max(l, tiny); Where(yes, a, one)", more="bool yes = {1}"),
        BOUNDED,
        id="always",
    ),
    pytest.param(
        chain(LENGTH, f="a = Max(l, tiny); Where(yes, one, a)", more="bool yes = {0}"),
        BOUNDED,
        id="never",
    ),
    pytest.param(chain(MASKED), BOUNDED, id="a mask"),
    pytest.param(
        chain(MASKED, p="Mul(k1, l)", f="Add(t, p)", t="Mul(tiny, o)"), BOUNDED, id="a mask, turned"
    ),
    pytest.param(chain(MASKED, f="Sum(t, p)"), BOUNDED, id="a mask and a Sum"),
    pytest.param(chain(ZERO), GUARDED, id="a mask for zeros"),
    pytest.param(chain(ZERO, c="Cast<to = 9>(l)"), GUARDED, id="a mask by Cast"),
    pytest.param(
        chain(ZERO, l="q = Mul(x, x); ReduceSum(q, last)", f="s0 = Add(p, o); Sqrt(s0)"),
        GUARDED,
        id="a mask for squares",
    ),
    pytest.param(chain(RESPONSE, IMAGE, THRESHOLD), BOUNDED_RESPONSE, id="a threshold by Where"),
    pytest.param(
        chain(RESPONSE, IMAGE, THRESHOLD, c="Less(f, t)", y="Where(c, t, f)"),
        BOUNDED_RESPONSE,
        id="a threshold by Less",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, THRESHOLD, c="GreaterOrEqual(f, half)", y="Where(c, f, half)"),
        BOUNDED_RESPONSE,
        id="one threshold by Where",
    ),
    pytest.param(chain(LIMITED, IMAGE, THRESHOLD), BOUNDED_RESPONSE, id="a threshold by masks"),
    pytest.param(
        chain(
            LIMITED, IMAGE, THRESHOLD, p="Mul(k1, f)", h="Mul(t, o)", y="Add(h, p)", c="Less(t, f)"
        ),
        BOUNDED_RESPONSE,
        id="a threshold by masks, turned",
    ),
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_found(text: str, expected: str) -> None:
    """A row of zeros stays, or lengths have a bound, however that is spelled."""
    assert described(text) == expected


REFUSED = [
    pytest.param(
        chain(SQUARES, l="c = Equal(v, zero); g = Where(c, one, v); Mul(g, two)", f="Sqrt(l)"),
        "",
        id="twice the guarded squares",
    ),
    pytest.param(
        chain(SQUARES, l="c = Equal(v, zero); g = Where(c, one, v); Add(g, tiny)", f="Sqrt(l)"),
        "",
        id="guarded squares and an epsilon",
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); g = Where(c, one, l); Mul(g, two)"),
        "",
        id="twice the guarded length",
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); g = Where(c, one, l); Add(g, tiny)"),
        "",
        id="a guarded length and an epsilon",
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); g = Where(c, one, l); Max(g, tiny)"),
        "",
        id="a guarded length and a bound",
    ),
    pytest.param(
        chain(LENGTH, f="c = GreaterOrEqual(l, zero); Where(c, l, one)"),
        "",
        id="zero is kept by GreaterOrEqual",
    ),
    pytest.param(
        chain(LENGTH, f="c = Less(l, zero); Where(c, one, l)"), "", id="zero is kept by Less"
    ),
    pytest.param(
        chain(
            LENGTH,
            f="c = Greater(l, zero); h = Not(c); i = Not(h); j = Not(i); k2 = Not(j); Where(k2, l, one)",
        ),
        "",
        id="more negations than are looked through",
    ),
    pytest.param(chain(ZERO, c="GreaterOrEqual(l, zero)"), "", id="a mask that is one everywhere"),
    pytest.param(chain(LENGTH, f="c = Equal(l, zero); Where(c, l, one)"), "", id="zero is kept"),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); h = Not(c); Where(h, one, l)"),
        "",
        id="zero is kept by Not",
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, zero); Where(c, half, l)"), "", id="another number for zero"
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, one); Where(c, one, l)"), "", id="another number is replaced"
    ),
    pytest.param(
        chain(LENGTH, f="c = Equal(l, tiny); Where(c, tiny, l)"), "", id="a number is itself"
    ),
    pytest.param(chain(LENGTH, f="c = Greater(l, tiny); Where(c, tiny, l)"), "", id="the smaller"),
    pytest.param(
        chain(LENGTH, f="c = Less(l, tiny); Where(c, l, tiny)"), "", id="the smaller, by Less"
    ),
    pytest.param(
        chain(LENGTH, f="c = Greater(tiny, l); Where(c, l, tiny)"), "", id="the smaller, turned"
    ),
    pytest.param(
        chain(LENGTH, f="c = Greater(l, tiny); Where(c, l, zero)"), "", id="another number below"
    ),
    pytest.param(
        chain(LENGTH, f="c = Greater(l, tiny); Where(c, l, s)"), "", id="a number for each feature"
    ),
    pytest.param(
        chain(LENGTH, f="c = Greater(l, s); Where(c, l, tiny)"), "", id="a bound for each feature"
    ),
    pytest.param(
        chain(LENGTH, f="a = ReduceL1<axes = [-1]>(x); c = Greater(a, tiny); Where(c, l, tiny)"),
        "",
        id="another length is compared",
    ),
    pytest.param(
        chain(LENGTH, AT_RUN_TIME, f="c = Greater(l, p); Where(c, l, tiny)"),
        "",
        id="compared at run time",
    ),
    pytest.param(
        chain(LENGTH, AT_RUN_TIME, f="c = Greater(l, tiny); Where(c, l, p)"),
        "",
        id="a number at run time",
    ),
    pytest.param(chain(LENGTH, FLAG, f="Where(flag, l, one)"), "", id="a flag"),
    pytest.param(chain(LENGTH, f="c = IsNaN(l); Where(c, one, l)"), "", id="not a number"),
    pytest.param(
        chain(LENGTH, f="Where(some, one, l)", more="bool[6] some = {1, 1, 0, 0, 0, 0}"),
        "",
        id="for some features",
    ),
    pytest.param(
        chain(LENGTH, f="a = Max(l, tiny); Where(no, a, one)", more="bool no = {0}"),
        "",
        id="never the length",
    ),
    pytest.param(
        chain(LENGTH, f="a = Add(l, e); c = Equal(a, zero); Where(c, one, a)"),
        "",
        id="with an epsilon",
    ),
    pytest.param(
        chain(SQUARES, l="a = Add(v, e); c = Equal(a, zero); Where(c, one, a)", f="Sqrt(l)"),
        "",
        id="squares with an epsilon",
    ),
    pytest.param(
        chain(SQUARES, l="a = Max(v, tiny); c = Equal(a, zero); Where(c, one, a)", f="Sqrt(l)"),
        "",
        id="squares with a bound",
    ),
    pytest.param(chain(LENGTH, f="c = Equal(x, zero); Where(c, one, x)"), "", id="of X itself"),
    pytest.param(
        chain(LENGTH, f="c = Greater(x, half); Where(c, x, half)"), "", id="a bound of X itself"
    ),
    pytest.param(chain(MASKED, o="Sub(two, k1)"), "", id="two less the mask"),
    pytest.param(chain(MASKED, o="Sub(s, k1)"), "", id="several numbers less the mask"),
    pytest.param(chain(MASKED, o="Sub(k1, one)"), "", id="the mask less one"),
    pytest.param(chain(MASKED, o="k2 = Cast<to = 1>(c); Sub(one, k2)"), "", id="another Cast"),
    pytest.param(chain(MASKED, o="Add(one, k1)"), "", id="one more"),
    pytest.param(chain(MASKED, t="Mul(o, half)"), "", id="another number than the bound"),
    pytest.param(chain(MASKED, t="Mul(o, s)"), "", id="a number for each feature in the mask"),
    pytest.param(
        chain(MASKED, AT_RUN_TIME, p="Mul(l, k1)", t="Mul(o, p0)", f="Add(p, t)").replace(
            "float p)", "float p0)"
        ),
        "",
        id="a number at run time in the mask",
    ),
    pytest.param(chain(MASKED, t="Div(o, tiny)"), "", id="the rest divided"),
    pytest.param(chain(MASKED, c="Less(l, tiny)"), "", id="where it is small"),
    pytest.param(chain(MASKED, c="g0 = Greater(l, tiny); Not(g0)"), "", id="where it is not large"),
    pytest.param(chain(MASKED, c="IsNaN(l)"), "", id="where it is no number"),
    pytest.param(chain(ZERO, c="Equal(l, zero)"), "", id="where it is zero"),
    pytest.param(
        chain(ZERO, c="Greater(l, zero)", f="Add(p, one)"), "", id="one is added everywhere"
    ),
    pytest.param(
        chain(
            ZERO,
            "g (float[N,4,6] x, float[N,4,1] m) => (float[N,4,6] y)",
            c="Identity(l)",
            k1="Identity(m)",
        ),
        "",
        id="a mask at run time",
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, THRESHOLD, y="Where(c, f, u)"), BARE, id="another threshold by Where"
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, THRESHOLD, y="Where(c, t, f)"), BARE, id="the smaller of two"
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, THRESHOLD, c="Greater(x, t)"), BARE, id="X exceeds the threshold"
    ),
    pytest.param(
        chain(RESPONSE, IMAGE, THRESHOLD, c="Equal(f, t)"), BARE, id="where it is the threshold"
    ),
    pytest.param(
        chain(LIMITED, IMAGE, THRESHOLD, h="Mul(o, u)"), BESIDE, id="another threshold by masks"
    ),
    pytest.param(
        chain(LIMITED, IMAGE, THRESHOLD, c="Greater(x, t)"),
        BESIDE,
        id="a mask of where X exceeds it",
    ),
    pytest.param(
        chain(LIMITED, IMAGE, THRESHOLD, c="Less(f, t)"), BESIDE, id="a mask of what is smaller"
    ),
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_refused(text: str, expected: str) -> None:
    """Other comparisons guard against something else."""
    assert described(text) == expected
