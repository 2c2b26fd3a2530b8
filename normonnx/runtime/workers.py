"""Worker processes: started, watched, and ended whatever happens.

A worker that crashes, hangs or takes more memory than it may is ended, and what happened is told in
one line. It ends by itself when its standard input does, that is when this process dies.
"""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from normonnx.runtime import exchange

WORKER: Final = "normonnx.runtime.worker"
_POLL: Final = 0.02  # seconds
_SHARE: Final = 0.85  # of the free memory, where no limit is given
_LEAST: Final = 1 << 28  # bytes; an interpreter with a runtime needs as much
_LONGEST: Final = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may take.

    Attributes:
        seconds: Wall-clock time for everything.
        memory: Bytes of resident memory (Linux); None for most of what is free at the start.
    """

    seconds: float
    memory: int | None = None


def run(
    place: Path, request: Mapping[str, Any], limits: Limits, *, module: str = WORKER
) -> dict[str, Any] | str:
    """Run a request in a worker.

    Args:
        place: The folder that holds the inputs, and gets the outputs; see `exchange`.
        request: What else the worker is told.
        limits: What it may take.
        module: What the worker runs, a module that calls `answering.serve`.

    Returns:
        Its answer, or one line that says why there is none.
    """
    (place / exchange.REQUEST).write_text(json.dumps(request))
    # -P: files in the current folder must not shadow numpy or a runtime.
    command = [sys.executable, "-P", "-m", module, str(place)]
    return watch(place, command, limits)


def watch(place: Path, command: Sequence[str], limits: Limits) -> dict[str, Any] | str:
    """Run a command until it ends or exceeds its limits, and read the answer that it left."""
    log = place / "errors.txt"
    with log.open("wb") as errors:
        worker = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment(),
        )
        try:
            over = _wait(worker, limits)
        finally:
            worker.kill()
            worker.wait()
            if worker.stdin is not None:
                worker.stdin.close()
    if over:
        return over
    answer = place / exchange.ANSWER
    if worker.returncode != 0 or not answer.exists():
        return how_it_ended(worker, log)
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def how_it_ended(worker: subprocess.Popen[bytes], log: Path) -> str:
    """Why a worker ended before it answered, in one line."""
    status = worker.wait()
    if status < 0:
        return _killed(-status)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
    return f"its process failed: {last[0][:_LONGEST]}"


def _wait(worker: subprocess.Popen[bytes], limits: Limits) -> str:
    """Wait for the end; which limit was exceeded before, or nothing."""
    allowed = _allowed(limits)
    deadline = time.monotonic() + limits.seconds
    while worker.poll() is None:
        over = exceeded(worker, limits, deadline, allowed)
        if over:
            return over
        try:
            worker.wait(min(_POLL, max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            continue
    return ""


def exceeded(
    worker: subprocess.Popen[bytes],
    limits: Limits,
    deadline: float,
    allowed: float | None = None,
) -> str:
    """Which limit a worker exceeds now, in one line; empty for none.

    Args:
        worker: The process.
        limits: What it may take.
        deadline: When it must have answered, on the monotonic clock.
        allowed: Bytes of memory; None to work it out from `limits`.
    """
    if time.monotonic() >= deadline:
        return f"did not finish within {limits.seconds:g} s"
    most = _allowed(limits) if allowed is None else allowed
    if _resident(worker.pid) > most:
        return f"took more than {most / 1e9:.3g} GB of memory, which is its limit"
    return ""


def _allowed(limits: Limits) -> float:
    if limits.memory is not None:
        return limits.memory
    free = _free_memory()
    return float("inf") if free is None else max(_LEAST, _SHARE * free)


def _free_memory() -> int | None:
    """Bytes that can be had without swapping; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    return int(found["MemAvailable"][0]) << 10 if "MemAvailable" in found else None


def _resident(process: int) -> int:
    """Bytes of memory that a process holds; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def environment() -> dict[str, str]:
    """The worker finds this very package, also where it is not installed but lies on sys.path."""
    root = str(Path(__file__).resolve().parents[2])
    if root in site.getsitepackages():
        return dict(os.environ)
    path = [os.environ.get("PYTHONPATH", ""), root]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def _killed(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = "; it probably ran out of memory" if number == signal.SIGKILL else ""
    return f"crashed: its process was ended by {name}{hint}"
