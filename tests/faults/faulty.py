"""Models large enough to be in the middle of, and what is compared before and after a fault."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ROOT = Path(__file__).parents[2]
TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1, 8, 4, 4] x, int64[1] i) => (float[1, 16, 4, 4] y, float[1, 1024] r) {
    c = Conv <pads = [1, 1, 1, 1]> (x, W)
    y = BatchNormalization (c, s, t, m, v)
    r = Gather (table, i)
}
"""


def written(folder: Path, *, external: bool, seed: int = 0, name: str = "source.onnx") -> Path:
    """A model of 4 MB in a folder, its data in a file of its own or not."""
    model = onnx.parser.parse_model(TEXT)
    rng = np.random.default_rng(seed)
    shapes = {"W": (16, 8, 3, 3), "table": (1000, 1024), **dict.fromkeys("stmv", (16,))}
    for tensor, shape in shapes.items():
        array = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, tensor))
    path = folder / name
    location = f"{path.stem}.bin"
    onnx.save(model, path, save_as_external_data=external, location=location)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def arrays(path: Path) -> dict[str, bytes]:
    """What the tensors of a model hold, by the onnx package's word."""
    model = onnx.load(path)
    return {t.name: numpy_helper.to_array(t).tobytes() for t in model.graph.initializer}


def environment() -> dict[str, str]:
    """For processes that run this package."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def started(arguments: Sequence[object]) -> subprocess.Popen[str]:
    """The command line in a process of its own, its output kept."""
    return subprocess.Popen(
        [sys.executable, "-m", "normonnx", *map(str, arguments)],
        env=environment(),
        cwd=ROOT,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def scripted(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A few lines of Python in a process of their own, spoken to over its pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment(),
        cwd=ROOT,
        encoding="utf-8",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
