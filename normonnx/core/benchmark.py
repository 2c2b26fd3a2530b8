"""The outcome of a benchmark, as data: who took how long, and how sure that is.

Every contender ran once in every round, so ratios are taken pair by pair; see `timing.intervals`.
What a file gains in a session that follows its hints is a contender of its own: it is no gain of
the file in a plain session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from normonnx.core.intervals import Interval
from normonnx.core.verdicts import ValidationReport, Verdict

NOISY: Final = 0.05  # how far from 1 an end of the A/A interval may be


@dataclass(frozen=True, slots=True)
class Times:
    """One quantity of a contender, on one clock.

    Attributes:
        milliseconds: What it takes.
        speedup: Time of the base over its own, pair by pair: above 1 it is faster. None for the
            base itself.
    """

    milliseconds: Interval
    speedup: Interval | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """One model on one backend.

    Attributes:
        name: What it is called, for example "b.onnx on openvino".
        model: Its file.
        backend: What ran it, with its options.
        hinted: Whether the session followed the hints that the file holds.
        verdict: Pass where it ran; unavailable or invalid where it could not.
        reason: Why it could not, in one line.
        latency: Of one run, on the wall.
        latency_cpu: The same, of the processor: on a machine that others share it is steadier, and
            over the wall's time it says how many threads were busy.
        session: Of making a session (compiling, for OpenVINO), on the wall.
        session_cpu: The same, of the processor.
        memory: Bytes that a process of its own needed at most, to make a session and run it once,
            over what it had before; None where the system does not tell.
        size: Bytes of the model's files.
        settings: Versions, optimization level, threads.
    """

    name: str
    model: str
    backend: str
    hinted: bool = False
    verdict: Verdict = Verdict.PASS
    reason: str = ""
    latency: Times | None = None
    latency_cpu: Times | None = None
    session: Times | None = None
    session_cpu: Times | None = None
    memory: int | None = None
    size: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def speedup(self) -> float:
        """How many times as fast as the base it runs; NaN for the base, and where it did not."""
        found = None if self.latency is None else self.latency.speedup
        return float("nan") if found is None else found.median


@dataclass(frozen=True, slots=True)
class Noise:
    """The machine, judged by running one contender twice in every round (A/A).

    Attributes:
        name: Of that contender.
        wall: Its time over its own, on the wall: 1, were there no noise.
        cpu: The same, of the processor.
    """

    name: str
    wall: Interval
    cpu: Interval

    @property
    def distance(self) -> float:
        """How far from 1 the farther end of its interval on the wall is."""
        return max(abs(self.wall.low - 1), abs(self.wall.high - 1))

    @property
    def noisy(self) -> bool:
        """Whether the machine is too noisy for small differences to mean anything."""
        return self.distance > NOISY

    def outcome(self, speedup: Interval) -> int:
        """1 for surely faster, -1 for surely slower: beyond 1 and beyond what A/A spans; else 0."""
        if speedup.low > max(1.0, self.wall.high):
            return 1
        return -1 if speedup.high < min(1.0, self.wall.low) else 0


@dataclass(frozen=True, slots=True)
class InputUsed:
    """What a model was run on: type and shape of one input."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The outcome of `normonnx.bench`.

    Attributes:
        verdict: Worst over what was compared and over contenders. On a mismatch nothing was timed.
        timings: Each contender; the first that ran is the base, which others are held against.
        noise: A/A; None where nothing was timed.
        checks: Where there is more than one contender, what was found when outputs were compared
            with the truth in float64 and with one another; nothing where that was not asked for.
        inputs: What the models were run on.
        rounds: Times that each contender ran in turn.
        sessions: Times that each session was made anew.
        threads: That a run may take.
        machine: Processor, cores, load.
        notes: What else a reader must know, as sentences.
    """

    verdict: Verdict
    timings: tuple[Timing, ...] = ()
    noise: Noise | None = None
    checks: tuple[ValidationReport, ...] = ()
    inputs: tuple[InputUsed, ...] = ()
    rounds: int = 0
    sessions: int = 0
    threads: int = 1
    machine: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def base(self) -> Timing | None:
        """What the others are held against: the first that ran."""
        return next((one for one in self.timings if one.latency is not None), None)
