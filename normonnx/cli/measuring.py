"""What a report measures besides what its verb does: latency, and each node on a backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from normonnx.core.errors import NormonnxError
from normonnx.core.measurements import Measured, Measurements
from normonnx.core.verdicts import ValidationReport

if TYPE_CHECKING:
    import onnx_ir as ir

    from normonnx.core.benchmark import BenchReport

AS_ASKED: Final = "left out, as asked for"
NO_RUNTIME: Final = "onnxruntime is not installed: pip install 'normonnx[cpu]'"
_SECONDS: Final = 2.0


def backend_for(target: str) -> str:
    """What runs a target's models here; ONNX Runtime's CPU provider for any runtime."""
    from normonnx.lower.targets import TARGETS

    found = TARGETS.get(target)
    return "ort:cpu" if found is None or found.backend is None else found.backend


def why_not(backend: str, *, no_measure: bool) -> str:
    """Why a backend is not measured; empty where it is."""
    if no_measure:
        return AS_ASKED
    if backend.startswith("ort") and find_spec("onnxruntime") is None:
        return NO_RUNTIME
    return ""


def timed(models: Mapping[str, Path], backend: str) -> Measurements:
    """Latency and session creation of one model, or of two in turns, at batch 1.

    Args:
        models: Files by what they are called; the first is the base.
        backend: What runs them.
    """
    import normonnx

    base, model = next(iter(models.values())), list(models.values())[-1]
    against = base if len(models) > 1 else None
    try:
        found = normonnx.bench(
            model, against=against, backends=(backend,), seconds=_SECONDS, check=False
        )
    except NormonnxError as error:
        return Measurements(backend, reason=str(error))
    return measurements(found, models, backend)


def measurements(found: BenchReport, labels: Iterable[str], backend: str) -> Measurements:
    """What a report shows of a benchmark: plain sessions, by what the models are called."""
    plain = [one for one in found.timings if not one.hinted]
    reason = next((one.reason for one in plain if one.latency is None), "")
    if reason or not plain:
        return Measurements(backend, found.threads, reason=reason or "nothing was timed")
    measured = tuple(
        Measured(label, one.session.milliseconds, one.latency.milliseconds)
        for label, one in zip(labels, plain, strict=True)
        if one.session is not None and one.latency is not None
    )
    speedup = None if plain[-1].latency is None else plain[-1].latency.speedup
    shapes = {one.name: one.shape for one in found.inputs}
    return Measurements(backend, found.threads, measured, speedup, shapes, plain[-1].settings)


def on_backend(
    model: ir.Model | Path, backend: str, verification: ValidationReport | None
) -> ValidationReport:
    """A model on a backend, node by node, joined with what a check in float64 said of it.

    Args:
        model: What was written.
        backend: What runs it.
        verification: What the check said; its verdict stays.
    """
    import normonnx

    judged = normonnx.validate(model, backends=(backend,), each_node=True)
    if verification is None:
        return judged
    return replace(
        judged,
        verdict=verification.verdict,
        comparisons=(*verification.comparisons, *judged.comparisons),
        divergence=verification.divergence or judged.divergence,
        notes=tuple(dict.fromkeys((*verification.notes, *judged.notes))),
    )
