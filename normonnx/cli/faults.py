"""Files that lose their end while they are read: said, instead of a silent end by a signal.

Weights are read from files that are mapped into memory. Where such a file is cut short between a
look at its size and the reading, the system ends the process with SIGBUS. Python can't catch that
one, but a handler of the C library can still say what happened.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import Final

_SAID: Final = (
    b"normonnx: error: a file became shorter while it was read; leave the files of the model alone "
    b"and start again\n"
)
_USAGE: Final = 2
_KEPT: list[object] = []  # the handler, as long as the process lives


def say_lost_files() -> None:
    """From now on, a mapped file that loses its end is told in one line, with exit code 2."""
    if _KEPT or not hasattr(signal, "SIGBUS"):
        return
    with suppress(OSError, AttributeError):
        handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(_end)
        ctypes.CDLL(None).signal(ctypes.c_int(signal.SIGBUS), handler)
        _KEPT.append(handler)


def _end(_number: int) -> None:
    os.write(2, _SAID)
    os._exit(_USAGE)
