"""The folder of a sweep: what is done, kept so that nothing is lost and nothing half done counts.

    DIR/results.jsonl           all results, sorted by name: the same bytes for the same sweep
    DIR/timings.jsonl           how long each model took, in the order they ended
    DIR/dashboard.html          the same as results.jsonl, to look at
    DIR/results/VERB/NAME.json  one result, written when it is there
    DIR/models/NAME             what `optimize` and `lower` wrote
    DIR/.sweep/                 work in progress, and a lock

A result is written last, in one step: until then its model is not done, whatever lies there. It
counts again only if its key is the same and every file that it names has the same digest.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Final, Self

from normonnx.core.errors import UsageError
from normonnx.core.files import flush_folder, real
from normonnx.core.sweeps import ModelResult, Outcome, Produced
from normonnx.sweep import results
from normonnx.sweep.executor import Finished

RESULTS: Final = "results"
LINES: Final = "results.jsonl"
TIMINGS: Final = "timings.jsonl"
DASHBOARD: Final = "dashboard.html"
_OWN: Final = ".sweep"


class Store:
    """The folder of one sweep, held by one process at a time; a context manager.

    Args:
        folder: It is made where it isn't there.
        verb: What is run on each model.

    Raises:
        UsageError: It can't be written, or another sweep is writing to it.
    """

    def __init__(self, folder: Path, verb: str) -> None:
        self._folder = folder
        self._verb = verb
        self._lock: IO[str] | None = None

    @property
    def staging(self) -> Path:
        """A folder for work in progress, on the same disk."""
        return self._folder / _OWN / "work"

    def __enter__(self) -> Self:
        """Take the lock, and clear away what a sweep that was killed left behind."""
        own = self._folder / _OWN
        try:
            own.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(own / "lock")
            self._clear()
            self.staging.mkdir()
        except BlockingIOError:
            message = (
                f"another sweep is writing to {self._folder}; wait for it, or choose another --out"
            )
            raise UsageError(message) from None
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Clear away work in progress, and let others in."""
        self._clear()
        if self._lock is not None:
            self._lock.close()

    def known(self, name: str, key: str, limits: tuple[str, ...]) -> ModelResult | None:
        """The result of a model that was done before, if it still holds.

        Args:
            name: The model.
            key: Digest of what its result depends on.
            limits: The limits of now; exceeding another one proves nothing.
        """
        try:
            found = results.from_json(self._result_file(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if (found.model, found.verb, found.key) != (name, self._verb, key):
            return None
        if not found.outcome.is_lasting or (found.limit and found.limit not in limits):
            return None
        return found if all(map(self._is_there, found.produced)) else None

    def has(self, name: str) -> bool:
        """Whether there is a result of this model, whatever it is worth."""
        return self._result_file(name).is_file()

    def keep(self, name: str, key: str, finished: Finished) -> ModelResult:
        """Make a result of a task that ended, and keep it with what was written.

        Raises:
            UsageError: It can't be written.
        """
        result = results.result_of(name, self._verb, key, finished)
        try:
            result = self._kept(result, results.written(result, finished))
            shutil.rmtree(finished.place, ignore_errors=True)
            self._note_time(name, finished.ended.seconds)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        return result

    def write(self, name: str, text: str) -> None:
        """Write a file of the folder, whole or not at all.

        Raises:
            UsageError: It can't be written.
        """
        try:
            self._replace(self._folder / name, text)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def _kept(self, result: ModelResult, files: list[Path]) -> ModelResult:
        if result.outcome is Outcome.LOST:
            return result  # says nothing about the model
        own = self._result_file(result.model)
        own.unlink(missing_ok=True)  # from here on the model is not done
        place = self._place(results.MODELS, result.model).parent
        produced = [self._moved(file, place, result.model) for file in files]
        self._drop_stale(place, result.model, {PurePosixPath(one.file).name for one in produced})
        result = replace(result, produced=tuple(produced))
        self._replace(own, results.line(result))
        return result

    def _moved(self, file: Path, place: Path, name: str) -> Produced:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            os.fsync(content.fileno())
        place.mkdir(parents=True, exist_ok=True)
        nbytes = file.stat().st_size
        file.replace(place / file.name)
        flush_folder(place)
        shown = PurePosixPath(results.MODELS) / PurePosixPath(name).parent / file.name
        return Produced(str(shown), nbytes, digest)

    def _drop_stale(self, place: Path, name: str, kept: set[str]) -> None:
        """Remove what an earlier run wrote for this model and this one did not."""
        own = re.compile(re.escape(PurePosixPath(name).name) + r"((\.[0-9a-f]{12})?\.data)?")
        if self._verb not in _WRITING or not place.is_dir():
            return
        for path in list(place.iterdir()):
            if own.fullmatch(path.name) and path.name not in kept and not path.is_dir():
                path.unlink()

    def _is_there(self, produced: Produced) -> bool:
        path = self._folder / produced.file
        try:
            if path.is_symlink() or path.stat().st_size != produced.nbytes:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == produced.sha256
        except OSError:
            return False

    def _result_file(self, name: str) -> Path:
        path = self._place(RESULTS, self._verb, name)
        return path.with_name(f"{path.name}.json")

    def _place(self, *parts: str) -> Path:
        """A path of the folder.

        Raises:
            UsageError: A link leads out of it.
        """
        path = self._folder.joinpath(*parts)
        if not real(path.parent).is_relative_to(real(self._folder)):
            message = f"{path.parent} leads out of {self._folder}; remove that link"
            raise UsageError(message)
        return path

    def _replace(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.staging / f"{secrets.token_hex(8)}.tmp"
        try:
            with temporary.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(path.parent)

    def _note_time(self, name: str, seconds: float) -> None:
        line = json.dumps({"model": name, "verb": self._verb, "seconds": round(seconds, 3)})
        with (self._folder / TIMINGS).open("a", encoding="ascii") as file:
            file.write(f"{line}\n")

    def _clear(self) -> None:
        for _ in range(3):  # a task of a sweep that was just killed may still write for a moment
            shutil.rmtree(self.staging, ignore_errors=True)
            if not self.staging.exists():
                return


_WRITING: Final = ("optimize", "lower")


def _locked(path: Path) -> IO[str]:
    """The file, open and locked; the lock goes with this process, however it ends.

    Raises:
        BlockingIOError: Another process holds it.
    """
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _unwritable(folder: Path, error: OSError) -> UsageError:
    where = error.filename or folder
    return UsageError(
        f"can't write to {folder}: {where}: {error.strerror or error}; what is done is kept, "
        "mend that and run the same command again"
    )
