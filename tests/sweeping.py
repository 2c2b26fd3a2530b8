"""Sweeps with the verb of `told_verb`, and what they leave."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from normonnx.core.sweeps import ModelResult, SweepReport
from normonnx.sweep.discovery import Subject, subjects
from normonnx.sweep.executor import Executor, Limits, Output, Word
from normonnx.sweep.hashing import Recipe, attached_model
from normonnx.sweep.local import LocalExecutor
from normonnx.sweep.results import line
from normonnx.sweep.running import Plan, sweep
from normonnx.sweep.store import LINES, Store

ENTRY = "tests.told_verb:verb"


class Quiet:
    """Shows nothing, and remembers who was started."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.found: list[str] = []

    def reused(self, result: ModelResult) -> None:
        """Remember it."""
        self.found.append(result.model)

    def started(self, name: str) -> None:
        """Remember it."""
        self.begun.append(name)

    def finished(self, result: ModelResult, seconds: float, left: float | None) -> None:
        """Nothing."""


def words_of(subject: Subject) -> tuple[Word, ...]:
    """The command line for a model."""
    name = Output(Path(subject.name).name)
    return ("optimize", attached_model(subject.path), "--output", name)


def plan_of(models: Sequence[Path | str], out: Path, **options: object) -> Plan:
    """A sweep with the verb above; options are fields of Plan."""
    settings: dict[str, object] = {
        "recipe": Recipe("optimize", {"tests": "1"}),
        "entry": ENTRY,
        "subjects": subjects([str(model) for model in models], [], out),
        "words": words_of,
        "limits": Limits(60.0),
        "gpus": lambda _: 0,
    }
    return Plan(**(settings | options))  # type: ignore[arg-type]


def swept(
    models: Sequence[Path | str], out: Path, *, executor: Executor | None = None, **options: object
) -> tuple[SweepReport, Quiet]:
    """Sweep, and write the lines as the command line does."""
    quiet = Quiet()
    plan = plan_of(models, out, **options)
    with Store(out, "optimize") as store, executor or LocalExecutor(2, store.staging) as runs:
        report = sweep(plan, runs, store, quiet)
        store.write(LINES, "".join(map(line, report.results)))
    return report, quiet


def bytes_of(out: Path) -> dict[str, bytes]:
    """All that must be the same for the same sweep: everything but the times and the lock."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("timings.jsonl", "lock")
    }


if __name__ == "__main__":
    swept(sys.argv[2:], Path(sys.argv[1]))
