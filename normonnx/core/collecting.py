"""Collecting cycles less often while many objects are made that stay.

A graph is full of cycles (a value knows its node, a node its values) and lives as long as it is
worked on, so that CPython's collector, which by default looks after every 700 new objects, takes
half of the time of a large model and finds nothing.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_OBJECTS: Final = 50_000  # more than are made between two looks; each costs a few milliseconds
_LOOKS: Final = 1000  # at what is new, before one at what has stayed, which costs as much again
_LOCK: Final = threading.Lock()
_BEFORE: list[tuple[int, int, int]] = []  # one entry for each that is inside


@contextmanager
def rarely_collecting() -> Iterator[None]:
    """Within this context, and as a decorator; threads may be inside together.

    A collector that is off stays off, and one that looks less often still is left alone.
    """
    with _LOCK:
        _BEFORE.append(_BEFORE[-1] if _BEFORE else gc.get_threshold())
        if 0 < _BEFORE[0][0] < _OBJECTS:
            gc.set_threshold(_OBJECTS, _LOOKS, _BEFORE[0][2])
    try:
        yield
    finally:
        with _LOCK:
            before = _BEFORE.pop()
            if not _BEFORE:
                gc.set_threshold(*before)
