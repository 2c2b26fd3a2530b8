"""A backend that is killed, or hangs, in the middle of a validation: said, and no pass."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.faulty import started, written


def _worker(parent: subprocess.Popen[str]) -> int:
    """The process that runs a backend for another, once there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and parent.poll() is None:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        for child in children.read_text().split() if children.exists() else ():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"normonnx.runtime.worker" in command:
                return int(child)
        time.sleep(0.01)
    pytest.fail(f"there was no worker: {parent.communicate()}")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (signal.SIGKILL, "crashed: its process was ended by SIGKILL"),
        (signal.SIGSEGV, "crashed: its process was ended by SIGSEGV"),
        (signal.SIGSTOP, "did not finish within 3 s"),
    ],
    ids=["killed", "crashed", "hanging"],
)
def test_a_backend_in_the_middle(tmp_path: Path, fault: signal.Signals, words: str) -> None:
    """Its process is ended for real; the verdict is unavailable, exit code 3."""
    source = written(tmp_path, external=True)
    if not Path("/proc/self/task").exists():
        pytest.skip("the system does not tell which processes there are")
    with started(["validate", source, "--backend", "ort:cpu", "--timeout", "3"]) as ran:
        os.kill(_worker(ran), fault)
        said, failed = ran.communicate(timeout=60)
    assert ran.returncode == 3, (said, failed)
    assert words in " ".join(said.split())
    assert "verdict: unavailable" in said
    assert "Traceback" not in failed
