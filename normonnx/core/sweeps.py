"""What a sweep found: one result a model, and all of them together.

A model has one outcome: the verdict of the verb that ran on it, or why it has none. What has none
says nothing about the model, so it counts as inconclusive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from normonnx.core.errors import ExitCode, worst


class Outcome(StrEnum):
    """What became of one model; equal to its plain string."""

    PASS = "pass"  # noqa: S105  # an outcome, not a password
    MISMATCH = "mismatch"
    INCONCLUSIVE = "inconclusive"
    UNAVAILABLE = "unavailable"
    INVALID = "invalid"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASHED = "crashed"
    LOST = "lost"

    @classmethod
    def of(cls, code: int) -> Outcome:
        """The outcome of a verb that returned `code`; crashed where the code is none of ours."""
        return _BY_CODE.get(code, cls.CRASHED)

    @property
    def is_lasting(self) -> bool:
        """Whether it says something about the model, so that the next sweep need not ask again.

        What was refused, lost or lacked a backend may have been so for want of memory, of space on
        the disk, or of a device.
        """
        return self not in (Outcome.REFUSED, Outcome.UNAVAILABLE, Outcome.LOST)

    @property
    def exit_code(self) -> ExitCode:
        """What the sweep returns when this is its worst outcome."""
        return _EXIT_CODES[self]


_EXIT_CODES: Final = {
    Outcome.PASS: ExitCode.OK,
    Outcome.MISMATCH: ExitCode.MISMATCH,
    Outcome.UNAVAILABLE: ExitCode.UNAVAILABLE,
    Outcome.INVALID: ExitCode.INVALID,
} | dict.fromkeys(
    (
        Outcome.INCONCLUSIVE,
        Outcome.REFUSED,
        Outcome.TIMEOUT,
        Outcome.MEMORY,
        Outcome.CRASHED,
        Outcome.LOST,
    ),
    ExitCode.INCONCLUSIVE,
)
_BY_CODE: Final = {
    0: Outcome.PASS,
    1: Outcome.MISMATCH,
    2: Outcome.REFUSED,
    3: Outcome.UNAVAILABLE,
    4: Outcome.INCONCLUSIVE,
    5: Outcome.INVALID,
}


@dataclass(frozen=True, slots=True)
class Produced:
    """A file that the verb wrote.

    Attributes:
        file: Its path below the sweep's folder, with slashes.
        nbytes: Its size.
        sha256: Its digest, in hexadecimal.
    """

    file: str
    nbytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelResult:
    """What became of one model.

    Attributes:
        model: Its name in the sweep: a relative path with slashes.
        verb: What was run on it.
        outcome: The verb's verdict, or why there is none.
        reason: Why, in one line; empty on a plain pass.
        key: Digest of all that the result depends on.
        produced: Files that were written.
        document: The verb's own JSON document; None where there is none.
        limit: The limit that it exceeded, as its option says it, or that somebody else ended it;
            empty for neither.
    """

    model: str
    verb: str
    outcome: Outcome
    reason: str
    key: str
    produced: tuple[Produced, ...] = ()
    document: Mapping[str, Any] | None = None
    limit: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """What a sweep of this model alone returns."""
        return self.outcome.exit_code


@dataclass(frozen=True, slots=True)
class SweepReport:
    """All of a sweep.

    Attributes:
        verb: What was run on each model.
        results: One for each model that was run, now or before, sorted by name.
        not_run: Names of the models that the sweep didn't come to, sorted.
        reused: How many results were there from before.
        seconds: Model to the seconds that it took, for those that ran now.
    """

    verb: str
    results: tuple[ModelResult, ...]
    not_run: tuple[str, ...]
    reused: int
    seconds: Mapping[str, float]

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many models there are of each outcome, in the order of `Outcome`."""
        found = Counter(result.outcome for result in self.results)
        return {outcome: found[outcome] for outcome in Outcome if found[outcome]}

    @property
    def exit_code(self) -> ExitCode:
        """The worst of all: 5, 1, 3, 4, 0 in this order.

        Where the verb refused every model, the call itself is at fault: 2.
        """
        if self.results and all(one.outcome is Outcome.REFUSED for one in self.results):
            return ExitCode.USAGE
        codes = [one.exit_code for one in self.results]
        return worst([*codes, ExitCode.INCONCLUSIVE] if self.not_run else codes)
