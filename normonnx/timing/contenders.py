"""Several models, each on a backend, run in turns in one worker; their memory, in workers alone.

All take turns in one process, with sessions made anew several times: where weights happen to lie in
memory is worth a per cent by itself. A contender that a runtime can't load or run, or that brings
the worker down, is left out with the reason, and the others go on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from normonnx.core.clocks import Took
from normonnx.core.verdicts import Verdict
from normonnx.runtime import exchange, naming, workers
from normonnx.runtime.staying import Staying
from normonnx.timing import canary
from normonnx.timing import latency_worker as worker
from normonnx.timing.turns import WARM

FAMILIES: Final = ("ort", "openvino")  # of backends that can be timed
AGAIN: Final = "/again/"  # the base, twice in every round; no contender is called so
MOST_ROUNDS: Final = 100_000
SESSIONS: Final = 7  # with fewer than six an interval is less sure than 95 %
_LIMITS: Final = workers.Limits(600.0)
Feeds = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contender:
    """One model on one backend.

    Attributes:
        name: What it is called; no two have the same.
        model: Its file.
        backend: What runs it, as `naming` has it, with its options.
        hinted: Whether the session is to follow the hints that the file holds.
    """

    name: str
    model: Path
    backend: str
    hinted: bool = False

    @property
    def plain(self) -> dict[str, Any]:
        """What a worker is told."""
        return {
            "name": self.name,
            "model": str(self.model.absolute()),
            "backend": self.backend,
            "hinted": self.hinted,
        }


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure.

    Attributes:
        seconds: For all rounds together, once there are enough of them.
        rounds: How many at most.
        sessions: How often sessions are made anew.
        warm: Runs of each session that are not counted.
        limits: What a worker may take, for one session of each contender.
        memory: Whether to measure memory as well.
    """

    seconds: float = 10.0
    rounds: int = MOST_ROUNDS
    sessions: int = SESSIONS
    warm: int = WARM
    limits: workers.Limits = _LIMITS
    memory: bool = True


@dataclass(slots=True, eq=False)
class Measured:
    """What was measured of one contender.

    Attributes:
        verdict: Pass where it ran.
        reason: Why it did not, in one line.
        runs: What one run took, round by round; the same round is the same place for all.
        sessions: What making its session took, each time.
        memory: Bytes at most over what the process had before; None where that is not known.
        settings: As `Loaded.settings`.
    """

    verdict: Verdict = Verdict.PASS
    reason: str = ""
    runs: list[Took] = field(default_factory=list)
    sessions: list[Took] = field(default_factory=list)
    memory: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def ran(self) -> bool:
        """Whether it could be run."""
        return self.verdict is Verdict.PASS

    def fail(self, verdict: Verdict, reason: str) -> None:
        """Note that it could not be run after all; what was measured of it goes."""
        self.verdict, self.reason = verdict, reason
        self.runs.clear()
        self.sessions.clear()


def hindrance(backend: str) -> str:
    """Why a backend can't be timed at all, in one line; empty where it can.

    Raises:
        UsageError: It has an option that does not exist.
    """
    named = naming.parse(backend)
    if not named.is_known:
        return f"there is no backend {backend!r}; {naming.close_to(backend)}"
    if named.family not in FAMILIES:
        return f"{backend} can't be timed; use ONNX Runtime or OpenVINO"
    return ""


