"""Record what a backend computes on this machine, to be judged on another (see `replaying`).

Kept are the inputs, what the backend answered, how that was judged here, and all that the numbers
may depend on: versions, device, settings, where each node ran.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

from normonnx.core.files import real
from normonnx.core.verdicts import ValidationReport, Verdict
from normonnx.core.version import VERSION
from normonnx.graph import reading
from normonnx.graph.paths import writable_output
from normonnx.graph.source import ModelLike, as_model
from normonnx.runtime.machine import processor
from normonnx.runtime.naming import parse
from normonnx.validation import bundles, drawing
from normonnx.validation.answers import Limits, Subject, ask
from normonnx.validation.bundles import Bundle, RecordedCase
from normonnx.validation.drawing import Case
from normonnx.validation.given import given
from normonnx.validation.judge import judging, on_disk, report
from normonnx.validation.packing import packed, packed_run
from normonnx.validation.truths import Inputs, Truth, truths_of

_PACKAGES: Final = ("numpy", "onnx", "onnx-ir")
_CHUNK: Final = 1 << 22


def record(  # noqa: PLR0913
    model: ModelLike,
    output: str | os.PathLike[str],
    *,
    backend: str = "ort:cpu",
    inputs: Inputs = None,
    shapes: drawing.Shapes | None = None,
    seed: int = 0,
    factor: float | None = None,
    tensors: bool = True,
    include_model: bool = False,
    judge: bool = True,
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> ValidationReport:
    """Run a model on a backend and keep what it answered; see `normonnx.record`."""
    settings = judging(seed, factor, kernels=True)
    parse(backend)
    loaded = as_model(model)
    place = writable_output(output, inputs=reading.source_files(loaded))
    chosen = dict(shapes or {})
    if judge:
        truths = truths_of(loaded, inputs, chosen, settings, stored=False)
    else:
        truths = [Truth(case, {}, ()) for case in _unjudged(loaded, inputs, chosen, seed)]
    with on_disk(model, loaded) as path:
        answer = ask(backend, Subject(path, loaded, truths, known=judge), settings, limits)
        found = report(answer.comparisons, [answer], settings)
        if answer.run.verdict in (Verdict.UNAVAILABLE, Verdict.INVALID):
            return found
        facts = {
            "normonnx": VERSION,
            "machine": _machine(),
            "model": _model_facts(model, path, place),
            "run": packed_run(answer),
            "settings": {"seed": seed, "factor": factor, "judged": judge},
            "shapes": {name: list(shape) for name, shape in chosen.items()},
            "given_inputs": inputs is not None,
            "comparisons": [packed(one) for one in answer.comparisons],
        }
        embedded = _files_of(path) if include_model else {}
    names = [value.name or "" for value in loaded.graph.outputs]
    cases = [
        _recorded(truth, {name: outputs.get(name) for name in names})
        for truth, outputs in zip(truths, answer.outputs, strict=True)
    ]
    bundles.write(Bundle(facts, cases, embedded), place, tensors=tensors)
    return found


def _unjudged(
    model: ir.Model, inputs: Inputs, shapes: drawing.Shapes, seed: int
) -> tuple[Case, ...]:
    """Inputs without asking the oracle whether the model accepts them: the likeliest sizes."""
    drawing.check_names(model, shapes)
    if inputs is not None:
        return given(model, inputs)
    return drawing.drawn(model, next(drawing.attempts(model, shapes)), shapes, seed)


def _recorded(truth: Truth, outputs: Mapping[str, Any]) -> RecordedCase:
    return RecordedCase(truth.case.name, truth.case.feeds, outputs, {}, len(truth.moved))


def _machine() -> dict[str, str]:
    """What the numbers may depend on besides the backend; nothing that names the machine."""
    found = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
    }
    for package in _PACKAGES:
        found[package] = metadata.version(package)
    return found


def _model_facts(model: ModelLike, path: Path, bundle: Path) -> dict[str, Any]:
    """Name, place and SHA-256 of a model; the place relative to the bundle."""
    files = reading.files_of(path)
    given = isinstance(model, str | os.PathLike)
    name = path.name if given else "model.onnx"
    relative = os.path.relpath(real(path), real(bundle).parent) if given else ""
    return {
        "name": name,
        "place": relative,
        "entry": real(files[0]).name,
        "sha256": hash_of(files),
        "bytes": sum(file.stat().st_size for file in files),
    }


def hash_of(files: Sequence[Path]) -> str:
    """SHA-256 of a model's files, one after the other."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()


def _files_of(path: Path) -> dict[str, bytes]:
    """A model's files by their place relative to the model, the model itself first."""
    files = reading.files_of(path)
    folder = real(files[0]).parent
    return {os.path.relpath(real(file), folder): file.read_bytes() for file in files}
