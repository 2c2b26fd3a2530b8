"""The process that times whole models: `python -m normonnx.timing.model_worker`.

Every model gets several sessions, made anew in turns, since where its weights happen to lie in
memory is worth a per cent by itself; with each set of sessions the models are run in turns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from normonnx.runtime import exchange, naming
from normonnx.runtime.answering import serve
from normonnx.runtime.engines import loading
from normonnx.runtime.engines.contract import Job, Loaded, unavailable
from normonnx.timing import turns

MODULE: Final = "normonnx.timing.model_worker"
_SESSIONS: Final = 5
_ROUNDS: Final = 400
_LEAST: Final = 3


def _work(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    backend = naming.parse(request["backend"])
    models: Mapping[str, str] = request["models"]
    feeds = {
        label: exchange.read_arrays(exchange.folder(place, "inputs", number))
        for number, label in enumerate(models)
    }
    sessions: dict[str, list[float]] = {label: [] for label in models}
    runs: dict[str, list[float]] = {label: [] for label in models}
    loaded: Loaded | None = None
    loading.load(Job(Path(next(iter(models.values()))), backend))  # imports are not timed
    end = time.perf_counter() + request["seconds"]
    for number in range(_SESSIONS):
        bound = {}
        for label in _turned(list(models), number):
            start = time.perf_counter()
            loaded = loading.load(Job(Path(models[label]), backend))
            sessions[label].append(time.perf_counter() - start)
            if loaded.bind is None:
                reason = f"{loaded.asked} can't be timed"
                raise unavailable(reason)
            bound[label] = loaded.bind(feeds[label])
        left = max(0.0, end - time.perf_counter()) / (_SESSIONS - number)
        once = _seconds_of(bound)
        rounds = max(_LEAST, min(_ROUNDS, int(left / max(once, 1e-9))))
        for label, times in turns.in_turns(bound, rounds=rounds, seconds=left).items():
            runs[label] += times
        if number + 1 >= _LEAST and time.perf_counter() > end:
            break
    return {
        "verdict": "pass",
        "reason": "",
        "settings": {} if loaded is None else loaded.settings,
        "sessions": sessions,
        "runs": runs,
    }


def _turned(names: list[str], by: int) -> list[str]:
    shift = by % len(names)
    return names[shift:] + names[:shift]


def _seconds_of(bound: Mapping[str, Any]) -> float:
    """How long one round takes, once everything is warm."""
    for run in bound.values():
        run()
    start = time.perf_counter()
    for run in bound.values():
        run()
    return time.perf_counter() - start


if __name__ == "__main__":
    os._exit(serve(_work))  # as `normonnx.runtime.worker`
