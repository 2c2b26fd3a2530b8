"""That something is going on, and how far it is: a bar for a person, lines for a log.

A bar appears on stderr where that is a terminal, and is wiped away at the end. With --verbose each
step is a line on stderr instead, with the seconds that it took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from normonnx.reporting.figures import printable
from normonnx.reporting.loudness import Loudness, loudness


class Bar:
    """Nobody is there to see it, or silence was asked for."""

    def tell(self, what: str, done: int = 0, total: int | None = None) -> None:
        """Say how far it is.

        Args:
            what: What is going on.
            done: Steps that are done.
            total: Of how many; None where that is not known.
        """


class _Log(Bar):
    """A line for each step that is done."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._step = ""
        self._begun = self._last = time.perf_counter()

    def tell(self, what: str, done: int = 0, total: int | None = None) -> None:
        del done, total
        if what != self._step:
            self._close()
            self._step = what

    def end(self) -> None:
        """Say how long all of it took."""
        self._close()
        self._say(f"{self._message}: {time.perf_counter() - self._begun:.2f} s")

    def _close(self) -> None:
        now = time.perf_counter()
        if self._step:
            self._say(f"{self._message}, {self._step}: {now - self._last:.2f} s")
        self._last = now

    @staticmethod
    def _say(message: str) -> None:
        sys.stderr.write(f"normonnx: {printable(message)}\n")
        sys.stderr.flush()


class _Drawn(Bar):
    """A bar on a terminal; it runs to and fro while it is not known how far."""

    def __init__(self, progress: Progress, task: TaskID, message: str) -> None:
        self._progress = progress
        self._task = task
        self._message = message

    def tell(self, what: str, done: int = 0, total: int | None = None) -> None:
        said = f"{printable(self._message)}, {printable(what)}"
        self._progress.update(self._task, description=said, completed=done, total=total)


@contextmanager
def progress(message: str) -> Iterator[Bar]:
    """Show on stderr that something is going on, if a person is there to see it.

    Yields:
        What to tell how far it is, where that is known.
    """
    if loudness() is Loudness.VERBOSE:
        log = _Log(message)
        yield log
        log.end()
        return
    if loudness() is Loudness.QUIET or not sys.stderr.isatty():
        yield Bar()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as drawn:
        yield _Drawn(drawn, drawn.add_task(printable(message), total=None), message)
