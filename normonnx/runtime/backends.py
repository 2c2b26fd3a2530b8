"""What runs a model here, each in a process of its own.

A backend that is not installed, was asked for but not used, crashes, hangs or runs out of memory is
`unavailable`: one line of the report, never a pass, and the others' results stand.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from normonnx.core.verdicts import BackendRun, NodePlacement, Verdict
from normonnx.runtime import exchange, naming, workers
from normonnx.runtime.engines.contract import GivenUpError
from normonnx.runtime.exchange import Array
from normonnx.runtime.naming import BACKENDS
from normonnx.runtime.rewriting import Rewriting

__all__ = ["BACKENDS", "Outcome", "Request", "asked_of", "failed", "outcome_of", "run"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to run.

    Attributes:
        model: The .onnx file.
        cases: Inputs by name, for one run each.
        timeout: Seconds for everything together.
        memory: Bytes that the worker may take; None for most of what is free.
        module: A live torch module, for the backend "torch" without a factory.
    """

    model: Path
    cases: Sequence[Mapping[str, Array]]
    timeout: float
    memory: int | None = None
    module: object = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a backend answered.

    Attributes:
        run: How it went; verdict pass means that it ran.
        outputs: Outputs by name for each case; empty unless it ran.
        wide: Whether it computed in float64, whatever type the model declares.
        rewriting: What it made of the graph, where that was asked for and it can tell.
    """

    run: BackendRun
    outputs: tuple[Mapping[str, Any], ...] = ()
    wide: bool = False
    rewriting: Rewriting | None = None


def run(backend: str, request: Request) -> Outcome:
    """Run a model on a backend, in a process of its own. What goes wrong is in the outcome.

    Args:
        backend: A name as `naming` describes it.
        request: What to run.

    Raises:
        UsageError: The name has an option that does not exist.
    """
    named = naming.parse(backend)
    if not named.is_known:
        reason = f"there is no backend {backend!r}; {naming.close_to(backend)}"
        return failed(backend, Verdict.UNAVAILABLE, reason)
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        place = Path(folder)
        exchange.write_cases(place, request.cases)
        wanted = asked_of(backend, request.model, cases=len(request.cases))
        if named.runs_live and request.module is not None:
            try:
                wanted["module"] = _stored(request.module, place)
            except GivenUpError as error:
                return failed(backend, Verdict.UNAVAILABLE, str(error))
        found = workers.run(place, wanted, workers.Limits(request.timeout, request.memory))
        if isinstance(found, str):
            return failed(backend, Verdict.UNAVAILABLE, found)
        return outcome_of(backend, place, found, len(request.cases))


def asked_of(backend: str, model: Path, *, cases: int, trace: bool = False) -> dict[str, Any]:
    """What a worker is told."""
    return {
        "model": str(model.absolute()),
        "backend": backend,
        "cases": cases,
        "module": None,
        "trace": trace,
        "paths": [str(Path(folder).absolute()) for folder in sys.path if folder],
    }


def _stored(module: object, place: Path) -> str:
    from normonnx.runtime.engines import torch  # the module's own torch is loaded already

    path = place / "module.pt"
    torch.save(module, path)
    return str(path)


def outcome_of(backend: str, place: Path, answer: Mapping[str, Any], cases: int) -> Outcome:
    """What a worker left in its folder, with its answer."""
    verdict = Verdict(answer["verdict"])
    found = BackendRun(backend, verdict, answer["reason"])
    if verdict is not Verdict.PASS:
        return Outcome(found)
    found = replace(
        found,
        asked=answer["asked"],
        nodes=tuple(NodePlacement(*entry) for entry in answer["nodes"]),
        settings=answer["settings"],
        reduced=tuple(answer["reduced"]),
        notes=tuple(answer["notes"]),
    )
    outputs = [exchange.read_arrays(exchange.folder(place, "outputs", n)) for n in range(cases)]
    rewriting = answer["rewriting"]
    return Outcome(
        found,
        tuple(outputs),
        wide=answer["wide"],
        rewriting=None if rewriting is None else Rewriting.of_plain(rewriting),
    )


def failed(backend: str, verdict: Verdict, reason: str) -> Outcome:
    """The outcome of a backend that did not run."""
    return Outcome(BackendRun(backend, verdict, reason))
