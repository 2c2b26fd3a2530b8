"""What a result depends on, as one digest.

The bytes of the model and its external data, the command line with the bytes of all files that it
names, and the versions of what computes. Time limits are not part of it: they only cut off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from normonnx.core.errors import NormonnxError
from normonnx.core.version import VERSION
from normonnx.graph.paths import external_file, readable_model
from normonnx.graph.reading import data_locations
from normonnx.sweep.executor import Attached, Output, Word

SCHEMA: Final = "normonnx.sweep-result/1"


def attached_model(path: Path, prefix: str = "") -> Attached:
    """A model with its external data; one that can't be read comes alone, its verb says why."""
    files = {path.name: path}
    try:
        locations = data_locations(readable_model(path)) if path.stat().st_size else set()
        files |= {location: external_file(path, location) for location in sorted(locations)}
    except (NormonnxError, OSError):
        return Attached(path, ((path.name, path),), prefix)
    return Attached(path, tuple(files.items()), prefix)


def attached_files(path: Path, prefix: str = "") -> Attached:
    """A file, or a folder with all files in it."""
    if not path.is_dir():
        return Attached(path, ((path.name, path),), prefix)
    inside = sorted(one for one in path.rglob("*") if one.is_file())
    files = tuple((str(one.relative_to(path.parent)), one) for one in inside)
    return Attached(path, files, prefix)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is the same for all models of a sweep.

    Attributes:
        verb: What is run.
        versions: Names to versions of what the results depend on.
    """

    verb: str
    versions: Mapping[str, str]


@dataclass(slots=True)
class Digests:
    """Digests of files, each read once while it stays as it is."""

    _known: dict[tuple[str, int, int, int], str] = field(default_factory=dict)

    def of(self, path: Path) -> str:
        """SHA-256 of a file, in hexadecimal.

        Raises:
            OSError: It can't be read.
        """
        found = path.stat()
        seen = (str(path), found.st_ino, found.st_size, found.st_mtime_ns)
        if seen not in self._known:
            with path.open("rb") as file:
                self._known[seen] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._known[seen]

    def key(self, recipe: Recipe, words: tuple[Word, ...]) -> str:
        """The digest of all that one result depends on, in hexadecimal."""
        content = {
            "schema": SCHEMA,
            "normonnx": VERSION,
            "verb": recipe.verb,
            "versions": dict(recipe.versions),
            "words": [self._spelled(word) for word in words],
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def _spelled(self, word: Word) -> object:
        if isinstance(word, Output):
            return ["output"]
        if isinstance(word, Attached):
            return [word.prefix, *([name, self._readable(path)] for name, path in word.files)]
        return word

    def _readable(self, path: Path) -> str:
        """The digest of a file; of one that can't be read, why not: its verb will say the same."""
        try:
            return self.of(path)
        except OSError as error:
            return f"unreadable: {error.strerror}"
