"""How a sweep goes, on stderr: a bar with an estimate on a terminal, one line a model elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from normonnx.core.errors import ExitCode
from normonnx.core.sweeps import ModelResult
from normonnx.reporting.figures import count, duration, printable
from normonnx.reporting.terminal import note


class SweepProgress:
    """Is told what happens and shows it; a context manager.

    Args:
        verb: What is run.
        total: How many models there are.
    """

    def __init__(self, verb: str, total: int) -> None:
        self._verb, self._total = verb, total
        self._done, self._reused = 0, 0
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[left]}", markup=False),
                console=Console(stderr=True, markup=False, emoji=False, highlight=False),
                transient=True,
            )
            self._task = self._bar.add_task(f"{self._verb} ...", total=self._total, left="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()

    def reused(self, result: ModelResult) -> None:
        """A result was there from before."""
        del result
        self._done += 1
        self._reused += 1
        self._show("", "")

    def started(self, name: str) -> None:
        """A model was handed out."""
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._verb} {_short(name)}")
        elif self._reused:
            note(f"{count(self._reused, 'model')} of {self._total} done before")
            self._reused = 0

    def finished(self, result: ModelResult, seconds: float, left: float | None) -> None:
        """A model is done."""
        self._done += 1
        remaining = (
            "" if left is None or self._done >= self._total else f"about {duration(left)} left"
        )
        why = f": {result.reason}" if result.reason else ""
        said = f"{result.model}: {result.outcome}{why}"
        if self._bar is not None and result.exit_code is not ExitCode.OK:
            self._bar.console.print(printable(said))
        self._show(f"{said} ({seconds:.1f} s)", remaining)

    def _show(self, said: str, remaining: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, left=remaining)
        elif said:
            note(f"[{self._done}/{self._total}] {said}{f', {remaining}' if remaining else ''}")


def _short(name: str, most: int = 40) -> str:
    shown = printable(name)
    return shown if len(shown) <= most else f"...{shown[3 - most :]}"
