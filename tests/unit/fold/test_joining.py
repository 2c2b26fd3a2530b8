"""Concat and Split: each branch has its slice, all of them or none."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,3,H,W] x) => (float[N,a,b,c] y) <float[2,3,1,1] v, float[2,3,1,1] w, "
FOLDED = [
    pytest.param(
        HEAD + "NORM4> { c = Conv(x, v) d = Conv(x, w) j = Concat<axis = 1>(c, d) y = BN(j) }",
        "Conv Conv Concat",
        id="Concat up: two branches",
    ),
    pytest.param(
        HEAD
        + """float[4] k> { c = Conv(x, v) d = Conv(x, w) t = Transpose<perm = [0,2,3,1]>(c)
            u = Transpose<perm = [0,2,3,1]>(d) j = Concat<axis = -1>(t, u) y = Mul(j, k) }""",
        "Conv Conv Transpose Transpose Concat",
        id="Concat up: along the last axis, through Transpose",
    ),
    pytest.param(
        HEAD + "NORM2> { c = Conv(x, v) d = Conv(x, w) j = Concat<axis = 2>(c, d) y = BN(j) }",
        "Conv Conv Concat",
        id="Concat up: along another axis, the whole to each",
    ),
    pytest.param(
        HEAD
        + """float[4,1,1] k = {2, -1, 1, 1}> {
            r = Relu(x) q = Sigmoid(x) c = Conv(r, v) e = Conv(q, w) d = Tanh(e)
            j = Concat<axis = 1>(c, d) y = Mul(j, k) }""",
        "Relu Sigmoid Conv Conv Tanh Concat",
        id="Concat up: a branch that nothing changes need not take it",
    ),
    pytest.param(
        HEAD
        + """float[3,4,1,1] u, NORM2> { r = Relu(x) s = Conv(r, v) t = Tanh(s) n = BN(t) d = Conv(x, w)
            j = Concat<axis = 1>(d, n) y = Conv(j, u) }""",
        "Relu Conv Tanh Conv Concat Conv",
        id="Concat down: the other branch stays as it is",
    ),
    pytest.param(
        HEAD
        + """float[4,3,1,1] u, int64[2] two = {2, 2}, NORM2> {
            c = Conv(x, u) p, q = Split<axis = 1>(c, two) n = BN(q)
            d = Conv(x, v) e = Conv(x, w) f = Add(d, e) y = Concat<axis = 1>(p, n, f) }""",
        "Conv Split Conv Conv Add Concat",
        id="Split up: the other output stays as it is",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,d,e,f] z)
            <float[2,1,1,1] v, float[2,3,2,2] w, int64[2] s = {1, 3}, NORM4> {
            n = BN(x) p, q = Split<axis = 1>(n, s) y = Conv(p, v) z = Conv(q, w) }""",
        "Split Conv Conv",
        id="Split down: each its slice",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,d,e,f] z)
            <float[2,1,1,1] v, int64[2] s = {1, 3}, float[4,1,1] k = {2, 1, 1, 1}> {
            n = Mul(x, k) p, q = Split<axis = 1>(n, s) y = Conv(p, v) z = Sigmoid(q) }""",
        "Split Conv Sigmoid",
        id="Split down: a slice that changes nothing may go anywhere",
    ),
]


@pytest.mark.parametrize(("text", "ops"), FOLDED)
def test_branches_carry(text: str, ops: str) -> None:
    """Slices go to the branches; the Concat or Split stays."""
    found = rewritten(text, opset=13, passes=("fold-affine",))
    assert found.ops == ops
    assert len(found.report.applied) == 1


def test_split_of_older_opsets() -> None:
    """Before opset 13 the sizes are an attribute; without any, the parts are equal."""
    text = """g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,d,e,f] z)
        <float[2,{0},1,1] v, float[2,{1},2,2] w, NORM4> {{
        n = BN(x) p, q = Split<axis = 1{2}>(n) y = Conv(p, v) z = Conv(q, w) }}"""
    for sizes in ((2, 2, ""), (3, 1, ", split = [3,1]")):
        assert rewritten(text.format(*sizes), opset=11).ops == "Split Conv Conv"


REFUSED = [
    pytest.param(
        HEAD
        + """NORM4> { c = Conv(x, v) e = Conv(x, w) d = Relu(e) j = Concat<axis = 1>(c, d) [bn] y = BN(j) }""",
        "Relu 'd' before it can't take a scale and shift",
        id="Concat up: one branch can't",
    ),
    pytest.param(
        """g (float[N,T,H,W] x, float[N,D,H,W] z) => (float[N,a,b,c] y) <NORM4> {
            c = Neg(x) d = Neg(z) j = Concat<axis = 1>(c, d) [bn] y = BN(j) }""",
        "Concat: the number of channels of a branch is unknown",
        id="Concat up: channels unknown",
    ),
    pytest.param(
        HEAD
        + "NORM4> { c = Conv(x, v) j = Concat<axis = 1>(c, c) d = Conv(x, w) [bn] n = BN(j) e = Concat<axis = 1>(d, d) y = Add(n, e) }",
        "is read twice by Concat 'j'",
        id="Concat up: one branch twice",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,d,e,f] z)
            <float[2,1,1,1] v, int64[2] s = {1, 3}, NORM4> {
            [bn] n = BN(x) p, q = Split<axis = 1>(n, s) y = Conv(p, v) z = Sigmoid(q) }""",
        "Sigmoid 'z' after it can't take a scale and shift",
        id="Split down: one reader can't",
    ),
    pytest.param(
        """g (float[N,4,H,W] x, int64[2] s) => (float[N,a,b,c] y, float[N,d,e,f] z)
            <float[2,2,1,1] v, float[2,2,1,1] w, NORM4> {
            [bn] n = BN(x) p, q = Split<axis = 1>(n, s) y = Conv(p, v) z = Conv(q, w) }""",
        "Split: the sizes of its outputs are unknown",
        id="Split down: sizes given at run time",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_branches_refuse(text: str, words: str) -> None:
    """All or none."""
    found = rewritten(text, opset=13, compare=False)
    assert not found.report.modified
    assert words in found.refused["bn"]
