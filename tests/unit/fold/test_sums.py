"""Add, Sub and Sum of computed values."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,3,H,W] x, float[N,2,H,W] z) => (float[N,4,H,W] y) <float[4,3,1,1] v, float[4,2,1,1] w, "
UP = [
    pytest.param("NORM4> { c = Conv(x, v) d = Conv(z, w) s = Add(c, d) y = BN(s) }", "Conv Conv Add", id="Add"),
    pytest.param("NORM4> { c = Conv(x, v) d = Conv(z, w) s = Sub(c, d) y = BN(s) }", "Conv Conv Sub", id="Sub"),
    pytest.param(
        "NORM4> { c = Conv(x, v) d = Conv(z, w) e = Conv(x, v) s = Sum(c, d, e) y = BN(s) }",
        "Conv Conv Conv Sum",
        id="Sum of three",
    ),
    pytest.param(
        """float[4,1,1] k> { c = Conv(x, v) d = Relu(c) e = Conv(z, w) s = Add(d, e) y = Add(s, k) }""",
        "Conv Relu Conv Add",
        id="a shift goes to the branch that takes it",
    ),
    pytest.param(
        """float[4,1,1] k> { c = Relu(x) d = Conv(c, v) e = Sigmoid(z) f = Conv(e, w) g = Tanh(f) s = Sub(g, d) y = Sub(k, s) }""",
        None,
        id="the scale goes to both or none",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ops"), UP)
def test_sums_carry_up(text: str, ops: str | None) -> None:
    """The scale to every branch, the shift to one."""
    found = rewritten(HEAD + text, passes=("fold-affine",))
    if ops is None:
        assert not found.report.modified
    else:
        assert found.ops == ops


def test_residuals_in_a_row() -> None:
    """A tower of Adds is no exponential search, whether it folds or not."""
    steps = 40
    names = ", ".join(f"float[4,3,1,1] w{i}" for i in range(steps))
    body = "c0 = Conv(x, w0) " + " ".join(
        f"d{i} = Conv(x, w{i}) c{i} = Add(c{i - 1}, d{i})" for i in range(1, steps)
    )
    text = f"g (float[N,3,H,W] x) => (float[N,4,H,W] y) <{names}, NORM4> {{ {body} [bn] y = BN(c{steps - 1}) }}"
    found = rewritten(text, passes=("fold-affine",))
    assert "it would rewrite 40 weights to save 1 node(s)" in found.refused["bn"]
    last = text.replace("c0 = Conv(x, w0)", "c0a = Conv(x, w0) c0 = Relu(c0a)")
    assert "Relu 'c0' before it" in rewritten(last, passes=("fold-affine",)).refused["bn"]


def test_a_shift_gets_past_a_sum() -> None:
    """Down an Add a shift moves on, to the bias that follows."""
    found = rewritten("""
        g (float[N,3] x, float[N,4] z) => (float[N,5] y) <float[4] k, float[3,4] v, float[4,5] w, float[5] b> {
            c = MatMul(x, v) d = Add(c, k) e = Sub(z, d) y = Gemm(e, w, b) }""")
    assert found.ops == "MatMul Sub Gemm"
    assert "through Sub" in found.applied


REFUSED = [
    pytest.param(
        "NORM4> { c = Conv(x, v) d = Conv(z, w) e = Relu(d) s = Add(c, e) [bn] y = BN(s) }",
        "Relu 'e' before it can't take a scale and shift",
        id="one branch can't",
    ),
    pytest.param(
        "float[1,2,1,1] u, NORM4> { c = Conv(x, v) d = Conv(z, u) e = Conv(z, w) f = Add(d, c) s = Add(f, e) [bn] y = BN(s) }",
        "a branch is broadcast along axis 1 of the affine",
        id="one branch is broadcast",
    ),
    pytest.param(
        "NORM4> { c = Conv(x, v) d = Conv(z, w) e = Neg(d) s = Add(c, c) t = Add(s, e) [bn] y = BN(t) }",
        "is read twice by Add 's'",
        id="twice the same branch",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_sums_refuse(text: str, words: str) -> None:
    """All branches, or none."""
    found = rewritten(HEAD + text)
    assert words in found.refused["bn"]


def test_a_scale_does_not_get_past_a_sum() -> None:
    """Down an Add, a scale of one branch would have to be one of the other as well."""
    found = rewritten("""
        g (float[N,4,H,W] x, float[N,4,H,W] z) => (float[N,a,b,c] y) <NORM4, float[2,4,1,1] w> {
            [bn] n = BN(x) s = Add(n, z) y = Conv(s, w) }""")
    assert not found.report.modified
    assert "a scale of one branch can't get past a sum" in found.refused["bn"]


def test_branches_of_fewer_dimensions() -> None:
    """Dimensions are aligned at the right."""
    found = rewritten("""
        g (float[N,T,3] x, float[T,2] z) => (float[N,T,4] y) <float[3,4] v, float[2,4] w, float[4] k> {
            c = MatMul(x, v) d = MatMul(z, w) s = Sub(d, c) y = Mul(s, k) }""")
    assert found.ops == "MatMul MatMul Sub"


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Sum"])
@pytest.mark.parametrize("operands", ["d, e", "e, d"])
def test_a_shift_goes_to_either_branch(op_type: str, operands: str) -> None:
    """With its sign, to the one that takes it."""
    found = rewritten(
        HEAD
        + f"float[4,1,1] k> {{ c = Conv(x, v) d = Relu(c) e = Conv(z, w) s = {op_type}({operands}) y = Add(s, k) }}"
    )
    assert found.ops == f"Conv Relu Conv {op_type}"


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Sum"])
@pytest.mark.parametrize("operands", ["d, z", "z, d"])
def test_a_shift_of_either_branch_moves_on(op_type: str, operands: str) -> None:
    """With its sign, into the bias behind the sum."""
    found = rewritten(f"""
        g (float[N,4] x, float[N,4] z) => (float[N,3] y) <float[4] k, float[4,3] w> {{
            r = Relu(x) d = Add(r, k) s = {op_type}({operands}) y = Gemm(s, w) }}""")
    assert found.ops == f"Relu {op_type} Gemm"


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Sum"])
def test_a_shift_needs_nothing_of_a_branch_that_is_broadcast(op_type: str) -> None:
    """It goes to the branch that has the axis."""
    found = rewritten(
        f"""g (float[N,3,5,4] x, float[1,1,5,4] z) => (float[N,4,5,4] y) <float[4,3,1,1] w, float[4,1,1] k> {{
            c = Conv(x, w) s = Sigmoid(z) a = {op_type}(c, s) y = Add(a, k) }}"""
    )
    assert found.ops == f"Conv Sigmoid {op_type}"
