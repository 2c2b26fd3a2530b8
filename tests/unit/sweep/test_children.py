"""One task as a process: limits, ends, and nothing that survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normonnx.sweep.children import Child, last_words, resident, spelled
from normonnx.sweep.executor import ANSWER, WRITTEN, Attached, Ended, Limits, Output, Task
from normonnx.sweep.mothering import Mother
from tests.sweeping import ENTRY

MB = 10**6
LONG = Limits(60.0)


def _ended(tmp_path: Path, what: str, limits: Limits = LONG, entry: str = ENTRY) -> Ended:
    model = tmp_path / "m.onnx"
    model.write_text(what)
    word = Attached(model, (("m.onnx", model),))
    task = Task(0, entry, ("optimize", word, "--output", Output("m.onnx")), limits)
    place = tmp_path / "place"
    (place / WRITTEN).mkdir(parents=True)
    words, _ = spelled(task, place)
    with Mother([]) as mother:
        child = Child(task, place, words, mother)
        while (ended := child.poll()) is None:
            time.sleep(0.02)
        assert child.pid is not None
        assert not _alive(child.pid)
    return ended


def _alive(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


def test_a_task_ends_by_itself(tmp_path: Path) -> None:
    """With its code and document."""
    ended = _ended(tmp_path, "pass")
    assert (ended.code, ended.over, ended.reason, ended.outside) == (0, "", "", False)
    assert (tmp_path / "place" / ANSWER).exists()


def test_a_code_is_kept_with_its_last_words(tmp_path: Path) -> None:
    """What the verb said on stderr is the reason."""
    assert _ended(tmp_path, "exit 5").code == 5
    assert last_words(tmp_path / "place") == f"{tmp_path / 'm.onnx'}: exits with 5"


def test_too_much_time_is_a_timeout(tmp_path: Path) -> None:
    """It is ended at once, and says what it was."""
    started = time.monotonic()
    ended = _ended(tmp_path, "sleep 60", Limits(1.0))
    assert time.monotonic() - started < 10
    assert (ended.code, ended.over) == (None, "timeout")
    assert "1 s (--timeout)" in ended.reason


@pytest.mark.parametrize("what", ["eat", "fork"])
def test_too_much_memory_is_told(tmp_path: Path, what: str) -> None:
    """Also where a process that it started takes it."""
    ended = _ended(tmp_path, f"{what} {300 * MB}", Limits(60.0, 200 * MB))
    assert (ended.code, ended.over) == (None, "memory")
    assert "0.2 GB" in ended.reason


def test_a_crash_is_told_by_its_signal(tmp_path: Path) -> None:
    """A fault of its own is one; being ended from outside is said to be that."""
    ended = _ended(tmp_path, f"signal {int(signal.SIGSEGV)}")
    assert (ended.over, ended.outside) == ("crashed", False)
    assert "SIGSEGV" in ended.reason


def test_being_killed_is_told_apart(tmp_path: Path) -> None:
    """Somebody else did it."""
    ended = _ended(tmp_path, f"signal {int(signal.SIGKILL)}")
    assert (ended.over, ended.outside) == ("crashed", True)


def test_what_it_started_goes_with_it(tmp_path: Path) -> None:
    """No process is left, whatever limit ended it."""
    _ended(tmp_path, f"fork {MB}", Limits(1.5))
    words = f"x = b'x' * {MB}; time.sleep(60)".encode()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if words in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_an_entry_that_is_not_there_is_an_exit_code(tmp_path: Path) -> None:
    """Which is none of ours, so a crash; Python says why."""
    ended = _ended(tmp_path, "pass", entry="tests.told_verb:nothing")
    assert ended.code == 1
    assert "nothing" in last_words(tmp_path / "place")


def test_memory_of_a_process_is_measured() -> None:
    """This one has some; one that is gone has none."""
    assert resident(os.getpid()) > 5 * MB
    assert resident(2**22 + 1) == 0


_PARENT = """
import sys, time
from pathlib import Path
from normonnx.sweep.children import Child, spelled
from normonnx.sweep.executor import *
from normonnx.sweep.mothering import Mother
model = Path(sys.argv[1]); place = Path(sys.argv[2]); (place / WRITTEN).mkdir(parents=True)
task = Task(0, "tests.told_verb:verb", ("optimize", Attached(model, ())), Limits(60.0))
child = Child(task, place, spelled(task, place)[0], Mother([]))
while child.pid is None: child.poll()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_task_dies_with_its_parent(tmp_path: Path) -> None:
    """Even if the parent is killed, and with it what the task started."""
    model = tmp_path / "m.onnx"
    model.write_text(f"fork {3 * MB}")
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(model), str(tmp_path / "place")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        cwd=root,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    deadline = time.monotonic() + 20
    while not _children(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    grandchildren = _children(worker)
    assert grandchildren
    parent.kill()
    parent.wait()
    parent.stdout.close()
    while (_alive(worker) or any(map(_alive, grandchildren))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(worker)
    assert not any(map(_alive, grandchildren))


def _children(number: int) -> list[int]:
    path = Path(f"/proc/{number}/task/{number}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []
