"""Where the processes of models come from: `python -m normonnx.sweep.nursery MODULES...`.

It imports the modules once, which takes longer than most models do, and then becomes each task by
forking. It is told what to run, so that this room knows no verb. Each line of its standard input is
a request in JSON, `{"number", "entry", "words", "out", "err"}`; it answers with lines "started
NUMBER PID" and "ended NUMBER STATUS", a negative status being the signal that ended it.

A child leads a session of its own. When standard input ends, that is when whoever started the
nursery dies, it ends every session and itself; it runs nothing else, so it is never too busy to
notice. A child whose nursery dies is ended by the kernel, where it does that.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_CHUNK = 1 << 16


class Nursery:
    """Forks children and says how they end.

    Args:
        modules: What to import beforehand.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        for module in modules:
            with suppress(ImportError):  # what needs it will say so
                import_module(module)
        gc.collect()
        gc.freeze()  # children share what is there
        self._numbers: dict[int, int] = {}  # by process
        self._woken, waker = os.pipe()
        for end in (self._woken, waker):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Fork what is asked for until nobody can ask any more."""
        unread = b""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._woken in ready:
                    os.read(self._woken, _CHUNK)
                    self._reap()
                if 0 in ready:
                    read = os.read(0, _CHUNK)
                    if not read:
                        self._end_all()
                        return
                    *lines, unread = (unread + read).split(b"\n")
                    for line in lines:
                        self._start(json.loads(line))

    def _start(self, request: Mapping[str, Any]) -> None:
        mother = os.getpid()
        child = os.fork()
        if child == 0:
            _become(request, mother)
        self._numbers[child] = request["number"]
        _say(f"started {request['number']} {child}")

    def _reap(self) -> None:
        while self._numbers:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            _say(f"ended {self._numbers.pop(child)} {os.waitstatus_to_exitcode(status)}")

    def _end_all(self) -> None:
        for child in self._numbers:
            for end in (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    end(child, signal.SIGKILL)


def _say(line: str) -> None:
    with suppress(BrokenPipeError):  # the end of standard input says the same
        os.write(1, f"{line}\n".encode("ascii"))


def _become(request: Mapping[str, Any], mother: int) -> None:
    """Do the work and exit."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _die_with(mother)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
        module, _, name = str(request["entry"]).partition(":")
        code = int(getattr(import_module(module), name)(request["words"]))
    except BaseException:  # noqa: BLE001  # nothing may get back to the mother's loop
        sys.excepthook(*sys.exc_info())
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # runtimes are known to crash while the interpreter takes them down


def _die_with(mother: int) -> None:
    """Have the kernel end this process with its parent, where it does that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != mother:  # it died in between
        os._exit(1)


if __name__ == "__main__":
    Nursery(sys.argv[1:]).serve()
    os._exit(0)
