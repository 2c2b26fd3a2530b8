"""`tools/measure_exports.py` on one small network."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the networks are torch modules: install normonnx[torch]")
pytest.importorskip("onnxruntime", reason="files are run on it: install normonnx[cpu]")

from tools.measure_exports import main


@pytest.mark.slow
def test_one_node_for_each_layer(capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each style and opset: layers, nodes, verdict, and whether it runs."""
    assert main(["llama", "--styles", "native", "function", "--opsets", "17"]) == 0
    rows = [row.split() for row in capsys.readouterr().out.splitlines()]
    assert [row[:-1] for row in rows if row[0] == "llama"] == [
        ["llama", style, "17", "9", "9", "pass", "yes"] for style in ("native", "function")
    ]
