"""Whole models timed in a worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from normonnx.timing.whole_models import measure
from tests.cli.running import CONV_BN, with_weights

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")


def _file(folder: Path, name: str, model: onnx.ModelProto) -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def test_two_models_are_timed_in_turns(tmp_path: Path) -> None:
    """Both have runs and sessions; the slower is told apart from the quicker."""
    slow = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[300,300] x) => (float[300,300] y) {'
        "a = MatMul(x, x)\n b = MatMul(a, x)\n y = MatMul(b, x) }"
    )
    quick = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[300,300] x) => (float[300,300] y) {'
        "y = Relu(x) }"
    )
    paths = {"before": _file(tmp_path, "a.onnx", slow), "after": _file(tmp_path, "b.onnx", quick)}
    feeds = {"x": np.ones((300, 300), np.float32)}
    found = measure(paths, [feeds, feeds], seconds=0.2)
    assert found.reason == ""
    assert [one.label for one in found.models] == ["before", "after"]
    assert found.speedup is not None
    assert 1 < found.speedup.low <= found.speedup.median <= found.speedup.high
    assert all(one.run.samples >= 9 and one.session.samples >= 3 for one in found.models)
    assert found.shapes == {"x": (300, 300)}
    assert found.settings["intra-op threads"] == "1"


def test_what_can_not_be_timed_says_why(tmp_path: Path) -> None:
    """A backend that is missing or has no timer, inputs that don't fit: no figures, one reason."""
    path = _file(tmp_path, "a.onnx", with_weights(CONV_BN))
    good = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    assert "CUDAExecutionProvider" in measure({"a": path}, [good], "ort:cuda").reason
    assert "can't be timed" in measure({"a": path}, [good], "oracle").reason
    wrong = measure({"a": path}, [{"x": np.zeros((1, 5, 8, 8), np.float32)}])
    assert wrong.reason.startswith("failed while running")
    assert (wrong.models, wrong.speedup) == ((), None)


def test_one_model_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    """Its own figures stand alone."""
    path = _file(tmp_path, "a.onnx", with_weights(CONV_BN))
    found = measure({"a": path}, [{"x": np.zeros((1, 3, 8, 8), np.float32)}], seconds=0.1)
    assert found.speedup is None
    assert found.models[0].run.median > 0
