"""A node that goes is worth a few weights and no huge copy."""

from __future__ import annotations

import pytest

from normonnx.fold import quantized, reshaping, worth
from tests.rewriting import rewritten


def _concatenated(branches: int) -> str:
    names = ", ".join(f"float[2,3,1,1] w{i}" for i in range(branches))
    convs = " ".join(f"c{i} = Conv(x, w{i})" for i in range(branches))
    joined = ", ".join(f"c{i}" for i in range(branches))
    return f"g (float[N,3,H,W] x) => (float[N,a,b,c] y) <{names}, NORM{2 * branches}> {{ {convs} j = Concat<axis = 1>({joined}) [bn] y = BN(j) }}"


def test_a_node_is_worth_some_weights() -> None:
    """As many as are said, and not one more."""
    assert "BatchNormalization" not in rewritten(_concatenated(worth.MOST_WEIGHTS)).ops
    found = rewritten(_concatenated(worth.MOST_WEIGHTS + 1))
    assert not found.report.modified
    assert (
        "it would rewrite 9 weights to save 1 node(s); at most 8 are worth it"
        in found.refused["bn"]
    )


def test_copies_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shared weights are judged together."""
    text = """g (float[N,3,H,W] x) => (float[N,a,b,c] y, float[4,3,1,1] z) <float[2,3,1,1] v, float[2,3,1,1] w, NORM4> {
        c = Conv(x, v) d = Conv(x, w) j = Concat<axis = 1>(c, d) [bn] y = BN(j) z = Concat<axis = 0>(v, w) }"""
    monkeypatch.setattr(worth, "LARGEST_COPY", 47)
    assert "is also read elsewhere" in rewritten(text).refused["bn"]
    monkeypatch.setattr(worth, "LARGEST_COPY", 48)
    assert rewritten(text).report.modified


@pytest.mark.parametrize(
    ("most", "ops"), [(47, "BatchNormalization MatMul MatMul"), (48, "Gemm MatMul")]
)
def test_the_weight_of_a_gemm_is_a_copy_as_well(
    most: int, ops: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a MatMul becomes one, and something else reads its weight."""
    monkeypatch.setattr(worth, "LARGEST_COPY", most)
    found = rewritten(
        "g (float[N,4] x) => (float[N,3] y, float[N,3] z) <float[4,3] w, NORM4> { n = BN(x) y = MatMul(n, w) z = MatMul(x, w) }"
    )
    assert found.ops == ops


def test_the_bounds() -> None:
    """Eight weights a node; 64 MiB copied; a megabyte more in all; what an affine may grow to, or be off."""
    assert (reshaping._MOST_NUMBERS, quantized._EXACT) == (1 << 16, 4.0)
    assert (worth.MOST_WEIGHTS, worth.LARGEST_COPY, worth.LARGEST_GROWTH) == (8, 1 << 26, 1 << 20)


MERGES = [
    # what is merged and read elsewhere, too; how many numbers that adds
    pytest.param(
        "<float[5,4,1] w, float[5,4,1] v> { c = Conv(x, w) d = Conv(x, v) z = Add(c, d) e = Conv(x, w) y = Conv(x, v) r = Exp(e) }",
        20,
        id="parallel Convs",
    ),
    pytest.param(
        "<float[6,5] w, float[6,5] v> { c = MatMul(x, w) d = MatMul(x, v) z = Add(c, d) e = MatMul(x, w) y = MatMul(x, v) r = Exp(e) }",
        30,
        id="parallel products",
    ),
    pytest.param(
        "<float[5,4,1] w, float[2,5,1] v> { c = Conv(x, w) z = Conv(c, v) e = Conv(x, w) s = Relu(e) y = Conv(s, v) r = Exp(s) }",
        8,
        id="Convs in a row",
    ),
    pytest.param(
        "<float[6,5] w, float[5,2] v> { c = MatMul(x, w) z = MatMul(c, v) e = MatMul(x, w) s = Relu(e) y = MatMul(s, v) r = Exp(s) }",
        12,
        id="products in a row",
    ),
]


@pytest.mark.parametrize(("body", "numbers"), MERGES)
def test_what_a_merge_may_add(body: str, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the new weight where the old ones stay; not one byte more than is said."""
    text = f"g (float[N,4,6] x) => (float[N,a,b] y, float[N,c,d] z, float[N,e,f] r) {body}"
    monkeypatch.setattr(worth, "LARGEST_GROWTH", 4 * numbers - 1)
    assert not rewritten(text).report.modified
    monkeypatch.setattr(worth, "LARGEST_GROWTH", 4 * numbers)
    assert rewritten(text).report.modified


@pytest.mark.parametrize("op_type", ["Conv", "MatMul"])
def test_what_goes_makes_room(op_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that nothing else reads cost nothing, whatever their size."""
    monkeypatch.setattr(worth, "LARGEST_GROWTH", 0)
    kernel = ",1" if op_type == "Conv" else ""
    found = rewritten(
        f"g (float[N,4,4] x) => (float[N,a,b] y) <float[4,4{kernel}] w, float[4,4{kernel}] v> {{ c = {op_type}(x, w) d = {op_type}(x, v) y = Add(c, d) }}"
    )
    assert found.ops == op_type


def test_a_weight_that_nothing_else_reads_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is replaced, however large."""
    monkeypatch.setattr(worth, "LARGEST_COPY", 0)
    assert rewritten(_concatenated(2)).report.modified


@pytest.mark.parametrize("readers", [8, 9])
def test_a_bias_is_worth_some_weights(readers: int) -> None:
    """Those that would take the scale of a LayerNormalization are rewritten as well."""
    weights = ", ".join(f"float[4,2] w{i}, float[2] h{i}" for i in range(readers))
    body = " ".join(f"m{i} = MatMul(n, w{i}) a{i} = Add(m{i}, h{i})" for i in range(readers))
    found = rewritten(
        f"g (float[N,T,4] x) => (float[N,T,2] y) <float[4] s, float[4] b, {weights}> {{ n = LayerNormalization(x, s, b) {body}"
        f" y = Sum({', '.join(f'a{i}' for i in range(readers))}) }}",
        passes=("fold-affine",),
    )
    assert found.report.modified == (readers == 8)
