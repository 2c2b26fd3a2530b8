"""Cost tables as files: those of the user, measured on the user's machine, and those shipped.

The user's lie in a folder of their own, `costs-TARGET.json` each; an entry there takes the place of
what comes with the package.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from normonnx.core.costs import CostTable
from normonnx.core.errors import UsageError
from normonnx.core.files import replacing
from normonnx.lower.targets import PORTABLE, TARGETS

FOLDER: Final = "NORMONNX_COSTS"
SHIPPED: Final = Path(__file__).parent / "tables"


def folder() -> Path:
    """Where the user's tables lie: $NORMONNX_COSTS, or a folder of the system for settings."""
    asked = os.environ.get(FOLDER)
    if asked:
        return Path(asked)
    if sys.platform == "win32":
        settings = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    else:
        settings = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(settings) / "normonnx" / "costs"


def read(target: str) -> tuple[CostTable, ...]:
    """The tables of a target: the user's first, then the one that comes with the package.

    Raises:
        UsageError: One is damaged, or of another version of normonnx.
    """
    paths = [place / _name(target) for place in (folder(), SHIPPED)]
    return tuple(read_file(path) for path in paths if path.is_file())


def shipped(target: str) -> CostTable | None:
    """The table that comes with the package; None where there is none."""
    path = SHIPPED / _name(target)
    return read_file(path) if path.is_file() else None


def tables_for(target: str) -> tuple[CostTable, ...]:
    """What a choice for a target looks at, one table for each target that was measured.

    For "portable" that is every one: nothing is chosen that is slower anywhere.

    Raises:
        UsageError: As `read`.
    """
    names = list(TARGETS) if target == PORTABLE else [target]
    found = [read(name) for name in names]
    return tuple(joined(tables[-1], tables[0]) for tables in found if tables)


def read_file(path: Path) -> CostTable:
    """The table that a file holds.

    Raises:
        UsageError: It can't be read, is no table, or one of another version of normonnx.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        message = f"{path}: the cost table can't be read: {reason}; remove it and measure again"
        raise UsageError(message) from None
    return CostTable.of_plain(found, str(path))


def place(target: str) -> Path:
    """The file of the user's table of a target, in a folder that is made where it is missing.

    Raises:
        UsageError: It can't be written, or holds something else.
    """
    path = folder() / _name(target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        message = (
            f"{path.parent}: cost tables can't be kept there: {error.strerror}; set {FOLDER} to a "
            "folder that can be written"
        )
        raise UsageError(message) from None
    if path.exists():
        read_file(path)
    return path


def write(table: CostTable) -> Path:
    """Add what was measured to the user's table of the target; the same uses are replaced.

    What was measured on another machine, or with other versions, goes.

    Returns:
        The file, whole or as it was before.

    Raises:
        UsageError: As `place`.
    """
    path = place(table.target)
    merged = table
    if path.exists():
        before = read_file(path)
        if (before.machine, before.versions) == (table.machine, table.versions):
            merged = joined(before, table)
    write_file(merged, path)
    return path


def joined(before: CostTable, later: CostTable) -> CostTable:
    """Both tables as one; where both have a use, it is as the later has it."""
    entries = {entry.use: entry for entry in (*before.entries, *later.entries)}
    return replace(later, entries=tuple(entries.values()))


def write_file(table: CostTable, path: Path) -> None:
    """Write a table: one entry a line, sorted, so that changes can be read.

    Raises:
        UsageError: It can't be written.
    """
    try:
        with replacing(path) as temporary:
            temporary.write_text(text(table), encoding="utf-8")
    except OSError as error:
        message = f"{path}: the cost table can't be written: {error.strerror}; choose another place"
        raise UsageError(message) from None


def text(table: CostTable) -> str:
    """A table as JSON, the same for the same table."""
    entries = sorted(table.entries, key=lambda entry: entry.use)
    plain = replace(table, entries=tuple(entries)).plain
    lines = ",\n".join(json.dumps(entry) for entry in plain.pop("entries"))
    head = "".join(f"{json.dumps(key)}: {json.dumps(plain[key])},\n" for key in sorted(plain))
    return f'{{\n{head}"entries": [\n{lines}\n]\n}}\n'


def _name(target: str) -> str:
    return f"costs-{target}.json"
