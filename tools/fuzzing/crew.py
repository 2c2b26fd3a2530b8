"""A worker seen from outside: started, watched, ended where it hangs or grows, and replaced."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, Self

from tools.fuzzing.worker import LARGEST

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM = ("-m", "tools.fuzzing.worker")
HANG = 10.0  # seconds of processor time
_WALL: Final = 8  # times as long on the clock: a busy machine is no hang
_SPACE: Final = 4 << 30  # bytes of addresses, so that nothing can take the machine down
_FILE: Final = 256 << 20  # bytes of one file
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_POLL: Final = 0.2  # seconds


class Worker:
    """One process after the other; `do` never fails.

    Args:
        folder: Where it may work; its output goes to a folder in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._done = 0

    def __enter__(self) -> Self:
        """Within this context it works."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._end()

    def do(self, number: int) -> dict[str, Any]:
        """Run one case; what came of it."""
        process = self._started()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError
        began, used = time.monotonic(), _seconds(process.pid)
        held = _resident(process.pid)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{number}\n".encode())
            process.stdin.flush()
        while not select.select([process.stdout], [], [], _POLL)[0]:
            spent = _seconds(process.pid) - used
            if spent > HANG or time.monotonic() - began > HANG * _WALL:
                return self._given_up(f"hang: {self._where()}")
            if _resident(process.pid) - held > LARGEST:
                return self._given_up(f"memory: {self._where()}")
        line = process.stdout.readline()
        if not line:
            status = process.wait()
            return self._given_up(f"crash: the process ended with {status}: {self._last()}")
        found: dict[str, Any] = json.loads(line)
        if found["outcome"].startswith("memory"):
            self._end()
        return found

    def _given_up(self, outcome: str) -> dict[str, Any]:
        self._end()
        return {"outcome": outcome, "seconds": HANG, "peak": 0}

    def _where(self) -> str:
        """Where Python is, by its own word."""
        if self._process is None:
            return ""
        before = self._log.stat().st_size
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        with self._log.open("rb") as file:
            file.seek(before)
            text = file.read().decode(errors="replace")
        places = [line.strip() for line in text.splitlines() if line.startswith("  File")]
        return " < ".join(places[:6]) or self._last()

    def _last(self) -> str:
        return self._log.read_text(errors="replace")[-300:].replace("\n", " ")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", *PROGRAM, str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self._temporary())},
                preexec_fn=_limited,  # noqa: PLW1509  # it sets limits, no more
            )
        if self._process.stdout is not None:
            self._process.stdout.readline()  # that it is ready: imports are no hang
        return self._process

    def _temporary(self) -> Path:
        place = self._folder / "tmp"
        place.mkdir(exist_ok=True)
        return place

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        self._process = None


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_SPACE, _SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _seconds(process: int) -> float:
    """Processor time that a process has used."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(process: int) -> int:
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
