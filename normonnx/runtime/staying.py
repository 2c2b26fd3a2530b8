"""A worker process that stays: it answers one request after another.

Starting an interpreter and importing a runtime takes seconds. A request that crashes or hangs the
worker costs that request alone: the next one gets a new worker.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from normonnx.runtime import exchange, workers

_POLL: Final = 0.001  # seconds
_LONGEST_WAIT: Final = 0.02


class Staying:
    """A worker, started when it is first asked.

    Use it as a context manager; the worker ends with it.

    Args:
        module: What the worker runs, a module that calls `answering.serve`.
        limits: What it may take for each request.
    """

    def __init__(self, module: str, limits: workers.Limits) -> None:
        self._module = module
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="normonnx-")
        self._worker: subprocess.Popen[bytes] | None = None
        self._requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._stop()
        self._folder.cleanup()

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A folder for one request and its answer, which goes at the end."""
        place = Path(self._folder.name) / str(self._requests)
        self._requests += 1
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def ask(self, place: Path, request: Mapping[str, Any]) -> dict[str, Any] | str:
        """The answer to a request, or one line that says why there is none.

        Args:
            place: What `place` gave, with the inputs in it.
            request: What else the worker is told.
        """
        (place / exchange.REQUEST).write_text(json.dumps(request))
        found = self._answer(place)
        if isinstance(found, str):
            self._stop()
        return found

    def _answer(self, place: Path) -> dict[str, Any] | str:
        worker = self._started()
        if worker.stdin is None:  # never: it is a pipe
            return "it has no standard input"
        try:
            worker.stdin.write(f"{place}\n".encode())
            worker.stdin.flush()
        except OSError:
            return workers.how_it_ended(worker, self._log)
        answer = place / exchange.ANSWER
        deadline, pause = time.monotonic() + self._limits.seconds, _POLL
        while not answer.exists():
            exceeded = workers.exceeded(worker, self._limits, deadline)
            if exceeded:
                return exceeded
            if worker.poll() is not None:
                return workers.how_it_ended(worker, self._log)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found

    @property
    def _log(self) -> Path:
        return Path(self._folder.name) / "errors.txt"

    def _started(self) -> subprocess.Popen[bytes]:
        if self._worker is None or self._worker.poll() is not None:
            with self._log.open("wb") as errors:
                self._worker = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                    [sys.executable, "-P", "-m", self._module],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=workers.environment(),
                )
        return self._worker

    def _stop(self) -> None:
        if self._worker is None:
            return
        self._worker.kill()
        self._worker.wait()
        if self._worker.stdin is not None:
            self._worker.stdin.close()
        self._worker = None
