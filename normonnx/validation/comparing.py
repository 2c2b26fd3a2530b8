"""Comparing all outputs of one run with the truth, decisions and random operators minded.

An output behind a decision (ArgMax, rounding, comparison, ...) that differs is tried again with
inputs and weights moved by the allowed factor:

- integers and booleans: if every entry that differs is among those that change then, each was a
  near tie, and the comparison is inconclusive;
- floating point: if the truth then jumps, that is moves by far more than in proportion, and the
  error is no larger than such a jump, a decision on the way was a near tie.

What depends on a random operator is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import onnx_ir as ir

from normonnx.core.verdicts import Comparison, Statistics, Verdict
from normonnx.runtime.invocation import Array
from normonnx.validation import drawing
from normonnx.validation.dependence import DECISIONS, RANDOM, depends_on
from normonnx.validation.measures import Judgement, judge_output, relative_error
from normonnx.validation.ranges import Output, odd_places, second_look
from normonnx.validation.statistics import statistics
from normonnx.validation.truths import Settings, Truth, moved_truths

_MORE_DRAWS: Final = range(100, 106)
_TIE_DRAWS: Final = range(500, 508)
_HOPELESS: Final = 1e3  # times what is allowed: no floor of two draws is too low by so much
_JUMP: Final = 4.0  # moved by `factor` roundoffs, a smooth output moves by `factor` floors

Question = Literal["computes", "equivalent"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared.

    Attributes:
        question: Which of the two questions.
        backend: What answered it.
        wide: Whether it answered in float64, whatever type the model declares.
    """

    question: Question
    backend: str
    wide: bool = False


def compare(
    model: ir.Model, truth: Truth, outputs: Mapping[str, Any], asked: Asked, settings: Settings
) -> list[Comparison]:
    """Judge every output of one case.

    Args:
        model: The one that the truth is of.
        truth: What is expected.
        outputs: What was found, by name; what is no tensor is not compared.
        asked: What to call the answers.
        settings: Factor and seed.
    """
    found = []
    for value in model.graph.outputs:
        judgement = _mistyped(value, outputs, asked) or _judgement(
            model, value, truth, outputs, settings
        )
        measured = _statistics(value, truth.outputs, outputs)
        found.append(
            Comparison(
                asked.question,
                asked.backend,
                truth.case.name,
                value.name or "",
                judgement.verdict,
                judgement.reason,
                judgement.error,
                judgement.floor,
                judgement.max_abs,
                judgement.u,
                measured,
                settings.factor,
            )
        )
    return found


def _statistics(
    value: ir.Value, truth: Mapping[str, Any], outputs: Mapping[str, Any]
) -> Statistics | None:
    expected, found = truth[value.name or ""], outputs.get(value.name or "")
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        return None
    dtype = found.dtype if value.dtype is None else np.dtype(value.dtype.numpy())
    return statistics(found, expected, dtype)


def interface_difference(reference: ir.Model, model: ir.Model) -> str:
    """How the inputs or outputs of two models differ in name or type; empty when they don't."""
    pairs = (
        ("inputs", drawing.required_inputs(reference), drawing.required_inputs(model)),
        ("outputs", list(reference.graph.outputs), list(model.graph.outputs)),
    )
    for what, expected, found in pairs:
        ours = {value.name: value.dtype for value in found}
        theirs = {value.name: value.dtype for value in expected}
        if set(ours) != set(theirs):
            return f"{what} are {sorted(map(str, ours))}, expected {sorted(map(str, theirs))}"
        for name, dtype in theirs.items():
            if None not in (dtype, ours[name]) and dtype != ours[name]:
                return f"{what[:-1]} {name!r} has type {ours[name]}, expected {dtype}"
    return ""


def _mistyped(value: ir.Value, outputs: Mapping[str, Any], asked: Asked) -> Judgement | None:
    """A backend must answer in the type that the model declares; the oracle's is wider."""
    found = outputs.get(value.name or "")
    if asked.wide or value.dtype is None or not isinstance(found, np.ndarray):
        return None
    expected = np.dtype(value.dtype.numpy())
    if found.dtype == expected:
        return None
    return Judgement(Verdict.MISMATCH, f"has type {found.dtype}, expected {expected}")


def _judgement(
    model: ir.Model, value: ir.Value, truth: Truth, outputs: Mapping[str, Any], settings: Settings
) -> Judgement:
    name = value.name or ""
    if name not in outputs:
        return Judgement(Verdict.MISMATCH, "is missing")
    expected, found = truth.outputs[name], outputs[name]
    if not isinstance(expected, np.ndarray) or not isinstance(found, np.ndarray):
        return Judgement(Verdict.INCONCLUSIVE, "is no tensor, so it was not compared")
    if depends_on(value, RANDOM, model.functions):
        return Judgement(Verdict.INCONCLUSIVE, "depends on a random operator")
    dtype = found.dtype if value.dtype is None else np.dtype(value.dtype.numpy())
    moved = [draw[name] for draw in truth.moved]
    odd = odd_places(truth)
    judgement = judge_output(
        found,
        expected,
        dtype,
        moved,
        settings.factor,
        tolerance=settings.tolerance,
        odd_places=odd,
    )
    hopeless = _HOPELESS * settings.factor * judgement.floor
    unsure = judgement.verdict is Verdict.MISMATCH and judgement.error <= hopeless
    if unsure and settings.tolerance is None:
        # Before anything is called wrong the floor must be sure: an output that hangs on few
        # numbers, a softmax for example, can move very little by chance.
        more = moved_truths(model, truth, settings, _MORE_DRAWS)
        moved += [draw[name] for draw in more]
        judgement = judge_output(found, expected, dtype, moved, settings.factor, odd_places=odd)
    if judgement.verdict is Verdict.MISMATCH and found.shape == expected.shape:
        decided = depends_on(value, DECISIONS, model.functions)
        if decided and _is_tie(model, truth, (name, found), judgement, settings):
            reason = "differs, but a decision on the way is a near tie"
            return replace(judgement, verdict=Verdict.INCONCLUSIVE, reason=reason)
        if truth.case.profile and settings.tolerance is None:
            output = Output(name, found, dtype, moved)
            return second_look(model, truth, output, judgement, settings)
    return judgement


def _is_tie(
    model: ir.Model,
    truth: Truth,
    output: tuple[str, Array],
    judgement: Judgement,
    settings: Settings,
) -> bool:
    """Whether the truth changes as much when inputs and weights move by the allowed factor."""
    name, found = output
    expected = truth.outputs[name]
    if expected.dtype.kind == "f" and not np.isfinite(judgement.error):
        return False  # NaN or infinity on one side only
    draws = moved_truths(model, truth, settings, _TIE_DRAWS, scale=settings.factor)
    moved = [draw[name] for draw in draws]
    if any(one.shape != expected.shape for one in moved):
        return True
    if expected.dtype.kind != "f":
        unstable = np.any([one != expected for one in moved], axis=0)
        return bool(np.all(unstable[found != expected]))
    largest = max(relative_error(one, expected, judgement.u) for one in moved)
    smooth = settings.factor * judgement.floor
    return largest > _JUMP * smooth and judgement.error <= 2 * largest
