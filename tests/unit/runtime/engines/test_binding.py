"""Inputs and outputs in place: the same numbers, run after run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest

from normonnx.runtime import naming
from normonnx.runtime.engines import loading
from normonnx.runtime.engines.contract import GivenUpError, Job
from normonnx.runtime.engines.ort_binding import Bound


def _model(path: Path, kind: str = "float") -> Path:
    text = f'<ir_version: 8, opset_import: ["": 17]> g ({kind}[N, 3] x) => ({kind}[N, 3] y) {{ y = Identity(x) }}'
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def _bind(backend: str, path: Path) -> Callable[..., Callable[[], None]]:
    bind = loading.load(Job(path, naming.parse(backend))).bind
    assert bind is not None
    return bind


@pytest.mark.parametrize(
    ("backend", "package"), [("ort:cpu", "onnxruntime"), ("openvino", "openvino")]
)
def test_a_model_is_bound_to_its_inputs(tmp_path: Path, backend: str, package: str) -> None:
    """It runs again and again; inputs that it lacks are left out, those it wants must be there."""
    pytest.importorskip(package)
    bind = _bind(backend, _model(tmp_path / "m.onnx"))
    run = bind({"x": np.ones((2, 3), np.float32), "other": np.ones(1, np.float32)})
    for _ in range(3):
        run()
    with pytest.raises(GivenUpError):
        bind({})


def test_the_bound_output_is_that_of_a_run(tmp_path: Path) -> None:
    """Before and after it is run again."""
    runtime = pytest.importorskip("onnxruntime")
    path = str(_model(tmp_path / "m.onnx"))
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    bound = Bound(session, {"x": x}, "CPUExecutionProvider")
    assert np.array_equal(bound.first, x)
    bound.run()
    assert np.array_equal(bound.first, x)


def test_types_that_numpy_does_not_know_are_bound_as_well(tmp_path: Path) -> None:
    """bfloat16, say."""
    pytest.importorskip("onnxruntime")
    bind = _bind("ort:cpu", _model(tmp_path / "m.onnx", "bfloat16"))
    bind({"x": np.ones((2, 3), ml_dtypes.bfloat16)})()


def test_the_oracle_is_not_timed(tmp_path: Path) -> None:
    """Nor is torch; what they take is not what is deployed."""
    loaded = loading.load(Job(_model(tmp_path / "m.onnx"), naming.parse("oracle")))
    assert loaded.bind is None
