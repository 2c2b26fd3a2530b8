"""What looks like a normalization and is none, or can't be taken for one, and the reason's words."""

from __future__ import annotations

import re

import pytest

from tests.unit.recognize.recognising import recognised

# In the rows: x of shape (4, 4, 4), so that no length tells one axis from another.
LAYER = """
    m = ReduceMean<axes=[-1]>(x)
    d = Sub(x, m)
    q = Mul(d, d)
    v = ReduceMean<axes=[-1]>(q)
    a = Add(v, e)
    s = Sqrt(a)
    y = Div(d, s)
"""
RMS = """
    q = Mul(x, x)
    v = ReduceMean<axes=[-1]>(q)
    a = Add(v, e)
    s = Sqrt(a)
    y = Div(x, s)
"""
L2 = """
    n = ReduceL2<axes=[-1]>(x)
    b = Clip(n, e)
    y = Div(x, b)
"""


def _layer(*changes: tuple[str, str], outputs: str = "", inputs: str = "", more: str = "") -> str:
    return _changed(LAYER, changes, outputs=outputs, inputs=inputs, more=more)


def _rms(*changes: tuple[str, str], outputs: str = "", inputs: str = "", more: str = "") -> str:
    return _changed(RMS, changes, outputs=outputs, inputs=inputs, more=more)


def _l2(*changes: tuple[str, str], more: str = "float e = {1e-12}") -> str:
    return _changed(L2, changes, more=more)


def _changed(
    text: str,
    changes: tuple[tuple[str, str], ...],
    *,
    outputs: str = "",
    inputs: str = "",
    more: str = "",
) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    constants = ["float two = {2.0}", "int64[1] last = {-1}"]
    constants += [more, "float e = {1e-5}"] if not re.search(r"\be =", more) else [more]
    named = [each for each in constants if each and _declared(each) in re.findall(r"\w+", text)]
    held = f"<{', '.join(named)}>" if named else ""
    return f"g (float[4,4,4] x{inputs}) => (float[4,4,4] y{outputs}) {held} {{ {text} }}"


def _declared(constant: str) -> str:
    return constant.split("=", maxsplit=1)[0].rsplit(maxsplit=1)[-1]


