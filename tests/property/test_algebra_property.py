"""Whatever graph is drawn from the operators that move affines, its function stays the same."""

from __future__ import annotations

import onnx
from hypothesis import assume, given, note
from hypothesis import strategies as st

from tests.drawing import examples
from tests.property.drawn_graphs import graphs
from tests.rewriting import rewritten


@examples(150)
@given(graphs(), st.integers(0, 99))
def test_graphs(model: onnx.ModelProto, seed: int) -> None:
    """Legal, the same signature, the same function in float64, and nothing left for a second run."""
    assume(model.graph.node)
    note(onnx.printer.to_text(model))
    rewritten(model, seed=seed)
