"""This side of a nursery: asks it for processes, and hears of their ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Final, Self

from normonnx.runtime.workers import environment

NURSERY: Final = "normonnx.sweep.nursery"
# One thread a model: models run side by side, and sums don't depend on how many cores there are.
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_CHUNK: Final = 1 << 16
_WAIT: Final = 0.05  # seconds
_PATIENCE: Final = 30.0  # seconds until a nursery must have answered, or ended


@dataclass(slots=True)
class Birth:
    """A process that was asked for.

    Attributes:
        pid: Its number; None before it is started.
        born: When that was, on the monotonic clock.
        status: Its exit code, or the signal that ended it, negative; None while it runs.
    """

    pid: int | None = None
    born: float | None = None
    status: int | None = None


class Mother:
    """A nursery; a context manager. One that died is replaced at the next request.

    Args:
        modules: What it imports beforehand.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)
        self._births: dict[int, Birth] = {}
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def __enter__(self) -> Self:
        """Start it, so that it imports while others prepare."""
        self._nursery()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, with all that it has started."""
        self.close()

    def start(self, entry: str, words: Sequence[str], out: Path, err: Path) -> Birth:
        """Ask for a process.

        Args:
            entry: What it is to call, "MODULE:FUNCTION".
            words: With what.
            out: Where its standard output goes.
            err: Where its standard error goes.
        """
        number, birth = next(self._numbers), Birth()
        request = {
            "number": number,
            "entry": entry,
            "words": list(words),
            "out": str(out),
            "err": str(err),
        }
        pipe = self._nursery()
        self._births[number] = birth
        with suppress(BrokenPipeError):  # `listen` finds out
            pipe.write(json.dumps(request).encode("ascii") + b"\n")
            pipe.flush()
        return birth

    def listen(self, *, until: Callable[[], bool] | None = None) -> None:
        """Hear what has happened; where asked, wait until something has."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._hear(0.0 if until is None else _WAIT)
            if until is None or until() or time.monotonic() >= deadline:
                return

    def close(self) -> None:
        """End the nursery, with all that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(BrokenPipeError):
            _pipe(process.stdin).close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        process.kill()
        process.wait()
        _pipe(process.stdout).close()

    def _nursery(self) -> IO[bytes]:
        """Standard input of the nursery, started if need be."""
        if self._process is not None and self._process.poll() is not None:
            self._is_dead()
        if self._process is None:
            self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                # -P: files in the current folder must not shadow numpy or a runtime.
                [sys.executable, "-P", "-m", NURSERY, *self._modules],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment() | dict.fromkeys(_THREADS, "1"),
                start_new_session=True,
            )
        return _pipe(self._process.stdin)

    def _hear(self, seconds: float) -> None:
        if self._process is None:
            return
        pipe = _pipe(self._process.stdout)
        ready, _, _ = select.select([pipe], [], [], seconds)
        if not ready:
            return
        read = os.read(pipe.fileno(), _CHUNK)
        if not read:
            self._is_dead()
            return
        *lines, self._unread = (self._unread + read).split(b"\n")
        for line in lines:
            what, number, value = line.decode("ascii").split()
            birth = self._births[int(number)]
            if what == "started":
                birth.pid, birth.born = int(value), time.monotonic()
            else:
                birth.status = int(value)
                del self._births[int(number)]

    def _is_dead(self) -> None:
        """Nobody will say any more how its children end; the kernel ends them."""
        for birth in self._births.values():
            birth.status = -signal.SIGKILL
        self._births.clear()
        self._unread = b""
        self.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        message = "a nursery has pipes"
        raise RuntimeError(message)
    return pipe
