"""Files that are being written: streamed, holes for zeros, on the disk in the end on request."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np

from normonnx.graph import mapping, tensors

_BUFFERING: Final = 1 << 20
_HOLE_FROM: Final = 1 << 20  # bytes
_HAND_OVER: Final = 1 << 24  # bytes


class NewFile:
    """A file that is being written; on request it is on the disk in the end."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path = path
        self._durable = durable
        self._handed_over = 0

    @contextmanager
    def opened(self) -> Iterator[NewFile]:
        """Within this context it can be written."""
        with self._path.open("xb", buffering=_BUFFERING) as self._file:
            self._copier = mapping.Copier(self._file)
            try:
                yield self
            finally:
                self._copier.close()
            self._file.truncate()  # a hole at the end counts, too
            self._file.flush()
            if self._durable:
                os.fsync(self._file.fileno())

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes."""
        self._file.write(piece)

    def pad_to(self, offset: int) -> None:
        """Append zeros up to an offset."""
        self._file.write(bytes(offset - self._file.tell()))

    def stream(self, tensor: tensors.StreamedTensor) -> None:
        """Append the bytes of a tensor; long stretches of zeros become holes of the file."""
        if self._copier.copy(tensor.checked_buffer()):
            self._hand_over()
            return
        for chunk in tensor.chunks():
            if len(chunk) >= _HOLE_FROM and not np.frombuffer(chunk, dtype=np.uint8).max():
                self._file.seek(len(chunk), os.SEEK_CUR)
            else:
                self._file.write(chunk)
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the system send to the disk what is complete, while the rest is being written.

        Waiting for the disk at the end takes half as long then. Only a hint: what goes wrong with
        it changes nothing.
        """
        start = self._handed_over
        end = self._file.tell() // _HAND_OVER * _HAND_OVER
        if self._durable and end > start and hasattr(os, "posix_fadvise"):
            self._file.flush()
            with suppress(OSError):
                os.posix_fadvise(self._file.fileno(), start, end - start, os.POSIX_FADV_DONTNEED)
            self._handed_over = end


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Within this context no other process is, where the file system has locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
