"""Judging a scaler in front of a model: is it what the scaler, then the model, computes?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def in_front(
    model: ir.Model,
    kept: ir.Model,
    result: ir.Model,
    target: str,
    draw: Callable[[int], Rows],
    transform: Transform,
) -> ValidationReport:
    """Whether a model with a scaler is the scaler, then the model, both in float64.

    Args:
        model: Without the scaler.
        kept: With it, and nothing folded: its noise floor is the yardstick.
        result: What is judged.
        target: Name of the input that is scaled.
        draw: Makes that number of rows of features.
        transform: What the scaler makes of rows.
    """
    try:
        case = _case(model, kept, target, draw, transform)
    except (UnsupportedOperatorError, UsageError):
        case = Case(_CASE, {target: draw(1)})  # whoever compares says why nothing can be
    return equivalence_on(kept, result, case)


def _case(
    model: ir.Model, kept: ir.Model, target: str, draw: Callable[[int], Rows], transform: Transform
) -> Case:
    """Rows, other inputs beside them, and what is expected.

    Raises:
        UnsupportedOperatorError: The model can't be evaluated in float64.
        UsageError: No inputs are found that it accepts.
    """
    problem: InvalidModelError | None = None
    for feeds in _feeds(kept, target, draw):
        rows = np.asarray(feeds[target], np.float64)
        try:
            found = evaluate(model, {**feeds, target: transform(rows)})
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


def _feeds(
    kept: ir.Model, target: str, draw: Callable[[int], Rows]
) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Rows, and drawn inputs beside them, in several sizes."""
    inputs = drawing.required_inputs(kept)
    value = next(each for each in inputs if each.name == target)
    batch = None if value.shape is None else value.shape[0]
    alone = len(inputs) == 1
    rows = draw(batch if isinstance(batch, int) else COUNT)
    for sizes in drawing.attempts(kept, {target: rows.shape}):
        fitting = rows if alone or isinstance(batch, int) else rows[: sizes[0]]
        shapes = {target: fitting.shape}
        drawn = drawing.drawn(kept, sizes, shapes, 0)[0].feeds
        yield {**drawn, target: fitting.astype(value.dtype.numpy() if value.dtype else np.float32)}
