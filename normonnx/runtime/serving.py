"""A backend that stays: one worker process that runs one small model after another.

Starting an interpreter and importing a runtime takes seconds, running a node milliseconds. A
request that crashes or hangs the worker costs that request alone: the next one gets a new worker.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from normonnx.core.verdicts import Verdict
from normonnx.runtime import exchange, naming, workers
from normonnx.runtime.backends import Outcome, asked_of, failed, outcome_of

_POLL: Final = 0.001  # seconds
_LONGEST_WAIT: Final = 0.02


class Server:
    """A worker of one backend, started when it is first asked.

    Use it as a context manager; the worker ends with it.
    """

    def __init__(self, backend: str, limits: workers.Limits) -> None:
        self.backend = backend
        self._named = naming.parse(backend)
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="normonnx-")
        self._worker: subprocess.Popen[bytes] | None = None
        self._requests = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()
        self._folder.cleanup()

    def run(
        self,
        model: Path,
        feeds: Mapping[str, Any],
        *,
        backend: str | None = None,
        trace: bool = False,
    ) -> Outcome:
        """Run a model on one set of inputs.

        Args:
            model: The .onnx file.
            feeds: Arrays by input name.
            backend: Another name of the same family, with other options.
            trace: Also ask what it makes of the graph.
        """
        name = backend or self.backend
        place = Path(self._folder.name) / str(self._requests)
        self._requests += 1
        place.mkdir()
        try:
            exchange.write_cases(place, [feeds])
            asked = asked_of(name, model, cases=1, trace=trace)
            (place / exchange.REQUEST).write_text(json.dumps(asked))
            found = self._answer(place)
            if isinstance(found, str):
                self._stop()
                return failed(name, Verdict.UNAVAILABLE, found)
            return outcome_of(name, place, found, 1)
        finally:
            shutil.rmtree(place, ignore_errors=True)

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
                    [sys.executable, "-P", "-m", workers.WORKER],
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
