"""The process of one peer: `python tools/peers/worker.py NAME`, from the root of the repository.

It imports the peer and then, for each line of its standard input, forks a child that does the work
once: so each run is a process of its own, without the seconds that imports take. A child that
crashes or takes too long is told as that.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from normonnx.core.clocks import Stopwatch
from normonnx.timing.peak import peak_since, reset_peak
from tools.peers.contenders import PEERS, Work

_LONGEST: Final = 200  # characters of a reason
_OVER: Final = "took more than {:g} s"


def main() -> None:
    """Say that the peer is there, or why not; then answer requests."""
    try:
        work = PEERS[sys.argv[1]].prepare()
    except ImportError as error:
        _say({"missing": str(error)})
        return
    _say({"ready": True})
    for line in sys.stdin:
        _say(_forked(work, json.loads(line)))


def _forked(work: Work, request: Mapping[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(work, request, writing)
    os.close(writing)
    ready, _, _ = select.select([reading], [], [], request["timeout"])
    said = b""
    if ready:
        while part := os.read(reading, 65536):
            said += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if not ready:
        return {"failed": _OVER.format(request["timeout"])}
    if not said:
        return {"failed": f"crashed: {_ending(status)}"}
    found: dict[str, Any] = json.loads(said)
    return found


def _child(work: Work, request: Mapping[str, Any], writing: int) -> None:
    """Do it once, quietly, and end."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    gc.collect()
    before = reset_peak()
    watch = Stopwatch.started()
    try:
        work(request["source"], request["out"])
    except BaseException as error:  # noqa: BLE001  # peers raise what they like
        lines = str(error).strip().splitlines() or [""]
        answer: dict[str, Any] = {"failed": f"{type(error).__name__}: {lines[0]}"[:_LONGEST]}
    else:
        took = watch.took()
        answer = {"wall": took.wall, "cpu": took.cpu, "added": peak_since(before)}
    os.write(writing, json.dumps(answer).encode())
    os._exit(0)


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.WEXITSTATUS(status)}"


def _say(found: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(found)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
