"""A node that goes is worth a few weights and no huge copy."""

from __future__ import annotations

import pytest

from normonnx.fold import worth
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


def test_a_weight_that_nothing_else_reads_is_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is replaced, however large."""
    monkeypatch.setattr(worth, "LARGEST_COPY", 0)
    assert rewritten(_concatenated(2)).report.modified
