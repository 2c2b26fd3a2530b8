"""The model shipped for `normonnx demo`: what it must show, and that it can be made again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

_ROOT = Path(__file__).parents[3]
_DEMO = _ROOT / "normonnx" / "cli" / "demo.onnx"
_PINNED_TORCH = "2.13.0"


@pytest.fixture(scope="module")
def demo() -> onnx.ModelProto:
    """The shipped file."""
    return onnx.load(_DEMO)


def test_it_is_small_and_loadable_by_old_runtimes(demo: onnx.ModelProto) -> None:
    """At most 400 kB, opset 17, IR 8: ONNX Runtime 1.20 loads it."""
    onnx.checker.check_model(demo, full_check=True)
    assert _DEMO.stat().st_size <= 400_000
    assert demo.opset_import[0].version == 17
    assert demo.ir_version == 8


def test_it_tells_nothing_of_the_machine_that_made_it() -> None:
    """No absolute path and no stack trace is in the file."""
    content = _DEMO.read_bytes()
    for trace in (b"/home", b"/work", b"/tmp", b"site-packages", b".py"):
        assert trace not in content


def test_batch_norms_follow_every_kind_of_convolution(demo: onnx.ModelProto) -> None:
    """BatchNorms follow dense, grouped and depthwise Conv, and grouped and depthwise ConvTranspose."""
    writers = {output: node for node in demo.graph.node for output in node.output}
    norms = [node for node in demo.graph.node if node.op_type == "BatchNormalization"]
    kinds = Counter(_kind(demo, writers[norm.input[0]]) for norm in norms)
    assert kinds == {
        "Conv dense": 6,
        "Conv grouped": 1,
        "Conv depthwise": 1,
        "ConvTranspose grouped": 1,
        "ConvTranspose depthwise": 1,
        "Concat": 2,
    }


def test_it_has_the_other_normalizations(demo: onnx.ModelProto) -> None:
    """LayerNorm native and taken apart, GroupNorm around InstanceNormalization, LRN as torch's chain."""
    counts = Counter(node.op_type for node in demo.graph.node)
    assert counts["LayerNormalization"] == 1
    assert counts["ReduceMean"] == 2
    assert counts["InstanceNormalization"] == 1
    assert counts["AveragePool"] == 1
    assert counts["Pow"] == 2


def test_it_runs_and_depends_on_its_input(demo: onnx.ModelProto) -> None:
    """Any batch runs on ONNX Runtime CPU; the output is finite and of order 1."""
    ort = pytest.importorskip("onnxruntime", reason="runs the model: install normonnx[cpu]")
    session = ort.InferenceSession(demo.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).standard_normal((3, 3, 32, 32), dtype=np.float32)
    output = session.run(None, {"input": image})[0]
    assert output.shape == image.shape
    assert np.isfinite(output).all()
    assert 0.5 < output.std() < 10
    assert np.abs(output[0] - output[1]).max() > 1


def test_it_is_made_again_byte_for_byte() -> None:
    """tools/make_demo_model.py writes the shipped bytes."""
    torch = pytest.importorskip("torch", reason="exports the demo network")
    if torch.__version__.partition("+")[0] != _PINNED_TORCH:
        pytest.skip(
            f"made with torch {_PINNED_TORCH}; {torch.__version__} may name nodes otherwise"
        )
    tool = _ROOT / "tools" / "make_demo_model.py"
    run = subprocess.run(
        [sys.executable, str(tool), "--check"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    assert "unchanged" in run.stdout


def _kind(model: onnx.ModelProto, node: onnx.NodeProto) -> str:
    """Operator of a node; for convolutions also whether it is dense, grouped or depthwise."""
    if "Conv" not in node.op_type:
        return node.op_type
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    weight = next(t for t in model.graph.initializer if t.name == node.input[1])
    outputs = weight.dims[0] if node.op_type == "Conv" else weight.dims[1] * groups
    if groups == 1:
        return f"{node.op_type} dense"
    return f"{node.op_type} {'depthwise' if groups == outputs else 'grouped'}"
