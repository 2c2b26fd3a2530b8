"""Cost tables as a person reads them."""

from __future__ import annotations

import numpy as np
import pytest

from normonnx.core.costs import CostTable, Entry, FormCost, shortest
from normonnx.reporting import terminal
from normonnx.reporting.cost_view import costs


def test_each_form_has_a_row_and_the_fastest_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    """With its time, ratio, interval, and where it is least right."""
    forms = (
        FormCost("native", 0.5, 1.0, 1.0, 1.0, {"random": 1.1, "mean 1e4": float("inf")}),
        FormCost("chain", 0.25, 0.5, 0.4, 0.6, {"random": 1.2, "mean 1e4": 3.0}),
        FormCost("unjudged", 0.75, 1.5, 1.4, 1.6),
    )
    entry = Entry(
        "LayerNorm",
        "float32",
        17,
        (2, 8),
        {"axis": -1, "epsilon": 1e-05},
        frozenset({"bias"}),
        forms,
    )
    bare = Entry("LayerNorm", "float32", 17, (2, 9), {"axis": -1}, frozenset(), forms[:1])
    terminal.show(
        costs(CostTable("ort-cpu", {"processor": "P"}, {"onnxruntime": "1.2"}, (entry, bare)))
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "target ort-cpu: processor P, onnxruntime 1.2"
    assert lines[1] == "LayerNorm of (2, 8) float32, opset 17, axis -1, epsilon 1e-05, with bias"
    assert [" ".join(line.split()) for line in lines[3:6]] == [
        "native 0.5 1.00 1.00 to 1.00 1.1 inf mean 1e4",
        "* chain 0.25 0.50 0.40 to 0.60 1.2 3.0 mean 1e4",
        "unjudged 0.75 1.50 1.40 to 1.60 - -",
    ]
    assert lines[6].endswith("axis -1, without parameters")


@pytest.mark.parametrize(("high", "fastest"), [(0.99, "chain"), (1.01, "native")])
def test_the_first_is_the_fastest_where_none_is_surely_faster(high: float, fastest: str) -> None:
    """An interval that holds 1 is noise."""
    forms = (FormCost("native", 1, 1.0, 1.0, 1.0), FormCost("chain", 1, 0.95, 0.9, high))
    entry = Entry("LayerNorm", "float32", 17, (2, 8), {}, frozenset(), forms)
    assert entry.fastest.form == fastest


def test_attributes_are_as_short_as_float32_allows() -> None:
    """Whether they come from a model or from a call."""
    assert shortest(1e-5) == shortest(float(np.float32(1e-5))) == 1e-5
    assert (shortest(3), shortest((1, 2))) == (3, (1, 2))
