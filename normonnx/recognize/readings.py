"""What a value was found to be, or why it is nothing, and what every kind of reading asks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from normonnx.catalogue.norm import Number
from normonnx.recognize.asking import same_amount
from normonnx.recognize.facts import Combination, Runtime, Statistic
from normonnx.recognize.fields import Array, Field
from normonnx.recognize.places import Place
from normonnx.recognize.rounding import close


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A normalization of the root.

    Attributes:
        norm: Name.
        attributes: By name.
        parameters: By name: an array, or the operand at run time. What is left out is the default.
        sources: The model's own constant that a parameter is, where there is one.
        others: The same function under other names.
    """

    norm: str
    attributes: Mapping[str, Number]
    parameters: Mapping[str, Array | Runtime] = field(default_factory=dict)
    sources: Mapping[str, Field] = field(default_factory=dict)
    others: tuple[Reading, ...] = ()

    def spelled(self, names: Collection[str]) -> Reading:
        """The name that the operators it is made of suggest; its own where they suggest none."""
        return next((each for each in (self, *self.others) if each.norm in names), self)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why something that looks like a normalization is none.

    Attributes:
        reason: As a sentence.
        near: How near it came: 0 has the wrong axes, 1 the wrong numbers, 2 is used otherwise.
    """

    reason: str
    near: int = 1


Outcome = Reading | Missing | None


def no_layer(place: Place) -> str:
    """Why no layer has such statistics."""
    axes = place.axes
    where = "part of an axis" if axes is None else f"axes {list(axes)} of {place.rank}"
    return f"no normalization layer has statistics over {where} and such a scale and bias"


def affine(
    fact: Combination, place: Place, axes: Sequence[int]
) -> tuple[dict[str, Array | Runtime], dict[str, Field]] | None:
    """Scale and bias along some axes; None where they run along others."""
    operands = {"scale": fact.scale or fact.cx, "bias": fact.bias or fact.c1}
    if fact.scale is not None and not fact.cx.is_number(1.0):
        return None
    if not all(place.stands(operand, axes) for operand in operands.values()):
        return None
    parameters: dict[str, Array | Runtime] = {}
    sources: dict[str, Field] = {}
    for (name, operand), default in zip(operands.items(), (1.0, 0.0), strict=True):
        if isinstance(operand, Runtime):
            parameters[name] = operand
        elif not operand.is_number(default):
            parameters[name] = place.array(operand, axes)
            if operand.source is not None:
                sources[name] = operand
    return parameters, sources


def count_of(place: Place) -> int | None:
    """How many elements a statistic is over; None where that is not known."""
    sizes = [atom.size for atom in place.over]
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def is_sum(statistic: Statistic, place: Place) -> bool:
    """Whether it is the sum over all that it is over, and no part of it a mean."""
    if statistic.count is not None:
        digits = [atom.size for atom in place.over]
        return close(statistic.square, 1.0) and same_amount(statistic.count.digits, digits)
    count = count_of(place)
    return count is not None and close(statistic.square, count)
