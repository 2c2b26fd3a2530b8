"""What whole models cost on a backend: session creation and latency, in turns, in a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from normonnx.core.errors import UnavailableError
from normonnx.core.measurements import Measured, Measurements, Spread
from normonnx.runtime import exchange, naming, workers
from normonnx.runtime.staying import Staying
from normonnx.timing import intervals, model_worker
from normonnx.timing.forms import FAMILIES

_PATIENCE: Final = 120.0  # seconds over what is asked for


def measure(
    models: Mapping[str, Path],
    feeds: Sequence[Mapping[str, Any]],
    backend: str = "ort:cpu",
    *,
    seconds: float = 2.0,
    threads: int = 1,
) -> Measurements:
    """Time models in turns.

    Args:
        models: Files by what they are called.
        feeds: Inputs of each, arrays by name.
        backend: A name as `normonnx list backends` has it.
        seconds: For all of them together, about.
        threads: That a run may take.

    Returns:
        Without figures, and with the reason, where the backend can't be timed or is not here.
    """
    try:
        named = naming.parse(backend)
        if named.family not in FAMILIES:
            return Measurements(backend, threads, reason=f"{backend} can't be timed")
        found = _answer(models, feeds, named.having(threads=str(threads)), seconds)
    except UnavailableError as error:
        return Measurements(backend, threads, reason=str(error))
    measured = tuple(
        Measured(label, _spread(found["sessions"][label]), _spread(found["runs"][label]))
        for label in models
    )
    first, last = next(iter(models)), list(models)[-1]
    pairs = min(len(found["runs"][first]), len(found["runs"][last]))
    ratio = intervals.of_ratio(found["runs"][first][:pairs], found["runs"][last][:pairs])
    shapes = {name: tuple(array.shape) for name, array in feeds[0].items()}
    return Measurements(
        backend,
        threads,
        measured,
        _as_spread(ratio) if len(models) > 1 else None,
        shapes,
        found["settings"],
    )


def _answer(
    models: Mapping[str, Path], feeds: Sequence[Mapping[str, Any]], backend: str, seconds: float
) -> dict[str, Any]:
    limits = workers.Limits(_PATIENCE + 2 * seconds)
    with Staying(model_worker.MODULE, limits) as staying, staying.place() as place:
        exchange.write_cases(place, feeds)
        request = {
            "backend": backend,
            "models": {label: str(path.absolute()) for label, path in models.items()},
            "seconds": seconds,
        }
        found = staying.ask(place, request)
    if isinstance(found, str):
        raise UnavailableError(found)
    if found["verdict"] != "pass":
        raise UnavailableError(found["reason"])
    return found


def _spread(seconds: Sequence[float]) -> Spread:
    """In milliseconds."""
    return _as_spread(intervals.of_median([1e3 * one for one in seconds]))


def _as_spread(found: intervals.Interval) -> Spread:
    return Spread(found.median, found.low, found.high, found.samples)
