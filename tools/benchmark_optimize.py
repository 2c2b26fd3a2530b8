"""Time and memory of optimizing one model, beside onnxruntime's and onnxscript's optimizers.

    python tools/benchmark_optimize.py MODEL.onnx [--runs 7]

Each run is a process of its own: import, then read, optimize and write, timed without the import.
The contenders take turns, so that a slow minute of the machine hits all of them. Printed are
medians, the ratio to normonnx pair by pair, and the memory added on top of what the imports take.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

CONTENDERS = ("normonnx", "onnxruntime-basic", "onnxruntime-extended", "onnxscript")


def _normonnx(source: str, out: str) -> Callable[[], None]:
    import normonnx
    import normonnx.fold.passes
    import normonnx.graph.files
    import normonnx.pipeline

    def work() -> None:
        normonnx.save(normonnx.optimize(source).model, out)

    return work


def _onnxruntime(source: str, out: str, level: str = "ORT_ENABLE_BASIC") -> Callable[[], None]:
    import onnxruntime

    def work() -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = out
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    return work


def _onnxscript(source: str, out: str) -> Callable[[], None]:
    import onnx_ir
    import onnxscript.optimizer
    import onnxscript.rewriter

    def work() -> None:
        model = onnx_ir.load(source)
        onnxscript.optimizer.optimize(model)
        onnx_ir.save(model, out)

    return work


def _extended(source: str, out: str) -> Callable[[], None]:
    return _onnxruntime(source, out, "ORT_ENABLE_EXTENDED")


_WORK = {
    "normonnx": _normonnx,
    "onnxruntime-basic": _onnxruntime,
    "onnxruntime-extended": _extended,
    "onnxscript": _onnxscript,
}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _one(contender: str, source: str, out: str) -> None:
    """Run one contender in this process and print its figures."""
    work = _WORK[contender](source, out)
    before = _peak()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    figures = {"seconds": seconds, "added": _peak() - before, "peak": _peak()}
    print(json.dumps(figures))


def _measure(source: str, runs: int) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(runs + 1):
            for name in CONTENDERS:
                out = str(Path(folder) / f"{name}.onnx")
                Path(out).unlink(missing_ok=True)  # a new file for everybody
                command = [sys.executable, __file__, source, "--one", name, "--out", out]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                if turn:  # the first turn warms the page cache
                    found[name].append(json.loads(done.stdout))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all contenders and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--one", choices=CONTENDERS)
    parser.add_argument("--out", default="")
    chosen = parser.parse_args(arguments)
    if chosen.one:
        _one(chosen.one, chosen.model, chosen.out)
        return
    found = _measure(chosen.model, chosen.runs)
    ours = [run["seconds"] for run in found["normonnx"]]
    print(f"{'':22}{'seconds':>10}{'ratio':>8}{'MB added':>10}{'MB peak':>10}")
    for name, figures in found.items():
        seconds = [run["seconds"] for run in figures]
        ratio = statistics.median(a / b for a, b in zip(seconds, ours, strict=True))
        added, peak = (statistics.median(run[key] for run in figures) for key in ("added", "peak"))
        print(f"{name:22}{statistics.median(seconds):10.3f}{ratio:8.2f}{added:10.0f}{peak:10.0f}")


if __name__ == "__main__":
    main()
