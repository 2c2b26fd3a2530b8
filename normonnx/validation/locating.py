"""The first divergence of a report that says mismatch."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from normonnx.core.errors import NormonnxError
from normonnx.core.verdicts import Comparison, Divergence, ValidationReport, Verdict
from normonnx.runtime import naming, workers
from normonnx.validation import locate_backend, locate_rewrite, repro
from normonnx.validation.drawing import Case
from normonnx.validation.truths import Settings, Truth

logger = logging.getLogger(__name__)

_ON_THE_WAY = "on the way"  # what precision says of a type below float32


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A divergence, and a repro where there is one."""

    divergence: Divergence
    repro: repro.Repro | None = None


def located(  # noqa: PLR0913
    report: ValidationReport,
    model: ir.Model,
    reference: ir.Model | None,
    truths: Sequence[Truth],
    settings: Settings,
    *,
    timeout: float = 600.0,
    folder: Path | None = None,
) -> ValidationReport:
    """A report with its first divergence, if it says mismatch and one can be found.

    Args:
        report: What was found.
        model: The model that was judged.
        reference: What it was compared with.
        truths: The truths of the model.
        settings: Seed and factor.
        timeout: Seconds for each request to a backend.
        folder: Where to write a model of one node that shows the fault; None for nowhere.

    Raises:
        UsageError: The folder can't be written.
    """
    compared = _decisive(report.comparisons)
    case = next((t for t in truths if compared and t.case.name == compared.case), None)
    if compared is None or case is None:
        return report
    try:
        found = _found(compared, model, reference, case, settings, timeout)
    except NormonnxError:
        logger.debug("the divergence could not be located", exc_info=True)
        return report
    if found is None:
        return report
    divergence = found.divergence
    if folder is not None and found.repro is not None:
        path, _ = repro.write(found.repro, folder, divergence)
        divergence = replace(divergence, repro=str(path))
    return replace(report, divergence=divergence)


def _decisive(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The mismatch that is farthest off; a rewrite before a backend."""
    wrong = [
        one for one in comparisons if one.verdict is Verdict.MISMATCH and one.output and one.case
    ]
    wrong.sort(key=lambda one: (one.question != "equivalent", -_size(one)))
    return wrong[0] if wrong else None


def _size(one: Comparison) -> float:
    return 0.0 if math.isnan(one.ratio) else one.ratio


def _found(  # noqa: PLR0913, PLR0917  # what a search needs
    compared: Comparison,
    model: ir.Model,
    reference: ir.Model | None,
    truth: Truth,
    settings: Settings,
    timeout: float,
) -> Found | None:
    if compared.question == "equivalent":
        return (
            None
            if reference is None
            else _rewrite(compared, model, reference, truth.case, settings)
        )
    if naming.parse(compared.backend).family not in ("ort", "openvino"):
        return None
    limits = workers.Limits(timeout)
    pair = locate_backend.first_divergence(model, truth, compared, settings, limits)
    if pair is None:
        return None
    divergence, suspect = pair
    expected = suspect.island.truths[suspect.tensor]
    made = repro.of_island(model, suspect.island, suspect.tensor, expected, suspect.floor)
    return Found(divergence, made)


def _rewrite(
    compared: Comparison,
    model: ir.Model,
    reference: ir.Model,
    case: Case,
    settings: Settings,
) -> Found | None:
    exact = replace(settings, kernels=False)
    narrow = _ON_THE_WAY in compared.reason
    found = locate_rewrite.first_divergence(reference, model, case, compared, exact, narrow=narrow)
    if found is None:
        return None
    return Found(found, repro.of_rewrite(reference, model, case, found, narrow=narrow))
