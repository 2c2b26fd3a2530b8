"""An affine with constants: factor (X - mean) + bias along one axis, as it was spelled.

A chain that subtracts first keeps what it subtracts: X - mean is then exact where X is near its
mean, and factor X + (bias - factor mean) is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.recognize.asking import Asked
from normonnx.recognize.facts import ZERO, Combination
from normonnx.recognize.fields import Array, Field
from normonnx.recognize.places import Place
from normonnx.recognize.pointwise import constants_of
from normonnx.recognize.rounding import DOUBLE
from normonnx.recognize.walk import Known

_SAME: Final = 2.0**-48


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """factor (X - mean) + bias; each of length 1 or that of the axis, float64.

    Attributes:
        factor: Of X.
        mean: Subtracted first.
        bias: Added last.
    """

    factor: Array
    mean: Array
    bias: Array

    @property
    def centre(self) -> Array:
        """What X is where the result is 0."""
        return self.mean - self.bias / self.factor if self.bias.any() else self.mean

    @property
    def is_centered(self) -> bool:
        """Whether nothing is added last."""
        return not self.bias.any()


def is_affine(fact: object) -> bool:
    """Whether a fact is X times a constant plus a constant."""
    if not isinstance(fact, Combination) or not fact.is_linear or not fact.is_fixed:
        return False
    return fact.cm.is_number(0.0) and not fact.cx.is_number(0.0)


def affine_of(
    known: Known,
    nodes: Sequence[ir.Node],
    root: ir.Value,
    fact: Combination,
    place: tuple[Place, int],
) -> Affine:
    """An affine fact along one axis of the root; nodes are those between, the result's first."""
    where, axis = place
    mean = where.array(_subtracted_first(known, nodes, root), [axis])
    factor, shift = (where.array(each, [axis]) for each in (fact.cx, fact.c0))
    offset = mean * factor
    bias = shift + offset
    bias = np.where(np.abs(bias) <= DOUBLE * np.abs(offset), 0.0, bias)
    return Affine(factor, mean, bias)


def _subtracted_first(known: Known, nodes: Sequence[ir.Node], root: ir.Value) -> Field:
    """What is subtracted before anything is multiplied."""
    for node in nodes:
        fact = known.fact(node.outputs[0], id(root))
        if not isinstance(fact, Combination) or not is_affine(fact):
            continue
        if fact.cx.is_number(1.0) and not fact.c0.is_number(0.0):
            return -fact.c0
    return ZERO


def sources_of(
    ask: Asked, nodes: Sequence[ir.Node], parameters: dict[str, Array], kind: npt.DTypeLike
) -> dict[str, Field]:
    """The model's own constants that parameters are."""
    held = [(value, array) for value, array in constants_of(ask, nodes) if array.dtype == kind]
    found: dict[str, Field] = {}
    for name, wanted in parameters.items():
        for value, array in held:
            if array.shape == wanted.reshape(-1).shape and _same(array, wanted.reshape(-1)):
                found[name] = Field((), wanted, value)
                break
    return found


def _same(array: npt.NDArray[Any], wanted: Array) -> bool:
    numbers = array.astype(np.float64)
    return bool(np.allclose(numbers, wanted, rtol=_SAME, atol=0.0))
