"""The process that contenders take turns in: `python -m normonnx.timing.latency_worker`.

It is asked to try one, to make a session of each and run them in turns, or, in a process of its
own, to say how much memory one needs at most.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import numpy as np

from normonnx.core.clocks import Took
from normonnx.runtime import exchange, naming
from normonnx.runtime.answering import serve
from normonnx.runtime.engines import loading
from normonnx.runtime.engines.contract import GivenUpError, Job, Loaded
from normonnx.timing import turns
from normonnx.timing.peak import peak_since, reset_peak

MODULE: Final = "normonnx.timing.latency_worker"
CURRENT: Final = "current.txt"  # who is at work, for whoever finds the worker dead
TRY: Final = "try"
TURN: Final = "turn"
MEMORY: Final = "memory"
SIMPLEST: Final = "simplest.onnx"  # of `canary`, beside a request for memory
_LEAST: Final = 1  # rounds in one session

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
    simplest = Job(place / SIMPLEST, naming.parse(one["backend"]), timed=True)
    loading.load(simplest).run({"X": np.eye(4, dtype=np.float32)})
    gc.collect()
    before = reset_peak()
    loaded = _load(place, one)
    _bound(loaded, feeds)()
    return _passed(memory=peak_since(before))


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


_ACTS: Final[Mapping[str, Callable[[Path, Mapping[str, Any]], Answer]]] = {
    TRY: _try,
    TURN: _turn,
    MEMORY: _memory,
}


def _work(place: Path, request: Mapping[str, Any]) -> Answer:
    return _ACTS[request["act"]](place, request)


if __name__ == "__main__":
    os._exit(serve(_work))  # as `normonnx.runtime.worker`
