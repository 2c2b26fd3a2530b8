"""Constants by which runtimes recognise what an exporter took apart stay where they are."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

SPELLED = [
    pytest.param(
        """q = Mul(x, x) v = ReduceMean<axes=[-1]>(q) d = Sqrt(v) n = Div(x, d) [it] m = Mul(n, k) y = MatMul(m, w)""",
        id="x / sqrt",
    ),
    pytest.param(
        """q = Mul(x, x) v = ReduceMean<axes=[-1]>(q) d = Sqrt(v) r = Reciprocal(d) n = Mul(x, r)
            c = Cast<to = 1>(n) [it] m = Mul(k, c) y = MatMul(m, w)""",
        id="x * (1 / sqrt), through Cast",
    ),
    pytest.param(
        """s = Sigmoid(x) e = Erf(s) o = Add(e, half) g = Mul(x, o) [it] m = Mul(g, half) y = MatMul(m, w)""",
        id="GELU",
    ),
]


@pytest.mark.parametrize("nodes", SPELLED)
def test_tails_stay(nodes: str) -> None:
    """Nothing of them moves down into the MatMul."""
    constant = "float half = {0.5}" if "half" in nodes else "float[4] k"
    found = rewritten(
        f"g (float[N,T,4] x) => (float[N,T,a] y) <float[4,3] w, {constant}> {{ {nodes} }}", opset=17
    )
    assert not found.report.modified


def test_other_scales_move() -> None:
    """Divided by anything but a root, it is no normalization."""
    found = rewritten(
        """g (float[N,T,4] x) => (float[N,T,a] y) <float[4,3] w, float[4] k> {
            d = Exp(x) n = Div(x, d) m = Mul(n, k) y = MatMul(m, w) }"""
    )
    assert found.ops == "Exp Div MatMul"


@pytest.mark.parametrize("other", ["Exp(x)", "Add(x, x)"])
def test_the_scale_of_any_product_moves(other: str) -> None:
    """A product is half a GELU only where 1 + Erf or 1 + Tanh enters it."""
    found = rewritten(
        f"""g (float[N,T,4] x) => (float[N,T,a] y) <float[4,3] w, float k> {{
            d = {other} n = Mul(x, d) m = Mul(n, k) y = MatMul(m, w) }}"""
    )
    assert found.ops == f"{other[:3]} Mul MatMul"
