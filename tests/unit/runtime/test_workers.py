"""Worker processes: every way in which one ends is one line, and none hangs or eats the machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from normonnx.runtime import workers
from normonnx.runtime.workers import Limits


def _ended_by(folder: Path, code: str, limits: Limits | None = None) -> dict[str, object] | str:
    command = [sys.executable, "-c", code]
    return workers.watch(folder, command, limits or Limits(60))


@pytest.mark.parametrize(
    ("signal", "words"), [("SIGSEGV", "SIGSEGV"), ("SIGABRT", "SIGABRT"), ("SIGKILL", "memory")]
)
def test_a_crash_names_the_signal(tmp_path: Path, signal: str, words: str) -> None:
    """A worker ended by a signal is one line; the kernel's SIGKILL suggests memory."""
    code = f"import os, signal; os.kill(os.getpid(), signal.{signal})"
    found = _ended_by(tmp_path, code)
    assert isinstance(found, str)
    assert words in found
    assert "\n" not in found


@pytest.mark.parametrize("code", ["raise ValueError('sore')", "pass"])
def test_a_worker_without_an_answer_is_no_pass(tmp_path: Path, code: str) -> None:
    """Neither an exception nor a clean end without an answer is an answer."""
    found = _ended_by(tmp_path, code)
    assert isinstance(found, str)
    assert ("sore" if "sore" in code else "no message") in found


def test_a_worker_that_hangs_is_ended(tmp_path: Path) -> None:
    """At its time limit, and not much later."""
    started = time.monotonic()
    found = _ended_by(tmp_path, "import time; time.sleep(60)", Limits(0.5))
    assert found == "did not finish within 0.5 s"
    assert time.monotonic() - started < 30


def test_a_worker_that_eats_memory_is_ended(tmp_path: Path) -> None:
    """Before it takes the whole machine down; the limit is named."""
    code = "kept = []\nwhile True: kept.append(bytearray(b'x' * (1 << 24)))"
    found = _ended_by(tmp_path, code, Limits(60, memory=400_000_000))
    assert found == "took more than 0.4 GB of memory, which is its limit"


def test_what_is_free_is_the_limit_unless_one_is_given() -> None:
    """A share of it, so that the machine goes on."""
    free = workers._free_memory()
    if free is None:
        pytest.skip("this system does not tell how much memory is free")
    assert 0.5 * free < workers._allowed(Limits(1)) < free * 1.2
    assert workers._allowed(Limits(1, memory=5)) == 5
