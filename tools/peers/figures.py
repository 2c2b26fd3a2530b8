"""One model's figures: each peer beside the original, and beside normonnx, pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from normonnx.core.clocks import Took
from normonnx.core.intervals import Interval
from normonnx.timing import figures, intervals
from tools.peers.judged import Judgement, Left

OURS: Final = "normonnx"
_MILLI: Final = 1e3
_MEGA: Final = 1e6
CLOCKS: Final[Mapping[str, Callable[[Took], float]]] = {"cpu": figures.cpu, "wall": figures.wall}


@dataclass(slots=True, eq=False)
class Row:
    """One peer on one model, or the original itself, as JSON has it.

    Attributes:
        judgement: Whether its result is right.
        left: What is left in it.
        optimize_ms: What optimizing takes; None for the original.
        optimize_ratio: Its time over normonnx's, pair by pair: above 1 normonnx is quicker.
        added_mb: Memory that optimizing takes.
        latency_ms: One run of the result.
        speedup: Time of the original over its own.
        latency_ratio: Its time over that of normonnx's result: above 1 normonnx's is faster.
        session_ms: Making a session of the result.
        session_speedup: Time of the original over its own.
        session_ratio: Its time over that of normonnx's result.
    """

    judgement: Judgement
    left: Left | None = None
    optimize_ms: Interval | None = None
    optimize_ratio: Interval | None = None
    added_mb: Interval | None = None
    latency_ms: Interval | None = None
    speedup: Interval | None = None
    latency_ratio: Interval | None = None
    session_ms: Interval | None = None
    session_speedup: Interval | None = None
    session_ratio: Interval | None = None

    @property
    def right(self) -> bool:
        """Whether there is a result, and it is right."""
        return self.judgement.outcome == "pass"


@dataclass(slots=True, eq=False)
class Figures:
    """One model.

    Attributes:
        name: Its name.
        inputs: Shape by input name.
        rows: The original first, under ORIGINAL; peers by name; what hints gain under HINTED.
        noise: The original against itself.
    """

    name: str
    inputs: Mapping[str, Sequence[int]]
    rows: dict[str, Row] = field(default_factory=dict)
    noise: Interval | None = None


ORIGINAL: Final = "plain session"
HINTED: Final = "normonnx, session hints"


def optimizing(
    row: Row, took: Sequence[Took], added: Sequence[int], ours: Sequence[Took], clock: str
) -> None:
    """Enter what optimizing took; pairs are of the same round."""
    if not took:
        return
    seconds = CLOCKS[clock]
    row.optimize_ms = intervals.of_median([_MILLI * seconds(one) for one in took])
    row.added_mb = intervals.of_median([one / _MEGA for one in added])
    pairs = min(len(took), len(ours))
    row.optimize_ratio = ratio(took[:pairs], ours[:pairs], clock)


def running(
    row: Row,
    measured: tuple[Sequence[Took], Sequence[Took]],
    original: tuple[Sequence[Took], Sequence[Took]],
    ours: tuple[Sequence[Took], Sequence[Took]],
    clock: str,
) -> None:
    """Enter what runs and sessions took; pairs are of the same round."""
    runs, sessions = measured
    if not runs:
        return
    seconds = CLOCKS[clock]
    row.latency_ms = intervals.of_median([_MILLI * seconds(one) for one in runs])
    row.session_ms = intervals.of_median([_MILLI * seconds(one) for one in sessions])
    row.speedup, row.session_speedup = (
        ratio(theirs, own, clock) for theirs, own in zip(original, measured, strict=True)
    )
    row.latency_ratio, row.session_ratio = (
        ratio(own, theirs, clock) for theirs, own in zip(ours, measured, strict=True)
    )


def ratio(above: Sequence[Took], below: Sequence[Took], clock: str) -> Interval | None:
    """Ratios of times, pair by pair; None where there are none."""
    return figures.speedup(below, above, CLOCKS[clock])


def of_plain(found: Mapping[str, Any]) -> Figures:
    """Read one model's figures from JSON."""

    def interval(one: Mapping[str, float] | None) -> Interval | None:
        return None if one is None else Interval(**one)  # type: ignore[arg-type]

    def number(one: float | None) -> float:
        return float("nan") if one is None else float(one)

    rows = {}
    for name, row in found["rows"].items():
        judged = row["judgement"]
        judgement = Judgement(
            judged["outcome"], judged["reason"], number(judged["error"]), number(judged["floor"])
        )
        left = None if row["left"] is None else Left(**row["left"])
        others = {k: interval(v) for k, v in row.items() if k not in ("judgement", "left", "right")}
        rows[name] = Row(judgement, left, **others)
    return Figures(found["name"], found["inputs"], rows, interval(found["noise"]))
