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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from normonnx.core.collecting import rarely_collecting
from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.core.node_errors import NodeErrors
from normonnx.core.verdicts import (
    Comparison,
    Tolerance,
    ValidationReport,
    Verdict,
    conclusion,
    worst_verdict,
)
from normonnx.graph import files
from normonnx.graph.source import ModelLike, as_model
from normonnx.runtime.naming import parse
from normonnx.runtime.oracle import evaluate
from normonnx.validation import drawing
from normonnx.validation.answers import Answer, Limits, Subject, ask_what_it_accepts
from normonnx.validation.comparing import Asked, Question, compare, interface_difference
from normonnx.validation.drawing import fitting
from normonnx.validation.locating import located
from normonnx.validation.measures import FACTOR
from normonnx.validation.node_errors import node_errors
from normonnx.validation.precision import with_lost_precision
from normonnx.validation.profiles import Profiles, chosen_profiles, with_profiles
from normonnx.validation.truths import Inputs, Settings, Truth, truth_of, truths_of

_RAN = (Verdict.PASS, Verdict.MISMATCH, Verdict.INCONCLUSIVE)
_EQUIVALENT = Asked("equivalent", "oracle", wide=True)


@rarely_collecting()
def validate(  # noqa: PLR0913
    model: ModelLike,
    *,
    against: ModelLike | None = None,
    backends: Sequence[str] = ("ort:cpu",),
    inputs: Inputs = None,
    profiles: Profiles = "default",
    shapes: drawing.Shapes | None = None,
    seed: int = 0,
    factor: float | None = None,
    tolerance: Tolerance | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    locate: bool = True,
    repro: str | os.PathLike[str] | None = None,
    each_node: bool = False,
) -> ValidationReport:
    """Judge backends on a model, and a model against a reference; see `normonnx.validate`."""
    settings = judging(seed, factor, kernels=True, tolerance=tolerance)
    backends = (backends,) if isinstance(backends, str) else backends
    named = [parse(backend) for backend in backends]  # misspelt options are told before any run
    if limits.module is not None and not any(one.runs_live for one in named):
        message = f"module= is run by the backend 'torch', which is not among {list(backends)}"
        raise UsageError(message)
    if repro is not None and not locate:
        message = "repro= is for the node where a mismatch begins, which locate=False leaves alone"
        raise UsageError(message)
    names = chosen_profiles(profiles, inputs)
    loaded = as_model(model)
    reference = None if against is None else as_model(against)
    notes: tuple[str, ...] = ()
    unknown, truths, misused = "", [], None
    try:
        truths = truths_of(loaded, inputs, shapes or {}, settings)
        truths, notes = with_profiles(loaded, truths, names, shapes or {}, settings)
    except UnsupportedOperatorError as error:
        unknown = str(error)
    except UsageError as error:
        unknown, misused = str(error), error
    with on_disk(model, loaded) as path:
        subject = Subject(path, loaded, truths)
        answers = [_answer(backend, subject, unknown, settings, limits) for backend in backends]
        if misused is not None and all(a.run.verdict is not Verdict.UNAVAILABLE for a in answers):
            raise misused  # a backend that is missing is said first, whatever else is amiss
        comparisons = [found for answer in answers for found in answer.comparisons]
        if reference is not None:
            exact = replace(settings, kernels=False)
            if not unknown:
                comparisons += _against(reference, loaded, truths, exact)
            else:
                theirs = _truths_or_none(reference, inputs, shapes or {}, exact)
                comparisons += _against_unknown(reference, loaded, theirs, exact, unknown)
        judged = replace(report(comparisons, answers, settings), notes=notes)
        if locate:
            folder = None if repro is None else Path(repro)
            judged = located(judged, subject, reference, settings, limits, folder)
        if each_node:
            judged = replace(judged, node_errors=_of_each_node(judged, subject, settings, limits))
        return judged


def _of_each_node(
    judged: ValidationReport, subject: Subject, settings: Settings, limits: Limits
) -> tuple[NodeErrors, ...]:
    """How far off each node is, on the inputs that show most, for each backend that ran."""
    ran = [run for run in judged.backends if run.verdict in _RAN]
    where = "" if judged.divergence is None else judged.divergence.case
    truth = next((one for one in subject.truths if one.case.name == where), None)
    truth = truth or next(iter(subject.truths), None)
    if truth is None:
        return ()
    found = [node_errors(run.backend, subject.model, truth, settings, limits) for run in ran]
    return tuple(one for one in found if one is not None)


def _answer(
    backend: str, subject: Subject, unknown: str, settings: Settings, limits: Limits
) -> Answer:
    """What a backend answers, without its outputs; inconclusive where the truth is not known."""
    answer = ask_what_it_accepts(backend, subject, settings, limits)
    if unknown and answer.run.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE):
        found = _unknown(subject.model, Asked("computes", backend), unknown)
        run = replace(answer.run, verdict=conclusion(found))
        answer = replace(answer, run=run, comparisons=tuple(found))
    return replace(answer, outputs=())


