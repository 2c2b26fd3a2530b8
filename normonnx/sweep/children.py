"""One task as a process: started, watched, and ended with all that it started.

It leads a session of its own, so that a signal reaches everything in it and Ctrl-C reaches nothing
but the sweep. Memory is the resident memory of the whole tree: a verb runs backends in processes of
their own.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from normonnx.sweep.executor import (
    ANSWER,
    PRINTED,
    SAID,
    WRITTEN,
    Attached,
    Ended,
    Limits,
    Output,
    Task,
)
from normonnx.sweep.mothering import Mother

POLL: Final = 0.05  # seconds
_OUTSIDE: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PATIENCE: Final = 120.0  # seconds until a task must have been started
_LONGEST: Final = 300  # characters of a reason


class Child:
    """The process of one task.

    Args:
        task: What to run.
        place: An empty folder for what it leaves.
        words: The command line with every word spelled out; see `spelled`.
        mother: Who starts it.
    """

    def __init__(self, task: Task, place: Path, words: list[str], mother: Mother) -> None:
        self.task = task
        self.place = place
        self._mother = mother
        self._asked = time.monotonic()
        self._birth = mother.start(task.entry, words, place / PRINTED, place / SAID)

    @property
    def pid(self) -> int | None:
        """The process; None before it is started."""
        return self._birth.pid

    def poll(self) -> Ended | None:
        """How it ended; None while it runs. Ends it where it exceeds a limit."""
        self._mother.listen()
        birth = self._birth
        if birth.status is not None:
            self.end()
            return self._ended(birth.status)
        if birth.pid is None:
            late = time.monotonic() - self._asked > _PATIENCE
            over, reason = ("lost", "its process could not be started") if late else ("", "")
        else:
            over, reason = _exceeded(birth.pid, self.task.limits, self._seconds())
        if not over:
            return None
        self.end()
        return Ended(None, over, reason, self._seconds())

    def end(self) -> None:
        """End it, and whatever it started; nothing of it runs when this returns."""
        birth = self._birth
        if birth.pid is None and birth.status is None:
            self._mother.listen(until=lambda: birth.pid is not None or birth.status is not None)
        if birth.pid is not None:
            for end in (os.killpg, os.kill) if birth.status is None else (os.killpg,):
                with suppress(ProcessLookupError, PermissionError):
                    end(birth.pid, signal.SIGKILL)
        self._mother.listen(until=lambda: birth.status is not None)

    def _seconds(self) -> float:
        return time.monotonic() - (self._birth.born or self._asked)

    def _ended(self, status: int) -> Ended:
        if status >= 0:
            return Ended(status, "", "", self._seconds())
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = "; it may have run out of memory" if status == -signal.SIGKILL else ""
        reason = f"its process was ended by {name}{hint}"
        return Ended(None, "crashed", reason, self._seconds(), outside=-status in _OUTSIDE)


def spelled(
    task: Task, place: Path, attached: Path | None = None
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """The command line of a task, and what the paths in it are called elsewhere.

    Args:
        task: What to run.
        place: The folder for what it leaves.
        attached: Where the files that it reads lie, a folder for each such word; None for where
            they are.
    """
    words: list[str] = []
    paths: list[tuple[str, str]] = []
    for number, word in enumerate(task.words):
        if isinstance(word, Attached):
            at = word.path if attached is None else attached / str(number) / word.path.name
            words.append(f"{word.prefix}{at}")
            paths.append((str(at), str(word.path)))
        elif isinstance(word, Output):
            words.append(str(place / WRITTEN / word.name))
        else:
            words.append(word)
    return [*words, "--json", str(place / ANSWER)], tuple(paths)


def _exceeded(leader: int, limits: Limits, seconds: float) -> tuple[str, str]:
    """Which limit is exceeded, and what to say about it; empty for none."""
    if seconds >= limits.seconds:
        return "timeout", f"did not finish within {limits.seconds:g} s (--timeout)"
    if limits.memory is not None and resident(leader) > limits.memory:
        return "memory", f"took more than {limits.memory / 1e9:.3g} GB of memory (--memory)"
    return "", ""


def resident(leader: int) -> int:
    """Bytes of memory of a process and all that it started; 0 where the system does not tell."""
    total, waiting = 0, [leader]
    page = os.sysconf("SC_PAGE_SIZE")
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        with suppress(OSError, IndexError, ValueError):
            total += int((folder / "statm").read_text().split()[1]) * page
            for thread in (folder / "task").iterdir():
                waiting += [int(word) for word in (thread / "children").read_text().split()]
    return total


def last_words(place: Path) -> str:
    """The last line that a task said on stderr, without our name and "error"."""
    try:
        lines = (place / SAID).read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    last = lines[-1] if lines else ""
    return last.removeprefix("normonnx: ").removeprefix("error: ")[:_LONGEST]
