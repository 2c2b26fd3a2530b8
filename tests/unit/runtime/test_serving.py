"""A worker that stays: many models, one process; and what it costs when one of them kills it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from normonnx.core.verdicts import Verdict
from normonnx.runtime.serving import Server
from normonnx.runtime.workers import Limits
from tests.fake_runtimes import CPU, FakeOrt, put_first

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

X = np.array([1, 2], np.float32)


def _saved(path: Path, operator: str) -> Path:
    text = f'<ir_version: 8, opset_import: ["": 17]> g (float[2] x) => (float[2] y) {{ y = {operator}(x) }}'
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def test_one_worker_runs_many_models(tmp_path: Path) -> None:
    """Also with other options of the same backend."""
    with Server("ort:cpu", Limits(60.0)) as server:
        first = server.run(_saved(tmp_path / "a.onnx", "Neg"), {"x": X})
        worker = server._worker
        other = server.run(
            _saved(tmp_path / "b.onnx", "Exp"), {"x": X}, backend="ort:cpu,level=basic"
        )
        assert server._worker is worker
    assert first.outputs[0]["y"].tolist() == [-1, -2]
    assert np.allclose(other.outputs[0]["y"], np.exp(X))
    assert other.run.settings["optimization level"] == "ORT_ENABLE_BASIC"
    assert worker is not None
    assert worker.poll() is not None  # it ends with the server


def test_it_tells_what_a_runtime_makes_of_a_graph(tmp_path: Path) -> None:
    """The graph that is run, and the optimizers at work; only where that is asked for."""
    path = tmp_path / "m.onnx"
    text = (
        '<ir_version: 8, opset_import: ["": 20]> g (float[2] x) => (float[2] y) <float two = {1.41421356}, float one = {1}, float half = {0.5}>'
        " { d = Div(x, two) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half) }"
    )
    onnx.save(onnx.parser.parse_model(text), path)
    with Server("ort:cpu", Limits(60.0)) as server:
        plain = server.run(path, {"x": X})
        traced = server.run(path, {"x": X}, trace=True)
        without = server.run(
            path, {"x": X}, backend="ort:cpu,without=GeluFusionL2+GeluFusionL1", trace=True
        )
    assert plain.rewriting is None
    assert traced.rewriting is not None
    assert [(node.op_type, node.outputs) for node in traced.rewriting.nodes] == [("Gelu", ("y",))]
    assert any(name.startswith("GeluFusion") for name in traced.rewriting.optimizers)
    assert without.rewriting is not None
    assert len(without.rewriting.nodes) == 5
    assert np.array_equal(traced.outputs[0]["y"], plain.outputs[0]["y"])
    assert without.run.settings["without optimizers"] == "GeluFusionL2, GeluFusionL1"


def test_a_model_that_kills_its_worker_costs_that_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that hangs costs its time; the next gets a new worker."""
    put_first(tmp_path, monkeypatch)
    fake = FakeOrt(tmp_path)
    nodes = (("n", "Neg", CPU),)
    death = 'os.kill(os.getpid(), signal.SIGSEGV) if "bad" in str(path) else None'
    fake.says(available=(CPU,), used=(CPU,), nodes=nodes, on_load=death)
    bad, good = _saved(tmp_path / "bad.onnx", "Neg"), _saved(tmp_path / "good.onnx", "Neg")
    with Server("ort:cpu", Limits(60.0)) as server:
        assert server.run(bad, {"x": X}).run.verdict is Verdict.UNAVAILABLE
        assert server.run(good, {"x": X}).outputs[0]["y"].tolist() == [-1, -2]
    fake.says(available=(CPU,), used=(CPU,), nodes=nodes, on_run="time.sleep(60)")
    with Server("ort:cpu", Limits(3.0)) as server:
        hung = server.run(good, {"x": X})
    assert hung.run.verdict is Verdict.UNAVAILABLE
    assert "3 s" in hung.run.reason
