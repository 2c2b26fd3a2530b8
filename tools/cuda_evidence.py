"""Turn a time-boxed run on a machine with a GPU into evidence that lasts.

    python tools/cuda_evidence.py prepare --out DIR            # takes torch
    python tools/cuda_evidence.py run --backend ort:cuda --budget 1500 --models DIR --out DIR
    python tools/cuda_evidence.py report DIR

`run` goes through stages: versions, kernel registry, placement of nodes, models against the float64
truth, planted faults, inputs at the edge, forms of each normalization, and latency before and after
`normonnx.optimize`. Results are appended to OUT/results.jsonl as they come. A second run on the
same folder goes on where the first one ended. The same path runs with `--backend ort:cpu`.

Exit codes of `run`: 0 done, or out of time; 3 the provider was asked for and is not used, which
ends everything at once; 130 told to end.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_USAGE = 2
_STAGES = ("versions", "registry", "placement", "models", "faults", "edges", "forms", "latency")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    options = _parser().parse_args(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # small products gain nothing, and threads disturb timings
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    if options.command == "prepare":
        return _prepare(options)
    if options.command == "run":
        return _run(options)
    return _report(options)


def _prepare(options: argparse.Namespace) -> int:
    from tools.evidence import preparing

    chosen = (preparing.QUICK, ()) if options.quick else (preparing.JUDGED, preparing.TIMED)
    found = preparing.prepare(options.out, *chosen)
    total = sum(path.stat().st_size for path in options.out.iterdir())
    said = f"{len(found.models)} models and {len(found.timed)} to be timed, {total / 1e6:.1f} MB"
    sys.stdout.write(f"{options.out}: {said}\n")
    return 0


def _run(options: argparse.Namespace) -> int:
    from tools.evidence import manifest, reporting, running

    try:
        prepared = manifest.read(options.models)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{options.models}: {error}; make it with `prepare`\n")
        return _USAGE
    code = running.run(
        running.Run(
            prepared,
            options.models,
            options.out,
            options.backend,
            options.budget,
            tuple(options.stage),
            running.progress,
        )
    )
    reporting.write(options.out)
    return code


def _report(options: argparse.Namespace) -> int:
    from tools.evidence import reporting

    sys.stdout.write(reporting.write(options.folder))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="export models, draw inputs, compute truths")
    prepare.add_argument("--out", type=Path, required=True)
    prepare.add_argument("--quick", action="store_true", help="fewer networks, at test size")
    run = commands.add_parser("run", help="run the stages on a backend")
    run.add_argument("--backend", default="ort:cuda", help="an ONNX Runtime backend: ort:cuda")
    run.add_argument("--budget", type=float, default=1500.0, help="seconds for everything")
    run.add_argument("--models", type=Path, required=True, help="folder that was prepared")
    run.add_argument("--out", type=Path, required=True, help="folder for the results")
    run.add_argument("--stage", action="append", choices=_STAGES, default=[], help="only these")
    report = commands.add_parser("report", help="write and print report.md")
    report.add_argument("folder", type=Path)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
