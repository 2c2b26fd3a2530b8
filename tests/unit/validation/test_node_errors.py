"""How far off each node is: what it adds by itself, and what it inherits."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import onnx
import onnx.parser
import pytest

import normonnx
from normonnx.core.node_errors import NodeError, NodeErrors

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

_CANCELLING: Final = """
<ir_version: 8, opset_import: ["": 17]>
g (float[2,8,64] x) => (float[2,8,64] y) <float e = {1e-5}> {
  q = Mul(x, x)
  m = ReduceMean<axes = [-1]>(x)
  s = ReduceMean<axes = [-1]>(q)
  k = Mul(m, m)
  v = Sub(s, k)
  w = Add(v, e)
  r = Sqrt(w)
  d = Sub(x, m)
  y = Div(d, r)
}
"""
_MIXED: Final = """
<ir_version: 8, opset_import: ["": 17]>
g (float[2,6] x, bool c) => (float[2,3] y, float[2,6] z, int64[2,6] k) {
  a, b = Split<axis = 1>(x)
  n = RandomNormalLike(a)
  p = Add(b, n)
  y = Tanh(a)
  o = Constant<value_float = 2.0>()
  f = Mul(x, o)
  z = If (c) <
    then_branch = t () => (float[2,6] u) { u = Sigmoid(f) },
    else_branch = e () => (float[2,6] w) { w = Relu(f) }
  >
  k = Cast<to = 7>(z)
}
"""


def _found(text: str, **options: object) -> NodeErrors:
    report = normonnx.validate(onnx.parser.parse_model(text), each_node=True, **options)  # type: ignore[arg-type]
    (found,) = report.node_errors
    return found


def _by_name(found: NodeErrors) -> dict[str, NodeError]:
    return {one.node: one for one in found.nodes}


def test_the_node_that_cancels_adds_and_those_behind_it_inherit() -> None:
    """A variance as E[x²] - E[x]²: only the Sub is beyond the line, all behind it are off."""
    found = _found(_CANCELLING)
    assert (found.backend, found.case, found.factor) == ("ort:cpu", "shifted-mean", 16.0)
    nodes = _by_name(found)
    assert [name for name, one in nodes.items() if one.ratio > found.factor] == ["v"]
    assert nodes["v"].local > 100 * nodes["v"].upstream
    assert nodes["v"].total == pytest.approx(nodes["w"].upstream)
    for name in ("r", "y"):
        assert nodes[name].local < 2
        assert nodes[name].upstream > 1000
        assert nodes[name].total > 100 * nodes[name].local
    assert nodes["m"].upstream == 0  # it reads an input of the model alone


def test_a_model_that_is_right_has_no_node_beyond_the_line() -> None:
    """Of the same model on ordinary inputs; every node is there, in the order of the graph."""
    given = {"x": np.random.default_rng(0).standard_normal((2, 8, 64)).astype(np.float32)}
    found = _found(_CANCELLING, inputs=given)
    assert [one.node for one in found.nodes] == list("qmskvwrdy")
    assert all(one.ratio < found.factor for one in found.nodes)
    assert all(math.isfinite(one.total) for one in found.nodes)


def test_what_is_random_integer_or_constant_is_left_out_and_branches_are_run() -> None:
    """Nodes that give no floating-point number that could be judged have no row."""
    nodes = _by_name(_found(_MIXED))
    assert {"y", "f", "z"} <= set(nodes)
    assert not {"n", "p", "k", "o"} & set(nodes)
    assert nodes["z"].op_type == "If"
    assert nodes["z"].local < 2
    assert nodes["a"].op_type == "Split"  # called after its first output


def test_nothing_is_measured_unless_asked_for_nor_where_nothing_ran() -> None:
    """By default there are none; a backend that is missing has none, another's stand."""
    model = onnx.parser.parse_model(_CANCELLING)
    assert normonnx.validate(model).node_errors == ()
    report = normonnx.validate(model, backends=("ort:cuda", "ort:cpu", "oracle"), each_node=True)
    assert [one.backend for one in report.node_errors] == ["ort:cpu"]


def test_a_tensor_that_is_infinite_on_one_side_only_is_infinitely_off() -> None:
    """exp overflows float32 at 100, not float64; what reads it inherits that."""
    text = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[2,4] x) => (float[2,4] y) { e = Exp(x)
      y = Identity(e) }
    """
    given = {"x": np.full((2, 4), 100, np.float32)}
    nodes = _by_name(_found(text, inputs=given))
    assert math.isinf(nodes["e"].local)
    assert math.isinf(nodes["e"].total)
    assert math.isinf(nodes["y"].upstream)


def test_a_ratio_needs_both_figures() -> None:
    """NaN where the floor or the error is not known."""
    assert math.isnan(NodeError("n", "Relu", "t", local=1.0).ratio)
    assert math.isnan(NodeError("n", "Relu", "t", floor=1.0).ratio)
    assert NodeError("n", "Relu", "t", local=3.0, floor=1.5).ratio == 2.0
