"""What a model computes in float64 on each case of inputs, and how far that moves by roundoff."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.core.errors import InvalidModelError, UnsupportedOperatorError, UsageError
from normonnx.core.verdicts import Tolerance
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.validation import drawing
from normonnx.validation.drawing import Case
from normonnx.validation.given import Sources, given
from normonnx.validation.measures import EQUIVALENT_FACTOR, FACTOR, proves_something

DRAWS: Final = 2

Inputs = Sources | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What a judgement depends on besides models and inputs.

    Attributes:
        seed: Of drawn inputs and of perturbations.
        chosen: Error over noise floor up to which an output passes, where the user gave one.
        kernels: Whether the floor allows for what kernels add by themselves: for backends.
        tolerance: A plain tolerance to judge by instead of the floor; None for the floor.
    """

    seed: int
    chosen: float | None = None
    kernels: bool = False
    tolerance: Tolerance | None = None

    @property
    def factor(self) -> float:
        """Error over noise floor up to which an output passes."""
        if self.chosen is not None:
            return self.chosen
        return FACTOR if self.kernels else EQUIVALENT_FACTOR


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One model on one case.

    Attributes:
        case: The inputs.
        outputs: What is expected, by name: what the model computes in float64, or what was given.
        moved: The same with inputs and weights moved by one roundoff, for each of a few draws.
        computed: What the model computes in float64, by name, whatever is expected.
        drawn: What `moved_truths` gave before, so that no output, nor a search for the place where
            it goes wrong, has the same draws made twice.
    """

    case: Case
    outputs: Mapping[str, Any]
    moved: tuple[Mapping[str, Any], ...]
    computed: Mapping[str, Any] = field(default_factory=dict)
    drawn: dict[tuple[Any, ...], tuple[Mapping[str, Any], ...]] = field(
        default_factory=dict, repr=False
    )


def truth_of(model: ir.Model, case: Case, settings: Settings, draws: int = DRAWS) -> Truth:
    """Evaluate a model on one case. What was given of the truth takes the oracle's place.

    Raises:
        InvalidModelError, UnsupportedOperatorError: As `evaluate`.
    """
    outputs = {} if _is_given(model, case) else evaluate(model, case.feeds)
    truth = Truth(case, {**outputs, **case.expected}, (), outputs)
    return replace(truth, moved=moved_truths(model, truth, settings, range(draws)))


def moved_outputs(
    model: ir.Model,
    case: Case,
    settings: Settings,
    draws: Collection[int],
    scale: float = 1.0,
) -> tuple[Mapping[str, Any], ...]:
    """Outputs with inputs and weights moved by `scale` roundoffs; one draw for each number.

    For profiles of inputs every other draw moves equal numbers alike, as rounding does.
    """
    noises = [
        Perturbation(
            settings.seed * 1000 + draw,
            scale,
            kernels=settings.kernels,
            alike=bool(case.profile) and draw % 2 == 1,
        )
        for draw in draws
    ]
    return tuple(evaluate(model, case.feeds, perturb=noise) for noise in noises)


def moved_truths(
    model: ir.Model,
    truth: Truth,
    settings: Settings,
    draws: Collection[int],
    scale: float = 1.0,
) -> tuple[Mapping[str, Any], ...]:
    """The truth with inputs and weights moved by `scale` roundoffs.

    A truth that was given is moved about as what the model computes would be; where a noise floor
    was given it is moved by just that, in every draw.
    """
    if _is_given(model, truth.case):
        return tuple(_with_floors(model, truth, {}, scale) for _ in draws)
    key = (id(model), id(truth.case), settings.seed, settings.kernels, tuple(draws), scale)
    if key not in truth.drawn:
        truth.drawn[key] = moved_outputs(model, truth.case, settings, draws, scale)
    found = truth.drawn[key]
    if not truth.case.expected and not truth.case.floors:
        return found
    return tuple(_with_floors(model, truth, _about(truth, one), scale) for one in found)


def _is_given(model: ir.Model, case: Case) -> bool:
    """Whether truth and noise floor were given for every output, so nothing is to be evaluated."""
    names = {value.name or "" for value in model.graph.outputs}
    return names <= set(case.expected) & set(case.floors)


def _about(truth: Truth, moved: Mapping[str, Any]) -> dict[str, Any]:
    """What moved about the oracle's outputs, moved about what was given instead."""
    found = dict(moved)
    for name, expected in truth.case.expected.items():
        computed, one = truth.computed[name], moved[name]
        alike = np.shape(one) == np.shape(computed) == expected.shape
        if alike and expected.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                found[name] = np.asarray(expected + (one - computed))
        else:
            found[name] = expected
    return found


