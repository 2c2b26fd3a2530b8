"""Small models on disk, and the command line run as a user runs it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.running import CONV_BN, CUSTOM, KEPT, Cli, Models, Ran, with_weights


@pytest.fixture(scope="session")
def cli() -> Cli:
    """Run `normonnx` with some arguments in a process of its own."""

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Ran:
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-m", "normonnx", *map(str, arguments)],
            capture_output=True,
            check=False,
            cwd=cwd,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200", **(env or {})},
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Three small models, and a folder to work in."""
    paths = {}
    for name, text in (("conv_bn", CONV_BN), ("kept", KEPT), ("custom", CUSTOM)):
        paths[name] = tmp_path / f"{name}.onnx"
        paths[name].write_bytes(with_weights(text).SerializeToString())
    return Models(folder=tmp_path, **paths)
