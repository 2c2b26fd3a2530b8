"""Broken and hostile models, as many as wanted: does anything crash, hang, grow or escape?

    python tools/fuzz.py [--cases 1000] [--first 0] [--jobs 1] [--json REPORT.json]

A number names a case for good: the same number is the same file. Each goes through load, inspect,
optimize and save, a share of them through validate and the command line. Workers are processes of
their own with limits; one that dies or hangs is a finding and is replaced. The exit code is 1 where
there are findings.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tools.fuzzing.cases import Case
from tools.fuzzing.crew import HANG, Worker

FINDINGS = ("crash", "hang", "memory", "escape", "wrong")
_SLOW = HANG / 2  # seconds of processor time
_SLOWEST = 10  # cases that are named


def is_finding(outcome: str) -> bool:
    """Whether an outcome is something to mend."""
    return outcome.startswith(FINDINGS)


def fuzz(
    numbers: Sequence[int], folder: Path, log: Path | None = None, seconds: float = math.inf
) -> dict[str, Any]:
    """Run cases one after the other in one worker; figures, and every finding.

    Args:
        numbers: Of the cases.
        folder: Where the worker works.
        log: Where to append each finding when it is made, and each case that is nearly a hang.
        seconds: When to stop, on the clock.
    """
    outcomes: Counter[str] = Counter()
    findings: list[dict[str, Any]] = []
    slowest: list[tuple[float, int]] = []
    peak, done = 0, 0
    deadline = time.monotonic() + seconds
    with Worker(folder) as worker:
        for number in numbers:
            if time.monotonic() > deadline:
                break
            done += 1
            found = worker.do(number)
            outcome = found["outcome"]
            outcomes[f"{Case(number).kind} {outcome.partition(':')[0]}"] += 1
            slowest = sorted([*slowest, (found["seconds"], number)], reverse=True)[:_SLOWEST]
            peak = max(peak, found["peak"])
            told = {"case": number, "kind": Case(number).kind, "outcome": outcome}
            if is_finding(outcome):
                findings.append(told)
            if log is not None and (is_finding(outcome) or found["seconds"] > _SLOW):
                with log.open("a") as file:
                    file.write(json.dumps({**told, "seconds": found["seconds"]}) + "\n")
    return {
        "cases": done,
        "outcomes": outcomes,
        "findings": findings,
        "slowest": slowest,
        "peak": peak,
    }


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    for part in parts:
        outcomes += part["outcomes"]
    return {
        "cases": sum(part["cases"] for part in parts),
        "outcomes": dict(sorted(outcomes.items())),
        "findings": [one for part in parts for one in part["findings"]],
        "slowest": sorted(
            [
                {"seconds": seconds, "case": case}
                for part in parts
                for seconds, case in part["slowest"]
            ],
            key=lambda one: -one["seconds"],
        )[:_SLOWEST],
        "peak_megabytes": max(part["peak"] for part in parts) >> 20,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cases", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--jobs", type=int, default=1, help="workers at a time")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after that time")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument(
        "--log", type=Path, help="where to append findings, as they are made, and what takes long"
    )
    given = parser.parse_args(arguments)
    numbers = range(given.first, given.first + given.cases)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folders = [Path(place) / str(job) for job in range(given.jobs)]
        for folder in folders:
            folder.mkdir()
        with ThreadPoolExecutor(given.jobs) as pool:
            shares = [numbers[job :: given.jobs] for job in range(given.jobs)]
            logs = [given.log] * given.jobs
            limits = [given.seconds] * given.jobs
            parts = list(pool.map(fuzz, shares, folders, logs, limits))
    report = {"first": given.first, **_joined(parts), "wall_seconds": time.monotonic() - began}
    print(json.dumps(report, indent=1))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1) + "\n")
    return 1 if report["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