def _against_unknown(
    reference: ir.Model, model: ir.Model, truths: Sequence[Truth], settings: Settings, unknown: str
) -> list[Comparison]:
    """What the reference accepts and the model does not is a difference, too."""
    if truths:
        return _rewritten(reference, model, truths, settings)
    return _unknown(model, _EQUIVALENT, unknown)


def equivalence(
    original: ir.Model, rewritten: ir.Model, *, seed: int = 0, factor: float | None = None
) -> ValidationReport:
    """Judge whether `rewritten` is the same function as `original`, in float64, without a backend.

    Args:
        original: The reference; its noise floor is the yardstick.
        rewritten: What became of it.
        seed: Seed of drawn inputs and perturbations.
        factor: Error over noise floor up to which an output passes; None for the calibrated one.

    Returns:
        With the place of a mismatch. Inconclusive where the oracle can't evaluate a model or inputs
        can't be drawn for it.
    """
    settings = judging(seed, factor, kernels=False)
    try:
        truths = truths_of(original, None, {}, settings)
    except (UnsupportedOperatorError, UsageError) as error:  # no inputs, so nothing to compare
        return report(_unknown(original, _EQUIVALENT, str(error)), (), settings)
    return _equivalence_on(original, rewritten, truths, settings)


def equivalence_on(original: ir.Model, rewritten: ir.Model, case: drawing.Case) -> ValidationReport:
    """As `equivalence`, on inputs that are given."""
    settings = judging(0, None, kernels=False)
    try:
        truth = truth_of(original, case, settings, draws=1)
    except (UnsupportedOperatorError, InvalidModelError) as error:
        return report(_unknown(original, _EQUIVALENT, str(error)), (), settings)
    return _equivalence_on(original, rewritten, [truth], settings)


def same_function(
    original: ir.Model, rewritten: ir.Model, truths: Sequence[Truth]
) -> ValidationReport:
    """As `equivalence`, by truths of the original that are known; the place is not looked for."""
    settings = judging(0, None, kernels=False)
    return report(_rewritten(original, rewritten, truths, settings), (), settings)


def _equivalence_on(
    original: ir.Model, rewritten: ir.Model, truths: Sequence[Truth], settings: Settings
) -> ValidationReport:
    judged = report(_rewritten(original, rewritten, truths, settings), (), settings)
    return located(judged, Subject(Path(), rewritten, truths), original, settings, Limits())


def judging(
    seed: int, factor: float | None, *, kernels: bool, tolerance: Tolerance | None = None
) -> Settings:
    """Settings, checked.

    Raises:
        UsageError: One of them makes no sense.
    """
    if factor is not None and not factor > 0:
        message = f"factor {factor} must be positive; the calibrated value is {FACTOR:g}"
        raise UsageError(message)
    if seed < 0:
        message = f"seed {seed} is negative; give 0 or more"
        raise UsageError(message)
    if tolerance is not None and not all(
        0 <= part < float("inf") for part in (tolerance.rtol, tolerance.atol)
    ):
        message = f"rtol {tolerance.rtol} and atol {tolerance.atol} must be finite and 0 or more"
        raise UsageError(message)
    return Settings(seed, factor, kernels=kernels, tolerance=tolerance)


def _truths_or_none(
    model: ir.Model, inputs: Inputs, shapes: drawing.Shapes, settings: Settings
) -> list[Truth]:
    """The truths of a model; none where it can't be evaluated or no inputs are found."""
    try:
        return truths_of(model, inputs, shapes, settings)
    except (UnsupportedOperatorError, UsageError):
        return []


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
            theirs = truth_of(reference, fitting(ours.case, reference), settings)
            outputs = ours.computed or evaluate(model, ours.case.feeds)  # all expected was given
            compared = compare(reference, theirs, outputs, _EQUIVALENT, settings)
            found += with_lost_precision(
                reference, model, replace(theirs, case=ours.case), compared
            )
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
            outputs = evaluate(rewritten, fitting(truth.case, rewritten).feeds)
            compared = compare(original, truth, outputs, _EQUIVALENT, settings)
            found += with_lost_precision(original, rewritten, truth, compared)
    except UnsupportedOperatorError as error:
        return [*found, _refused(str(error), Verdict.INCONCLUSIVE)]
    except InvalidModelError as error:
        return [*found, _refused(f"the model fails where the reference does not: {error}")]
    return found


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


def report(
    comparisons: Sequence[Comparison], answers: Sequence[Answer], settings: Settings
) -> ValidationReport:
    """Everything in one report; its verdict is the worst over backends and questions."""
    verdicts = [answer.run.verdict for answer in answers if not answer.mute]
    rest = [found for found in comparisons if found.question == "equivalent"]
    if rest or not verdicts:
        verdicts.append(conclusion(rest))
    return ValidationReport(
        worst_verdict(verdicts),
        tuple(comparisons),
        tuple(answer.run for answer in answers),
        factor=settings.factor,
        seed=settings.seed,
        tolerance=settings.tolerance,
    )


@contextmanager
def on_disk(model: ModelLike, loaded: ir.Model) -> Iterator[Path]:
    """The file that a model was given as, or a temporary one that holds it."""
    if isinstance(model, str | os.PathLike):
        yield Path(model)
        return
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        path = Path(folder) / "model.onnx"
        files.save(loaded, path, durable=False)
        yield path
