"""Slice and Gather, and tables that Gather looks up."""

from __future__ import annotations

import numpy as np
import pytest

from normonnx.fold import worth
from tests.rewriting import rewritten

HEAD = "g (float[N,3,H,W] x) => (float[N,a,b,c] y) <float[4,3,1,1] w, "
BOUNDS = "int64[1] one = {1}, int64[1] far = {9223372036854775807}, "
DOWN = "g (float[N,4,H,W] x) => (float[N,a,b,c] y) <NORM4, "
FOLDED = [
    pytest.param(
        HEAD + BOUNDS + "NORM3> { c = Conv(x, w) s = Slice(c, one, far, one) y = BN(s) }",
        "Conv Slice",
        id="Slice up: what is cut off stays as it is",
    ),
    pytest.param(
        HEAD
        + """int64[1] last = {-1}, int64[1] back = {-9223372036854775807}, int64[1] axis = {-3}, NORM4> {
            c = Conv(x, w) s = Slice(c, last, back, axis, last) y = BN(s) }""",
        "Conv Slice",
        id="Slice up: backwards",
    ),
    pytest.param(
        HEAD
        + "int64[1] two = {2}, int64[1] far = {99}, NORM4> { c = Conv(x, w) s = Slice(c, two, far, two) y = BN(s) }",
        "Conv Slice",
        id="Slice up: another axis",
    ),
    pytest.param(
        DOWN
        + BOUNDS
        + "float[2,3,2,2] w> { n = BN(x) s = Slice(n, one, far, one) y = Conv(s, w) }",
        "Slice Conv",
        id="Slice down",
    ),
    pytest.param(
        """g (float[N,3,5,4] x) => (float[N,4,20] y) <float[6,3,1,1] w, int64[4] f = {0, 2, 3, -1}, int64[3] t = {0, 4, -1},
            int64[1] from = {1}, int64[1] to = {3}, int64[1] axis = {2}, float[4,1] k> {
            c = Conv(x, w) g = Reshape(c, f) s = Slice(g, from, to, axis) r = Reshape(s, t) y = Mul(r, k) }""",
        "Conv Reshape Slice Reshape",
        id="Slice up: some channels of each group",
    ),
    pytest.param(
        HEAD
        + "int64[3] i = {3, 0, -2}, NORM3> { c = Conv(x, w) s = Gather<axis = 1>(c, i) y = BN(s) }",
        "Conv Gather",
        id="Gather up: channels selected",
    ),
    pytest.param(
        HEAD
        + "int64[2] i = {1, 1}, NORM4> { c = Conv(x, w) s = Gather<axis = 2>(c, i) y = BN(s) }",
        "Conv Gather",
        id="Gather up: another axis",
    ),
    pytest.param(
        """g (float[N,3,W] x) => (float[N,4,2,2] y) <float[4,3,1] w, int64[2,2] i = {0,1,1,2}, NORM4> {
            c = Conv(x, w) s = Gather<axis = -1>(c, i) y = BN(s) }""",
        "Conv Gather",
        id="Gather up: a matrix of indices behind the channels",
    ),
    pytest.param(
        DOWN
        + "int64[3] i = {3, 0, 0}, float[2,3,2,2] w> { n = BN(x) s = Gather<axis = 1>(n, i) y = Conv(s, w) }",
        "Gather Conv",
        id="Gather down: one channel twice",
    ),
    pytest.param(
        """g (float[N,5,4] x) => (float[N,7] y) <float[4] k, float[4] h, int64 i = {0}, float[4,7] w, float[7] b> {
            m = Mul(x, k) n = Add(m, h) s = Gather<axis = 1>(n, i) y = Gemm(s, w, b) }""",
        "Gather Gemm",
        id="Gather down: the first token",
    ),
    pytest.param(
        DOWN.replace("[N,a,b,c]", "[N,a,b]")
        + "int64 i = {2}, int64[1] one = {1}, float[2,1,2] w> { n = BN(x) s = Gather<axis = 1>(n, i) f = Flatten<axis = 1>(s) u = Unsqueeze(f, one) y = Conv(u, w) }",
        "Gather Flatten Unsqueeze Conv",
        id="Gather down: one channel, of which no axis is left",
    ),
    pytest.param(
        "g (float[N,3,5,4] x, int64[1] from, int64[1] to) => (float[N,a,b,c] y) <float[4,3,1,1] w, int64[1] i = {2}, NORM4> { c = Conv(x, w) s = Slice(c, from, to, i) y = BN(s) }",
        "Conv Slice",
        id="Slice up: bounds given at run time, along another axis",
    ),
    pytest.param(
        "g (float[N,4,5,4] x, int64[1] from, int64[1] to) => (float[N,a,b,c] y) <float[2,4,1,1] w, int64[1] i = {-1}, NORM4> { n = BN(x) s = Slice(n, from, to, i) y = Conv(s, w) }",
        "Slice Conv",
        id="Slice down: bounds given at run time, along another axis",
    ),
]


