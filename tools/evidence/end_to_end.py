"""Stage "latency": a model against what `normonnx.optimize` makes of it, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx

import normonnx
from normonnx.graph import files
from normonnx.runtime.engines.ort_binding import Bound
from normonnx.timing import turns
from normonnx.validation import drawing
from tools.evidence import sessions
from tools.evidence.hollow import filled
from tools.evidence.items import Item, skipped
from tools.evidence.manifest import Manifest
from tools.evidence.subjects import Context

ORIGINAL: Final = "original"
OPTIMIZED: Final = "optimized"
_ROUNDS: Final = 61
_CREATED: Final = 7  # sessions each
_SHARE: Final = 0.5  # of the time allowed, for latencies
_TIMED: Final = 6.0  # seconds at most
_LONGEST: Final = 60.0


def items(manifest: Manifest, backend: str) -> Sequence[Item]:
    """Networks at full size, then those that were judged."""
    timed = [
        Item(f"latency:{one.name}", f"{__name__}:drawn", backend, {"model": one.name}, _LONGEST)
        for one in manifest.timed
    ]
    judged = [
        Item(f"latency:{one.name}", f"{__name__}:stored", backend, {"model": one.name}, _LONGEST)
        for one in manifest.models
    ]
    return [*timed, *judged]


def drawn(context: Context, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """A network at full size, its weights drawn first."""
    timed = next(one for one in context.manifest.timed if one.name == arguments["model"])
    model = filled(onnx.load(context.models / timed.file), context.manifest.seed)
    path = context.scratch / "full.onnx"
    onnx.save(model, path)
    del model
    try:
        return _against_optimized(context, path, timed.shapes, seconds)
    finally:
        path.unlink()


def stored(context: Context, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """A model as it was prepared."""
    entry = context.manifest.entry(arguments["model"])
    return _against_optimized(context, context.models / entry.file, entry.shapes, seconds)


def _against_optimized(
    context: Context, path: Path, shapes: Mapping[str, Sequence[int]], seconds: float
) -> dict[str, Any]:
    start = time.perf_counter()
    result = normonnx.optimize(path)
    if not result.report.applied:
        return skipped("normonnx.optimize changes nothing")
    optimized = context.scratch / "optimized.onnx"
    normonnx.save(result.model, optimized, force=True)
    taken = time.perf_counter() - start
    paths = {ORIGINAL: path, turns.AGAIN: path, OPTIMIZED: optimized}
    feeds = drawing.drawn(files.load(path), (1, 1), shapes, context.manifest.seed)[0].feeds
    provider = sessions.provider_of(context.backend)
    open_sessions = {name: sessions.opened(one, context.backend) for name, one in paths.items()}
    runs: dict[str, Callable[[], None]] = {
        name: Bound(session, feeds, provider).run for name, session in open_sessions.items()
    }
    samples = turns.in_turns(runs, rounds=_ROUNDS, seconds=min(_SHARE * seconds, _TIMED))
    return {
        "status": "ok",
        "optimize_seconds": round(taken, 3),
        "applied": len(result.report.applied),
        "latency": turns.table(samples, ORIGINAL),
        "creation": turns.table(_creation(context, paths, seconds), ORIGINAL),
        **{
            name: sessions.placement(open_sessions[name], provider)
            for name in (ORIGINAL, OPTIMIZED)
        },
    }


def _creation(
    context: Context, paths: Mapping[str, Path], seconds: float
) -> dict[str, list[float]]:
    """Seconds that making a session takes, in turns."""
    end = time.perf_counter() + min(_SHARE * seconds / 2, _TIMED)
    found: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(_CREATED):
        if turn and time.perf_counter() > end:
            break
        for name, path in paths.items():
            start = time.perf_counter()
            session = sessions.opened(path, context.backend)
            found[name].append(time.perf_counter() - start)
            del session
    return found
