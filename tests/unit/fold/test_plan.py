"""Plans: no two edits of one place."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from normonnx.fold.plan import (
    Bypass,
    Edit,
    NewConstant,
    Plan,
    Refusal,
    ReplaceNode,
    SetAttribute,
    SetInput,
    TurnProduct,
    merge,
)


@pytest.fixture
def node() -> ir.Node:
    """A node with two inputs."""
    return ir.node("Add", [ir.val("a"), ir.val("b")], name="add")


CONSTANT = NewConstant(np.ones(1), np.dtype(np.float32), "one")


def _edits(node: ir.Node, kinds: str) -> list[Edit]:
    made: dict[str, Edit] = {
        "input 0": SetInput(node, 0, CONSTANT),
        "input 1": SetInput(node, 1, CONSTANT),
        "beta": SetAttribute(node, "beta", 1.0),
        "alpha": SetAttribute(node, "alpha", 1.0),
        "bypass": Bypass(node, 0),
        "replace": ReplaceNode(node, "Mul", (CONSTANT,)),
    }
    return [made[kind] for kind in kinds.split(", ")]


@pytest.mark.parametrize("kinds", ["input 0, input 1", "beta, alpha", "input 0, beta", "bypass"])
def test_different_places_merge(node: ir.Node, kinds: str) -> None:
    """Edits of different slots make a plan, which counts the nodes that go and come."""
    edits = _edits(node, kinds)
    found = merge(node, edits, "why")
    assert isinstance(found, Plan)
    assert (found.edits, found.reason) == (tuple(edits), "why")
    assert (found.removed, found.added) == (int(kinds == "bypass"), 0)


@pytest.mark.parametrize(
    "kinds",
    [
        "input 0, input 0",
        "beta, beta",
        "bypass, bypass",
        "bypass, input 0",
        "replace, beta",
        "bypass, replace",
    ],
)
def test_one_place_twice_is_refused(node: ir.Node, kinds: str) -> None:
    """Two edits of one slot, or an edit of a node that goes, are refused."""
    found = merge(node, _edits(node, kinds), "why")
    assert isinstance(found, Refusal)
    assert "the same place" in found.reason


def test_a_replaced_node_goes_and_comes(node: ir.Node) -> None:
    """ReplaceNode counts as one removed and one added."""
    found = merge(node, _edits(node, "replace"), "why")
    assert isinstance(found, Plan)
    assert (found.removed, found.added, found.folded) == (1, 1, (node,))


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_what_a_turned_product_adds(node: ir.Node, *, keeps: bool, there: bool) -> None:
    """A Transpose unless one is there, and an Unsqueeze for an axis that is kept; nothing goes."""
    source = node.inputs[0] if there else None
    turn = TurnProduct(node, ir.node("MatMul", []), 2, source, keeps)
    found = merge(node, [turn], "why")
    assert isinstance(found, Plan)
    assert (found.removed, found.added) == (0, (not there) + keeps)
