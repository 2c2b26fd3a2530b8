"""What is left alone without a word in the report."""

from __future__ import annotations

import onnx
import onnx.parser
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.hints import FUSED
from normonnx.fold import passes
from normonnx.fold.plan import Plan, Refusal
from normonnx.fold.planner import Planner
from normonnx.fold.surroundings import Surroundings


def _neutral(*, marked: bool) -> ir.Model:
    model = ir.from_proto(
        onnx.parser.parse_model(
            '<ir_version: 8, opset_import: ["": 13]> g (float[N, 2] x) => (float[N, 2] y) '
            "<float[2] one = {1, 1}> { a = Abs(x) m = Mul(a, one) y = Relu(m) }"
        )
    )
    (node,) = (node for node in model.graph if node.op_type == "Mul")
    if marked:
        node.metadata_props[FUSED] = "1"
    return model


@pytest.mark.parametrize("marked", [True, False])
def test_a_node_that_lets_runtimes_fuse_what_is_before_it(*, marked: bool) -> None:
    """It changes nothing, and is dropped unless it says what it is there for."""
    found = normonnx.optimize(_neutral(marked=marked), passes=["fold-affine"])
    assert ("Mul" in [node.op_type for node in found.model.graph]) == marked
    assert [event.rule for event in found.report.applied] == ([] if marked else ["fold-affine"])
    assert found.report.refused == ()
    model = _neutral(marked=marked)
    (node,) = (node for node in model.graph if node.op_type == "Mul")
    planned = Planner(Surroundings.of(model)).plan_up(node)
    if marked:
        assert isinstance(planned, Refusal)
        assert planned.quiet
        assert planned.reason.endswith("lets runtimes fuse what is before it")
    else:
        assert isinstance(planned, Plan)


def test_a_node_of_shapes_that_don_t_fit() -> None:
    """Loading infers no shapes, so such a node can be met; nothing is known of it then."""
    node = ir.Node("", "Conv", [None], num_outputs=1)
    found = passes._no_legal_node(node, IndexError("tuple index out of range"))
    assert isinstance(found, Refusal)
    assert found.quiet
    assert found.reason == "Conv: shapes around it don't fit together"
