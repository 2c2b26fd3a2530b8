"""How much the command line says besides its result: nothing, the usual, or every step."""

from __future__ import annotations

from contextvars import ContextVar
from enum import Enum


class Loudness(Enum):
    """What is printed.

    Errors always are, and JSON where it is asked for.
    """

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


_CURRENT: ContextVar[Loudness] = ContextVar("loudness", default=Loudness.NORMAL)


def loudness() -> Loudness:
    """What was asked for."""
    return _CURRENT.get()


def set_loudness(wanted: Loudness) -> None:
    """Ask for it, for the rest of this command."""
    _CURRENT.set(wanted)
