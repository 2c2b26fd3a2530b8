"""Numbers and names as people read them."""

from __future__ import annotations

import math

_STEP = 1000  # decimal prefixes, as disks and model zoos count
_FEW = 10
_MINUTE = 60  # seconds
_HOUR = 60 * _MINUTE


def printable(text: str) -> str:
    """`text` in one line, with control characters spelled out.

    Names come from model files; unescaped, one of them could drive the terminal.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def size(nbytes: int) -> str:
    """A number of bytes, for example "97.8 MB"."""
    if nbytes < _STEP:
        return f"{nbytes} B"
    amount = float(nbytes)
    for unit in ("kB", "MB", "GB"):
        amount /= _STEP
        if round(amount, 1) < _STEP:
            return f"{amount:.1f} {unit}"
    return f"{amount / _STEP:.1f} TB"


def multiple(value: float) -> str:
    """An error in u, or over the floor: two digits that count; "-" where there is none."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    if abs(value) >= 10_000 or abs(value) < 0.01:  # noqa: PLR2004  # where digits stop helping
        return f"{value:.1e}"
    if abs(value) >= _FEW:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}"


def count(number: int, noun: str) -> str:
    """A number with its noun, for example "1 node" or "2 nodes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: tuple[str, ...], *, most: int = 3) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def duration(seconds: float) -> str:
    """A time as people say it, for example "40 s", "3 min" or "2 h 10 min"."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{round(whole / _MINUTE)} min"
    hours, rest = divmod(whole, _HOUR)
    return f"{hours} h {rest // _MINUTE} min"
