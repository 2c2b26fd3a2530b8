"""What a report measures besides what its verb does: latency, and each node on a backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from normonnx.core.errors import NormonnxError
from normonnx.core.measurements import Measurements
from normonnx.core.verdicts import ValidationReport

if TYPE_CHECKING:
    import onnx_ir as ir

AS_ASKED: Final = "left out, as asked for"
NO_RUNTIME: Final = "onnxruntime is not installed: pip install 'normonnx[cpu]'"
_SECONDS: Final = 2.0
_ATTEMPTS: Final = 4


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


def timed(models: Mapping[str, Path], first: ir.Model, backend: str) -> Measurements:
    """Latency and session creation of models that take the same inputs, drawn for the first.

    Args:
        models: Files by what they are called.
        first: The first of them, loaded.
        backend: What runs them.
    """
    from normonnx.timing.whole_models import measure
    from normonnx.validation import drawing
    from normonnx.validation.answers import FAILED

    found = Measurements(backend, reason="no inputs could be drawn for the model")
    try:
        for sizes in islice(_batch_of_one(drawing.attempts(first, {})), _ATTEMPTS):
            feeds = drawing.drawn(first, sizes, {}, 0)[0].feeds
            found = measure(models, [feeds] * len(models), backend, seconds=_SECONDS)
            if not found.reason.startswith(FAILED):
                return found  # measured, or never to be: other sizes would not help
    except NormonnxError as error:
        return replace(found, reason=str(error))
    return found


def _batch_of_one(sizes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same sizes, once each, with a batch of one, which is what latency is told of."""
    return list(dict.fromkeys((1, other) for _, other in sizes))


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
