"""What became of a model: is it legal, is it the same function, and what is left to normalize."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx_ir as ir

import normonnx
from normonnx.core.errors import NormonnxError
from normonnx.core.verdicts import Comparison, Verdict, conclusion, worst_verdict
from normonnx.validation import answers
from normonnx.validation.answers import Limits, Subject
from normonnx.validation.judge import judging, same_function
from normonnx.validation.truths import Truth, truths_of

_BATCH_NORM: Final = "BatchNormalization"
_APART: Final = 2  # nodes; a normalization of one node is whole
_UNKNOWN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Left:
    """What a model holds.

    Attributes:
        nodes: All of them, in all graphs.
        batch_norms: BatchNormalization nodes that are no part of another normalization.
        chains: Normalizations that are written in several nodes.
        size: Bytes of the file.
    """

    nodes: int
    batch_norms: int
    chains: int
    size: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a result is right.

    Attributes:
        outcome: "pass", "wrong", "invalid", "unavailable" (it does not load, or fails) or
            "inconclusive".
        reason: Why it is no pass, in one line.
        error: Of what the runtime computes on N(0, 1), against the original in float64, in u.
        floor: The original's own noise floor on that output, in u.
    """

    outcome: str
    reason: str = ""
    error: float = _UNKNOWN
    floor: float = _UNKNOWN


class Reference:
    """A model, what it computes in float64, and how far roundoff moves that.

    Args:
        path: Its file.
        shapes: Of its inputs, by name.

    Raises:
        NormonnxError: It can't be evaluated.
    """

    def __init__(self, path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
        self.path = path
        self.model = normonnx.load(path)
        self._settings = judging(0, None, kernels=True)
        self.truths: Sequence[Truth] = truths_of(self.model, None, shapes, self._settings)

    @property
    def feeds(self) -> Any:  # noqa: ANN401  # arrays by name
        """The inputs to time it on."""
        return self.truths[0].case.feeds

    def judge(self, path: Path, backend: str, timeout: float) -> Judgement:
        """Judge a file that should be the same function, run on a backend."""
        limits = Limits(timeout)
        subject = Subject(path, self.model, self.truths)
        answer = answers.ask(backend, subject, self._settings, limits)
        if answer.run.verdict in (Verdict.INVALID, Verdict.UNAVAILABLE):
            return Judgement(answer.run.verdict.value, answer.run.reason)
        compared = [*answer.comparisons, *self._in_float64(path)]
        first = self.truths[0].case.name  # N(0, 1); at a mean of 100 models are ill-conditioned
        deployed = [
            one for one in answer.comparisons if one.case == first and not math.isnan(one.error)
        ]
        worst = max(deployed, key=lambda one: one.ratio, default=None)
        error, floor = (_UNKNOWN, _UNKNOWN) if worst is None else (worst.error, worst.floor)
        verdict = worst_verdict([answer.run.verdict, self._verdict(compared)])
        if verdict is Verdict.MISMATCH:
            return Judgement("wrong", _reason(compared), error, floor)
        return Judgement(answer.run.verdict.value, "", error, floor)

    @staticmethod
    def _verdict(compared: Sequence[Comparison]) -> Verdict:
        """A mismatch, if there is one; the oracle need not know every operator of a result."""
        exact = [one for one in compared if one.question == "equivalent"]
        return Verdict.MISMATCH if conclusion(exact) is Verdict.MISMATCH else Verdict.PASS

    def _in_float64(self, path: Path) -> Sequence[Comparison]:
        if path == self.path:
            return ()
        try:
            other: ir.Model = normonnx.load(path)
        except NormonnxError:
            return ()
        return same_function(self.model, other, self.truths).comparisons


def left_in(path: Path) -> Left | None:
    """What a file holds; None where it can't be read."""
    try:
        found = normonnx.inspect(path)
    except NormonnxError:
        return None
    own = [norm for norm in found.norms if len(norm.spelling) < _APART]
    return Left(
        sum(found.nodes.values()),
        sum(norm.op_type == _BATCH_NORM for norm in own),
        len(found.norms) - len(own),
        path.stat().st_size,
    )


def _reason(compared: Sequence[Comparison]) -> str:
    wrong = [one for one in compared if one.verdict is Verdict.MISMATCH]
    return wrong[0].reason if wrong else ""
