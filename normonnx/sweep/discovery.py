"""Which models are swept: files, folders, patterns and manifests become a list, each model once.

A model of a folder or pattern is called by its path from there; models named one by one, as a shell
names them too, by their paths from the folder that they share. What lies in the sweep's own folder
is left out where it was found and refused where it was named.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from normonnx.core.errors import UsageError
from normonnx.graph.paths import readable_model
from normonnx.sweep import manifests, naming

SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True)
class Subject:
    """One model of a sweep.

    Attributes:
        name: What it is called: a relative path with slashes, see `naming`.
        path: The file; absolute, links as they are.
        options: Options of its own, from a manifest.
        place: Where a manifest says so, for messages; empty elsewhere.
        folder: What paths in its options are relative to.
    """

    name: str
    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    folder: Path = Path()


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path  # absolute
    below: Path | None  # the folder that it is called from; None for one named by itself
    options: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""
    folder: Path = Path()

    @property
    def identity(self) -> str:
        """What makes it one model of the sweep: the same file with the same options is the same."""
        return f"{os.path.realpath(self.path)}\n{sorted(self.options.items())}"


def subjects(words: Sequence[str], manifest_files: Sequence[Path], out: Path) -> list[Subject]:
    """The models that a command line names, sorted by name.

    Args:
        words: Files, folders, and patterns with `*`, `?`, `[...]` or `**`.
        manifest_files: See `manifests`.
        out: The sweep's own folder.

    Raises:
        UsageError: Nothing is found, or what is named is not there or lies in `out`.
    """
    found: dict[str, _Found] = {}
    for one in (*_from_words(words, out), *_from_manifests(manifest_files, out)):
        found.setdefault(one.identity, one)
    if not found:
        message = "no model found; name .onnx files, or a folder that holds some"
        raise UsageError(message)
    models = list(found.values())
    shared = _shared([one.path for one in models if one.below is None])
    wanted = [
        (PurePath(os.path.relpath(one.path, one.below or shared)), one.identity) for one in models
    ]
    names = naming.assigned(wanted)
    made = [
        Subject(name, one.path, one.options, one.place, one.folder)
        for name, one in zip(names, models, strict=True)
    ]
    return sorted(made, key=lambda subject: subject.name)


def _from_words(words: Sequence[str], out: Path) -> Iterator[_Found]:
    for word in words:
        path = Path(word)
        if path.is_dir():
            folder = _absolute(path)
            models = list(_below(folder, out))
            if not models:
                message = f"{word} holds no *{SUFFIX} file; name a folder that does, or the files"
                raise UsageError(message)
            yield from (_Found(model, folder) for model in models)
        elif not os.path.lexists(path) and glob.has_magic(word):
            yield from _matching(word, out)
        else:
            yield _Found(_named(path, out), None)


def _below(folder: Path, out: Path) -> Iterator[Path]:
    """Models below a folder; links to folders are not followed, as they may lead around."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_own(Path(place, name), out))
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix.lower() == SUFFIX and path.is_file():
                yield path


def _matching(pattern: str, out: Path) -> Iterator[_Found]:
    fixed: list[str] = []
    for part in Path(pattern).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    folder = _absolute(Path(*fixed))
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    models = [_absolute(Path(name)) for name in found if Path(name).is_file()]
    kept = [model for model in models if not _is_own(model, out)]
    if not kept:
        message = f"nothing matches {pattern!r}; check the pattern"
        raise UsageError(message)
    yield from (_Found(model, folder) for model in kept)


def _from_manifests(files: Sequence[Path], out: Path) -> Iterator[_Found]:
    for file in files:
        folder = _absolute(file).parent
        for entry in manifests.read(file):
            try:
                path = _named(folder / entry.model, out)
            except UsageError as error:
                message = f"{entry.place}: {error}"
                raise UsageError(message) from error
            inside = path.is_relative_to(folder)
            yield _Found(path, folder if inside else None, entry.options, entry.place, folder)


def _named(path: Path, out: Path) -> Path:
    """The file that was named, absolute.

    Raises:
        UsageError: It is none that can be read, or one of the sweep's own.
    """
    found = _absolute(readable_model(path))
    if _is_own(found, out):
        message = f"{path} lies in {out}, where the sweep writes; choose another --out"
        raise UsageError(message)
    return found


def _is_own(path: Path, out: Path) -> bool:
    own = os.path.realpath(out)
    real = os.path.realpath(path)
    return real == own or real.startswith(f"{own.rstrip(os.sep)}{os.sep}")


def _absolute(path: Path) -> Path:
    """Absolute, without ".."; links stay, since weights lie beside what a link points to or it."""
    return Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow links


def _shared(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths])) if paths else Path("/")
