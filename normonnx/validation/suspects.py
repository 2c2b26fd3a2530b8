"""What is off by itself: a node, or a few nodes that a runtime runs as one, fed with the truth.

Its output is held against the oracle's, in units of how far roundoff of the model's inputs and
weights moves that tensor. It is the place where the model goes wrong if the oracle, given the
suspect's output instead of its own, goes wrong as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.core.verdicts import Comparison, Divergence, Verdict
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.validation.comparing import Asked, compare
from normonnx.validation.dependence import DECISIONS
from normonnx.validation.measures import LEAST_FLOOR, noise_floor, relative_error
from normonnx.validation.sketch import Array
from normonnx.validation.truths import Settings, Truth

MOST_SUSPECTS: Final = 12  # that are put into the oracle
_SAMPLES: Final = 4096


def called(node: ir.Node) -> str:
    """Operator and name of a node, its first output's where it has none, for sentences."""
    return f"{node.op_type} {(node.name or node.outputs[0].name)!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """What is off by itself.

    Attributes:
        node: The node that gives the tensor that is off.
        tensor: Name of that tensor.
        inputs: What was read, by the name of the value, in the types of the model.
        truth: What the tensor should be, in float64.
        found: What the backend gave.
        local: Its error in u.
        floor: How far roundoff moves the tensor, in u.
        model: The nodes that run as one, where they are several.
        label: The runtime's name for them, or what stands in their place.
    """

    node: ir.Node
    tensor: str
    inputs: Mapping[str, Array]
    truth: Array
    found: Array
    local: float
    floor: float
    model: ir.Model | None = None
    label: str = ""

    @classmethod
    def of(  # noqa: PLR0913, PLR0917  # a node with everything around it
        cls,
        node: ir.Node,
        tensor: str,
        inputs: Mapping[str, Array],
        truth: Array,
        found: Any,  # noqa: ANN401  # what a runtime gave
        model: ir.Model | None = None,
        label: str = "",
    ) -> Self:
        """Not judged yet."""
        nan = float("nan")
        return cls(node, tensor, inputs, truth, np.asarray(found), nan, nan, model, label)

    @property
    def ratio(self) -> float:
        """Error over floor."""
        return self.local / self.floor

    def divergence(
        self, compared: Comparison, *, note: str = "", upstream: float = 0.0
    ) -> Divergence:
        """As a report tells it."""
        return Divergence(
            self.label or self.node.name or self.tensor,
            self.node.op_type,
            self.tensor,
            self.local,
            upstream,
            backend=compared.backend,
            case=compared.case,
            floor=self.floor,
            note=note,
        )


class Jury:
    """Says whether a tensor is off, by how far roundoff moves it."""

    def __init__(self, model: ir.Model, truth: Truth, settings: Settings) -> None:
        self._model, self._truth, self._settings = model, truth, settings
        self._moved = _samples_of_moved(model, truth, settings)

    def judged(self, one: Suspect) -> Suspect | None:
        """A suspect with its errors; None where it is as good as roundoff allows."""
        found, truth = one.found, one.truth
        if found.shape != truth.shape:
            return replace(one, local=float("inf"), floor=LEAST_FLOOR)
        if truth.dtype.kind != "f":
            if one.node.op_type in DECISIONS or np.array_equal(found, truth):
                return None
            return replace(one, local=float("inf"), floor=LEAST_FLOOR)
        local, floor = self.measured(one.tensor, found, truth)
        if np.any(np.isfinite(found.astype(np.float64)) != np.isfinite(truth)):
            local = float("inf")
        if local > self._settings.factor * floor:
            return replace(one, local=local, floor=floor)
        return None

    def measured(self, name: str, found: Array, truth: Array) -> tuple[float, float]:
        """Error and floor of a tensor of floating-point numbers, in u."""
        u = unit_roundoff(found.dtype)
        draws = [self._moved[name]] if name in self._moved else []
        error = relative_error(found.astype(np.float64), truth, u)
        return error, noise_floor(_sampled(truth), draws, u)

    def is_decisive(self, suspect: Suspect) -> bool:
        """Whether the oracle goes wrong when it is given what the suspect gave."""

        def put(
            node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]
        ) -> Sequence[Any] | None:
            if node is not suspect.node:
                return None
            given = suspect.found
            given = given.astype(np.float64) if is_float(given.dtype) else given
            pairs = zip(node.outputs, results, strict=False)
            return [given if v.name == suspect.tensor else one for v, one in pairs]

        model, truth = self._model, self._truth
        outputs = evaluate(model, truth.case.feeds, watch=put)
        asked = Asked("computes", "suspect", wide=True)
        compared = compare(model, truth, outputs, asked, self._settings)
        return any(one.verdict is Verdict.MISMATCH for one in compared)

    def first(self, found: Sequence[Suspect]) -> tuple[Suspect, str] | None:
        """The first that makes the model wrong, else the worst; and what is to be said of it."""
        for suspect in found:
            if self.is_decisive(suspect):
                return suspect, ""
        if not found:
            return None
        return max(found, key=lambda one: one.ratio), "by itself it makes no output wrong"


def _samples_of_moved(model: ir.Model, truth: Truth, settings: Settings) -> Mapping[str, Array]:
    """A few entries of each value when inputs and weights are moved by one roundoff."""
    found: dict[str, Array] = {}

    def watch(node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]) -> None:
        for value, result in zip(node.outputs, results, strict=False):
            if value.name and isinstance(result, np.ndarray) and result.dtype.kind == "f":
                found[value.name] = _sampled(result).copy()

    noise = Perturbation(settings.seed * 1000, kernels=settings.kernels)
    evaluate(model, truth.case.feeds, watch=watch, perturb=noise)
    return found


def _sampled(array: Array) -> Array:
    """Entries at even steps."""
    flat = array.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLES)]
