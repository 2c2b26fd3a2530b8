"""Results as strict JSON: one object with a schema, no NaN, no Infinity.

Every frozen dataclass of core becomes an object: its fields, then its public properties. A number
that is not finite becomes null. A schema "normonnx.<verb>/<version>" grows new keys freely; its
version rises when a key goes or changes its meaning.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import numpy as np

from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.files import replacing
from normonnx.core.version import VERSION

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_SCHEMA_VERSION = 1
_EXAMPLES = {"--junit": "report.xml", "--html": "report.html"}


def document(verb: str, exit_code: ExitCode, content: Mapping[str, object]) -> dict[str, Json]:
    """The document of one run of a verb.

    Args:
        verb: What was run, for example "optimize".
        exit_code: What the command line returns.
        content: What else to say; dataclasses, mappings, sequences and numbers of any kind.

    Raises:
        TypeError: `content` holds something that has no JSON form.
    """
    head: dict[str, Json] = {
        "schema": f"normonnx.{verb}/{_SCHEMA_VERSION}",
        "normonnx": VERSION,
        "exit_code": int(exit_code),
    }
    return head | {key: plain(value) for key, value in content.items()}


def plain(value: object) -> Json:
    """`value` in terms of JSON's own types.

    Raises:
        TypeError: It has no JSON form.
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, os.PathLike):
        return str(os.fspath(value))
    return _collected(value)


def _collected(value: object) -> Json:
    """A dataclass or a collection, entry by entry."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _names(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return [plain(item) for item in sorted(value, key=str)]
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    message = f"{type(value).__name__} has no JSON form: {value!r}"
    raise TypeError(message)


def _names(value: object) -> list[str]:
    """Fields, then public properties, of a dataclass."""
    properties = [
        name
        for cls in reversed(type(value).__mro__)
        for name, member in vars(cls).items()
        if isinstance(member, property) and not name.startswith("_")
    ]
    return [field.name for field in fields(value) if not field.name.startswith("_")] + properties  # type: ignore[arg-type]


def text(content: Mapping[str, Json]) -> str:
    """The document as text; ASCII only, so that any stream takes it."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def check_destination(destination: str, option: str = "--json") -> None:
    """Check that a document can be written to `destination`, before any work is done.

    Raises:
        UsageError: It is a folder, or its folder is missing or can't be written.
    """
    if destination == "-":
        return
    path = Path(destination)
    if path.is_dir():
        name = _EXAMPLES.get(option, "report.json")
        message = f"{option} {path} is a folder; name a file in it, such as {path / name}"
        raise UsageError(message)
    if not path.parent.is_dir():
        message = f"can't write {option} {path}: there is no folder {path.parent}; create it first"
        raise UsageError(message)
    target = path if _is_stream(path) else path.parent
    if not os.access(target, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        message = f"can't write {option} {path}: no permission; choose another place"
        raise UsageError(message)


def write(content: Mapping[str, Json], destination: str) -> None:
    """Write a document to a file, whole or not at all, or to stdout for "-".

    Raises:
        UsageError: The file can't be written.
    """
    if destination == "-":
        sys.stdout.write(text(content))
        return
    write_text(text(content), destination, "--json")


def write_text(content: str, destination: str, option: str) -> None:
    """Write text to a file, whole or not at all; to a pipe or a device in place.

    Raises:
        UsageError: The file can't be written.
    """
    path = Path(destination)
    try:
        if _is_stream(path):
            path.write_text(content, encoding="utf-8")
        else:
            with replacing(path) as temporary:
                temporary.write_text(content, encoding="utf-8")
    except OSError as error:
        message = f"can't write {option} {path}: {error.strerror or error}; choose another place"
        raise UsageError(message) from error


def _is_stream(path: Path) -> bool:
    """Whether it is there and is no regular file: a pipe or a device is written in place."""
    return path.exists() and not path.is_file()
