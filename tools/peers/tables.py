"""The figures as Markdown: one table of each column over all models, and one of each model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from normonnx.core.intervals import Interval
from tools.peers.contenders import PEERS
from tools.peers.figures import HINTED, ORIGINAL, OURS, Figures, Row
from tools.peers.standing import BEHIND, COLUMNS, standings

_ORDER: Final = (ORIGINAL, OURS, HINTED, *(name for name in PEERS if name != OURS))
_FULL: Final = (
    "", "result", "nodes", "BN left", "chains left", "error (u)", "latency ms",
    "as fast as plain", "session ms", "as fast to load", "optimize ms", "added MB",
)  # fmt: skip
_BEGIN: Final = "<!-- peers: begin -->"
_END: Final = "<!-- peers: end -->"


def table(titles: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def speedups(found: Sequence[Figures]) -> str:
    """How many times as fast as the original in a plain session each result runs, by model."""
    names = [name for name in _ORDER[1:] if any(name in one.rows for one in found)]

    def rows() -> Iterator[Sequence[str]]:
        for one in found:
            cells = [_speedup(one.rows.get(name), one) for name in names]
            yield [one.name, _plain(one.rows[ORIGINAL].latency_ms), *cells]

    return table(["model", "plain session, ms", *names], rows())


def _speedup(row: Row | None, found: Figures) -> str:
    """The ratio; bold where it is surely above 1, and in words where there is no right result."""
    if row is None:
        return ""
    if row.speedup is None:
        return row.judgement.outcome
    text = f"{row.speedup.median:.2f}"
    sure = 1.0 if found.noise is None else max(1.0, found.noise.high)
    mark = "" if row.right else "?"
    return f"**{text}**{mark}" if row.speedup.low > sure else f"{text}{mark}"


def places(found: Sequence[Figures]) -> str:
    """Where normonnx stands in each column on each model; who is better, below."""

    def rows() -> Iterator[Sequence[str]]:
        for one in found:
            own = standings(one)
            yield [one.name, *(own[column].place if own else "no result" for column in COLUMNS)]

    return table(["model", *COLUMNS], rows())


def better(found: Sequence[Figures]) -> Iterator[str]:
    """Lines that say where a peer is better."""
    for column in COLUMNS:
        said = [
            f"{one.name}: {', '.join(own[column].better)}"
            for one in found
            for own in (standings(one),)
            if own and own[column].place == BEHIND
        ]
        if said:
            yield f"- {column}: {'; '.join(said)}"


def full(found: Figures) -> str:
    """Everything about one model."""
    rows = ((name, found.rows[name]) for name in _ORDER if name in found.rows)
    return table(_FULL, (_cells(name, row) for name, row in rows))


def _cells(name: str, row: Row) -> Sequence[str]:
    left = row.left
    counts = ("", "", "") if left is None else (left.nodes, left.batch_norms, left.chains)
    judged = row.judgement
    return (
        name,
        judged.outcome if not judged.reason else f"{judged.outcome}: {_safe(judged.reason)}",
        *map(str, counts),
        "" if math.isnan(judged.error) else f"{judged.error:.1f}",
        _plain(row.latency_ms),
        _ratio(row.speedup),
        _plain(row.session_ms),
        _ratio(row.session_speedup),
        _plain(row.optimize_ms),
        _plain(row.added_mb),
    )


def _safe(text: str) -> str:
    """Without what would end a cell."""
    return " ".join(text.replace("|", "/").replace("<", "(").replace(">", ")").split())


def _plain(found: Interval | None) -> str:
    return "" if found is None else f"{found.median:.4g}"


def _ratio(found: Interval | None) -> str:
    return "" if found is None else f"{found.median:.3f} [{found.low:.3f} {found.high:.3f}]"


def replaced(text: str, block: str) -> str:
    """A document with what stands between its marks replaced.

    Raises:
        ValueError: There are no marks.
    """
    if _BEGIN not in text or _END not in text:
        message = f"there are no lines {_BEGIN} and {_END}"
        raise ValueError(message)
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{block}\n{_END}{after}"


def circumstances(found: Mapping[str, Any]) -> str:
    """Where, with what and how it was measured."""
    machine = ", ".join(f"{key} {value}" for key, value in found.get("machine", {}).items())
    versions = ", ".join(f"{key} {value}" for key, value in found.get("versions", {}).items())
    clock = found.get("wanted", {}).get("clock", "cpu")
    time = "time of the processor" if clock == "cpu" else "time on the wall"
    return (
        f"Measured on {machine}, one thread, {time}, with {versions}:\n`{found.get('command', '')}`"
    )
