"""How much memory this process needs at most, from one moment to another.

Linux counts the peak anew when it is asked to; elsewhere, and where that is forbidden, it is the
peak since the process began, so what came before hides what is smaller.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_PEAK: Final = "VmHWM:"
_NOW: Final = "VmRSS:"


def reset_peak() -> int:
    """Count from now on; the bytes that are held now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _most()
    return _told(_NOW) or _most()


def peak_since(before: int) -> int:
    """Bytes that were held at most over what `reset_peak` gave."""
    return max(0, _most() - before)


def _most() -> int:
    unit = 1 if sys.platform == "darwin" else 1 << 10
    return _told(_PEAK) or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _told(field: str) -> int:
    """A number of bytes that Linux tells of this process; 0 elsewhere."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    found = [line.split()[1] for line in lines if line.startswith(field)]
    return int(found[0]) << 10 if found else 0