class Race:
    """Contenders, their inputs, and one worker that they take turns in; a context manager.

    Args:
        contenders: The base, which runs twice in every round, comes first.
        effort: How much to measure.

    Attributes:
        contenders: As they were given.
        measured: What is known of each, by its name.
    """

    def __init__(self, contenders: Sequence[Contender], effort: Effort) -> None:
        self.contenders = tuple(contenders)
        self._effort = effort
        self._folder = tempfile.TemporaryDirectory(prefix="normonnx-")
        self._inputs = Path(self._folder.name)
        self._given = 0
        self._at_work = ""
        self._staying = Staying(worker.MODULE, effort.limits)
        self.measured = {one.name: Measured() for one in self.contenders}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._staying.close()
        self._folder.cleanup()

    @property
    def able(self) -> list[Contender]:
        """Those that ran so far."""
        return [one for one in self.contenders if self.measured[one.name].ran]

    def give(self, feeds: Feeds) -> None:
        """Set the inputs of all that follows."""
        self._inputs = exchange.folder(Path(self._folder.name), "inputs", self._given)
        self._given += 1
        exchange.write_arrays(self._inputs, feeds)

    def tried(self, contender: Contender) -> str:
        """Run a contender once; why it does not run, or nothing."""
        found = self.measured[contender.name]
        hindered = hindrance(contender.backend)
        if hindered:
            found.fail(Verdict.UNAVAILABLE, hindered)
            return hindered
        answer = self._ask({"act": worker.TRY, "contenders": [contender.plain]})
        if isinstance(answer, str):
            found.fail(Verdict.UNAVAILABLE, answer)
        elif answer["verdict"] != Verdict.PASS:
            found.fail(Verdict(answer["verdict"]), answer["reason"])
        else:
            found.verdict, found.reason = Verdict.PASS, ""
            found.settings = answer["settings"]
        return found.reason

    def run(self, told: Callable[[int, int], None] = lambda _done, _total: None) -> list[Took]:
        """Let all that are able take turns, and measure their memory.

        Args:
            told: Hears how many of how many steps are done.

        Returns:
            What the base took when it ran again in each of the last rounds, for A/A.
        """
        again: list[Took] = []
        base = self.able[:1]
        total = self._effort.sessions + (len(self.able) if self._effort.memory else 0)
        for turn in range(self._effort.sessions):
            found = self._turn(turn)
            again = again + found if self.able[:1] == base else found
            base = self.able[:1]
            told(turn + 1, total)
        weighed = self.able if self._effort.memory else []
        for number, one in enumerate(weighed, start=self._effort.sessions + 1):
            self.measured[one.name].memory = self._memory(one)
            told(number, total)
        return again

    def _turn(self, turn: int) -> list[Took]:
        """One session of each, and rounds in them; what the base took when it ran again."""
        while self.able:
            names = [one.name for one in self.able]
            shift = turn % len(names)
            answer = self._ask(
                {
                    "act": worker.TURN,
                    "contenders": [one.plain for one in self.able[shift:] + self.able[:shift]],
                    "again": [AGAIN, names[0]],
                    "seconds": self._effort.seconds / self._effort.sessions,
                    "rounds": max(1, self._effort.rounds // self._effort.sessions),
                    "warm": self._effort.warm,
                }
            )
            if isinstance(answer, dict) and answer["verdict"] == Verdict.PASS:
                return self._keep(answer)
            self._blame(answer)
        return []

    def _keep(self, answer: Mapping[str, Any]) -> list[Took]:
        for name, runs in answer["runs"].items():
            if name != AGAIN:
                self.measured[name].runs += [Took(*one) for one in runs]
                self.measured[name].sessions.append(Took(*answer["sessions"][name]))
        return [Took(*one) for one in answer["runs"][AGAIN]]

    def _blame(self, answer: Mapping[str, Any] | str) -> None:
        """Take out whoever was at work when it went wrong; all, where that is not known."""
        said = answer if isinstance(answer, str) else answer["reason"]
        verdict = Verdict.UNAVAILABLE if isinstance(answer, str) else Verdict(answer["verdict"])
        names = [one.name for one in self.able if one.name == self._at_work] or [
            one.name for one in self.able
        ]
        for name in names:
            self.measured[name].fail(verdict, said)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any] | str:
        with self._staying.place() as place:
            found = self._staying.ask(place, {**request, "inputs": str(self._inputs)})
            current = place / worker.CURRENT
            self._at_work = current.read_text() if current.exists() else ""
        return found

    def _memory(self, contender: Contender) -> int | None:
        """Bytes that a process of its own needs at most; None where that is not known."""
        with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
            (Path(folder) / worker.SIMPLEST).write_bytes(canary.MODEL)
            request = {
                "act": worker.MEMORY,
                "contenders": [contender.plain],
                "inputs": str(self._inputs),
            }
            limits = self._effort.limits
            found = workers.run(Path(folder), request, limits, module=worker.MODULE)
        return found.get("memory") if isinstance(found, dict) else None
