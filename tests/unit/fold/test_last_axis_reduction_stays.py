"""Reductions over the rows of a product that stay as they are, with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from normonnx.fold import last_axis_reduction, worth
from tests.rewriting import rewritten


def _sized(rows: str, width: int, columns: int) -> str:
    return f"""g (float[N,{rows},{width}] x) => (float[N,{columns}] y) <float[{width},{columns}] w> {{
        p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }}"""


@pytest.mark.parametrize(
    ("rows", "width", "columns", "reason"),
    [
        ("64", 128, 256, ""),
        ("T", 150, 300, ""),
        ("63", 128, 256, "it has 63 rows; this pays from 64 on"),
        ("T", 129, 256, "from 129 numbers it makes 256; this pays from 258 on"),
        ("T", 8, 255, "from 8 numbers it makes 255; this pays from 256 on"),
    ],
)
def test_where_it_pays(rows: str, width: int, columns: int, reason: str) -> None:
    """A product twice as wide as what is transposed, wide enough, and of enough rows."""
    found = rewritten(_sized(rows, width, columns))
    assert found.report.modified == (not reason)
    said = {"reduced": f"MatMul 'p' before it is not transposed: {reason}"} if reason else {}
    assert found.refused == said


def test_the_bounds() -> None:
    """As measured; see the module."""
    bounds = last_axis_reduction.FEWEST_ROWS, last_axis_reduction.FEWEST_COLUMNS
    assert (*bounds, last_axis_reduction.TIMES_AS_WIDE) == (64, 256, 2)


STAYING = [
    pytest.param(
        """g (float[N,T,8] x) => (float[N,256] y, float[N,T,256] p) <float[8,256] w> {
            p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }""",
        "it is also read elsewhere",
        id="an output",
    ),
    pytest.param(
        """g (float[N,T,8] x) => (float[N,256] y, float[N,256] z) <float[8,256] w> {
            p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p)
            z = ReduceMin<axes = [1], keepdims = 0>(p) }""",
        "it is also read elsewhere",
        id="two readers",
    ),
    pytest.param(
        """g (float[N,T,8] x, float[8,256] w) => (float[N,256] y) {
            p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }""",
        "its weight 'w' is an input of the graph, not a constant",
        id="a weight at run time",
    ),
    pytest.param(
        """g (float[N,T,8] x, float[8,256] w) => (float[N,256] y) <float[8,256] w> {
            p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }""",
        "whose default the caller may override",
        id="a weight that may be overridden",
    ),
    pytest.param(
        """g (float[N,T,8] x) => (float[N,256] y) <float[1,8,256] w> {
            p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }""",
        "its weight has shape [1, 8, 256], expected two dimensions",
        id="a weight of three dimensions",
    ),
]


@pytest.mark.parametrize(("text", "reason"), STAYING)
def test_it_stays_and_says_why(text: str, reason: str) -> None:
    """Nothing changes; the report has the reason."""
    found = rewritten(text)
    assert not found.report.modified
    assert reason in found.refused["reduced"]


G = "g (float[N,T,8] x) => (float[a,b] y) <float[8,256] w> { [product] p = MatMul(x, w) "
QUIET = [
    pytest.param(G + "y = ReduceMax<axes = [2], keepdims = 0>(p) }", id="the last axis"),
    pytest.param(G + "y = ReduceMax<axes = [0], keepdims = 0>(p) }", id="the batch"),
    pytest.param(
        G.replace("[a,b]", "[a]") + "y = ReduceMax<axes = [0, 1], keepdims = 0>(p) }",
        id="two axes",
    ),
    pytest.param(G.replace("[a,b]", "") + "y = ReduceMax<keepdims = 0>(p) }", id="all of the axes"),
    pytest.param(G + "y = ReduceMean<axes = [1], keepdims = 0>(p) }", id="a mean"),
    pytest.param(
        "g (float[N,256,T] x) => (float[N,T] y) <float[512,256] w> { p = MatMul(w, x) "
        "y = ReduceMax<axes = [1], keepdims = 0>(p) }",
        id="the constant at the left",
    ),
    pytest.param(
        "g (float[256,T] x) => (float[T] y) <float[128,256] w> { p = MatMul(w, x) "
        "y = ReduceMax<axes = [0], keepdims = 0>(p) }",
        id="the constant at the left of a matrix",
    ),
    pytest.param(
        "g (float[8] x) => (float y) <float[8,256] w> { p = MatMul(x, w) "
        "y = ReduceMax<axes = [0], keepdims = 0>(p) }",
        id="a vector",
    ),
    pytest.param(
        "g (float[N,T,8] x) => (float[N,T] y) { y = ReduceMax<axes = [2], keepdims = 0>(x) }",
        id="an input",
    ),
]


@pytest.mark.parametrize("text", QUIET)
def test_what_is_no_such_reduction(text: str) -> None:
    """Nothing changes, and nothing is said."""
    found = rewritten(text)
    assert not found.report.modified
    assert not found.refused


def test_axes_at_run_time() -> None:
    """They may be others."""
    found = rewritten(
        """g (float[N,T,8] x, int64[1] axes) => (float[a,b,c] y) <float[8,256] w> {
        p = MatMul(x, w) y = ReduceMax(p, axes) }""",
        opset=18,
        compare=False,
    )
    assert not found.report.modified


def test_an_unknown_rank() -> None:
    """Which axis is the one before the last is not known either."""
    found = rewritten(
        """g (float[N] z, int64[k] shape) => (float[a,b] y) <float[8,256] w> { x = Reshape(z, shape)
        p = MatMul(x, w) y = ReduceMax<axes = [1], keepdims = 0>(p) }""",
        compare=False,
    )
    assert not found.report.modified


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ("product", "it is kept as asked for"),
        ("p", "it is kept as asked for"),
        ("w", "its weight is kept as asked for"),
        ("reduced", ""),
    ],
)
def test_what_is_kept_stays(kept: str, reason: str) -> None:
    """Neither of the two, nor the weight, changes when it is named in keep."""
    text = G + "[reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }"
    found = rewritten(text, keep=[kept])
    assert not found.report.modified
    assert found.refused.get("reduced", "").endswith(reason)
    assert ("reduced" in found.refused) == bool(reason)


def test_other_domains() -> None:
    """What only has the name of an operator stays."""
    text = """<ir_version: 8, opset_import: ["": 17, "local": 1]> g (float[N,T,8] x) => (float[N,256] y)
        <float[8,256] w> { p = local.MatMul(x, w) y = ReduceMax<axes = [1], keepdims = 0>(p) }
        <domain: "local", opset_import: ["": 17]> MatMul (a, b) => (c) { c = MatMul(a, b) }"""
    assert "Transpose" not in rewritten(text).ops


def test_a_shared_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is copied where the copy is small, else the product stays; others read it as it was."""
    text = """g (float[N,T,8] x) => (float[N,256] y, float[N,T,256] z) <float[8,256] w> {
        p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) e = Exp(x) z = MatMul(e, w) }"""
    size = 4 * 8 * 256
    monkeypatch.setattr(worth, "LARGEST_GROWTH", size)
    found = rewritten(text)
    assert found.ops == "Transpose MatMul ReduceMax Exp MatMul"
    np.testing.assert_array_equal(found.weight("w_folded"), found.weight("w").T)
    monkeypatch.setattr(worth, "LARGEST_GROWTH", size - 1)
    found = rewritten(text)
    assert not found.report.modified
    assert "weights that are also read elsewhere" in found.refused["reduced"]


def test_a_product_outside_the_subgraph() -> None:
    """It is computed whichever branch is taken, and stays."""
    found = rewritten(
        """g (float[N,T,8] x, bool flag) => (float[N,256] y) <float[8,256] w, float[N,256] c> {
        p = MatMul(x, w) y = If (flag) <
            then_branch = then () => (float[N,256] t) { t = ReduceMax<axes = [1], keepdims = 0>(p) },
            else_branch = other () => (float[N,256] e) { e = Identity(c) }> }"""
    )
    assert not found.report.modified
