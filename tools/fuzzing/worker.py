"""Runs cases in a folder, one after the other, and answers each with one line of JSON.

It says so where a file was opened for writing outside the output folder, or read outside the
model's: an audit hook sees every file that Python opens, renames, links or removes.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final

from tests.fuzz.places import SECRET, clear
from tools.fuzzing.cases import Case, run

LARGEST: Final = 2 << 30  # bytes of memory beyond what it holds at the start: without bounds
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: Final = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
}
_DECOYS: Final = ("/etc/passwd", "/dev/zero", "secret.bin")


class Guard:
    """Notes files that are written where none may be, and read where none may be."""

    def __init__(self, *allowed: Path) -> None:
        self._allowed = (*(f"{each}/" for each in allowed), "/dev/null")
        self.armed = False
        self.found: list[str] = []
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed or (event in _CHANGES and arguments[-1] not in (-1, None)):
            return  # relative to a folder that was opened before: of `shutil.rmtree`
        if event == "open":
            name, mode, flags = arguments
            writes = isinstance(flags, int) and flags & _WRITING
            self._check(name, "writes" if writes else "", mode)
        elif event in _CHANGES:
            for place in _CHANGES[event]:
                self._check(arguments[place], event, None)

    def _check(self, name: object, change: str, _mode: object) -> None:
        if not isinstance(name, str | bytes | os.PathLike):
            return
        path = os.path.realpath(os.fsdecode(name))
        inside = path.startswith(self._allowed)
        if change and not inside:
            self.found.append(f"{change} {path}")
        if not change and path.endswith(_DECOYS):
            self.found.append(f"reads {path}")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _answer(case: Case, folder: Path, guard: Guard) -> dict[str, Any]:
    """Run one case; what came of it."""
    inside, out = folder / "in", folder / "out"
    for each in (inside, out):
        each.mkdir(exist_ok=True)
        clear(each)
    path = case.write(inside)
    before = {entry.name for entry in os.scandir(inside)}
    started, peak = time.process_time(), _peak()
    guard.found.clear()
    guard.armed = True
    try:
        outcome = run(path, out / "m.onnx", case.rng)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the finding
        last = traceback.extract_tb(error.__traceback__)[-4:]
        places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(last))
        outcome = f"crash: {type(error).__name__}: {str(error)[:200]} at {places}"
    finally:
        guard.armed = False
    if guard.found:
        outcome = f"escape: {guard.found[0]}"
    if {entry.name for entry in os.scandir(inside)} != before:
        outcome = "escape: the folder of the model changed"
    if (folder / "secret.bin").read_bytes() != SECRET:
        outcome = "escape: a file outside was changed"
    if left := [e.name for e in os.scandir(out) if not e.name.startswith("m.onnx")]:
        outcome = f"escape: left {left}"
    if (grown := _peak() - peak) > LARGEST:
        outcome = f"memory: {grown >> 20} MiB more"
    return {"outcome": outcome, "seconds": time.process_time() - started, "peak": _peak()}


def main() -> None:
    """Answer case numbers from stdin until it ends."""
    folder = Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    faulthandler.register(signal.SIGUSR1, all_threads=False)
    (folder / "secret.bin").write_bytes(SECRET)
    import normonnx.pipeline  # the first case does not pay for the imports

    del normonnx
    guard = Guard(folder / "out", folder / "tmp")
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(Case(int(line)), folder, guard)) + "\n")


if __name__ == "__main__":
    main()
