"""`normonnx tune`."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from normonnx.lower import stored
from tests.cli.running import Cli, Models

pytest.importorskip("onnxruntime", reason="forms run on ONNX Runtime: install normonnx[cpu]")

_QUICK = ("--seconds", "0", "--shape", "x=1,3,4,4")
TEXT = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N,3,H,W] x) => (float[N,3,H,W] y) <float[3] g = {1, 2, 3}, float[3] b = {3, 2, 1}> {
  y = InstanceNormalization(x, g, b)
}
"""
CHOSEN = """
<ir_version: 8, opset_import: ["": 17, "acme": 1]>
net (float[2,3,4] x, bool[2] c) => (float[A,3,4] y, float[B] z) <float[3] g = {1, 2, 3}, float[3] b = {3, 2, 1}> {
  z = acme.Sparkle(x) a = Compress<axis = 0>(x, c) y = InstanceNormalization(a, g, b)
}
"""


def _saved(folder: Path, text: str) -> Path:
    path = folder / "norms.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def test_it_prints_the_forms_and_keeps_the_table(cli: Cli, tmp_path: Path) -> None:
    """One is marked as the fastest; what is kept can be read."""
    place = tmp_path / "costs"
    model = _saved(tmp_path, TEXT)
    ran = cli("tune", model, *_QUICK, env={stored.FOLDER: str(place)})
    assert (ran.code, ran.err) == (0, "")
    assert "InstanceNorm of (1, 3, 4, 4) float32, opset 17" in ran.out
    assert sum(line.strip().startswith("* ") for line in ran.out.splitlines()) == 1
    assert f"{place / 'costs-ort-cpu.json'} written" in ran.out
    (entry,) = stored.read_file(place / "costs-ort-cpu.json").entries
    assert entry.given == {"scale", "bias"}


def test_the_table_goes_to_a_file_and_to_stdout(cli: Cli, tmp_path: Path) -> None:
    """The same in both; nothing else is written."""
    model, out = _saved(tmp_path, TEXT), tmp_path / "mine.json"
    ran = cli("tune", model, *_QUICK, "-o", out, "--json", "-", env={stored.FOLDER: "/nowhere"})
    assert ran.code == 0
    found = ran.json
    assert (found["schema"], found["exit_code"]) == ("normonnx.tune/1", 0)
    assert found["output"] == str(out)
    assert found["table"] == stored.read_file(out).plain
    assert found["left_out"] == []


def test_a_backend_that_is_not_here_is_unavailable(cli: Cli, tmp_path: Path) -> None:
    """Exit code 3, one line, nothing written."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("it is here")
    model, out = _saved(tmp_path, TEXT), tmp_path / "x.json"
    ran = cli("tune", model, "--target", "ort-cuda", "-o", out)
    ran.refused(3, "ort:cuda", "CUDAExecutionProvider", "pip install")
    assert not out.exists()


def test_wrong_options_are_refused_before_the_work(cli: Cli, models: Models) -> None:
    """A target that is none, a shape that does not fit, an output that can't be written."""
    out = models.folder / "x.json"
    cli("tune", models.kept, "--target", "portable", "-o", out).refused(2, "can't be measured")
    cli("tune", models.kept, "-o", out, "--shape", "z=1,2").refused(2, "no input 'z'")
    cli("tune", models.kept, "-o", models.folder / "no" / "x").refused(2, "does not exist")
    cli("tune", models.kept, "-o", models.kept).refused(2, "is an input")
    cli("tune", models.kept, "-o", out, "--json", out).refused(2, "would replace")
    assert not out.exists()


def test_where_nothing_can_be_measured_it_says_why(cli: Cli, tmp_path: Path) -> None:
    """Exit code 4; without a normalization there is nothing to do, and 0."""
    out = tmp_path / "x.json"
    ran = cli("tune", _saved(tmp_path, CHOSEN), "-o", out, "--seconds", "0")
    assert ran.code == 4
    assert "give the shapes of the inputs" in ran.out
    assert "nothing written" in ran.out
    plain = '<ir_version: 8, opset_import: ["": 17]> g (float[2] x) => (float[2] y) { y = Neg(x) }'
    ran = cli("tune", _saved(tmp_path, plain), "-o", out)
    assert ran.code == 0
    assert "no normalization; nothing written" in ran.out
    assert not out.exists()
