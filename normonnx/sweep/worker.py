"""The process of one model: `python -m normonnx.sweep.worker MODULE:FUNCTION ARGUMENTS...`.

Calls the function with the arguments and exits with the code that it returns. It is told what to
run, so that this room knows no verb. It ends, with all that it started, when its parent dies: the
kernel sees to that on Linux, elsewhere the end of standard input does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from importlib import import_module

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> int:
    """Call what the first argument names with the others; returns its exit code."""
    entry, *rest = arguments
    module, _, name = entry.partition(":")
    code: int = getattr(import_module(module), name)(rest)
    return int(code)


def die_with_parent() -> None:
    """See to it that neither this process nor what it starts outlives whoever started it."""
    threading.Thread(target=_watch, daemon=True).start()
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died in between
        _end()


def _watch() -> None:
    while os.read(0, 1):
        pass
    _end()


def _end() -> None:
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    die_with_parent()
    returned = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(returned)  # runtimes are known to crash while the interpreter takes them down
