"""Results as lines of JSON, written as they come: what was written is kept whatever happens.

Each line is an object with "key", "stage", "status" and "seconds". A key may come again, in a later
run; its last line counts, and a real result is not taken again. A line that was cut off by a crash
is passed over.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

RESULTS: Final = "results.jsonl"
REAL: Final = frozenset({"ok", "mismatch", "inconclusive", "skipped"})
_TAIL: Final = 1

Result = dict[str, Any]


class Journal:
    """The results of a folder.

    Args:
        folder: Where they lie; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / RESULTS
        self._done = {one["key"] for one in read(folder) if one["status"] in REAL}
        self._mend()

    def has(self, key: str) -> bool:
        """Whether there is a real result already."""
        return key in self._done

    def append(self, result: Mapping[str, Any]) -> None:
        """Write a result, down to the disk."""
        with self._path.open("a") as stream:
            stream.write(json.dumps(plain(result), allow_nan=False, sort_keys=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if result["status"] in REAL:
            self._done.add(result["key"])

    def _mend(self) -> None:
        """Let the next line begin on a line of its own."""
        if not self._path.exists() or not self._path.stat().st_size:
            return
        with self._path.open("rb+") as stream:
            stream.seek(-_TAIL, os.SEEK_END)
            if stream.read() != b"\n":
                stream.write(b"\n")


def read(folder: Path) -> list[Result]:
    """All lines that can be read, in order; none where there is no file."""
    path = folder / RESULTS
    if not path.exists():
        return []
    found = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            one = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(one, dict) and {"key", "stage", "status"} <= one.keys():
            found.append(one)
    return found


def latest(results: list[Result]) -> dict[str, Result]:
    """The line that counts for each key: its last real one, or else its last."""
    found: dict[str, Result] = {}
    for one in results:
        before = found.get(one["key"])
        if before is None or one["status"] in REAL or before["status"] not in REAL:
            found[one["key"]] = one
    return found


def plain(value: Any) -> Any:  # noqa: ANN401  # JSON can be anything
    """The same as plain JSON; numbers that are not finite as text, which float() reads."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    return plain(value.item()) if hasattr(value, "item") else str(value)
