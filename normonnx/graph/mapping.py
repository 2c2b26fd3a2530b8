"""Files mapped into memory, and copying parts of them to other files within the system.

A weight that nothing changed needs to pass neither through this process nor through its page
tables: the system copies it from file to file, and what is a hole of the source stays one.
"""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from normonnx.core.errors import UsageError

_COPIED_FROM: Final = 1 << 16  # bytes; opening a file again costs more than copying less
_REFUSALS: Final = {
    getattr(errno, name)
    for name in ("EXDEV", "EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP", "EBADF", "EPERM")
}


class MappedFile(mmap.mmap):
    """The bytes of a file, and which file it is."""

    path: Path
    identity: tuple[int, int]

    @classmethod
    def of(cls, file: BinaryIO, path: Path) -> MappedFile:
        """Map an open file for reading.

        Raises:
            OSError: It can't be mapped.
        """
        mapped = cls(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped.path = path
        mapped.identity = _identity(file.fileno())
        return mapped

    def check_whole(self) -> None:
        """Refuse to be read when the file has lost its end: reading it would end the process.

        Raises:
            UsageError: It has.
        """
        if self.size() < len(self):
            message = (
                f"{self.path} became shorter while it was in use; leave it alone, and start again"
            )
            raise UsageError(message)

    def reopened(self) -> BinaryIO | None:
        """The same file, open; None where another one has its name now."""
        with suppress(OSError):
            file = self.path.open("rb", buffering=0)
            if _identity(file.fileno()) == self.identity:
                return file
            file.close()
        return None


def view_of(file: BinaryIO, path: Path) -> memoryview:
    """The bytes of an open file, mapped."""
    return memoryview(MappedFile.of(file, path))


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def address(buffer: memoryview | mmap.mmap) -> int:
    """Where the first byte lies in memory."""
    return int(np.frombuffer(buffer, dtype=np.uint8).ctypes.data)


def release(chunk: memoryview) -> None:
    """Take the pages of a mapped file out of this process; they come back when they are read."""
    if not isinstance(chunk.obj, mmap.mmap):
        return
    start = address(chunk) - address(chunk.obj)
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (start + len(chunk)) // mmap.PAGESIZE * mmap.PAGESIZE
    if last > first:
        chunk.obj.madvise(mmap.MADV_DONTNEED, first, last - first)


class Copier:
    """Copies spans of mapped files to the end of one other file.

    Each source is opened once; `close` closes them.
    """

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._sources: dict[int, BinaryIO | None] = {}
        self._works = hasattr(os, "copy_file_range")

    def close(self) -> None:
        """Close the sources."""
        for source in self._sources.values():
            if source is not None:
                source.close()
        self._sources.clear()

    def copy(self, buffer: memoryview) -> bool:
        """Copy what a buffer shows; False where it is no mapped file, or the system can't.

        The target is at its end then, as if the buffer had been written.

        Raises:
            OSError: The target can't be written, or the source lost its end.
        """
        mapped = buffer.obj
        if not (self._works and isinstance(mapped, MappedFile) and len(buffer) >= _COPIED_FROM):
            return False
        if id(mapped) not in self._sources:
            self._sources[id(mapped)] = mapped.reopened()
        source = self._sources[id(mapped)]
        if source is None:
            return False
        self._target.flush()
        start = self._target.tell()
        offset = address(buffer) - address(mapped)
        if os.fstat(source.fileno()).st_size < offset + len(buffer):
            mapped.check_whole()
        try:
            _copy(source.fileno(), offset, self._target.fileno(), start, len(buffer))
        except OSError as error:
            if error.errno not in _REFUSALS:
                raise
            self._works = False
        self._target.seek(start + (len(buffer) if self._works else 0))
        return self._works


def _copy(source: int, offset: int, target: int, start: int, length: int) -> None:
    """Copy a span of one file to a place in another."""
    for first, last in _stretches(source, offset, offset + length):
        at = first
        while at < last:
            done = os.copy_file_range(source, target, last - at, at, start + at - offset)
            if not done:
                raise OSError(errno.EOPNOTSUPP, "the system copies nothing")
            at += done


def _stretches(source: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where a span of a file holds data; between them are holes."""
    while start < end:
        try:
            first = os.lseek(source, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        if first >= end:
            return
        last = min(end, os.lseek(source, first, os.SEEK_HOLE))
        yield first, last
        start = last
