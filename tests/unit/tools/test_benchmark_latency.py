"""The script that measures latencies: sizes of inputs, and a line for each model."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

pytest.importorskip("onnxruntime", reason="it measures ONNX Runtime: install normonnx[cpu]")

from tests.rewriting import parsed  # only where importorskip let us come here, as what follows
from tools import benchmark_latency

TEXT = """g (float[N, 4, P] x, int64[N] i) => (float[N, 3, P] y, int64[N] j) <float[3, 4, 1] w, float[3] scale, float[3] bias, float[3] mean, float[3] var> {
    c = Conv(x, w) y = BN(c) j = Abs(i) }"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small model with dynamic dimensions."""
    path = tmp_path / "small.onnx"
    onnx.save(parsed(TEXT), path)
    return path


def test_inputs_have_the_sizes_asked_for(model: Path) -> None:
    """The batch, dimensions by their name, and 64 for others."""
    shapes = benchmark_latency.shapes_of(model, 2, {"P": 7})
    assert shapes == {"x": (2, 4, 7), "i": (2,)}
    assert benchmark_latency.shapes_of(model, 1, {})["x"] == (1, 4, 64)


INTERVAL = r"\d+\.\d{3} \[\d+\.\d{3} \d+\.\d{3}\]"


def test_a_line_for_each_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Medians, the original against itself, and before over after, with intervals."""
    benchmark_latency.main([str(model), str(model), "--seconds", "0", "--sizes", "P=8"])
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(
            rf"small +\d+\.\d{{3}} +\d+\.\d{{3}} +\d+ +{INTERVAL} +{INTERVAL}", line
        )


SKIP = """g (float[N, 8, 64] x, float[N, 8, 64] z) => (float[N, 8, 64] y) <float[64] scale, float[64] bias> {
    s = Add(x, z) y = LayerNormalization<axis = -1>(s, scale, bias) }"""


def test_what_hints_gain_is_a_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file without them, and with them, as a table in Markdown."""
    onnx.save(parsed(SKIP), tmp_path / "skip.onnx")
    asked = ["--target", "ort-cpu", "--seconds", "0", "--markdown"]
    benchmark_latency.main([str(tmp_path / "skip.onnx"), *asked])
    head, rule, line = capsys.readouterr().out.splitlines()
    assert head.split(" | ")[-1] == "with hints |"
    assert rule == "|" + " --- |" * 7
    assert re.fullmatch(rf"\| skip \|.*(\| {INTERVAL} ){{3}}\|", line)
