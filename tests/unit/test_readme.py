"""What the README shows in Python runs as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import normonnx

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

ROOT = Path(normonnx.__file__).parents[1]
DEMO = ROOT / "normonnx" / "cli" / "demo.onnx"


def _blocks() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def _classifier() -> onnx.ModelProto:
    """Of rows of four features."""
    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] features) => (float[N,3] scores) '
        "<float[4,3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, float[3] b = {1, 2, 3}> "
        "{ scores = Gemm(features, w, b) }"
    )


@pytest.mark.parametrize("number", range(len(_blocks())))
def test_python_blocks_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself, in a folder with a model.onnx, the same as optimized.onnx, a classifier.onnx."""
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)  # noqa: NPY002  # the README draws without a seed
    for name in ("model.onnx", "optimized.onnx"):
        shutil.copy(DEMO, tmp_path / name)
    onnx.save(_classifier(), tmp_path / "classifier.onnx")
    exec(compile(_blocks()[number], f"README block {number}", "exec"), {"__name__": "readme"})  # noqa: S102  # that is the test


def test_the_readme_counts_the_norms_rightly() -> None:
    """As `normonnx list norms` does."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"lists all {len(normonnx.norms)}." in text.replace("\n", " ")
