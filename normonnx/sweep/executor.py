"""What a sweep hands out, and what comes back: the protocol of those who run tasks.

A task is one command line on one model. Files that it reads are `Attached`: they are read in place
where the machine is the same, and travel along where it is not. What a task leaves lies in a
folder: the verb's JSON document, what it said on stderr, and what it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

ANSWER: Final = "answer.json"
SAID: Final = "stderr.txt"
PRINTED: Final = "stdout.txt"
WRITTEN: Final = "written"


@dataclass(frozen=True, slots=True)
class Attached:
    """Files that a task reads, named by one word of its command line.

    Attributes:
        path: The file or folder that the word names; absolute.
        files: Pairs of a path relative to the folder of `path` and the file itself.
        prefix: What stands before the path in that word, such as "x=".
    """

    path: Path
    files: tuple[tuple[str, Path], ...]
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """The word that names the file to write, in the task's folder."""

    name: str


Word = str | Attached | Output


@dataclass(frozen=True, slots=True)
class Limits:
    """What one model may take.

    Attributes:
        seconds: Wall-clock time.
        memory: Bytes of resident memory of its process and all that it starts; None for no limit.
    """

    seconds: float
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One command line on one model.

    Attributes:
        number: Identifies it within the sweep.
        entry: What runs command lines, "MODULE:FUNCTION"; it returns an exit code.
        words: The command line.
        limits: What it may take.
        gpus: Graphics cards that it needs.
        weight: How much work it is expected to be, in any unit.
    """

    number: int
    entry: str
    words: tuple[Word, ...]
    limits: Limits
    gpus: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended.

    Attributes:
        code: The exit code; None where it did not end by itself.
        over: "timeout" or "memory", the limit that it exceeded; "crashed"; "lost" where whoever ran
            it is gone; empty where it ended by itself.
        reason: Why it did not end by itself, in one line.
        seconds: How long it took.
        outside: Whether somebody else ended it.
        paths: Pairs of a path as the task knew it and what it is called here.
    """

    code: int | None
    over: str
    reason: str
    seconds: float
    outside: bool = False
    paths: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that ended, and the folder of what it left."""

    task: Task
    ended: Ended
    place: Path


class Executor(Protocol):
    """Runs tasks somewhere, several at a time; a context manager, at whose end none runs."""

    def __enter__(self) -> Self:
        """Get ready.

        Raises:
            UnavailableError: Nothing can run here.
        """

    def __exit__(self, *_: object) -> None:
        """End what still runs, and let go of what it ran on."""

    @property
    def jobs(self) -> int:
        """How many tasks run at a time."""

    @property
    def free(self) -> int:
        """How many more tasks it takes now."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def collect(self, seconds: float) -> Sequence[Finished]:
        """What has ended; waits so long for the first.

        Raises:
            UnavailableError: Nothing can run here any more.
        """

    def cancel(self) -> None:
        """End all tasks at once and wait until they are gone; may be called twice."""