@pytest.mark.parametrize(("text", "ops"), FOLDED)
def test_selections_carry(text: str, ops: str) -> None:
    """The numbers are selected, or scattered, like the data."""
    assert rewritten(text, opset=13).ops == ops


def test_slice_of_older_opsets() -> None:
    """Before opset 10 the bounds are attributes."""
    text = HEAD + "NORM3> { c = Conv(x, w) s = Slice<starts=[1], ends=[4], axes=[1]>(c) y = BN(s) }"
    assert rewritten(text, opset=9).ops == "Conv Slice"


REFUSED = [
    pytest.param(
        """g (float[N,3,H,W] x, int64[1] one) => (float[N,a,b,c] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) s = Slice(c, one, one, one) [bn] y = BN(s) }""",
        "Slice: where it cuts is computed at run time",
        id="Slice: bounds given at run time",
    ),
    pytest.param(
        HEAD
        + "int64[3] i = {3, 0, 3}, NORM3> { c = Conv(x, w) s = Gather<axis = 1>(c, i) [bn] y = BN(s) }",
        "it selects a channel twice",
        id="Gather up: one channel twice",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, int64[4] i) => (float[N,a,b,c] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) s = Gather<axis = 1>(c, i) [bn] y = BN(s) }""",
        "Gather: which channels it selects is unknown",
        id="Gather up: indices given at run time",
    ),
]

REFUSED += [
    pytest.param(
        HEAD
        + "int64[3] i = {3, 0, 3}, float[3,1,1] k> { c = Conv(x, w) s = Gather<axis = 1>(c, i) [bn] y = Mul(s, k) }",
        "it selects a channel twice",
        id="Gather up: one channel twice, with two scales",
    ),
    pytest.param(
        HEAD
        + "int64[3] i = {3, 0, 3}, float[3,1,1] k> { c = Conv(x, w) s = Gather<axis = 1>(c, i) [bn] y = Add(s, k) }",
        "it selects a channel twice",
        id="Gather up: one channel twice, with two shifts",
    ),
    pytest.param(
        "g (float[N,4,H,W] x, int64[3] i) => (float[N,a,b,c] y) <NORM4, float[2,3,1,1] w> { [bn] n = BN(x) s = Gather<axis = 1>(n, i) y = Conv(s, w) }",
        "Gather: which channels it selects is unknown",
        id="Gather down: indices given at run time",
    ),
    pytest.param(
        "g (float[N,4,H] x) => (float[N,a,b,c] y) <int64[2,2] i = {0, 1, 2, 3}, NORM4, float[2,2,1,1] w> { [bn] n = BN(x) s = Gather<axis = 1>(n, i) y = Conv(s, w) }",
        "Gather: which channels it selects is unknown, or not in one row",
        id="Gather down: a matrix of indices",
    ),
    pytest.param(
        "g (float[N,4,H] x) => (float[N,2,2,H] y) <int64[2,2] i = {0, 1, 2, 3}, NORM2, float[4,4,1] w> { c = Conv(x, w) s = Gather<axis = 1>(c, i) [bn] y = BN(s) }",
        "Gather: which channels it selects is unknown, or not in one row",
        id="Gather up: a matrix of indices",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_selections_refuse(text: str, words: str) -> None:
    """What is selected must be known, and get one affine."""
    found = rewritten(text, opset=13, compare=False)
    assert not found.report.modified
    assert words in found.refused["bn"]


TABLE = "g (int64[N,T] i) => (float[N,T,4] y) <float[5,4] w, float[4] k, float[4] h> "


def test_a_table_absorbs() -> None:
    """Scale and shift go into the rows of an embedding table, rounded once."""
    found = rewritten(TABLE + "{ e = Gather(w, i) m = Mul(e, k) y = Add(m, h) }")
    assert found.ops == "Gather"
    was = {t.name: np.frombuffer(t.raw_data, np.float32) for t in found.original.graph.initializer}
    exact = was["w"].reshape(5, 4).astype(np.float64) * was["k"] + was["h"].astype(np.float64)
    assert np.array_equal(found.weight("w"), exact.astype(np.float32))


def test_a_table_of_columns_absorbs() -> None:
    """Looked up along its second axis, the table varies along its first."""
    found = rewritten(
        "g (int64[N] i) => (float[4,N] y) <float[4,5] w, float[4,1] k> { e = Gather<axis = 1>(w, i) y = Mul(e, k) }"
    )
    assert found.ops == "Gather"


def test_a_huge_shared_table_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tied embedding would have to be there twice."""
    monkeypatch.setattr(worth, "LARGEST_COPY", 79)
    text = TABLE.replace("y) <", "y, float[N,5] z) <").replace("(int64", "(float[N,4] x, int64")
    text += (
        "{ t = Transpose(w) z = MatMul(x, t) e = Gather(w, i) m = Mul(e, k) [add] y = Add(m, h) }"
    )
    found = rewritten(text)
    assert not found.report.modified
    assert "weight 'w' is also read elsewhere" in found.refused["add"]


