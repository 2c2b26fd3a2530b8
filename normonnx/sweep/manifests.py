"""Manifest files: which models to sweep, one a line, some with options of their own.

A line is a path, or a JSON object with `model` and options by their names on the command line:

    {"model": "a.onnx", "against": "b.onnx", "keep": ["head.*"]}

A file that ends in .json holds a list of such objects, or of paths. Paths are relative to the
manifest's folder. Empty lines and those that start with # are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normonnx.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of a manifest.

    Attributes:
        model: The path as it stands there.
        place: Which manifest and line that is, for messages.
        options: Option names to what they are set to.
    """

    model: str
    place: str
    options: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> list[Entry]:
    """The models of a manifest, in order.

    Raises:
        UsageError: It can't be read, or a line is neither a path nor such an object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"can't read the manifest {path}: {reason}; name a text file, one path a line"
        raise UsageError(message) from error
    entries = _listed(path, text) if path.suffix.lower() == ".json" else _lined(path, text)
    found = list(entries)
    if not found:
        message = f"the manifest {path} names no model; write one path a line"
        raise UsageError(message)
    return found


def _lined(path: Path, text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        place = f"{path}, line {number}"
        yield _entry(_json(stripped, place) if stripped.startswith("{") else stripped, place)


def _listed(path: Path, text: str) -> Iterator[Entry]:
    found = _json(text, str(path))
    if not isinstance(found, list):
        message = f'the manifest {path} holds no list; write ["a.onnx", ...]'
        raise UsageError(message)
    for number, one in enumerate(found, start=1):
        yield _entry(one, f"{path}, entry {number}")


def _json(text: str, place: str) -> Any:  # noqa: ANN401  # JSON can be anything
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f'{place}: no JSON ({error}); write a path, or an object with a "model"'
        raise UsageError(message) from error


def _entry(found: object, place: str) -> Entry:
    if isinstance(found, str) and found:
        return Entry(found, place)
    if isinstance(found, dict):
        options = dict(found)
        model = options.pop("model", None)
        if isinstance(model, str) and model:
            return Entry(model, place, options)
    message = f'{place}: no model; write a path, or an object such as {{"model": "a.onnx"}}'
    raise UsageError(message)
