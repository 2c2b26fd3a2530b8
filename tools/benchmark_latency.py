"""Latency of models before and after normonnx, both on ONNX Runtime at ENABLE_ALL, one thread.

    python tools/benchmark_latency.py MODEL.onnx... [--batch 1] [--seconds 20] [--sizes points=1024]

The original runs twice in each round, so that its ratio to itself tells what the machine's noise
makes of a ratio of 1. Sessions are made anew several times: where their weights happen to lie in
memory is worth a per cent by itself. Printed are medians, and ratios pair by pair with 95 %
intervals: above 1 is faster than the original.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import onnxruntime

import normonnx
from normonnx.timing import intervals, turns

_ROUNDS: Final = 2000
_SESSIONS: Final = 5  # of each contender, one after the other
_BEFORE: Final = "before"
_AFTER: Final = "after"


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds_of(
    session: onnxruntime.InferenceSession, batch: int, sizes: Mapping[str, int]
) -> dict[str, Any]:
    """N(0, 1) for each input, small whole numbers where it wants integers.

    Args:
        session: That they are for.
        batch: Size of a dynamic first dimension.
        sizes: Of other dynamic dimensions, by name.
    """
    random = np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for value in session.get_inputs():
        shape = [
            dim if isinstance(dim, int) else batch if axis == 0 else sizes.get(dim, 64)
            for axis, dim in enumerate(value.shape)
        ]
        drawn = random.standard_normal(shape)
        whole = "int" in value.type
        feeds[value.name] = (np.abs(drawn) > 1).astype(np.int64) if whole else np.float32(drawn)
    return feeds


def measured(
    path: Path, folder: Path, *, batch: int, sizes: Mapping[str, int], seconds: float
) -> dict[str, list[float]]:
    """Seconds of one run before, before again, and after."""
    optimized = folder / "optimized.onnx"
    normonnx.save(normonnx.optimize(path).model, optimized)

    def runs(model: Path) -> Callable[[], None]:
        session = _session(model)
        feeds = feeds_of(session, batch, sizes)
        return lambda: session.run(None, feeds)

    models = {_BEFORE: path, turns.AGAIN: path, _AFTER: optimized}
    samples: dict[str, list[float]] = {name: [] for name in models}
    for number in range(_SESSIONS):
        names = [*models][number % len(models) :] + [*models][: number % len(models)]
        contenders = {name: runs(models[name]) for name in names}
        found = turns.in_turns(contenders, rounds=_ROUNDS, seconds=seconds / _SESSIONS)
        for name, times in found.items():
            samples[name] += times
    return samples


def _ratio(samples: Mapping[str, Sequence[float]], name: str) -> str:
    found = intervals.of_ratio(samples[_BEFORE], samples[name])
    return f"{found.median:.3f} [{found.low:.3f} {found.high:.3f}]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each model and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sizes", nargs="*", default=[], metavar="NAME=N")
    chosen = parser.parse_args(arguments)
    sizes = {name: int(size) for name, size in (one.split("=") for one in chosen.sizes)}
    print(f"{'':34}{'before ms':>10}{'after ms':>10}{'rounds':>8}  {'A/A':24}before/after")
    for path in chosen.models:
        with tempfile.TemporaryDirectory() as folder:
            samples = measured(
                path, Path(folder), batch=chosen.batch, sizes=sizes, seconds=chosen.seconds
            )
        before, after = (1e3 * intervals.of_median(samples[k]).median for k in (_BEFORE, _AFTER))
        print(
            f"{path.stem[-34:]:34}{before:10.3f}{after:10.3f}{len(samples[_AFTER]):8}  "
            f"{_ratio(samples, turns.AGAIN):24}{_ratio(samples, _AFTER)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
