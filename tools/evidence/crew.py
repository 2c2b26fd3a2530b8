"""The worker, seen from outside: started when it is needed, ended when it hangs, replaced."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self

from tools.evidence.items import RESTART, Item

ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND: Final = (sys.executable, "-P", "-m", "tools.evidence.worker")
_GRACE: Final = 5.0  # seconds that an item may take beyond what it was told
_LONGEST: Final = 300
_TF32: Final = "use_tf32=1"


class Crew:
    """One worker at a time.

    Args:
        told: What each request says besides the item: folders.
        log: File for what workers print.
        command: What to start.
    """

    def __init__(
        self, told: Mapping[str, str], log: Path, command: Sequence[str] = COMMAND
    ) -> None:
        self._told, self._log, self._command = told, log, command
        self._worker: subprocess.Popen[bytes] | None = None
        self._tf32 = False
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.end()

    def do(self, item: Item, seconds: float) -> dict[str, Any]:
        """Have an item done.

        Args:
            item: What to do.
            seconds: How long it may take.

        Returns:
            Its result. Status "crash" where the worker died of it; "hang" where it took all the
            time that such an item may take; "cut" where less was left and that was not enough.
        """
        allowed = min(seconds, item.seconds)
        worker = self._ready(item.backend)
        request = {
            **self._told,
            "work": item.work,
            "arguments": dict(item.arguments),
            "backend": item.backend,
            "seconds": allowed,
        }
        try:
            stdin = _stream(worker.stdin)
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            return self._crashed(worker)
        line = self._line(worker, time.monotonic() + allowed + _GRACE)
        if line is None:
            self.end()
            what = "hang" if allowed >= item.seconds else "cut"
            return {"status": what, "reason": f"did not finish within {allowed:.0f} s"}
        if not line:
            return self._crashed(worker)
        found: dict[str, Any] = json.loads(line)
        if found.pop(RESTART, False):
            self.end()
        return found

    def end(self) -> None:
        """End the worker, and with it the processes that it started."""
        worker, self._worker, self._rest = self._worker, None, b""
        if worker is None:
            return
        with contextlib.suppress(BrokenPipeError):
            _stream(worker.stdin).close()
        worker.kill()
        worker.wait()
        _stream(worker.stdout).close()

    def _ready(self, backend: str) -> subprocess.Popen[bytes]:
        """A worker; libraries below CUDA read once, at their start, whether TF32 is allowed."""
        tf32 = _TF32 in backend
        if self._worker is not None and (self._worker.poll() is not None or tf32 != self._tf32):
            self.end()
        if self._worker is None:
            self._tf32 = tf32
            environment = {k: v for k, v in os.environ.items() if k != "NVIDIA_TF32_OVERRIDE"}
            path = [environment.get("PYTHONPATH", ""), str(ROOT)]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
            if not tf32:
                environment["NVIDIA_TF32_OVERRIDE"] = "0"
            with self._log.open("ab") as log:
                self._worker = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    start_new_session=True,  # ctrl-C is for the parent
                )
        return self._worker

    def _line(self, worker: subprocess.Popen[bytes], deadline: float) -> bytes | None:
        """One line of answer; empty at the end of its output, None when time is up."""
        stdout = _stream(worker.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                if selector.select(min(left, 1.0)):
                    some = os.read(stdout.fileno(), 1 << 16)
                    if not some:
                        return b""
                    self._rest += some
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _crashed(self, worker: subprocess.Popen[bytes]) -> dict[str, Any]:
        worker.wait()
        code = worker.returncode
        self.end()
        said = self._log.read_text(errors="replace").strip().splitlines()[-1:] or [""]
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return {"status": "crash", "reason": f"its process ended by {name}: {said[0][:_LONGEST]}"}


def _stream(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        message = "the worker has no pipes"
        raise RuntimeError(message)
    return pipe
