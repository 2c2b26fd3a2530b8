"""The first divergence of a report that says mismatch."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from normonnx.core.errors import NormonnxError
from normonnx.core.verdicts import Comparison, Divergence, ValidationReport, Verdict
from normonnx.runtime import naming, workers
from normonnx.validation import locate_backend, locate_rewrite, repro
from normonnx.validation.drawing import Case
from normonnx.validation.islands import Types
from normonnx.validation.truths import Settings, Truth

logger = logging.getLogger(__name__)

MakeRepro = Callable[[], repro.Repro | None]


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
        found, make = _found(compared, model, reference, case, settings, timeout)
        made = make() if folder is not None else None
    except NormonnxError:
        logger.debug("the divergence could not be located", exc_info=True)
        return report
    if found is not None and folder is not None and made is not None:
        path, _ = repro.write(made, folder, found)
        found = replace(found, repro=str(path))
    return replace(report, divergence=found)


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
) -> tuple[Divergence | None, MakeRepro]:
    """The divergence, and what makes its repro."""
    if compared.question == "equivalent":
        if reference is None:
            return None, _nothing
        return _of_rewrite(compared, model, reference, truth.case, settings)
    if naming.parse(compared.backend).family not in ("ort", "openvino"):
        return None, _nothing
    limits = workers.Limits(timeout)
    pair = locate_backend.first_divergence(model, truth, compared, settings, limits)
    if pair is None:
        return None, _nothing
    divergence, suspect = pair

    def make() -> repro.Repro:
        expected = suspect.island.truths[suspect.tensor]
        types = Types(model)
        return repro.of_island(
            model, suspect.island, suspect.tensor, expected, (suspect.floor, types)
        )

    return divergence, make


def _of_rewrite(
    compared: Comparison,
    model: ir.Model,
    reference: ir.Model,
    case: Case,
    settings: Settings,
) -> tuple[Divergence | None, MakeRepro]:
    exact = replace(settings, kernels=False)
    found = locate_rewrite.first_divergence(reference, model, case, compared, exact)
    if found is None:
        return None, _nothing
    return found, lambda: repro.of_rewrite(reference, model, case, found, narrow=compared.narrow)


def _nothing() -> None:
    return None
