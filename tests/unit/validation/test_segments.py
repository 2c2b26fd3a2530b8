"""Parts of a model, fed with the truth: bounded, typed, and handed out while the oracle runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from normonnx.runtime.oracle import evaluate
from normonnx.validation.islands import Types
from normonnx.validation.segments import Segment, Walk, cut, of_node

_HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
_CHAIN = _HEAD + (
    "g (float[N] x, float[N] z) => (float[N] y) <float[1] w = {3}>"
    " { a = Add(x, w) k = Constant<value_float = 2.0>() b = Mul(a, k) c = Add(b, z) y = Neg(c) }"
)
X = np.array([1, 2], np.float32)


def _chain() -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(_CHAIN))


def test_a_segment_is_what_lies_between() -> None:
    """With its constants, and the types and shapes of what it is fed."""
    model = _chain()
    part = cut(model, Segment(("a", "z"), ("c",)), {"a": X, "z": X})
    assert part is not None
    assert [node.op_type for node in part.graph] == ["Constant", "Mul", "Add"]
    assert evaluate(part, {"a": X, "z": X})["c"].tolist() == [3, 6]
    assert [node.op_type for node in model.graph] == ["Add", "Constant", "Mul", "Add", "Neg"]


def test_what_is_not_bounded_is_no_segment() -> None:
    """It reads an input that is not given."""
    assert cut(_chain(), Segment(("a",), ("c",)), {"a": X}) is None
    assert cut(_chain(), Segment(("a", "z"), ("c",)), {"a": X}) is None


def test_a_node_with_branches_is_a_segment() -> None:
    """It reads what its branches read, but for constants."""
    text = _HEAD + (
        "g (float[N] x, bool c) => (float[N] y) <float[1] w = {3}> { a = Neg(x) y = If (c)"
        " <then_branch = t () => (float[N] p) { p = Add(a, w) }, else_branch = e () => (float[N] q) { q = Abs(x) }> }"
    )
    model = ir.from_proto(onnx.parser.parse_model(text))
    assert of_node(model.graph[1]) == Segment(("c", "a", "x"), ("y",), "")


def test_segments_are_handed_out_with_the_truth() -> None:
    """Each once, when all it needs is known."""
    model = _chain()
    seen: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = []
    segments = [Segment(("b", "z"), ("c",), "late"), Segment(("x",), ("a",), "early")]
    feeds = {"x": X, "z": X}
    walk = Walk(
        model,
        Types(model),
        segments,
        feeds,
        lambda one, _, fed, truth: seen.append((one.label, fed, truth)),
    )
    evaluate(model, feeds, watch=walk.watch)
    assert [label for label, _, _ in seen] == ["early", "late"]
    _, fed, truth = seen[1]
    assert fed["b"].dtype == np.float32
    assert fed["b"].tolist() == [8, 10]
    assert truth["c"].dtype == np.float64
    assert truth["c"].tolist() == [9, 12]
