"""Ctrl-C and closed pipes while workers run: one line, the right exit code, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normonnx.cli.__main__ import INTERRUPTED, NO_READER
from tests.cli.running import ROOT, Models

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")


def _begun(model: Path, *more: str) -> subprocess.Popen[str]:
    """A benchmark that would take a minute, at the point where its worker has tried the model."""
    process = subprocess.Popen(
        [sys.executable, "-m", "normonnx", "bench", str(model), "--seconds", "60", "-v", *more],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_interrupts,  # noqa: PLW1509  # no thread holds a lock here
    )
    assert process.stderr is not None
    assert "trying" in process.stderr.readline()
    return process


def _hear_interrupts() -> None:
    """Whatever runs in the background of a shell ignores them, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _gone(group: int) -> bool:
    """Whether all processes of a group have ended, soon."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("whole_group", [True, False], ids=["as a terminal does", "kill -INT"])
def test_ctrl_c_ends_it_and_its_workers(models: Models, *, whole_group: bool) -> None:
    """Exit code 130, one line, no traceback, no result, no process."""
    process = _begun(models.conv_bn)
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert out == ""
    assert err.splitlines()[-1] == "normonnx: interrupted"
    assert "Traceback" not in err
    assert _gone(process.pid)


def test_a_reader_that_goes_away_is_no_error(models: Models) -> None:
    """`normonnx bench ... | head -0`: quiet, exit code 141, no worker left."""
    process = _begun(models.conv_bn, "--runs", "1")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == NO_READER
    assert "error" not in said
    assert _gone(process.pid)
