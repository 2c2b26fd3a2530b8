"""Which summed matrix products of one input become one, and which stay, with the reason."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,3] x) => (float[N,4] y) "
SQUARE = "g (float[N,4] x) => (float[N,4] y) "
DEEP = "g (float[N,T,4] x) => (float[N,T,4] y) "
MERGED = [
    pytest.param(
        HEAD + "<float[3,4] w, float[3,4] v> { c = MatMul(x, w) d = MatMul(x, v) y = Add(c, d) }",
        "MatMul",
        id="two MatMuls",
    ),
    pytest.param(
        DEEP
        + """<float[4,4] w, float[4,4] v, float[4] k, float[4] l> {
            c = MatMul(x, w) d = Add(c, k) e = MatMul(x, v) f = Add(e, l) h = Add(d, f) y = Add(h, x) }""",
        "MatMul Add",
        id="linear layers of a batch of sequences, with biases and identity",
    ),
    pytest.param(
        DEEP + """<float[4,4] w, float[4] k> { c = MatMul(x, w) d = Mul(x, k) y = Add(d, c) }""",
        "MatMul",
        id="the input scaled along the axis summed over",
    ),
    pytest.param(
        "g (float[N,4,3] x) => (float[N,4,3] y) <float[4,4] w, float[4,4] v, float[4,1] k> {"
        " c = MatMul(w, x) d = MatMul(v, x) e = Mul(x, k) f = Add(d, c) y = Add(e, f) }",
        "MatMul",
        id="weights at the left",
    ),
    pytest.param(
        HEAD
        + """<float[3,4] w, float[4,3] v, float[4] k, float[1,4] l> {
            c = Gemm<alpha=2.0, beta=0.5>(x, w, k) d = Gemm<alpha=-1.0, transB=1>(x, v, l) y = Add(c, d) }""",
        "Gemm",
        id="Gemms of other layout, alpha and beta",
    ),
    pytest.param(
        HEAD
        + """<float[4,3] w, float[3,4] v, float[4] k> {
            c = MatMul(x, v) d = Gemm<transB=1>(x, w, k) y = Add(c, d) }""",
        "Gemm",
        id="MatMul into Gemm",
    ),
    pytest.param(
        HEAD
        + "<float[3,4] w, float[3,4] v, float k> { c = Gemm(x, w) d = Gemm(x, v, k) y = Add(c, d) }",
        "Gemm",
        id="a scalar bias",
    ),
    pytest.param(
        HEAD
        + """<float[3,4] w, float[3,4] v, float[4] k> {
            c = Gemm<beta=0.0>(x, w, k) d = Gemm(x, v, k) y = Add(c, d) }""",
        "Gemm",
        id="beta 0",
    ),
    pytest.param(
        "g (float[N,3] x, float[N,4] k) => (float[N,4] y) <float[3,4] w, float[3,4] v> {"
        " c = Gemm<beta=0.0>(x, w, k) d = Gemm(x, v) y = Add(c, d) }",
        "Gemm",
        id="beta 0 of what is no constant",
    ),
    pytest.param(
        SQUARE + "<float[4,4] w, NORM4> { c = Gemm<transB=1>(x, w) d = BN(x) y = Add(c, d) }",
        "Gemm",
        id="BN of the input",
    ),
    pytest.param(
        SQUARE
        + "<float[4,4] w, float[4,4] v, NORM4> { c = MatMul(x, w) d = Gemm(x, v) e = BN(x) y = Sum(c, d, e) }",
        "Gemm",
        id="a Gemm stays rather than a MatMul, for it can take the shift",
    ),
    pytest.param(
        "g (float[3,N] x) => (float[N,4] y) <float[3,4] w, float[3,4] v> {"
        " c = Gemm<transA=1>(x, w) d = Gemm<transA=1>(x, v) y = Add(c, d) }",
        "Gemm",
        id="transposed inputs",
    ),
    pytest.param(
        SQUARE
        + """<float[4,4] w, float[4,4] v, float[4,4] u> {
            r = Relu(x) c = MatMul(x, w) d = MatMul(r, v) e = MatMul(x, u) f = Add(c, d) y = Add(f, e) }""",
        "Relu MatMul MatMul Add",
        id="the product of another input stays",
    ),
]


@pytest.mark.parametrize(("text", "ops"), MERGED)
def test_products_merge(text: str, ops: str) -> None:
    """One product is left for the branches of one input."""
    found = rewritten(text)
    assert found.ops == ops
    assert "parallel to it" in found.applied


def test_a_factor_that_is_said_to_be_one_stays() -> None:
    """Only what must change is edited."""
    found = rewritten(
        "g (float[N,4] x) => (float[N,3] y) <float[4,3] w, float[4,3] v, float[3] k> { c = Gemm<alpha = 1.0, beta = 1.0>(x, w, k) d = Gemm(x, v, k) y = Add(c, d) }"
    )
    assert found.ops == "Gemm"
    assert found.attributes("Gemm") == {"alpha": 1.0, "beta": 1.0}


@pytest.mark.parametrize(("bias", "names"), [(", k", {"w", "k"}), ("", {"w", "w_bias"})])
def test_names_of_merged_constants(bias: str, names: set[str]) -> None:
    """Those of the Gemm that stays, as long as nothing else reads them; a bias that comes is its weight's."""
    found = rewritten(
        f"g (float[N,4] x) => (float[N,3] y) <float[4,3] w, float[4,3] v, float[3] k> {{ c = Gemm(x, w{bias}) d = Gemm(x, v, k) y = Add(c, d) }}"
    )
    assert {tensor.name for tensor in found.proto.graph.initializer} == names


