"""What runs a model here, each in a process of its own.

A backend that is not installed, was asked for but not used, crashes, hangs or runs out of memory is
`unavailable`: one line of the report, never a pass, and the others' results stand.
"""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

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


class Runner(Protocol):
    """What runs the backends of one family. It never raises: what went wrong is in the Outcome."""

    def __call__(self, backend: str, request: Request, /) -> Outcome:
        """Run a request on the backend of that name."""


def run(backend: str, request: Request) -> Outcome:
    """Run a model on a backend, in a process of its own.

    Args:
        backend: A name of `BACKENDS`, or "ort:" and the name of an installed execution provider.
        request: What to run.
    """
    runner = RUNNERS.get(backend.partition(":")[0])
    if runner is None:
        known = ", ".join(BACKENDS)
        return _failed(
            backend, Verdict.UNAVAILABLE, f"there is no backend {backend!r}; choose from {known}"
        )
    return runner(backend, request)


def _in_onnxruntime(backend: str, request: Request) -> Outcome:
    for feeds in request.cases:
        for name, array in feeds.items():
            if array.dtype.kind == "V":
                reason = f"onnxruntime takes no {array.dtype} from Python, as input {name!r} is"
                return _failed(backend, Verdict.UNAVAILABLE, reason)
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        place = Path(folder)
        _write_request(place, backend, request)
        # -P: files in the current folder must not shadow numpy or onnxruntime.
        command = [sys.executable, "-P", "-m", _WORKER, str(place)]
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
    """Run the worker and read what it left. It ends when its standard input does: not after us."""
    log = place / "errors.txt"
    with log.open("wb") as errors:
        worker = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=_environment(),
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
            outputs.append({name: _restored(arrays, f"o{i}") for i, name in enumerate(names)})
    return Outcome(found, tuple(outputs))


def _restored(arrays: Mapping[str, Array], key: str) -> Array | None:
    """An output as the worker saw it; None where it was no tensor. Strings are objects in ONNX."""
    if key not in arrays:
        return None
    found = arrays[key]
    return found.astype(object) if found.dtype.kind == "U" else found


def _environment() -> dict[str, str]:
    """The worker finds this very package, also where it is not installed but lies on sys.path."""
    root = str(Path(__file__).resolve().parents[2])
    if root in site.getsitepackages():
        return dict(os.environ)
    path = [os.environ.get("PYTHONPATH", ""), root]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}


def _killed(number: int) -> str:
    name = signal.Signals(number).name
    hint = "; it probably ran out of memory" if number == signal.SIGKILL else ""
    return f"crashed: its process was ended by {name}{hint}"


def _failed(backend: str, verdict: Verdict, reason: str) -> Outcome:
    return Outcome(BackendRun(backend, verdict, reason))


# By what comes before the colon of a backend's name.
RUNNERS: Final[Mapping[str, Runner]] = {"ort": _in_onnxruntime}
