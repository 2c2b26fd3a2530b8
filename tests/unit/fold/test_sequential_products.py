"""Which matrix products in a row become one, and which stay, with the reason."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

PRODUCTS = [
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,2] y) <float[4,3] w, float[3,2] v> { c = MatMul(x, w) y = MatMul(c, v) }",
        "MatMul",
        id="MatMul, MatMul",
    ),
    pytest.param(
        "g (float[N,4,3] x) => (float[N,2,3] y) <float[5,4] w, float[2,5] v> { c = MatMul(w, x) y = MatMul(v, c) }",
        "MatMul",
        id="from the left",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,2] y) <float[4,3] w, float[3] k, float[2,3] v, float[2] l> {"
        " c = Gemm<alpha=0.5, beta=2.0>(x, w, k) y = Gemm<alpha=-3.0, beta=0.5, transB=1>(c, v, l) }",
        "Gemm",
        id="Gemm, Gemm of every attribute",
    ),
    pytest.param(
        "g (float[4,N] x) => (float[N,2] y) <float[3,4] w, float[3] k, float[3,2] v> {"
        " c = Gemm<transA=1, transB=1>(x, w, k) y = Gemm(c, v) }",
        "Gemm",
        id="a transposed input",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,2] y) <float[4,3] w, float[3,2] v, float[2] l> { c = MatMul(x, w) y = Gemm(c, v, l) }",
        "Gemm",
        id="MatMul, Gemm",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,2] y) <float[4,3] w, float[3,2] v> { c = Gemm<alpha=2.0>(x, w) y = MatMul(c, v) }",
        "MatMul",
        id="Gemm without bias, MatMul",
    ),
]


@pytest.mark.parametrize(("text", "ops"), PRODUCTS)
def test_products_multiply(text: str, ops: str) -> None:
    """Where one multiplies less than two, one is left."""
    found = rewritten(text)
    assert found.ops == ops
    assert "which follows it" in found.applied


LEFT = [
    pytest.param(
        "g (float[N,4] x) => (float[N,4] y) <float[4,2] w, float[2,4] v> { c = MatMul(x, w) [second] y = MatMul(c, v) }",
        "one would multiply 16 times for each row, the two do 16 times",
        id="low rank",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,2] y) <float[4,3] w, float[3] k, float[3,2] v> { c = Gemm(x, w, k) [second] y = MatMul(c, v) }",
        "a MatMul has no bias and transposes nothing",
        id="a bias before a MatMul",
    ),
    pytest.param(
        "g (float[4,N] x) => (float[N,2] y) <float[4,3] w, float[3,2] v> { c = Gemm<transA=1>(x, w) [second] y = MatMul(c, v) }",
        "a MatMul has no bias and transposes nothing",
        id="a transposed input before a MatMul",
    ),
]


@pytest.mark.parametrize(("text", "reason"), LEFT)
def test_products_that_stay(text: str, reason: str) -> None:
    """Nothing changes, and the report says why."""
    found = rewritten(text)
    assert not found.report.modified
    assert reason in found.refused["second"]


QUIET = [
    pytest.param(
        "g (float[N,2,4] x) => (float[N,3,5] y) <float[3,2] w, float[4,5] v> { c = MatMul(w, x) y = MatMul(c, v) }",
        id="from the left, then from the right",
    ),
    pytest.param(
        "g (float[5,4] x) => (float[2,3] y) <float[4,2] w, float[5,3] v> { c = Gemm(x, w) y = Gemm<transA=1>(c, v) }",
        id="transposed between",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,2] y, float[N,3] c) <float[4,3] w, float[3,2] v> { c = MatMul(x, w) y = MatMul(c, v) }",
        id="a product that is an output",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,N] y) <float[4,3] w, float[4,3] v> { c = MatMul(x, w) d = MatMul(x, v) e = Transpose(d) y = MatMul(c, e) }",
        id="a product of two products",
    ),
    pytest.param(
        "g (float[N,3] x) => (float[N,2] y) <float[3,4] w, float[4,2] v> { c = MatMul(w, v) y = MatMul(x, c) }",
        id="a product of constants as weight",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,2,5] y) <float[2,3] w, float[4,5] v, float[5,5] u> { c = MatMul(v, u) d = MatMul(w, x) y = MatMul(d, c) }",
        id="after a product, by a product of constants",
    ),
]


@pytest.mark.parametrize("text", QUIET)
def test_what_is_no_pair(text: str) -> None:
    """Nothing changes, and nothing is said."""
    found = rewritten(text)
    assert not found.report.modified
    assert not found.refused


@pytest.mark.parametrize("kept", ["first", "second"])
def test_kept_nodes_stay(kept: str) -> None:
    """Either of the two named in keep is left as it is."""
    found = rewritten(
        "g (float[N,3] x) => (float[N,4] y) <float[3,8] w, float[8,4] v> { [first] c = MatMul(x, w) [second] y = MatMul(c, v) }",
        keep=[kept],
    )
    assert not found.report.modified


ILLEGAL = [
    pytest.param(
        "<float[3,8] w, float[6,4] v> { c = MatMul(x, w) [second] y = MatMul(c, v) }",
        "the second does not fit the outputs of the first",
        id="columns and rows",
    ),
    pytest.param(
        "<float[3,8] w, double[8,4] v> { c = MatMul(x, w) [second] y = MatMul(c, v) }",
        "their weights are float32 and float64",
        id="types",
    ),
]


@pytest.mark.parametrize(("text", "reason"), ILLEGAL)
def test_illegal_models_are_left_alone(text: str, reason: str) -> None:
    """What ONNX forbids does not become something else."""
    found = rewritten("g (float[N,3] x) => (float[N,4] y) " + text, compare=False)
    assert not found.report.modified
    assert reason in found.refused["second"]


def test_the_second_keeps_its_names() -> None:
    """Node, weight and output of the second stay."""
    found = rewritten(
        "g (float[N,3] x) => (float[N,4] y) <float[3,8] w, float[8,4] v> { [first] c = MatMul(x, w) [second] y = MatMul(c, v) }"
    )
    (node,) = found.proto.graph.node
    assert (node.name, list(node.input), list(node.output)) == ("second", ["x", "v"], ["y"])


def test_fp16_range() -> None:
    """A product that leaves the range of fp16 is refused, naming the row of the weight."""
    found = rewritten(
        """g (float16[N,2] x) => (float16[N,1] y) <float[2,2] w32 = {1, 1, 300, 300}, float[2,1] v32 = {300, 1}> {
            w = Cast<to = 10>(w32) v = Cast<to = 10>(v32) c = MatMul(x, w) [second] y = MatMul(c, v) }""",
        compare=False,
    )
    assert not found.report.modified
    assert found.refused["second"] == "the merged weight would not fit float16 in channel 1"