def _with_floors(
    model: ir.Model, truth: Truth, moved: Mapping[str, Any], scale: float
) -> dict[str, Any]:
    """Outputs of the truth moved by the noise floor that was given for them; others as `moved`."""
    found = {**truth.outputs, **moved}
    for value in model.graph.outputs:
        name = value.name or ""
        expected = truth.outputs[name]
        if name in truth.case.floors and getattr(expected, "dtype", None) == np.float64:
            dtype = np.float64 if value.dtype is None else np.dtype(value.dtype.numpy())
            by = truth.case.floors[name] * unit_roundoff(dtype) * scale if is_float(dtype) else 0.0
            found[name] = np.asarray(expected * (1 + by))
    return found


def truths_of(
    model: ir.Model,
    inputs: Inputs,
    shapes: drawing.Shapes,
    settings: Settings,
    *,
    stored: bool = True,
) -> list[Truth]:
    """Evaluate a model on the inputs given, or on the first drawn ones that it accepts.

    Where noise leaves an output so uniform that agreement would prove nothing, images like a
    printed page are tried as well, and then larger inputs.

    Args:
        model: The model.
        inputs: What was given; None draws.
        shapes: Shapes by input name, where they are fixed by the user.
        settings: How to judge.
        stored: Whether what was given of the truth takes the oracle's place.

    Raises:
        UsageError: Inputs or shapes don't fit the model, or can't be drawn for it.
        UnsupportedOperatorError: The oracle can't evaluate the model, or no drawn inputs fit.
    """
    drawing.check_names(model, shapes)
    if inputs is not None:
        cases = given(model, inputs)
        if not stored:
            cases = tuple(drawing.fitting(case, model) for case in cases)
        return _on_given(model, cases, settings)
    problem: InvalidModelError | None = None
    for sizes in drawing.attempts(model, shapes):
        try:
            cases = drawing.drawn(model, sizes, shapes, settings.seed)
            first = truth_of(model, cases[0], settings)
        except InvalidModelError as error:
            problem = problem or error
            continue
        if all(np.size(output) for output in first.outputs.values()) or problem is None:
            found = [first, *(truth_of(model, case, settings, draws=1) for case in cases[1:])]
            if not any(_all_prove_something(model, truth, settings) for truth in found):
                found += _livelier(model, cases[0], shapes, settings, sizes)
            return found
    message = f"no inputs were found that the model accepts; give --shape or --inputs ({problem})"
    raise UnsupportedOperatorError(message)


def _livelier(
    model: ir.Model,
    like: Case,
    shapes: drawing.Shapes,
    settings: Settings,
    sizes: tuple[int, int],
) -> list[Truth]:
    """More truths, on a page and on larger inputs, until one proves something."""
    page = drawing.page(model, like, settings.seed)
    found = [] if page is None else [truth_of(model, page, settings, draws=1)]
    if any(_all_prove_something(model, truth, settings) for truth in found):
        return found
    for size in drawing.larger(model, shapes, sizes):
        try:
            case = drawing.drawn(model, size, shapes, settings.seed)[0]
            truth = truth_of(model, Case(f"random-{size[1]}", case.feeds), settings)
        except (InvalidModelError, UnsupportedOperatorError, UsageError):
            continue  # only an attempt: what was found on smaller inputs stands
        if _all_prove_something(model, truth, settings):
            return [*found, truth]
    return found


def _on_given(model: ir.Model, cases: Collection[Case], settings: Settings) -> list[Truth]:
    try:
        return [truth_of(model, case, settings) for case in cases]
    except InvalidModelError as error:
        message = f"the model does not accept the inputs given: {error}"
        raise UsageError(message) from None


def _all_prove_something(model: ir.Model, truth: Truth, settings: Settings) -> bool:
    """Whether every output is varied enough on this case for agreement to mean anything."""
    for value in model.graph.outputs:
        name = value.name or ""
        expected = truth.outputs[name]
        if value.dtype is None or not isinstance(expected, np.ndarray):
            continue
        moved = [draw[name] for draw in truth.moved]
        dtype = np.dtype(value.dtype.numpy())
        if not proves_something(expected, dtype, moved, settings.factor):
            return False
    return True
