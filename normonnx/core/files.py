"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def real(path: Path) -> Path:
    """An absolute path without links; links that lead in a circle, or nowhere, end it.

    `Path.resolve` raises RuntimeError at a circle before Python 3.13.
    """
    return Path(os.path.realpath(path))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file to fill, which takes the place of `path` if nothing is raised.

    A link is followed, as a shell's > would; what lay there stays whole until the very end.

    Raises:
        OSError: As writing and renaming do.
    """
    target = real(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Have the names of a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