@pytest.mark.parametrize("alpha", ["", ", alpha = 0.5"])
def test_a_sum_of_products_is_multiplied_into_what_follows(alpha: str) -> None:
    """Stored the other way round."""
    found = rewritten(
        "g (float[N,6] x) => (float[N,2] y) <float[6,5] w, float[6,5] v, float[2,5] u> {"
        f" c = MatMul(x, w) d = MatMul(x, v) s = Add(c, d) y = Gemm<transB = 1{alpha}>(s, u) }}"
    )
    assert found.ops == "Gemm"


LEFT = [
    pytest.param(
        "g (float[N,4,4] x) => (float[N,4,4] y) <float[4,4] w, float[4,4] v> { c = MatMul(x, w) d = MatMul(v, x) [sum] y = Add(c, d) }",
        "one multiplies from the left, one from the right",
        id="sides",
    ),
    pytest.param(
        "g (float[4,4] x) => (float[4,4] y) <float[4,4] w, float[4,4] v> { c = Gemm(x, w) d = Gemm<transA=1>(x, v) [sum] y = Add(c, d) }",
        "only one transposes its input",
        id="transA",
    ),
    pytest.param(
        HEAD
        + "<float[3,4] w, float[3,1] v> { c = MatMul(x, w) d = MatMul(x, v) [sum] y = Add(c, d) }",
        "their weights have shapes [3, 4] and [3, 1]",
        id="one is broadcast",
    ),
    pytest.param(
        HEAD
        + "<float[3,4] w, float[3,4] v, float[2,4] k> { c = Gemm(x, w) d = Gemm(x, v, k) [sum] y = Add(c, d) }",
        "its bias C has shape [2, 4], expected one row",
        id="a bias for each row",
    ),
    pytest.param(
        "g (float[3,4] x) => (float[3,3] y) <float[4,3] w, float[4,3] v, float[3,1] k> { c = Gemm(x, w) d = Gemm(x, v, k) [sum] y = Add(c, d) }",
        "its bias C has shape [3, 1], expected one row",
        id="a bias for each row, as many as columns",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) <float[4,4] w, float[2,4,4] v> { c = MatMul(x, w) d = MatMul(x, v) [sum] y = Add(c, d) }",
        "its weight has shape [2, 4, 4], expected two dimensions",
        id="a batch of weights",
    ),
    pytest.param(
        DEEP + "<float[4,4] w, float k> { c = MatMul(x, w) d = Sub(k, x) [sum] y = Add(c, d) }",
        "a MatMul has no bias for its shift",
        id="a shift",
    ),
    pytest.param(
        "g (float[N,4,4] x) => (float[N,4,4] y) <float[4,4] w, float[4,1] k> { c = MatMul(x, w) d = Mul(x, k) [sum] y = Add(c, d) }",
        "the affine varies along axes (1,)",
        id="an affine along another axis",
    ),
    pytest.param(
        "g (float[N,1] x) => (float[N,4] y) <float[1,4] w> { c = MatMul(x, w) [sum] y = Add(c, x) }",
        "the product changes the shape of its input",
        id="the input is broadcast",
    ),
    pytest.param(
        "g (float[4,4] x) => (float[4,4] y) <float[4,4] w> { c = Gemm<transA=1>(x, w) [sum] y = Add(c, x) }",
        "the product changes the shape of its input",
        id="identity beside transA",
    ),
]


