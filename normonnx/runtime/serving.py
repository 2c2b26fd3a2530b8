"""A backend that stays: one worker process that runs one small model after another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normonnx.core.verdicts import Verdict
from normonnx.runtime import exchange, naming, workers
from normonnx.runtime.backends import Outcome, asked_of, failed, outcome_of
from normonnx.runtime.staying import Staying


class Server(Staying):
    """A worker of one backend; a context manager, see `Staying`.

    Raises:
        UsageError: The backend's name has an option that does not exist.
    """

    def __init__(self, backend: str, limits: workers.Limits) -> None:
        naming.parse(backend)
        super().__init__(workers.WORKER, limits)
        self.backend = backend

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
        with self.place() as place:
            exchange.write_cases(place, [feeds])
            found = self.ask(place, asked_of(name, model, cases=1, trace=trace))
            if isinstance(found, str):
                return failed(name, Verdict.UNAVAILABLE, found)
            return outcome_of(name, place, found, 1)
