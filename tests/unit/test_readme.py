"""What the README shows in Python runs as it stands there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import normonnx

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

ROOT = Path(normonnx.__file__).parents[1]
DEMO = ROOT / "normonnx" / "cli" / "demo.onnx"


def _blocks() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("number", range(len(_blocks())))
def test_python_blocks_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself, in a folder that holds a model.onnx and the same as optimized.onnx."""
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)  # noqa: NPY002  # the README draws without a seed
    for name in ("model.onnx", "optimized.onnx"):
        shutil.copy(DEMO, tmp_path / name)
    exec(compile(_blocks()[number], f"README block {number}", "exec"), {"__name__": "readme"})  # noqa: S102  # that is the test


def test_the_readme_counts_the_norms_rightly() -> None:
    """As `normonnx list norms` does."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"lists all {len(normonnx.norms)}." in text.replace("\n", " ")
