"""Whatever graph is drawn from the operators that move affines, its function stays the same."""

from __future__ import annotations

import os

import onnx
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from tests.property.drawn_graphs import graphs
from tests.rewriting import rewritten

EXAMPLES = int(os.environ.get("NORMONNX_FOLD_EXAMPLES", "150"))


@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    derandomize=EXAMPLES <= 150,
    print_blob=True,
)
@given(graphs(), st.integers(0, 99))
def test_graphs(model: onnx.ModelProto, seed: int) -> None:
    """Legal, the same signature, the same function in float64, and nothing left for a second run."""
    assume(model.graph.node)
    note(onnx.printer.to_text(model))
    rewritten(model, seed=seed)