def test_a_table_that_would_not_fit_refuses() -> None:
    """A sum that leaves the range of fp16 is refused."""
    found = rewritten(
        """
        g (int64[N,T] i) => (float16[N,T,4] y) <float16[5,4] w, float h32 = {65504}, float k32 = {30000}> {
            h = Cast<to = 10>(h32) k = Cast<to = 10>(k32)
            e = Gather(w, i) m = Mul(e, k) [add] y = Add(m, h) }""",
        compare=False,
    )
    assert "the sum would not fit float16 in weight 'w'" in found.refused["add"]


CONSTANT = "g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM3> "


def test_an_affine_of_a_constant_is_evaluated() -> None:
    """Weight standardisation by a BatchNormalization ends in the weight; every reader gets it."""
    found = rewritten(
        CONSTANT + "{ [bn] v = BN(w) a = Conv(x, v) b = Conv(x, v) y = Sub(a, b) }", compare=False
    )
    assert found.ops == "Conv Conv Sub"


def test_a_constant_of_other_channels_is_not_evaluated() -> None:
    """Nor is the model legal."""
    found = rewritten(CONSTANT.replace("NORM3", "NORM2") + "{ [bn] v = BN(w) y = Conv(x, v) }")
    assert found.refused["bn"].startswith("the constant 'w' has shape [4, 3, 1, 1], but the affine")


def test_an_evaluated_constant_takes_one_node_away() -> None:
    """The report counts it."""
    found = rewritten(CONSTANT + "{ v = BN(w) y = Conv(x, v) }")
    assert [event.removed for event in found.report.applied] == [1]


def test_constants_are_evaluated_one_after_the_other() -> None:
    """What is read twice is scaled and shifted, and then once more for one of its readers."""
    found = rewritten(
        CONSTANT + "{ v = BN(w) u = BN(v) a = Conv(x, u) b = Conv(x, v) y = Mul(a, b) }"
    )
    assert found.ops == "Conv Conv Mul"


def test_an_evaluated_constant_can_not_be_an_output() -> None:
    """The output has no other maker."""
    found = rewritten(
        "g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[2,4,1,1] v) <float[2,4,1,1] w, NORM4> { [bn] v = BN(w) y = Conv(x, v) }",
        compare=False,
    )
    assert "it is applied to a constant, and is an output of the graph" in found.refused["bn"]
