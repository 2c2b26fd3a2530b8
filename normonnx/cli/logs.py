"""Where logs go: to stderr, a line each; third parties are heard with --verbose alone.

Libraries warn about what our users can't change: an operator that they know no shapes of.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

from normonnx.reporting.figures import printable
from normonnx.reporting.loudness import Loudness, loudness

_OWN: Final = "normonnx"
_LEVELS: Final = {  # of what normonnx says itself, and of what others do
    Loudness.QUIET: (logging.ERROR, logging.CRITICAL),
    Loudness.NORMAL: (logging.WARNING, logging.CRITICAL),
    Loudness.VERBOSE: (logging.INFO, logging.WARNING),
}


class _Handler(logging.Handler):
    """Lines on whatever stderr is now."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record that is loud enough."""
        ours, others = _LEVELS[loudness()]
        own = record.name.partition(".")[0] == _OWN
        if record.levelno < (ours if own else others):
            return
        said = printable(" ".join(record.getMessage().split()))
        source = "" if own else f"{record.name}: "
        sys.stderr.write(f"normonnx: {source}{said}\n")


_HANDLER: Final = _Handler()


def listen() -> None:
    """Hear all loggers; once is enough."""
    root = logging.getLogger()
    if _HANDLER not in root.handlers:
        root.addHandler(_HANDLER)
    logging.getLogger(_OWN).setLevel(logging.INFO)
