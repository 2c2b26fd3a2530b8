"""Latency of models before and after normonnx, both on ONNX Runtime at ENABLE_ALL, one thread.

    python tools/benchmark_latency.py MODEL.onnx... [--target ort-cpu] [--batch 1] [--seconds 20]
        [--sizes points=1024] [--markdown]

The original runs twice in each round, so that its ratio to itself tells what the machine's noise
makes of a ratio of 1. Where the optimized file carries hints for the session, what they gain is a
column of its own; without the hints it is a plain session, as for the original. Sessions are made
anew several times: where their weights happen to lie in memory is worth a per cent by itself.
Printed are medians, and ratios pair by pair with 95 % intervals: above 1 is faster than the
original.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import onnxruntime

import normonnx
from normonnx import runtime
from normonnx.core.hints import KEY
from normonnx.timing import intervals, turns

_ROUNDS: Final = 2000
_SESSIONS: Final = 5  # of each contender, one after the other
_BEFORE: Final = "before"
_AFTER: Final = "after"
_HINTED: Final = "after, hinted"
_HEAD: Final = ("model", "before ms", "after ms", "rounds", "A/A", "before/after", "with hints")
_WIDTHS: Final = (34, 10, 10, 8, 22, 22, 22)


def _session(path: Path, *, hinted: bool = False) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if hinted:
        found = runtime.session(path, sess_options=options)
        return cast("onnxruntime.InferenceSession", found)
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure.

    Attributes:
        target: What to optimize for.
        batch: Size of a dynamic first dimension.
        sizes: Of other dynamic dimensions, by name.
        seconds: For all contenders together.
    """

    target: str
    batch: int
    sizes: Mapping[str, int]
    seconds: float


def measured(path: Path, folder: Path, asked: Asked) -> dict[str, list[float]]:
    """Seconds of one run before, before again, after, and after with the file's hints, if any."""
    optimized = folder / "optimized.onnx"
    result = normonnx.optimize(path, target=asked.target).model
    normonnx.save(result, optimized)
    models = {_BEFORE: path, turns.AGAIN: path, _AFTER: optimized}
    if KEY in result.metadata_props:
        models[_HINTED] = optimized

    def runs(name: str) -> Callable[[], None]:
        session = _session(models[name], hinted=name == _HINTED)
        feeds = feeds_of(session, asked.batch, asked.sizes)
        return lambda: session.run(None, feeds)

    samples: dict[str, list[float]] = {name: [] for name in models}
    for number in range(_SESSIONS):
        names = [*models][number % len(models) :] + [*models][: number % len(models)]
        contenders = {name: runs(name) for name in names}
        found = turns.in_turns(contenders, rounds=_ROUNDS, seconds=asked.seconds / _SESSIONS)
        for name, times in found.items():
            samples[name] += times
    return samples


def _ratio(samples: Mapping[str, Sequence[float]], name: str) -> str:
    if name not in samples:
        return ""
    found = intervals.of_ratio(samples[_BEFORE], samples[name])
    return f"{found.median:.3f} [{found.low:.3f} {found.high:.3f}]"


def _row(name: str, samples: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    before, after = (1e3 * intervals.of_median(samples[k]).median for k in (_BEFORE, _AFTER))
    ratios = (_ratio(samples, each) for each in (turns.AGAIN, _AFTER, _HINTED))
    return name, f"{before:.3f}", f"{after:.3f}", str(len(samples[_AFTER])), *ratios


def _line(cells: Sequence[str], *, markdown: bool) -> str:
    if markdown:
        return f"| {' | '.join(cells)} |"
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)]
    return "  ".join(padded).rstrip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure each model and print a line for it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--target", default="portable")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--sizes", nargs="*", default=[], metavar="NAME=N")
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args(arguments)
    sizes = {name: int(size) for name, size in (one.split("=") for one in chosen.sizes)}
    asked = Asked(chosen.target, chosen.batch, sizes, chosen.seconds)
    print(_line(_HEAD, markdown=chosen.markdown))
    if chosen.markdown:
        print(f"|{' --- |' * len(_HEAD)}")
    for path in chosen.models:
        with tempfile.TemporaryDirectory() as folder:
            row = _row(path.stem[-34:], measured(path, Path(folder), asked))
        print(_line(row, markdown=chosen.markdown), flush=True)


if __name__ == "__main__":
    main()
