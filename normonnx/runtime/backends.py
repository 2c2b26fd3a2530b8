"""What runs a model here, each in a process of its own.

A backend that is not installed, was asked for but not used, crashes, hangs or runs out of memory is
`unavailable`: one line of the report, never a pass, and the others' results stand.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from normonnx.core.verdicts import BackendRun, Verdict
from normonnx.runtime.invocation import Array

BACKENDS: Final[Mapping[str, str]] = {
    "ort:cpu": "ONNX Runtime, CPUExecutionProvider",
    "ort:cuda": "ONNX Runtime, CUDAExecutionProvider",
    "ort:tensorrt": "ONNX Runtime, TensorrtExecutionProvider",
    "ort:openvino": "ONNX Runtime, OpenVINOExecutionProvider",
}
_WORKER: Final = "normonnx.runtime.worker"


@dataclass(frozen=True, slots=True)
class Request:
    """What to run.

    Attributes:
        model: The .onnx file.
        cases: Inputs by name, for one run each.
        timeout: Seconds for everything together.
    """

    model: Path
    cases: Sequence[Mapping[str, Array]]
    timeout: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a backend answered.

    Attributes:
        run: How it went; verdict pass means that it ran.
        outputs: Outputs by name for each case; empty unless it ran.
    """

    run: BackendRun
    outputs: tuple[Mapping[str, Any], ...] = ()


def run(backend: str, request: Request) -> Outcome:
    """Run a model on a backend, in a process of its own.

    Args:
        backend: A name of `BACKENDS`, or "ort:" and the name of an installed execution provider.
        request: What to run.
    """
    if not backend.startswith("ort:"):
        known = ", ".join(BACKENDS)
        return _failed(
            backend, Verdict.UNAVAILABLE, f"there is no backend {backend!r}; choose from {known}"
        )
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        place = Path(folder)
        _write_request(place, backend, request)
        command = [sys.executable, "-m", _WORKER, str(place)]
        return _watched(backend, request, place, command)


def _write_request(place: Path, backend: str, request: Request) -> None:
    names = list(request.cases[0]) if request.cases else []
    for number, feeds in enumerate(request.cases):
        arrays = {f"i{i}": feeds[name] for i, name in enumerate(names)}
        np.savez(place / f"inputs-{number}.npz", **arrays)  # type: ignore[arg-type]
    wanted = {
        "model": str(request.model.absolute()),
        "backend": backend,
        "cases": len(request.cases),
        "inputs": names,
    }
    (place / "request.json").write_text(json.dumps(wanted))


def _watched(backend: str, request: Request, place: Path, command: Sequence[str]) -> Outcome:
    """Run the worker and read what it left. It ends when its standard input does, so not after us."""
    log = place / "errors.txt"
    with log.open("wb") as errors:
        worker = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            code = worker.wait(request.timeout)
        except subprocess.TimeoutExpired:
            reason = f"did not finish within {request.timeout:g} s"
            return _failed(backend, Verdict.UNAVAILABLE, reason)
        finally:
            worker.kill()
            worker.wait()
            if worker.stdin is not None:
                worker.stdin.close()
    if code < 0:
        return _failed(backend, Verdict.UNAVAILABLE, _killed(-code))
    answer = place / "answer.json"
    if code != 0 or not answer.exists():
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no message"]
        return _failed(backend, Verdict.UNAVAILABLE, f"its process failed: {last[0][:300]}")
    return _answer(backend, place, json.loads(answer.read_text()), len(request.cases))


def _answer(backend: str, place: Path, answer: Mapping[str, Any], cases: int) -> Outcome:
    verdict = Verdict(answer["verdict"])
    found = BackendRun(
        backend, verdict, answer["reason"], answer.get("placement", {}), answer.get("settings", {})
    )
    if verdict is not Verdict.PASS:
        return Outcome(found)
    outputs = []
    for number in range(cases):
        with np.load(place / f"outputs-{number}.npz", allow_pickle=False) as arrays:
            names = answer["outputs"]
            outputs.append({name: arrays[f"o{i}"] for i, name in enumerate(names)})
    return Outcome(found, tuple(outputs))


def _killed(number: int) -> str:
    name = signal.Signals(number).name
    hint = "; it probably ran out of memory" if number == signal.SIGKILL else ""
    return f"crashed: its process was ended by {name}{hint}"


def _failed(backend: str, verdict: Verdict, reason: str) -> Outcome:
    return Outcome(BackendRun(backend, verdict, reason))
