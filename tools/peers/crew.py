"""Peers at work: each in a process of its own, one run of each in every round, in turns."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from normonnx.core.clocks import Stopwatch, Took

_WORKER: Final = Path(__file__).with_name("worker.py")
_GRACE: Final = 30.0  # seconds over a limit until the process itself is given up
_STARTING: Final = 120.0
_LEAST: Final = 3  # rounds


@dataclass(slots=True, eq=False)
class Done:
    """What a peer did to one model.

    Attributes:
        failed: Why there is no result, in one line; empty where there is.
        took: What each run took.
        added: Bytes of memory that each run needed at most, over what its imports take.
    """

    failed: str = ""
    took: list[Took] = field(default_factory=list)
    added: list[int] = field(default_factory=list)


class Worker:
    """The process of one peer; a context manager.

    Args:
        name: Of the peer.
    """

    def __init__(self, name: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(_WORKER), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.missing = ""
        said = self._heard(_STARTING)
        if "ready" not in said:
            self.missing = str(said.get("missing") or said.get("failed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()

    def run(self, source: Path, out: Path, timeout: float) -> Mapping[str, Any]:
        """Do the work once."""
        request = {"source": str(source), "out": str(out), "timeout": timeout}
        if self._process.stdin is None:  # never: it is a pipe
            return {"failed": "it has no standard input"}
        try:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
        except OSError:
            return {"failed": "its process ended"}
        return self._heard(timeout + _GRACE)

    def _heard(self, seconds: float) -> Mapping[str, Any]:
        stream = self._process.stdout
        if stream is None or not select.select([stream], [], [], seconds)[0]:
            self._process.kill()
            return {"failed": f"no answer within {seconds:g} s"}
        line = stream.readline()
        found: Mapping[str, Any] = json.loads(line) if line else {"failed": "its process ended"}
        return found


class Crew:
    """All peers that are installed; a context manager.

    Args:
        names: Of the peers.

    Attributes:
        missing: Name to the reason of those that are not installed.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._workers = {name: Worker(name) for name in names}
        self.missing = {name: one.missing for name, one in self._workers.items() if one.missing}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        for one in self._workers.values():
            one.__exit__()

    @property
    def names(self) -> list[str]:
        """Of those that are installed."""
        return [name for name in self._workers if name not in self.missing]

    def optimize(
        self, source: Path, folder: Path, rounds: int, budget: float, timeout: float
    ) -> dict[str, Done]:
        """Let each optimize a model in every round.

        Args:
            source: The model; read once before, so that the disk is out of it for all.
            folder: Where the results go; see `result`.
            rounds: How many there are at most.
            budget: Seconds after which none begins, once there are three.
            timeout: Seconds that one run may take; a peer that takes more is not run again.
        """
        source.read_bytes()
        found = {name: Done() for name in self.names}
        watch = Stopwatch.started()
        for turn in range(rounds):
            if turn >= _LEAST and watch.took().wall > budget:
                break
            names = self.names
            shift = turn % max(1, len(names))
            for name in names[shift:] + names[:shift]:
                if not found[name].failed:
                    _one(self._workers[name], source, result(folder, name), found[name], timeout)
        return found


def _one(worker: Worker, source: Path, out: Path, done: Done, timeout: float) -> None:
    out.unlink(missing_ok=True)  # a new file for everybody
    answer = worker.run(source, out, timeout)
    if "failed" in answer:
        done.failed = answer["failed"]
    else:
        done.took.append(Took(answer["wall"], answer["cpu"]))
        done.added.append(answer["added"])


def result(folder: Path, name: str) -> Path:
    """Where a peer's result goes."""
    return folder / f"{name.replace(' ', '-')}.onnx"
