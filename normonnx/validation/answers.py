"""What backends answer, judged against truths that are known.

Every model, every case and every output goes the same way, whether it is validated at once,
recorded into a bundle, or compared with one later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

from normonnx.core.errors import UsageError
from normonnx.core.verdicts import BackendRun, Comparison, Verdict, conclusion
from normonnx.runtime import backends, naming
from normonnx.validation.comparing import Asked, compare
from normonnx.validation.truths import Settings, Truth

_SMALLEST: Final = "1x1"
FAILED: Final = "failed while running"  # as workers say it
_NAMED: Final = 3  # nodes named in a reason


@dataclass(frozen=True, slots=True)
class Limits:
    """What a backend may take, and what it must do.

    Attributes:
        timeout: Seconds for all cases together.
        memory: Bytes of memory of its process; None for most of what is free.
        coverage: Share of the nodes, 0 to 1, that must run where they were asked to.
        module: A live torch module for the backend "torch".
    """

    timeout: float = 600.0
    memory: int | None = None
    coverage: float = 0.0
    module: object = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: A limit is out of range.
        """
        if not 0 <= self.coverage <= 1:
            message = f"require_coverage {self.coverage} must lie between 0 and 1"
            raise UsageError(message)
        if not self.timeout > 0:
            message = f"timeout {self.timeout} must be positive; it is in seconds"
            raise UsageError(message)
        if self.memory is not None and self.memory < 1:
            message = (
                f"memory {self.memory} must be positive; it is in bytes, None for what is free"
            )
            raise UsageError(message)


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A model, and what is expected of it.

    Attributes:
        path: Its file.
        model: The same, loaded.
        truths: What is expected on each case; none where nothing is known.
        known: Whether the truths hold what is expected, not only the inputs.
    """

    path: Path
    model: ir.Model
    truths: Sequence[Truth]
    known: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What one backend answered.

    Attributes:
        run: How it went; its verdict is the worst over `comparisons` where it ran.
        comparisons: Every output of every case, judged; empty where it did not run.
        outputs: Outputs by name, for each case.
        wide: Whether it computed in float64.
        mute: Whether it says nothing by itself: the oracle agrees with itself, or was not asked.
    """

    run: BackendRun
    comparisons: tuple[Comparison, ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    wide: bool = False
    mute: bool = False


def ask(backend: str, subject: Subject, settings: Settings, limits: Limits) -> Answer:
    """Run a model on a backend and judge what it answers.

    Args:
        backend: Its name.
        subject: The model, and what is expected of it.
        settings: How to judge.
        limits: What the backend may take.
    """
    cases = [truth.case.feeds for truth in subject.truths]
    request = backends.Request(subject.path, cases, limits.timeout, limits.memory, limits.module)
    outcome = backends.run(backend, request)
    if naming.parse(backend).family == "oracle":
        note = "it is the truth that others are compared with, so agreement says nothing"
        run = replace(outcome.run, notes=(*outcome.run.notes, note))
        return Answer(run, (), outcome.outputs, wide=True, mute=run.verdict is Verdict.PASS)
    if not subject.known:
        ran = outcome.run.verdict is Verdict.PASS
        return Answer(outcome.run, (), outcome.outputs, outcome.wide, mute=ran)
    found = judged(subject.model, subject.truths, outcome, settings)
    run = _covering(outcome.run, limits.coverage)
    if run.verdict is Verdict.PASS:
        run = replace(run, verdict=conclusion(found))
    return Answer(run, tuple(found), outcome.outputs, outcome.wide)


def ask_what_it_accepts(
    backend: str, subject: Subject, settings: Settings, limits: Limits
) -> Answer:
    """As `ask`; spatial dimensions of 1 are left out, and that is told, where they make it fail.

    Some operators have no meaning there, reflection at an edge for example, and not every runtime
    nor the oracle agrees on which.
    """
    answer = ask(backend, subject, settings, limits)
    rest = [truth for truth in subject.truths if truth.case.profile != _SMALLEST]
    failed = answer.run.verdict in (Verdict.UNAVAILABLE, Verdict.INVALID)
    if not failed or FAILED not in answer.run.reason or len(rest) in (0, len(subject.truths)):
        return answer
    again = ask(backend, replace(subject, truths=rest), settings, limits)
    if again.run.verdict in (Verdict.UNAVAILABLE, Verdict.INVALID):
        return answer
    note = f"profile {_SMALLEST} was left out: {answer.run.reason}"
    return replace(again, run=replace(again.run, notes=(*again.run.notes, note)))


def judged(
    model: ir.Model, truths: Sequence[Truth], outcome: backends.Outcome, settings: Settings
) -> list[Comparison]:
    """Judge the outputs of a backend; nothing where it did not run."""
    asked = Asked("computes", outcome.run.backend, wide=outcome.wide)
    found = []
    for truth, outputs in zip(truths, outcome.outputs, strict=False):
        found += compare(model, truth, outputs, asked, settings)
    return [_naming_reduced(one, outcome.run) for one in found]


def _naming_reduced(found: Comparison, run: BackendRun) -> Comparison:
    """A mismatch in reduced precision says so: the backend may do just what it was told."""
    if found.verdict is not Verdict.MISMATCH or not run.reduced:
        return found
    reason = f"{found.reason}; it ran in reduced precision ({', '.join(run.reduced)})"
    return replace(found, reason=reason)


def _covering(run: BackendRun, required: float) -> BackendRun:
    """A run that kept too few nodes where they were asked to be is unavailable."""
    if run.verdict is not Verdict.PASS or not required or run.coverage >= required:
        return run
    if math.isnan(run.coverage):
        reason = f"it does not tell where nodes ran, and {required * 100:g}% coverage is required"
        return replace(run, verdict=Verdict.UNAVAILABLE, reason=reason)
    named = [f"{node.op_type} {node.node!r} on {node.where}" for node in run.elsewhere[:_NAMED]]
    more = len(run.elsewhere) - len(named)
    kept = len(run.nodes) - len(run.elsewhere)
    reason = (
        f"only {kept} of its {len(run.nodes)} nodes ran on {run.asked}, "
        f"{required * 100:g}% is required; elsewhere: {', '.join(named)}"
        f"{f' and {more} more' if more else ''}"
    )
    return replace(run, verdict=Verdict.UNAVAILABLE, reason=reason)
