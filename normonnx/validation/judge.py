"""The two questions: does a backend compute this model rightly; are two models the same function?

Both are judged against the float64 oracle with the model's own noise floor as the yardstick
(`measures`), output by output (`comparing`), on each case of inputs (`drawing`).

Over several cases an output passes when one case proves it and none refutes it: an output that is
constant on one case and right on another is right; one that is wrong on any case is wrong. The
report's verdict is the worst over outputs, questions and backends.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    ValidationReport,
    Verdict,
    conclusion,
    worst_verdict,
)
from normonnx.graph import files
from normonnx.graph.source import ModelLike, as_model
from normonnx.runtime import backends as runtime_backends
from normonnx.runtime.oracle import evaluate
from normonnx.validation import drawing
from normonnx.validation.comparing import Asked, Question, compare, interface_difference
from normonnx.validation.drawing import Case
from normonnx.validation.measures import FACTOR
from normonnx.validation.truths import Inputs, Settings, Truth, truth_of, truths_of

_EQUIVALENT = Asked("equivalent", "oracle")


def validate(  # noqa: PLR0913
    model: ModelLike,
    *,
    against: ModelLike | None = None,
    backends: Sequence[str] = ("ort:cpu",),
    inputs: Inputs = None,
    shapes: drawing.Shapes | None = None,
    seed: int = 0,
    factor: float = FACTOR,
    timeout: float = 600.0,
) -> ValidationReport:
    """Judge backends on a model, and a model against a reference; see `normonnx.validate`."""
    settings = _settings(seed, factor, kernels=True)
    loaded = as_model(model)
    reference = None if against is None else as_model(against)
    unknown, truths = "", []
    try:
        truths = truths_of(loaded, inputs, shapes or {}, settings)
    except UnsupportedOperatorError as error:
        unknown = str(error)
    comparisons: list[Comparison] = []
    runs: list[BackendRun] = []
    with _on_disk(model, loaded) as path:
        for backend in backends:
            request = runtime_backends.Request(path, [one.case.feeds for one in truths], timeout)
            outcome = runtime_backends.run(backend, request)
            found = _answers(loaded, truths, outcome, settings)
            if unknown and outcome.run.verdict is Verdict.PASS:
                found = _unknown(loaded, Asked("computes", backend), unknown)
            comparisons += found
            runs.append(_with_verdict(outcome.run, found))
    if reference is not None:
        comparisons += (
            _unknown(loaded, _EQUIVALENT, unknown)
            if unknown
            else _against(reference, loaded, truths, replace(settings, kernels=False))
        )
    return _report(comparisons, runs, settings)


def equivalence(
    original: ir.Model, rewritten: ir.Model, *, seed: int = 0, factor: float = FACTOR
) -> ValidationReport:
    """Judge whether `rewritten` is the same function as `original`, in float64, without a backend.

    Args:
        original: The reference; its noise floor is the yardstick.
        rewritten: What became of it.
        seed: Seed of drawn inputs and perturbations.
        factor: Error over noise floor up to which an output passes.

    Returns:
        Inconclusive where the oracle can't evaluate a model or inputs can't be drawn for it.
    """
    settings = _settings(seed, factor, kernels=False)
    try:
        truths = truths_of(original, None, {}, settings)
    except (UnsupportedOperatorError, UsageError) as error:  # no inputs, so nothing to compare
        return _report(_unknown(original, _EQUIVALENT, str(error)), (), settings)
    return _report(_rewritten(original, rewritten, truths, settings), (), settings)


def _settings(seed: int, factor: float, *, kernels: bool) -> Settings:
    if not factor > 0:
        message = f"factor {factor} must be positive; the calibrated value is {FACTOR:g}"
        raise UsageError(message)
    if seed < 0:
        message = f"seed {seed} is negative; give 0 or more"
        raise UsageError(message)
    return Settings(seed, factor, kernels=kernels)


def _answers(
    model: ir.Model,
    truths: Sequence[Truth],
    outcome: runtime_backends.Outcome,
    settings: Settings,
) -> list[Comparison]:
    """What a backend's outputs say; none where it did not run."""
    asked = Asked("computes", outcome.run.backend)
    found = []
    for truth, outputs in zip(truths, outcome.outputs, strict=False):
        found += compare(model, truth, outputs, asked, settings)
    return found


def _against(
    reference: ir.Model, model: ir.Model, truths: Sequence[Truth], settings: Settings
) -> list[Comparison]:
    """Compare a model, whose truths are known, with a reference on the same inputs."""
    difference = interface_difference(reference, model)
    if difference:
        return [_refused(difference)]
    found = []
    try:
        for ours in truths:
            theirs = truth_of(reference, _for_model(ours.case, reference), settings)
            found += compare(reference, theirs, ours.outputs, _EQUIVALENT, settings)
    except UnsupportedOperatorError as error:
        return [*found, _refused(f"of the reference: {error}", Verdict.INCONCLUSIVE)]
    except InvalidModelError as error:
        return [*found, _refused(f"the reference does not accept the model's inputs: {error}")]
    return found


def _rewritten(
    original: ir.Model, rewritten: ir.Model, truths: Sequence[Truth], settings: Settings
) -> list[Comparison]:
    """Evaluate the rewritten model and compare it with the original's truths."""
    difference = interface_difference(original, rewritten)
    if difference:
        return [_refused(difference)]
    found = []
    try:
        for truth in truths:
            outputs = evaluate(rewritten, _for_model(truth.case, rewritten).feeds)
            found += compare(original, truth, outputs, _EQUIVALENT, settings)
    except UnsupportedOperatorError as error:
        return [*found, _refused(f"of the rewritten model: {error}", Verdict.INCONCLUSIVE)]
    except InvalidModelError as error:
        return [*found, _refused(f"the rewritten model fails: {error}")]
    return found


def _for_model(case: Case, model: ir.Model) -> Case:
    """A case without what the model does not take: initializers may have left its inputs."""
    known: Collection[str | None] = {value.name for value in model.graph.inputs}
    return Case(case.name, {name: array for name, array in case.feeds.items() if name in known})


def _refused(reason: str, verdict: Verdict = Verdict.MISMATCH) -> Comparison:
    """The models could not be compared as a whole."""
    question: Question = _EQUIVALENT.question
    return Comparison(question, _EQUIVALENT.backend, "", "", verdict, reason)


def _unknown(model: ir.Model, asked: Asked, reason: str) -> list[Comparison]:
    """Nothing can be compared: the truth is not known."""
    return [
        Comparison(
            asked.question, asked.backend, "", value.name or "", Verdict.INCONCLUSIVE, reason
        )
        for value in model.graph.outputs
    ]


def _with_verdict(run: BackendRun, found: Sequence[Comparison]) -> BackendRun:
    return replace(run, verdict=conclusion(found)) if run.verdict is Verdict.PASS else run


def _report(
    comparisons: Sequence[Comparison], runs: Sequence[BackendRun], settings: Settings
) -> ValidationReport:
    verdicts = [run.verdict for run in runs]
    rest = [found for found in comparisons if found.question == "equivalent"]
    if rest or not runs:
        verdicts.append(conclusion(rest))
    return ValidationReport(
        worst_verdict(verdicts),
        tuple(comparisons),
        tuple(runs),
        factor=settings.factor,
        seed=settings.seed,
    )


@contextmanager
def _on_disk(model: ModelLike, loaded: ir.Model) -> Iterator[Path]:
    """The file that a model was given as, or a temporary one that holds it."""
    if isinstance(model, str | os.PathLike):
        yield Path(model)
        return
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        path = Path(folder) / "model.onnx"
        files.save(loaded, path)
        yield path
