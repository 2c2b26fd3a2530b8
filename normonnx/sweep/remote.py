"""A task on a machine of a cluster: its files are laid out, it runs, and what it left goes back.

Files come as references to arrays of bytes that the cluster holds, or are read in place where all
machines see the same paths. Everything else is as it is at home: a process of its own, with limits,
which dies with the worker that started it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from normonnx.core.version import VERSION
from normonnx.sweep.children import POLL, Child, spelled
from normonnx.sweep.executor import ANSWER, SAID, WRITTEN, Ended, Task
from normonnx.sweep.mothering import Mother

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

_PREFIX: Final = "normonnx-sweep-"
Fetch = Callable[[Any], Any]


class VersionError(Exception):
    """This machine has another version of normonnx than the one that sweeps."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a machine must have to run tasks.

    Attributes:
        version: Of normonnx.
        modules: What every task imports.
    """

    version: str
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Left:
    """What a task left.

    Attributes:
        ended: How it ended.
        files: Paths relative to its folder to their bytes.
    """

    ended: Ended
    files: Mapping[str, Bytes]


def run(
    task: Task,
    attached: Mapping[int, Mapping[str, Any]] | None,
    needs: Needs,
    fetch: Fetch,
) -> Left:
    """Run a task here.

    Args:
        task: What to run.
        attached: Number of a word to its files: relative paths to references; None where the
            machines share their files.
        needs: What this machine must have.
        fetch: Makes an array of a reference.

    Raises:
        VersionError: That is another one.
        OSError: Files can't be written here.
    """
    if needs.version != VERSION:
        message = f"normonnx {VERSION} is installed here, expected {needs.version}"
        raise VersionError(message)
    with _folder() as folder:
        place, inputs = folder / "place", folder / "inputs"
        (place / WRITTEN).mkdir(parents=True)
        for number, files in (attached or {}).items():
            for name, reference in files.items():
                _lay(inputs / str(number), name, fetch(reference))
        words, paths = spelled(task, place, None if attached is None else inputs)
        ended = _watched(Child(task, place, words, _mother(needs.modules)))
        return Left(replace(ended, paths=(*paths, (str(place), ""))), _left(place))


def _watched(child: Child) -> Ended:
    try:
        while True:
            ended = child.poll()
            if ended is not None:
                return ended
            time.sleep(POLL)
    finally:
        child.end()


@cache
def _mother(modules: tuple[str, ...]) -> Mother:
    """The nursery of this worker, which runs one task after another and takes it along."""
    return Mother(modules)


def _lay(folder: Path, name: str, content: Bytes) -> None:
    """Write a file; its name was checked to stay below the folder where the model was read."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content.tofile(path)


def _left(place: Path) -> dict[str, Bytes]:
    import numpy as np

    written = (place / WRITTEN).iterdir()
    kept = [path for path in written if path.is_file() and not path.name.startswith(".")]
    kept += [path for path in (place / ANSWER, place / SAID) if path.is_file()]
    return {str(path.relative_to(place)): np.fromfile(path, np.uint8) for path in kept}


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that goes in the end; those of workers that were killed go at the next chance."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if path.lstat().st_uid == os.getuid() and not _is_alive(owner):
                shutil.rmtree(path, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-") as folder:
        yield Path(folder)


def _is_alive(number: str) -> bool:
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True
