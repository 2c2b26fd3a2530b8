"""The process of a peer: each run by itself, and what becomes of one that fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.peers import worker


def _asked(folder: Path, timeout: float = 30.0) -> dict[str, object]:
    return {"source": "in", "out": str(folder / "out"), "timeout": timeout}


def test_work_is_done_in_another_process_and_measured(tmp_path: Path) -> None:
    """Its file is there, this process is as it was, memory is what it needed at most."""

    def work(source: str, out: str) -> None:
        os.write(1, b"noise that must not reach the answer")
        block = bytearray(50_000_000)
        block[::4096] = b"x" * len(block[::4096])
        Path(out).write_text(f"{source} {os.getpid()}")

    found = worker._forked(work, _asked(tmp_path))
    assert int((tmp_path / "out").read_text().split()[1]) != os.getpid()
    assert found["wall"] > 0
    assert found["cpu"] > 0
    assert 45_000_000 < found["added"] < 120_000_000


def _raises(_source: str, _out: str) -> None:
    message = "no such\nthing"
    raise KeyError(message)


def _crashes(_source: str, _out: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leaves(_source: str, _out: str) -> None:
    os._exit(7)


def _hangs(_source: str, _out: str) -> None:
    time.sleep(60)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (_raises, "KeyError: 'no such"),
        (_crashes, "crashed: SIGSEGV"),
        (_leaves, "crashed: exit code 7"),
        (_hangs, "took more than 0.5 s"),
    ],
)
def test_what_goes_wrong_is_one_line(
    tmp_path: Path, work: Callable[[str, str], None], said: str
) -> None:
    """An exception, a crash, a hang; the next run is a new process."""
    seconds = 0.5 if work is _hangs else 30.0
    found = worker._forked(work, _asked(tmp_path, seconds))
    assert said in str(found["failed"])
    assert "\n" not in str(found["failed"])
    assert "failed" not in worker._forked(lambda _source, _out: None, _asked(tmp_path))
