"""The process that times forms: `python -m normonnx.timing.worker`.

A request names forms, whose models lie in its folder beside the inputs of each profile and their
truths. Each form is loaded, run on all of them and held against the truth; then all that ran take
turns on the inputs of the first profile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from normonnx.runtime import exchange, naming
from normonnx.runtime.answering import serve
from normonnx.runtime.engines import loading
from normonnx.runtime.engines.contract import GivenUpError, Job, Loaded, unavailable
from normonnx.timing import turns
from normonnx.timing.edges import error_of

MODULE: Final = "normonnx.timing.worker"
CURRENT: Final = "current.txt"  # the form that is at work, for whoever finds the worker dead
TRUTH: Final = "truth"
_ROUNDS: Final = 1000
_SLOWEST: Final = 5.0  # times the quickest; what is slower needs no narrow interval


def model_path(place: Path, number: int) -> Path:
    """Where the model of a form lies."""
    return place / f"form-{number}.onnx"


def _work(place: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    backend = naming.parse(request["backend"])
    cases = [_case(place, number) for number in range(len(request["sizes"]))]
    failed: dict[str, str] = {}
    errors: dict[str, list[float]] = {}
    runs: dict[str, Callable[[], None]] = {}
    settings: Mapping[str, str] = {}
    for number, form in enumerate(request["forms"]):
        (place / CURRENT).write_text(form)
        try:
            loaded = loading.load(Job(model_path(place, number), backend))
            errors[form] = _errors(loaded, cases, request["sizes"])
            runs[form] = _bound(loaded, cases[0][0])
        except GivenUpError as error:
            failed[form] = str(error)
        else:
            settings = loaded.settings
    (place / CURRENT).write_text("")
    seconds = request["seconds"]
    samples = turns.in_turns(runs, rounds=_ROUNDS, seconds=seconds, slowest=_SLOWEST)
    return {
        "verdict": "pass",
        "reason": "",
        "settings": settings,
        "failed": failed,
        "errors": {form: errors[form] for form in runs},
        "samples": samples,
    }


def _case(place: Path, number: int) -> tuple[Mapping[str, Any], Any]:
    feeds = exchange.read_arrays(exchange.folder(place, "inputs", number))
    truth = exchange.read_arrays(exchange.folder(place, TRUTH, number))[TRUTH]
    return feeds, truth


def _errors(
    loaded: Loaded, cases: Sequence[tuple[Mapping[str, Any], Any]], sizes: Sequence[float]
) -> list[float]:
    found = []
    for (feeds, truth), size in zip(cases, sizes, strict=True):
        result = next(iter(loaded.run(feeds).values()))
        found.append(error_of(np.asarray(result), truth, size, feeds["X"].dtype))
    return found


def _bound(loaded: Loaded, feeds: Mapping[str, Any]) -> Callable[[], None]:
    if loaded.bind is None:
        reason = f"{loaded.asked} can't be timed"
        raise unavailable(reason)
    return loaded.bind(feeds)


if __name__ == "__main__":
    os._exit(serve(_work))  # as `normonnx.runtime.worker`
