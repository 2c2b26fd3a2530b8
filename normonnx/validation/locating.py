"""The first divergence of a report that says mismatch."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from normonnx.core.errors import NormonnxError
from normonnx.core.verdicts import Comparison, Divergence, ValidationReport, Verdict
from normonnx.runtime import naming, workers
from normonnx.validation import (
    locate_backend,
    locate_fusion,
    locate_rewrite,
    locate_window,
    repro,
)
from normonnx.validation.answers import Limits, Subject
from normonnx.validation.deployed import Deployed, lowest_level
from normonnx.validation.drawing import Case
from normonnx.validation.suspects import Jury, Suspect
from normonnx.validation.truths import Settings, Truth

logger = logging.getLogger(__name__)

MakeRepro = Callable[[], repro.Repro | None]


def located(  # noqa: PLR0913, PLR0917  # what a search needs
    report: ValidationReport,
    subject: Subject,
    reference: ir.Model | None,
    settings: Settings,
    limits: Limits,
    folder: Path | None = None,
) -> ValidationReport:
    """A report with its first divergence, if it says mismatch and one can be found.

    Args:
        report: What was found.
        subject: The model that was judged, its file and its truths.
        reference: What it was compared with.
        settings: Seed and factor.
        limits: Of each request to a backend.
        folder: Where to write a model of one node that shows the fault; None for nowhere.

    Raises:
        UsageError: The folder can't be written.
    """
    compared = _decisive(report.comparisons)
    case = next((t for t in subject.truths if compared and t.case.name == compared.case), None)
    if compared is None or case is None:
        return report
    try:
        found, make = _found(compared, subject, reference, case, settings, limits)
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
    subject: Subject,
    reference: ir.Model | None,
    truth: Truth,
    settings: Settings,
    limits: Limits,
) -> tuple[Divergence | None, MakeRepro]:
    """The divergence, and what makes its repro."""
    model = subject.model
    if compared.question == "equivalent":
        if reference is None:
            return None, _nothing
        return _of_rewrite(compared, model, reference, truth.case, settings)
    family = naming.parse(compared.backend).family
    if family not in ("ort", "openvino"):
        return None, _nothing
    limits_of_worker = workers.Limits(limits.timeout, limits.memory)
    with locate_backend.at_work(compared.backend, limits_of_worker) as bench:
        deployed = Deployed(model, subject.path, truth, compared, settings, bench)
        if family == "ort":
            pair = _of_runtime(deployed)
        else:
            pair = _of_nodes(deployed, bench, Jury(model, truth, settings))
    if pair is None:
        return None, _nothing
    divergence, suspect = pair
    if suspect is None:
        return divergence, _nothing
    return divergence, lambda: repro.of_suspect(model, suspect)


def _of_runtime(deployed: Deployed) -> tuple[Divergence, Suspect | None] | None:
    """On ONNX Runtime: at the lowest optimization level where it shows."""
    lowest = deployed.named.having(level=naming.LOWEST_LEVEL)
    with ThreadPoolExecutor(1) as pool:  # the worker runs while the jury computes
        asked = pool.submit(deployed.outputs, lowest)
        jury = Jury(deployed.model, deployed.truth, deployed.settings)
        deployed = replace(deployed, ahead={lowest: asked.result()})
    level = lowest_level(deployed)
    bench = deployed.bench.at(deployed.named.having(level=level))
    if level == naming.LOWEST_LEVEL:
        return _of_nodes(deployed, bench, jury)
    return locate_fusion.first_divergence(deployed, level, jury) or _of_nodes(
        deployed, bench, jury, f"not reproducible below optimization level {level}"
    )


def _of_nodes(
    deployed: Deployed, bench: locate_backend.Bench, jury: Jury, known: str = ""
) -> tuple[Divergence, Suspect] | None:
    """One node that is off; else the shortest run of nodes that is. `known` goes into the note."""
    model, truth, compared = deployed.model, deployed.truth, deployed.compared
    chosen = jury.first(locate_backend.suspects(model, truth, bench, jury))
    chosen = chosen or locate_window.shortest_run(model, truth, compared.output, bench, jury)
    if chosen is None:
        return None
    suspect, note = chosen
    upstream = locate_backend.inherited(model, truth, suspect, bench, jury)
    note = "; ".join(part for part in (known, note) if part)
    return suspect.divergence(compared, note=note, upstream=upstream), suspect


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
