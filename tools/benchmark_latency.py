"""Latency of models before and after normonnx, both on ONNX Runtime at ENABLE_ALL, one thread.

    python tools/benchmark_latency.py MODEL.onnx... [--target ort-cpu] [--batch 1] [--seconds 20]
        [--sizes points=1024] [--markdown]

Each model is optimized and then measured as `normonnx bench` does: in turns with the original,
which runs twice in each round, so that its ratio to itself tells what the machine's noise makes of
a ratio of 1. Where the optimized file carries hints for the session, what they gain is a column of
its own. Printed are medians, and ratios pair by pair with 95 % intervals: above 1 is faster than
the original.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import normonnx
from normonnx.core.benchmark import BenchReport, Timing
from normonnx.reporting.bench_view import ratio

_OTHER: Final = 64  # size of a dynamic dimension that is neither the first nor given
_HEAD: Final = ("model", "before ms", "after ms", "rounds", "A/A", "before/after", "with hints")
_WIDTHS: Final = (34, 10, 10, 8, 22, 22, 22)


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


def shapes_of(path: Path, batch: int, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of each input of a model.

    Args:
        path: Its file.
        batch: Size of a dynamic first dimension.
        sizes: Of other dynamic dimensions, by name.
    """
    inputs = [value for value in normonnx.load(path).graph.inputs if not value.is_initializer()]
    return {
        value.name or "": tuple(
            dim if isinstance(dim, int) else batch if axis == 0 else sizes.get(str(dim), _OTHER)
            for axis, dim in enumerate(value.shape or ())
        )
        for value in inputs
    }


def measured(path: Path, folder: Path, asked: Asked) -> BenchReport:
    """Before and after, and after with the file's hints, if any."""
    optimized = folder / f"{path.stem}.optimized.onnx"
    normonnx.save(normonnx.optimize(path, target=asked.target).model, optimized)
    shapes = shapes_of(path, asked.batch, asked.sizes)
    return normonnx.bench(optimized, against=path, shapes=shapes, seconds=asked.seconds)


def _ratio(timing: Timing | None) -> str:
    if timing is None or timing.latency is None or timing.latency.speedup is None:
        return ""
    return ratio(timing.latency.speedup)


def _row(name: str, found: BenchReport) -> tuple[str, ...]:
    before, after, *hinted = found.timings
    medians = [
        "-" if one.latency is None else f"{one.latency.milliseconds.median:.3f}"
        for one in (before, after)
    ]
    noise = "" if found.noise is None else ratio(found.noise.wall)
    last = _ratio(hinted[0]) if hinted else ""
    return name, *medians, str(found.rounds), noise, _ratio(after), last


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
