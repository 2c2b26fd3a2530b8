"""Judging a scaler in front of a model: is it what the scaler, then the model, computes?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.core.verdicts import ValidationReport
from normonnx.runtime.oracle import evaluate
from normonnx.validation import drawing
from normonnx.validation.drawing import Case
from normonnx.validation.judge import equivalence_on

Rows = npt.NDArray[np.float64]
Transform = Callable[[Rows], Rows]
COUNT: Final = 64  # rows that are tried, where the model takes any number
_CASE: Final = "rows of the scaler"


def transforms_alike(
    model: ir.Model, rows: Rows, transform: Transform, names: tuple[str, str]
) -> ValidationReport:
    """Whether a scaler's model computes what the scaler does, in float64.

    Args:
        model: Of one input and one output.
        rows: What to try.
        transform: The scaler.
        names: Of the input and the output.
    """
    case = Case(_CASE, {names[0]: rows}, expected={names[1]: transform(rows)})
    return equivalence_on(model, model, case)


@dataclass(frozen=True, slots=True)
class Fronted:
    """A model, and the same with a scaler in front of one of its inputs.

    Attributes:
        model: Without the scaler.
        kept: With it, and nothing folded: its noise floor is the yardstick.
        target: Name of the input that is scaled.
        draw: Makes that number of rows of features.
        transform: What the scaler makes of rows.
    """

    model: ir.Model
    kept: ir.Model
    target: str
    draw: Callable[[int], Rows]
    transform: Transform


def in_front(fronted: Fronted, result: ir.Model) -> ValidationReport:
    """Whether a model is the scaler, then the model without it, both in float64."""
    try:
        case = _case(fronted)
    except (UnsupportedOperatorError, UsageError):  # whoever compares says why nothing can be
        case = Case(_CASE, {fronted.target: fronted.draw(1)})
    return equivalence_on(fronted.kept, result, case)


def _case(fronted: Fronted) -> Case:
    """Rows, other inputs beside them, and what is expected.

    Raises:
        UnsupportedOperatorError: The model can't be evaluated in float64.
        UsageError: No inputs are found that it accepts.
    """
    problem: InvalidModelError | None = None
    for feeds in _feeds(fronted):
        rows = np.asarray(feeds[fronted.target], np.float64)
        try:
            scaled = fronted.transform(rows)
            found = evaluate(fronted.model, {**feeds, fronted.target: scaled})
        except InvalidModelError as error:
            problem = problem or error
            continue
        expected = {
            name: array
            for name, array in found.items()
            if isinstance(array, np.ndarray) and array.dtype.kind in "fiub"
        }
        return Case(_CASE, feeds, expected=expected)
    message = f"no inputs were found that the model accepts: {problem}"
    raise UsageError(message)


def _feeds(fronted: Fronted) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Rows, and drawn inputs beside them, in several sizes."""
    kept, target = fronted.kept, fronted.target
    inputs = drawing.required_inputs(kept)
    value = next(each for each in inputs if each.name == target)
    batch = None if value.shape is None else value.shape[0]
    alone = len(inputs) == 1
    rows = fronted.draw(batch if isinstance(batch, int) else COUNT)
    for sizes in drawing.attempts(kept, {target: rows.shape}):
        fitting = rows if alone or isinstance(batch, int) else rows[: sizes[0]]
        drawn = drawing.drawn(kept, sizes, {target: fitting.shape}, 0)[0].feeds
        yield {**drawn, target: fitting.astype(value.dtype.numpy() if value.dtype else np.float32)}
