"""The place of a rewrite: which nodes belong to it, before and after."""

from __future__ import annotations

from typing import Final

import onnx
import onnx.parser
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.listing import Neighborhood, Part
from normonnx.graph.listing import listed
from normonnx.graph.neighborhood import around
from normonnx.graph.source import as_model
from tests.cli.running import CONV_BN, with_weights

_LONG: Final = (
    '<ir_version: 8, opset_import: ["": 17]> g (float[2,8] x) => (float[2,8] y) {'
    + "".join(f"v{n} = Relu({'x' if n == 0 else f'v{n - 1}'})\n" for n in range(30))
    + "y = Relu(v29) }"
)
_SHAPES: Final = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N,4,8] x) => (float[N,32] y) <int64[1] minus = {-1}, int64[1] first = {0}> {
  r = Relu(x)
  s = Shape(r)
  n = Gather<axis = 0>(s, first)
  t = Concat<axis = 0>(n, minus)
  f = Reshape(r, t)
  y = Sigmoid(f)
}
"""
_BRANCH: Final = """
<ir_version: 8, opset_import: ["": 17]>
g (float[2,4] x, bool c) => (float[2,4] y) {
  r = Relu(x)
  i = If (c) <
    then_branch = t () => (float[2,4] a) { a = Neg(r) },
    else_branch = e () => (float[2,4] b) { b = Abs(r) }
  >
  y = Sigmoid(i)
}
"""


def _text(model: str) -> ir.Model:
    return as_model(onnx.parser.parse_model(model))


def _fates(part: Part) -> list[tuple[str, str]]:
    return [(node.op_type, node.fate) for node in part.nodes]


def _place(found: Neighborhood | None) -> Neighborhood:
    assert found is not None
    return found


def test_a_fold_shows_what_went_and_what_took_it() -> None:
    """BatchNormalization into Conv: the Conv has new weights and a bias, the rest stays."""
    before = as_model(with_weights(CONV_BN))
    after = normonnx.optimize(before).model
    place = _place(around(before, after, ["b"], "a fold"))
    assert _fates(place.before) == [
        ("Conv", "changed"),
        ("BatchNormalization", "gone"),
        ("Relu", "kept"),
    ]
    assert place.after is not None
    assert _fates(place.after) == [("Conv", "changed"), ("Relu", "kept")]
    conv, norm, _ = place.before.nodes
    assert conv.constants == ("W 4×3×3×3",)
    assert norm.constants == ("scale 4", "B 4", "input_mean 4", "input_var 4")
    assert place.after.nodes[0].constants == ("W 4×3×3×3", "B 4")
    assert place.before.edges == (("n0", "n1"), ("n1", "n2"))
    assert (place.before.open_above, place.before.open_below) == (("n0",), ("n2",))


def test_weights_that_changed_under_their_own_name_are_noticed() -> None:
    """Same name, same size, other numbers."""
    one, other = (as_model(with_weights(CONV_BN, seed)) for seed in (0, 1))
    place = _place(around(one, other, ["c"], "weights"))
    assert _fates(place.before)[0] == ("Conv", "changed")
    same = _place(around(one, as_model(with_weights(CONV_BN)), ["c"], "weights"))
    assert {fate for _, fate in _fates(same.before)} == {"kept"}


def test_another_operator_under_an_old_name_is_a_new_node() -> None:
    """As where a normalization taken apart becomes one operator."""
    before = _text(_SHAPES)
    after = _text(_SHAPES.replace("y = Sigmoid(f)", "y = Tanh(f)"))
    place = _place(around(before, after, ["y"], "replaced"))
    assert ("Sigmoid", "gone") in _fates(place.before)
    assert place.after is not None
    assert ("Tanh", "new") in _fates(place.after)


def test_a_long_place_is_cut_and_what_is_left_out_is_counted() -> None:
    """A handful of nodes, whatever the rewrite took."""
    place = _place(around(_text(_LONG), None, [f"v{n}" for n in range(30)], "long"))
    assert len(place.before.nodes) <= 15
    assert place.before.left_out == 30 - len(place.before.nodes)
    assert place.after is None


def test_nodes_far_apart_are_joined_by_the_way_between() -> None:
    """Up to some distance; beyond they stand alone."""
    near = _place(around(_text(_LONG), None, ["v3", "v7"], "near"))
    names = {node.name for node in near.before.nodes}
    assert {"v3", "v4", "v5", "v6", "v7"} <= names
    far = _place(around(_text(_LONG), None, ["v0", "v25"], "far"))
    assert "v12" not in {node.name for node in far.before.nodes}


def test_what_computes_shapes_is_no_neighbor() -> None:
    """Shape, Gather and Concat beside a Reshape carry no data."""
    place = _place(around(_text(_SHAPES), None, ["f"], "view"))
    assert [node.op_type for node in place.before.nodes] == ["Relu", "Reshape", "Sigmoid"]
    assert place.before.edges == (("n0", "n1"), ("n1", "n2"))


def test_what_branches_read_counts_as_read() -> None:
    """An If reads what its branches take from around them."""
    place = _place(around(_text(_BRANCH), None, ["i"], "branch"))
    assert [node.op_type for node in place.before.nodes] == ["Relu", "If", "Sigmoid"]
    assert ("n0", "n1") in place.before.edges


@pytest.mark.parametrize("names", [[], ["no such node"], [""]])
def test_where_nothing_is_there_is_no_place(names: list[str]) -> None:
    """Names that the model does not have are left out."""
    assert around(_text(_SHAPES), None, names, "nothing") is None


def test_a_place_inside_a_branch_is_in_the_branch() -> None:
    """Nodes of a subgraph have their neighbors there."""
    place = _place(around(_text(_BRANCH), _text(_BRANCH), ["a"], "inside"))
    assert [node.op_type for node in place.before.nodes] == ["Neg"]
    assert place.after is not None
    assert _fates(place.after) == [("Neg", "kept")]


def test_every_node_of_every_graph_is_listed() -> None:
    """With the graph that holds it and what it gives; other domains are named."""
    nodes = listed(_text(_BRANCH))
    assert [(one.op_type, one.graph) for one in nodes] == [
        ("Relu", ""),
        ("If", ""),
        ("Sigmoid", ""),
        ("Neg", "t"),
        ("Abs", "e"),
    ]
    assert nodes[1].outputs == ("i",)
    custom = _SHAPES.replace('["": 17]', '["": 17, "acme": 1]').replace("Sigmoid", "acme.Sparkle")
    assert listed(_text(custom))[-1].op_type == "acme::Sparkle"
