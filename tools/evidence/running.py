"""One run: stages in order, each with its share of the time, results written as they come.

Time that a stage does not need goes to those after it. What a stage left out for lack of time is
told in a line of its own, and done by the next run on the same folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tools.evidence import edges, end_to_end, machine, placing, planted, recorded, spelled
from tools.evidence.crew import Crew
from tools.evidence.items import Item, Stage
from tools.evidence.journal import Journal
from tools.evidence.manifest import Manifest

BUNDLES: Final = "bundles.zip"
STAGES: Final = (
    Stage("versions", 1, machine.items),
    Stage("registry", 1, machine.registry_items),
    Stage("placement", 8, placing.items),
    Stage("models", 28, recorded.items),
    Stage("faults", 20, planted.items),
    Stage("edges", 7, edges.items),
    Stage("forms", 22, spelled.items),
    Stage("latency", 15, end_to_end.items),
)
UNAVAILABLE: Final = 3
INTERRUPTED: Final = 130
_LEAST: Final = 8.0  # seconds for the first item of a stage, whatever is left
_WORTH: Final = 0.5  # seconds; with less left no item is begun


class InterruptedRunError(BaseException):
    """The run was told to end."""


@dataclass(frozen=True, slots=True)
class Run:
    """What to do.

    Attributes:
        manifest: What was prepared.
        models: Where it lies.
        out: Where results go.
        backend: What to run on.
        budget: Seconds for everything.
        stages: Names of stages; all where there are none.
        tell: Called with each line of progress.
    """

    manifest: Manifest
    models: Path
    out: Path
    backend: str
    budget: float
    stages: Sequence[str] = ()
    tell: Callable[[str], None] = print


def run(wanted: Run) -> int:
    """Do it.

    Returns:
        Exit code: 0 when done or out of time, 3 when the provider is not used, 130 when told to
        end.
    """
    journal = Journal(wanted.out)
    with _ending(), tempfile.TemporaryDirectory(prefix="evidence-") as place:
        scratch = Path(place)
        (scratch / "bundles").mkdir()
        folders = {
            "models": str(wanted.models.resolve()),
            "scratch": str(scratch),
            "bundles": str(scratch / "bundles"),
        }
        try:
            with Crew(folders, scratch / "log.txt") as crew:
                return _all(wanted, journal, crew, scratch / "bundles")
        except InterruptedRunError:
            wanted.tell("told to end; what was found is kept")
            return INTERRUPTED


def _all(wanted: Run, journal: Journal, crew: Crew, bundles: Path) -> int:
    end = time.monotonic() + wanted.budget
    if not _is_used(wanted, journal, crew):
        return UNAVAILABLE
    left = [stage for stage in STAGES if not wanted.stages or stage.name in wanted.stages]
    while left:
        now = time.monotonic()
        share = max(0.0, end - now) * left[0].weight / sum(stage.weight for stage in left)
        if not _stage(wanted, left.pop(0), now + share, (journal, crew, bundles)):
            return UNAVAILABLE
    return 0


def _is_used(wanted: Run, journal: Journal, crew: Crew) -> bool:
    """Whether the simplest model runs where it should; nothing else is begun otherwise."""
    canary = Item("canary:product", "tools.evidence.machine:canary", wanted.backend, seconds=120)
    found = {"key": canary.key, "stage": "canary", **crew.do(canary, canary.seconds)}
    if found["status"] == "ok":
        if not journal.has(canary.key):
            journal.append(found)
        return True
    journal.append({**found, "status": "fallback"})
    wanted.tell(f"{wanted.backend} is not used: {found.get('reason')}")
    return False


def _stage(wanted: Run, stage: Stage, end: float, tools: tuple[Journal, Crew, Path]) -> bool:
    """Do a stage until its time is up; False where the provider turned out not to be used."""
    journal, crew, bundles = tools
    items = stage.items(wanted.manifest, wanted.backend)
    waiting = [item for item in items if not journal.has(item.key)]
    begun, done, start = 0, 0, time.monotonic()
    for item in waiting:
        left = end - time.monotonic()
        if begun and left < _WORTH:
            break
        began = time.monotonic()
        found = crew.do(item, left if begun else max(left, _LEAST))
        begun += 1
        seconds = round(time.monotonic() - began, 3)
        result = {"key": item.key, "stage": stage.name, "seconds": seconds, **found}
        journal.append(result)
        _keep(bundles, wanted.out / BUNDLES)
        wanted.tell(_told(result))
        if found["status"] == "fallback":
            return False
        done += found["status"] != "cut"
    skipped = [item.key for item in waiting[begun:]]
    journal.append(
        {
            "key": f"summary:{stage.name}",
            "stage": stage.name,
            "status": "summary",
            "seconds": round(time.monotonic() - start, 3),
            "items": len(items),
            "done": len(items) - len(waiting) + done,
            "skipped_for_time": len(skipped),
            "skipped": skipped[:20],
        }
    )
    if skipped:
        wanted.tell(f"{stage.name}: {len(skipped)} of {len(items)} items left out for time")
    return True


def _keep(bundles: Path, archive: Path) -> None:
    """Move new bundles into one archive, which is replaced whole."""
    new = sorted(bundles.iterdir())
    if not new:
        return
    temporary = archive.with_suffix(".tmp")
    names = {path.name for path in new}
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as into:
        if archive.exists():
            with zipfile.ZipFile(archive) as before:
                for name in before.namelist():
                    if name not in names:
                        into.writestr(name, before.read(name))
        for path in new:
            into.write(path, path.name)
    shutil.move(temporary, archive)
    for path in new:
        path.unlink()


def _told(result: dict[str, Any]) -> str:
    figures = {k: result[k] for k in ("verdict", "outcome", "ratio", "max") if k in result}
    said = " ".join(f"{name} {_short(value)}" for name, value in figures.items())
    reason = f" ({result['reason']})" if result.get("reason") else ""
    return f"{result['seconds']:7.1f} s  {result['status']:12} {result['key']}  {said}{reason}"


def _short(value: Any) -> str:  # noqa: ANN401
    return f"{value:.3g}" if isinstance(value, float) else str(value)


@contextmanager
def _ending() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the run in order: the item in hand is lost, nothing else."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise InterruptedRunError

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress(line: str) -> None:
    """Print a line of progress at once, to standard error."""
    sys.stderr.write(line + os.linesep)
    sys.stderr.flush()
