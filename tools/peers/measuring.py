"""One model through all peers: optimized, judged, and those that are right run in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

import normonnx
from normonnx.core.clocks import Took
from normonnx.core.hints import KEY
from normonnx.runtime import workers
from normonnx.timing.contenders import Contender, Effort, Measured, Race
from tools.peers import figures
from tools.peers.contenders import PEERS
from tools.peers.crew import Crew, Done, result
from tools.peers.figures import HINTED, ORIGINAL, OURS, Figures, Row
from tools.peers.judged import Judgement, Reference, left_in

_TIMED: Final = ("pass", "inconclusive")
_CRASH: Final = "crash"
_FAILED: Final = "fails"


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much to measure.

    Attributes:
        rounds: Times that each peer optimizes each model, as far as `budget` goes.
        budget: Seconds for optimizing one model, after three rounds.
        seconds: For running all results in turns.
        sessions: Times that each session is made anew.
        timeout: Seconds that a peer may take for one model.
        clock: "cpu" or "wall".
    """

    rounds: int = 6
    budget: float = 30.0
    seconds: float = 8.0
    sessions: int = 6
    timeout: float = 120.0
    clock: str = "cpu"


def measure(  # noqa: PLR0913, PLR0917
    named: tuple[str, Path],
    shapes: Mapping[str, Sequence[int]],
    folder: Path,
    crew: Crew,
    wanted: Wanted,
    told: Callable[[str], None] = lambda _what: None,
) -> Figures:
    """Everything about one model.

    Args:
        named: What the tables call it, and its file.
        shapes: Of its inputs, by name.
        folder: Where the results go.
        crew: The peers.
        wanted: How much to measure.
        told: Hears what is being done.

    Raises:
        NormonnxError: The original can't be read, or not be evaluated in float64.
    """
    name, path = named
    told("evaluating in float64")
    reference = Reference(path, shapes)
    told("optimizing")
    done = crew.optimize(path, folder, wanted.rounds, wanted.budget, wanted.timeout)
    found = Figures(name, {key: np.shape(one) for key, one in reference.feeds.items()})
    told("judging")
    found.rows[ORIGINAL] = Row(reference.judge(path, "ort:cpu", wanted.timeout), left_in(path))
    for peer, one in done.items():
        found.rows[peer] = _row(peer, one, reference, result(folder, peer), wanted)
        figures.optimizing(found.rows[peer], one.took, one.added, done[OURS].took, wanted.clock)
    told("running in turns")
    _run(found, _contenders(found, path, folder), reference, wanted)
    return found


def _row(peer: str, done: Done, reference: Reference, out: Path, wanted: Wanted) -> Row:
    if done.failed:
        outcome = _CRASH if done.failed.startswith("crashed") else _FAILED
        return Row(Judgement(outcome, done.failed))
    if not PEERS[peer].writes:
        return Row(reference.judge(reference.path, PEERS[peer].backend, wanted.timeout))
    if not out.exists():
        return Row(Judgement(_FAILED, "it wrote no file"))
    return Row(reference.judge(out, PEERS[peer].backend, wanted.timeout), left_in(out))


def _contenders(found: Figures, path: Path, folder: Path) -> list[Contender]:
    """The original, and all whose result is right, or could not be refuted."""
    contenders = [Contender(ORIGINAL, path, "ort:cpu")]
    for peer, row in list(found.rows.items()):
        if peer == ORIGINAL or row.judgement.outcome not in _TIMED:
            continue
        own = result(folder, peer) if PEERS[peer].writes else path
        contenders.append(Contender(peer, own, PEERS[peer].backend))
        if peer == OURS and KEY in normonnx.load(own).metadata_props:
            contenders.append(Contender(HINTED, own, "ort:cpu", hinted=True))
            found.rows[HINTED] = Row(row.judgement, row.left)
    return contenders


def _run(found: Figures, contenders: list[Contender], reference: Reference, wanted: Wanted) -> None:
    """Run all on ONNX Runtime in turns, then each other runtime in turns with the original.

    Threads of one runtime that still spin would slow whoever runs next.
    """
    races: dict[str, list[Contender]] = {}
    for one in contenders:
        races.setdefault(one.backend, []).append(one)
    for backend, together in races.items():
        others = [] if backend == contenders[0].backend else contenders[:1]
        measured, again = _raced([*others, *together], reference, wanted)
        pairs = {name: (one.runs, one.sessions) for name, one in measured.items()}
        for contender in together:
            row, own = found.rows[contender.name], measured[contender.name]
            if not own.ran:
                row.judgement = Judgement(own.verdict.value, own.reason)
            ours = pairs.get(OURS, ([], []))
            figures.running(row, pairs[contender.name], pairs[ORIGINAL], ours, wanted.clock)
        if not others:
            runs = measured[ORIGINAL].runs[-len(again) :]
            found.noise = figures.ratio(runs, again, wanted.clock)


def _raced(
    contenders: list[Contender], reference: Reference, wanted: Wanted
) -> tuple[Mapping[str, Measured], list[Took]]:
    effort = Effort(
        wanted.seconds,
        sessions=wanted.sessions,
        limits=workers.Limits(wanted.timeout + wanted.seconds),
        memory=False,
    )
    with Race(contenders, effort) as race:
        race.give(reference.feeds)
        for one in contenders:
            race.tried(one)
        again = race.run()
    return race.measured, again
