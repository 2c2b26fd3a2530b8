"""The process of one model: `python -m normonnx.sweep.worker MODULE:FUNCTION ARGUMENTS...`.

It forks. The child calls the function with the arguments; it is told what to run, so that this room
knows no verb. This process, the leader of its session, does nothing but wait: for the child, whose
code it returns, or for the end of its standard input, that is for the death of whoever started it.
Then it ends the whole session, however busy the child is and whatever the child has started.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from importlib import import_module

SIGNALLED = 128  # plus the number of a signal, as a shell reports it
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> int:
    """Call what the first argument names with the others, in a child; returns its exit code."""
    watcher = os.getpid()
    child = os.fork()
    if child == 0:
        _become(arguments, watcher)
    threading.Thread(target=_watch, daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else SIGNALLED - code


def _become(arguments: list[str], watcher: int) -> None:
    """Do the work and exit."""
    code = 1
    try:
        _die_with(watcher)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        entry, *rest = arguments
        module, _, name = entry.partition(":")
        code = int(getattr(import_module(module), name)(rest))
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # runtimes are known to crash while the interpreter takes them down


def _die_with(watcher: int) -> None:
    """Have the kernel end this process with its parent, where it does that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != watcher:  # it died in between
        os._exit(1)


def _watch() -> None:
    while os.read(0, 1):
        pass
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
