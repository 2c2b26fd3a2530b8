"""A model against what it was exported from, which runs here: is it the same function?

The question is the one that the backend `torch` answers: the model, evaluated in float64, is the
truth that the module is held against, and its noise floor the yardstick. Cases are the example that
was exported with, and inputs drawn at other sizes wherever a dimension is dynamic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.core.verdicts import BackendRun, Comparison, ValidationReport, Verdict, conclusion
from normonnx.runtime.invocation import Array
from normonnx.validation import drawing
from normonnx.validation.comparing import Asked, compare
from normonnx.validation.drawing import Case
from normonnx.validation.judge import judging, report
from normonnx.validation.locate_module import first_divergence
from normonnx.validation.truths import Settings, Truth, truth_of

BACKEND: Final = "torch"
_EXAMPLE: Final = "example"
_GROWN: Final = (lambda size: size + 1, lambda size: 2 * size)
Watch = Callable[[str, str, Sequence[Array], Sequence[Array]], None]


class Live(Protocol):
    """What a model is held against."""

    wide: bool
    note: str

    @property
    def example(self) -> list[Array]:
        """The inputs that it was exported with, in order."""

    def run(self, feeds: Sequence[Array], watch: Watch | None = None) -> list[Array]:
        """What it gives for inputs, in the order of the model's."""


def against_live(
    model: ir.Model,
    live: Live,
    settings_of: Mapping[str, str],
    *,
    seed: int = 0,
    example: bool = True,
) -> ValidationReport:
    """Judge a model by what runs here.

    Args:
        model: What was exported.
        live: What it was exported from.
        settings_of: Versions and such, for the report.
        seed: Of drawn inputs and of perturbations.
        example: False for a quick look on the first drawn case alone.

    Returns:
        Mismatch where an output is off on any case, with the submodule where that begins;
        inconclusive where the oracle can't evaluate the model.
    """
    settings = judging(seed, None, kernels=not live.wide)
    asked = Asked("computes", BACKEND, wide=live.wide)
    names = [value.name or "" for value in model.graph.inputs]
    given = Case(_EXAMPLE, dict(zip(names, live.example, strict=False)))
    notes = [f"torch: {live.note}"] if live.note else []
    found: list[Comparison] = []
    wrong: Truth | None = None
    drawn = _drawn(model, live, given, settings, notes)
    for case in (given, *drawn) if example or not drawn else drawn[:1]:
        try:
            truth = truth_of(model, case, settings)
        except (UnsupportedOperatorError, InvalidModelError) as error:
            found += _unknown(model, case, error)
            continue
        answers = live.run([case.feeds[name] for name in names])
        compared = _compared(model, truth, answers, asked, settings)
        found += compared
        if wrong is None and any(one.verdict is Verdict.MISMATCH for one in compared):
            wrong = truth
    run = BackendRun(BACKEND, conclusion(found), settings=settings_of, notes=tuple(notes))
    judged = replace(report(found, (), settings), verdict=run.verdict, backends=(run,))
    if wrong is None:
        return judged
    return replace(judged, divergence=first_divergence(model, live, wrong, settings))


def _compared(
    model: ir.Model, truth: Truth, answers: Sequence[Array], asked: Asked, settings: Settings
) -> list[Comparison]:
    names = [value.name or "" for value in model.graph.outputs]
    if len(answers) != len(names):
        reason = f"the module returns {len(answers)} tensors, the model has {len(names)} outputs"
        return [
            Comparison("computes", BACKEND, truth.case.name, "", Verdict.MISMATCH, reason=reason)
        ]
    return compare(model, truth, dict(zip(names, answers, strict=True)), asked, settings)


def _unknown(model: ir.Model, case: Case, error: Exception) -> list[Comparison]:
    verdict = Verdict.INCONCLUSIVE
    if isinstance(error, InvalidModelError):  # the module takes these inputs
        verdict = Verdict.MISMATCH
    return [
        Comparison("computes", BACKEND, case.name, value.name or "", verdict, reason=str(error))
        for value in model.graph.outputs
    ]


def _drawn(
    model: ir.Model, live: Live, example: Case, settings: Settings, notes: list[str]
) -> tuple[Case, ...]:
    """Drawn inputs that the module takes, at other sizes than the example's where it takes them."""
    tried: list[dict[str, tuple[int, ...]]] = []
    for change in (*_GROWN, lambda size: size):
        shapes = _shapes(model, example, change)
        if shapes in tried:
            continue
        tried.append(shapes)
        try:
            cases = drawing.drawn(model, (2, 2), shapes, settings.seed)
            live.run([cases[0].feeds[value.name or ""] for value in model.graph.inputs])
        except UsageError as error:
            notes.append(f"only the example was compared: {error}")
            return ()
        except Exception as error:  # noqa: BLE001  # the user's module
            reason = (str(error).strip().splitlines() or [""])[0][:200]
            continue
        return cases
    notes.append(f"only the example was compared: the module takes no drawn inputs ({reason})")
    return ()


def _shapes(
    model: ir.Model, example: Case, change: Callable[[int], int]
) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs, those that are dynamic changed; a name has one size throughout."""
    sizes: dict[str, int] = {}
    found = {}
    for value in model.graph.inputs:
        shape = np.shape(example.feeds[value.name or ""])
        dims: list[int] = []
        for axis, size in enumerate(shape):
            dim: Any = value.shape[axis] if value.shape is not None else None
            if isinstance(dim, ir.SymbolicDim):
                dims.append(sizes.setdefault(dim.value or f"{value.name}:{axis}", change(size)))
            else:
                dims.append(size)
        found[value.name or ""] = tuple(dims)
    return found
