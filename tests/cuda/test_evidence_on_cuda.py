"""The same path on a CUDA device: every stage has results, and every node that can runs there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.evidence import journal
from tools.evidence.running import STAGES

pytest.importorskip("torch", reason="the networks are torch modules: install normonnx[torch]")
onnxruntime = pytest.importorskip("onnxruntime", reason="install normonnx[cuda]")

_SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "cuda_evidence.py"

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.slow,
    pytest.mark.skipif(
        "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
        reason="this onnxruntime has no CUDAExecutionProvider: it takes onnxruntime-gpu and a card",
    ),
]


def _do(*arguments: str | Path) -> None:
    command = [sys.executable, str(_SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def test_every_stage_has_results_on_cuda(tmp_path: Path) -> None:
    """Two minutes on the card."""
    models, out = tmp_path / "models", tmp_path / "out"
    _do("prepare", "--quick", "--out", models)
    _do("run", "--backend", "ort:cuda", "--budget", "120", "--models", models, "--out", out)
    found = journal.latest(journal.read(out))
    for stage in STAGES:
        statuses = {one["status"] for one in found.values() if one["stage"] == stage.name}
        assert statuses & {"ok", "mismatch"}, stage.name
    placed = [one for key, one in found.items() if key.startswith("placement:")]
    assert all(one["coverage"] > 0.5 for one in placed)
    assert found["versions:machine"]["provider"] == "CUDAExecutionProvider"
