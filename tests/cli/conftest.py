"""Small models on disk, and the command line run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cli.running import CONV_BN, CUSTOM, KEPT, Cli, Models, Ran, with_weights

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Run `normonnx` with some arguments in a process of its own.

    Where nothing is asked of the interpreter itself the process is forked from one that has
    imported already; see `forking`.
    """
    folder = tmp_path_factory.mktemp("cli")
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.forking"],
        cwd=_ROOT,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(_ROOT), "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    asked, answered = server.stdin, server.stdout
    assert asked is not None
    assert answered is not None

    def run(
        *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Ran:
        words = [str(argument) for argument in arguments]
        around = {**os.environ, "PYTHONPATH": str(_ROOT), "COLUMNS": "200", **(env or {})}
        if env is not None:
            return _started(words, around, cwd)
        out, err = folder / "out", folder / "err"
        place = str(cwd or Path.cwd())
        request = {
            "arguments": words,
            "cwd": place,
            "env": around,
            "out": str(out),
            "err": str(err),
        }
        asked.write(f"{json.dumps(request)}\n")
        asked.flush()
        code = int(answered.readline())
        return Ran(code, out.read_text("utf-8"), err.read_text("utf-8"))

    yield run
    asked.close()
    server.wait()
    answered.close()


def _started(arguments: list[str], env: Mapping[str, str], cwd: Path | None) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "normonnx", *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        env=env,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def models(tmp_path: Path) -> Models:
    """Three small models, and a folder to work in."""
    paths = {}
    for name, text in (("conv_bn", CONV_BN), ("kept", KEPT), ("custom", CUSTOM)):
        paths[name] = tmp_path / f"{name}.onnx"
        paths[name].write_bytes(with_weights(text).SerializeToString())
    return Models(folder=tmp_path, **paths)