REFUSED = {
    "sum": (
        _layer(("v = ReduceMean<axes=[-1]>(q)", "v = ReduceSum(q, last)")),
        "a sum in place of a mean",
    ),
    "sum, not centered": (
        _rms(("v = ReduceMean<axes=[-1]>(q)", "v = ReduceSum(q, last)")),
        "a sum in its place",
    ),
    "degrees of freedom": (
        _layer(
            ("v = ReduceMean<axes=[-1]>(q)", "t = ReduceSum(q, last)\n v = Div(t, three)"),
            more="float three = {3.0}",
        ),
        "degrees of freedom",
    ),
    "mean of the squares in place of the sum": (
        _l2(
            (
                "n = ReduceL2<axes=[-1]>(x)",
                "q = Mul(x, x)\n r = ReduceMean<axes=[-1]>(q)\n n = Sqrt(r)",
            )
        ),
        "a mean in place of a sum",
    ),
    "mean over one axis more": (
        _layer(("m = ReduceMean<axes=[-1]>(x)", "m = ReduceMean<axes=[1, 2]>(x)")),
        "centered over other axes than its statistic",
    ),
    "mean over another axis": (
        _layer(("m = ReduceMean<axes=[-1]>(x)", "m = ReduceMean<axes=[1]>(x)")),
        "centered over other axes than its statistic",
    ),
    "variance over one axis more": (
        _layer(("v = ReduceMean<axes=[-1]>(q)", "v = ReduceMean<axes=[1, 2]>(q)")),
        "centered over other axes than its statistic",
    ),
    "power 3": (
        _layer(("q = Mul(d, d)", "q = Pow(d, three)"), more="float three = {3.0}"),
        "a mean of powers of 3 in place of squares",
    ),
    "power 1.5": (
        _rms(("q = Mul(x, x)", "p = Abs(x)\n q = Pow(p, power)"), more="float power = {1.5}"),
        "the mean of powers of 1.5 is raised to the power 0.5",
    ),
    "power nearly 2": (
        _rms(("q = Mul(x, x)", "q = Pow(x, power)"), more="float power = {2.0001}"),
        "a mean of powers of 2.0001 in place of squares",
    ),
    "another root": (
        _layer(("s = Sqrt(a)", "s = Pow(a, third)"), more="float third = {0.333}"),
        "the mean of powers of 2 is raised to the power 0.333",
    ),
    "epsilon at run time": (
        _layer(("a = Add(v, e)", "a = Add(v, given)"), inputs=", float given"),
        "its epsilon is no constant",
    ),
    "epsilon a vector": (
        _layer(("a = Add(v, e)", "a = Add(v, vector)"), more="float[4,1] vector = {1.,2.,3.,4.}"),
        "its epsilon is a vector",
    ),
    "not centered": (
        _layer(("y = Div(d, s)", "y = Div(x, s)")),
        "what is divided by the deviation is not centered",
    ),
    "centered over the root mean square": (
        _layer(("q = Mul(d, d)", "q = Mul(x, x)")),
        "what is divided is centered, and the statistic is not",
    ),
    "twice the mean subtracted": (
        _layer(("y = Div(d, s)", "n = Sub(d, m)\n y = Div(n, s)")),
        "what is subtracted is not the mean itself",
    ),
    "two epsilons": (
        _layer(("y = Div(d, s)", "o = Add(s, e)\n y = Div(d, o)")),
        "an epsilon inside the root and another outside",
    ),
    "epsilon outside, not centered": (
        _rms(("a = Add(v, e)\n    s = Sqrt(a)", "r = Sqrt(v)\n s = Add(r, e)")),
        "an epsilon is added outside the root",
    ),
    "lower bound in place of an epsilon": (
        _layer(("a = Add(v, e)\n    s = Sqrt(a)", "r = Sqrt(v)\n s = Max(r, e)")),
        "the deviation has a lower bound in place of an epsilon",
    ),
    "over the first axis": (
        _rms(("ReduceMean<axes=[-1]>", "ReduceMean<axes=[0]>")),
        "no normalization layer has statistics over axes [0] of 3",
    ),
    "over the first axis, centered": (
        _layer(("ReduceMean<axes=[-1]>", "ReduceMean<axes=[0]>")),
        "no normalization layer has statistics over axes [0] of 3",
    ),
    "large lower bound": (
        _l2(more="float e = {0.1}"),
        "its lower bound 0.1 limits lengths",
    ),
    "lower bound 1": (_l2(more="float e = {1.0}"), "its lower bound 1 limits lengths"),
    "no lower bound": (
        _l2(("b = Clip(n, e)\n    y = Div(x, b)", "y = Div(x, n)")),
        "a row of zeros would be divided by zero",
    ),
    "length over two axes": (
        _l2(("ReduceL2<axes=[-1]>", "ReduceL2<axes=[1, 2]>")),
        "its norm is over several axes",
    ),
    "variance used outside": (
        _layer(outputs=", float[4,4,1] v"),
        "the result of ReduceMean 'v' is an output of the graph",
    ),
    "centered used outside": (
        _layer(("y = Div(d, s)", "y = Div(d, s)\n u = Exp(d)"), outputs=", float[4,4,4] u"),
        "the result of Sub 'd' is used by Exp 'u', too",
    ),
    "deviation used outside": (
        _rms(("y = Div(x, s)", "y = Div(x, s)\n u = Exp(s)"), outputs=", float[4,4,1] u"),
        "the result of Sqrt 's' is used by Exp 'u', too",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_nearly_one_says_what_is_missing(name: str) -> None:
    """Nothing is found, and the reason is given."""
    text, reason = REFUSED[name]
    found = recognised(text)
    assert not found.norms, found.names
    assert any(reason in each for each in found.reasons), found.reasons


SILENT = {
    "numerator from elsewhere": _layer(
        ("y = Div(d, s)", "y = Div(z, s)"), inputs=", float[4,4,4] z"
    ),
    "subtrahend from elsewhere, variance of its own": _layer(
        ("y = Div(d, s)", "m2 = ReduceMean<axes=[-1]>(z)\n d2 = Sub(x, m2)\n y = Div(d2, s)"),
        inputs=", float[4,4,4] z",
    ),
    "transposed statistic": _layer(
        ("y = Div(d, s)", "t = Transpose<perm=[0, 2, 1]>(s)\n y = Div(d, t)"),
    ),
    "transposed mean": _layer(
        ("d = Sub(x, m)", "t = Transpose<perm=[0, 2, 1]>(m)\n d = Sub(x, t)"),
        ("q = Mul(d, d)", "c = Sub(x, m)\n q = Mul(c, c)"),
    ),
    "spectrogram magnitude": "g (float[4,4,2] x) => (float[4,4] y) <float e = {1e-9}, int64[1] last = {-1}>"
    " { q = Mul(x, x)  t = ReduceSum<keepdims=0>(q, last)  a = Add(t, e)  y = Sqrt(a) }",
    "deviation alone": _layer(
        ("y = Div(d, s)", "y = Expand(s, full)"), more="int64[3] full = {4,4,4}"
    ),
    "divided by the variance": _layer(("y = Div(d, s)", "y = Div(d, a)")),
}


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_normalization_is_none(name: str) -> None:
    """Nothing is found where what is divided, or by what, has nothing to do with one another."""
    assert not recognised(SILENT[name]).norms


OUTSIDE = {
    "a scale along another axis of equal length": (
        _rms(
            ("y = Div(x, s)", "z = Div(x, s)\n y = Mul(z, g)"),
            more="float[4,1,1] g = {1.,2.,3.,4.}",
        ),
        "RMSNorm",
    ),
    "a length scaled by feature": (
        _l2(
            ("y = Div(x, b)", "z = Div(x, b)\n y = Mul(z, g)"),
            more="float e = {1e-12}, float[4] g = {1.,2.,3.,4.}",
        ),
        "LpNorm",
    ),
    "a bias that RMSNorm has not": (
        _rms(("y = Div(x, s)", "z = Div(x, s)\n y = Add(z, g)"), more="float[4] g = {1.,2.,3.,4.}"),
        "RMSNorm",
    ),
    "a root mean square of what is centered elsewhere": (
        _layer(
            ("m = ReduceMean<axes=[-1]>(x)", "m = ReduceMean<axes=[-1]>(z)"),
            inputs=", float[4,4,4] z",
        ),
        "RMSNorm",
    ),
    "the result is an output too": (
        _rms(
            ("y = Div(x, s)", "z = Div(x, s)\n y = Mul(z, g)"),
            outputs=", float[4,4,4] z",
            more="float[4] g = {1.,2.,3.,4.}",
        ),
        "RMSNorm",
    ),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_a_normalization_has_not_stays_outside(name: str) -> None:
    """It is found without the scale or bias, which stay, and it has none of its own."""
    text, norm = OUTSIDE[name]
    found = recognised(text)
    assert found.names == norm
    assert not found.only.given


def test_a_scale_at_run_time_belongs_to_the_view_that_it_meets() -> None:
    """(C, N, 1) is no (N, C), however equal the lengths: what is transposed is the root."""
    found = recognised("""
        g (float[4,4,4] x, float[4,4,1] g) => (float[4,4,4] y) <float e = {1e-5}> {
        t = Transpose<perm=[1, 0, 2]>(x)  m = ReduceMean<axes=[-1]>(t)  d = Sub(t, m)  q = Mul(d, d)
        v = ReduceMean<axes=[-1]>(q)  a = Add(v, e)  s = Sqrt(a)  z = Div(d, s)  u = Mul(z, g)
        y = Transpose<perm=[1, 0, 2]>(u) }""")
    assert found.only.root.name == "t"


def test_a_constant_in_a_transposed_view_is_turned() -> None:
    """Its own lengths would fit, too."""
    found = recognised("""
        g (float[2,3,3] x) => (float[2,3,3] y) <float e = {1e-5}, float[3,3] g> {
        t = Transpose<perm=[0, 2, 1]>(x)  q = Mul(t, t)  v = ReduceMean<axes=[1, 2]>(q)
        a = Add(v, e)  s = Sqrt(a)  z = Div(t, s)  u = Mul(z, g)
        y = Transpose<perm=[0, 2, 1]>(u) }""")
    assert found.names == "RMSNorm"
    assert found.only.root.name == "x"


@pytest.mark.parametrize("shape", ["4,4", "4,1,4"])
def test_a_residual_is_no_bias_for_each_sample(shape: str) -> None:
    """However few axes there are: what has a number for each element is added outside."""
    found = recognised(f"""
        g (float[{shape}] x, float[{shape}] r) => (float[{shape}] y) <float e = {{1e-5}}> {{
        m = ReduceMean<axes=[-1]>(x)  d = Sub(x, m)  q = Mul(d, d)  v = ReduceMean<axes=[-1]>(q)
        a = Add(v, e)  s = Sqrt(a)  z = Div(d, s)  y = Add(z, r) }}""")
    assert found.names == "LayerNorm"
    assert found.only.output.name == "z"
