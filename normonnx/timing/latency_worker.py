"""The process that contenders take turns in: `python -m normonnx.timing.latency_worker`.

It is asked to try one, to make a session of each and run them in turns, or, in a process of its
own, to say how much memory one needs at most.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

from normonnx.core.clocks import Took
from normonnx.runtime import exchange, naming
from normonnx.runtime.answering import serve
from normonnx.runtime.engines import loading
from normonnx.runtime.engines.contract import GivenUpError, Job, Loaded
from normonnx.timing import canary, turns

MODULE: Final = "normonnx.timing.latency_worker"
CURRENT: Final = "current.txt"  # who is at work, for whoever finds the worker dead
TRY: Final = "try"
TURN: Final = "turn"
MEMORY: Final = "memory"
_LEAST: Final = 1  # rounds in one session
_PEAK: Final = "VmHWM:"
_NOW: Final = "VmRSS:"

Run = Callable[[], None]
Answer = dict[str, Any]


def _try(place: Path, request: Mapping[str, Any]) -> Answer:
    (one,) = request["contenders"]
    loaded = _load(place, one)
    loaded.run(exchange.read_arrays(Path(request["inputs"])))
    return _passed(settings=loaded.settings)


def _turn(place: Path, request: Mapping[str, Any]) -> Answer:
    feeds = exchange.read_arrays(Path(request["inputs"]))
    name, base = request["again"]
    asked = {one["name"]: one for one in request["contenders"]}
    loaded = {key: _load(place, one) for key, one in asked.items()}
    sessions = {key: one.took or Took(0.0, 0.0) for key, one in loaded.items()}
    loaded[name] = _load(place, asked[base])
    runs = {}
    for key, one in loaded.items():
        _note(place, base if key == name else key)
        runs[key] = _bound(one, feeds)
    _note(place, "")
    found = turns.timed_in_turns(
        runs,
        rounds=request["rounds"],
        seconds=request["seconds"],
        least=_LEAST,
        warm=request["warm"],
    )
    runs.clear()
    loaded.clear()
    gc.collect()
    return _passed(
        runs={key: [astuple(one) for one in times] for key, times in found.items()},
        sessions={key: astuple(one) for key, one in sessions.items()},
    )


def _memory(place: Path, request: Mapping[str, Any]) -> Answer:
    (one,) = request["contenders"]
    feeds = exchange.read_arrays(Path(request["inputs"]))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        path = Path(folder) / "canary.onnx"
        path.write_bytes(canary.MODEL)
        loading.load(Job(path, naming.parse(one["backend"]), timed=True)).run(canary.FEEDS)
    gc.collect()
    before = _since_now()
    loaded = _load(place, one)
    _bound(loaded, feeds)()
    return _passed(memory=max(0, _most() - before))


def _load(place: Path, one: Mapping[str, Any]) -> Loaded:
    _note(place, one["name"])
    backend = naming.parse(one["backend"])
    return loading.load(Job(Path(one["model"]), backend, timed=True, hinted=one["hinted"]))


def _bound(loaded: Loaded, feeds: Mapping[str, Any]) -> Run:
    """What runs it; where outputs can't be bound, being sequences, they are handed out."""
    if loaded.bind is not None:
        try:
            return loaded.bind(feeds)
        except GivenUpError:
            loaded.run(feeds)  # says so if it does not run at all

    def run() -> None:
        loaded.run(feeds)

    return run


def _note(place: Path, name: str) -> None:
    (place / CURRENT).write_text(name)


def _passed(**found: object) -> Answer:
    return {"verdict": "pass", "reason": "", **found}


def _since_now() -> int:
    """Bytes that this process holds now, from where the system counts the peak anew if it can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _most()
    return _status(_NOW) or _most()


def _most() -> int:
    """Bytes that this process held at most."""
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return _status(_PEAK) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(field: str) -> int:
    """A number of bytes that Linux tells of this process; 0 elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(field)]
    return int(found[0]) << 10 if found else 0


_ACTS: Final[Mapping[str, Callable[[Path, Mapping[str, Any]], Answer]]] = {
    TRY: _try,
    TURN: _turn,
    MEMORY: _memory,
}


def _work(place: Path, request: Mapping[str, Any]) -> Answer:
    return _ACTS[request["act"]](place, request)


if __name__ == "__main__":
    os._exit(serve(_work))  # as `normonnx.runtime.worker`