@pytest.mark.parametrize(("text", "reason"), LEFT)
def test_products_that_stay(text: str, reason: str) -> None:
    """Nothing changes, and the report says why."""
    found = rewritten(text)
    assert not found.report.modified
    assert reason in found.refused["sum"]


def test_products_that_others_read() -> None:
    """What something else reads would have to stay."""
    found = rewritten(
        "g (float[N,3] x) => (float[N,4] y, float[N,4] z) <float[3,4] w, float[3,4] v> {"
        " c = MatMul(x, w) d = MatMul(x, v) [sum] y = Add(c, d) z = Relu(d) }"
    )
    assert not found.report.modified
    assert found.refused["sum"] == "the output of MatMul 'd' is also read elsewhere"


def test_a_product_outside_the_body_refuses() -> None:
    """It is computed whichever way the condition goes."""
    found = rewritten("""
        g (float[N,3] x, bool p) => (float[N,3] y) <float[3,3] w, float[3,3] v> {
            c = MatMul(x, w)
            y = If(p) <
                then_branch = t () => (float[N,3] f) { d = MatMul(x, v) [sum] f = Add(c, d) },
                else_branch = o () => (float[N,3] h) { h = Relu(x) }>
        }""")
    assert not found.report.modified
    assert found.refused["sum"] == "'c' comes from outside the subgraph"


@pytest.mark.parametrize("kept", ["one", "two", "sum"])
def test_kept_nodes_stay(kept: str) -> None:
    """A product or the sum named in keep is left as it is."""
    found = rewritten(
        HEAD
        + "<float[3,4] w, float[3,4] v> { [one] c = MatMul(x, w) [two] d = MatMul(x, v) [sum] y = Add(c, d) }",
        keep=[kept],
    )
    assert not found.report.modified


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "double"])
def test_types(dtype: str) -> None:
    """Weights are summed in float64 and rounded to their own type."""
    found = rewritten(
        f"""g ({dtype}[N,4] x) => ({dtype}[N,4] y) <{dtype}[4,4] w, {dtype}[4,4] v, {dtype}[4] k> {{
            c = Gemm<alpha=0.3>(x, w, k) d = Gemm<transB=1>(x, v, k) e = Add(c, d) y = Add(e, x) }}""",
        opset=22,
    )
    assert found.ops == "Gemm"


def test_fp16_range() -> None:
    """Columns or rows, the sum must fit."""
    found = rewritten(
        """g (float16[N,1] x) => (float16[N,2] y) <float[1,2] w32 = {1, 5e4}> {
            w = Cast<to = 10>(w32) c = MatMul(x, w) d = MatMul(x, w) [sum] y = Add(c, d) }""",
        compare=False,
    )
    assert not found.report.modified
    assert found.refused["sum"] == "the merged weight would not fit float16 in channel 0"
