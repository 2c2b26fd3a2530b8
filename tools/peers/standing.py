"""Where normonnx stands: first, equal or behind, in each column, on each model.

"Behind" means that a peer whose result is right is surely better: its interval lies beyond 1 and
beyond what the machine's noise makes of a ratio of 1. "First" means that normonnx is surely better
than every one of them, else it is "equal". Where normonnx is behind, the peer is named with the
ratio, and where the cause is known, it is told.

OpenVINO runs its own kernels, so its latency and session are told but not ranked: normonnx's
results run on ONNX Runtime like those of the other peers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from normonnx.core.intervals import Interval
from tools.peers.contenders import PEERS
from tools.peers.figures import OURS, Figures, Row
from tools.peers.judged import Left

FIRST: Final = "first"
EQUAL: Final = "equal"
BEHIND: Final = "behind"
_SAME_MEMORY: Final = 1.1  # and this many megabytes:
_FEW_MEGABYTES: Final = 2.0
_SAME_TIME: Final = 0.02  # a ratio within 2 % is no difference, however narrow its interval


@dataclass(frozen=True, slots=True)
class Standing:
    """One column of one model.

    Attributes:
        place: First, equal or behind.
        better: Peers that are surely better, and by how much, in words.
    """

    place: str
    better: tuple[str, ...] = ()


def standings(found: Figures) -> dict[str, Standing]:
    """Where normonnx stands on one model, by column; nothing where it has no right result."""
    ours = found.rows.get(OURS)
    if ours is None or not ours.right:
        return {}
    rivals = {
        name: row
        for name, row in found.rows.items()
        if name in PEERS and name != OURS and row.right
    }
    return {
        column: _standing(dict(compare(found, ours, rivals))) for column, compare in COLUMNS.items()
    }


def _standing(compared: Mapping[str, tuple[int, str]]) -> Standing:
    """From each rival's outcome (1: normonnx is better) and words for it."""
    better = tuple(f"{name} {words}" for name, (outcome, words) in compared.items() if outcome < 0)
    if better:
        return Standing(BEHIND, better)
    outcomes = [outcome for outcome, _ in compared.values()]
    return Standing(FIRST if outcomes and min(outcomes) > 0 else EQUAL)


Compared = Iterator[tuple[str, tuple[int, str]]]
Compare = Callable[[Figures, Row, Mapping[str, Row]], Compared]


def _counted(count: Callable[[Left], int], what: str) -> Compare:
    def compare(_found: Figures, ours: Row, rivals: Mapping[str, Row]) -> Compared:
        for name, row in rivals.items():
            if row.left is not None and ours.left is not None:
                own, theirs = count(ours.left), count(row.left)
                yield name, ((theirs > own) - (theirs < own), f"{theirs} {what} to {own}")

    return compare


def _timed(ratio: Callable[[Row], Interval | None], *, on_ort: bool) -> Compare:
    def compare(found: Figures, _ours: Row, rivals: Mapping[str, Row]) -> Compared:
        noise = found.noise
        spread = 0.0 if noise is None else max(abs(noise.low - 1), abs(noise.high - 1))
        spread = max(_SAME_TIME, spread)
        for name, row in rivals.items():
            measured = ratio(row)
            if measured is None or (on_ort and PEERS[name].backend != "ort:cpu"):
                continue
            outcome = (measured.low > 1 + spread) - (measured.high < 1 - spread)
            words = f"{measured.median:.2f} [{measured.low:.2f} {measured.high:.2f}] of the time"
            yield name, (outcome, words)

    return compare


def _memory(_found: Figures, ours: Row, rivals: Mapping[str, Row]) -> Compared:
    for name, row in rivals.items():
        if row.added_mb is not None and ours.added_mb is not None:
            own, theirs = ours.added_mb.median, row.added_mb.median
            close = abs(own - theirs) < _FEW_MEGABYTES
            close = close or max(own, theirs) < _SAME_MEMORY * min(own, theirs)
            outcome = 0 if close else (theirs > own) - (theirs < own)
            yield name, (outcome, f"{theirs:.0f} MB to {own:.0f}")


def _errors(_found: Figures, ours: Row, rivals: Mapping[str, Row]) -> Compared:
    """Errors within the noise floor of one another are equal: the inputs' own roundoff is more."""
    for name, row in rivals.items():
        own, theirs = ours.judgement.error, row.judgement.error
        floor = ours.judgement.floor
        outcome = (theirs > own + floor) - (own > theirs + floor)
        yield name, (outcome, f"{theirs:.1f} u to {own:.1f}")


COLUMNS: Final[Mapping[str, Compare]] = {
    "BN left": _counted(lambda left: left.batch_norms, "BN"),
    "chains left": _counted(lambda left: left.chains, "chains"),
    "error": _errors,
    "latency": _timed(lambda row: row.latency_ratio, on_ort=True),
    "session": _timed(lambda row: row.session_ratio, on_ort=True),
    "time to optimize": _timed(lambda row: row.optimize_ratio, on_ort=False),
    "memory to optimize": _memory,
}
