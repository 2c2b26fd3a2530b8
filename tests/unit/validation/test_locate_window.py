"""A fault of several nodes together, on a runtime that has it: the shortest run of nodes is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.runtime.oracle import evaluate
from normonnx.validation.judge import judging
from normonnx.validation.locate_window import shortest_run
from normonnx.validation.suspects import Jury
from normonnx.validation.truths import truths_of

_TEXT = """<ir_version: 8, opset_import: ["": 17]> g (float[2, 4] x, float[2, 4] z) => (float[2, 4] y) <float[4] w = {1, 2, 3, 4}> {
    a = Neg(x) b = Exp(z) c = Mul(a, w) d = Sigmoid(c) e = Add(d, b) f = Sqrt(e) y = Tanh(f) }"""


class _Compiler:
    """Computes rightly, but for some operators that stand in a row."""

    def __init__(self, *operators: str) -> None:
        self.operators = operators
        self.asked = 0

    def run(self, model: ir.Model, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked += 1
        found = evaluate(model, feeds)
        there = [node.op_type for node in model.graph]
        fused = all(operator in there for operator in self.operators)
        off = np.float32(1.01 if fused else 1)
        return {name: array.astype(np.float32) * off for name, array in found.items()}


@pytest.mark.parametrize(
    ("fused", "count"),
    [
        (("Mul", "Sigmoid"), 2),
        (("Neg", "Mul", "Sigmoid", "Add"), 5),  # Exp lies between
        (("Sqrt",), 1),
        (("Tanh",), 1),
    ],
)
def test_the_shortest_run_is_found(fused: tuple[str, ...], count: int) -> None:
    """Its last node is named, and what is fed to its first is the truth."""
    model = ir.from_proto(onnx.parser.parse_model(_TEXT))
    settings = judging(0, None, kernels=True)
    truth = truths_of(model, None, {}, settings)[0]
    compiler: Any = _Compiler(*fused)
    found = shortest_run(model, truth, "y", compiler, Jury(model, truth, settings))
    assert found is not None
    suspect, note = found
    assert suspect.node.op_type == fused[-1]
    assert suspect.model is not None
    run = [node.op_type for node in suspect.model.graph if node.op_type in fused]
    assert run == list(fused)
    assert (f"these {count} are" in note) == (count > 1)
    assert note == "" or f"from {fused[0]} " in note
    assert compiler.asked < 12


def test_nothing_is_found_where_all_is_right() -> None:
    """The model as a whole is not off."""
    model = ir.from_proto(onnx.parser.parse_model(_TEXT))
    settings = judging(0, None, kernels=True)
    truth = truths_of(model, None, {}, settings)[0]
    compiler: Any = _Compiler("Cos")
    assert shortest_run(model, truth, "y", compiler, Jury(model, truth, settings)) is None
