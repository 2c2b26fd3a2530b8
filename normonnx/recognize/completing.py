"""From what is known of a value to the normalization that it is, or what is missing.

A norm is complete when r is one over a variance and cm = -cx over the same digits, or one over a
mean square or a norm and cm = 0. Which one it is depends on the axes, and where these leave two
readings, on what scale and bias run along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from normonnx.catalogue.norm import Number
from normonnx.graph.lengths import Lengths
from normonnx.recognize.asking import same_amount
from normonnx.recognize.facts import (
    SQUARE,
    ZERO,
    Combination,
    Damping,
    Fact,
    Response,
    Runtime,
    Spread,
    Statistic,
)
from normonnx.recognize.fields import Array, Field
from normonnx.recognize.frames import same, whole
from normonnx.recognize.places import Place

_ROUNDING: Final = 2.0**-21  # a factor such as 1 / 768 in float32, a few times over
_LARGEST_BOUND: Final = 1e-2  # a larger one limits lengths rather than guarding against zero
_NEGLIGIBLE: Final = 1e-30  # beside any square that float32 keeps its digits in
_GUARD: Final = float(np.finfo(np.float32).tiny)


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


def _flaw(fact: Combination) -> str | None:
    """Why what it is divided by is the statistic of no normalization."""
    spread = fact.spread.average.spread if isinstance(fact.spread, Response) else fact.spread
    return spread.statistic.flaw if isinstance(spread, Spread) else None


def complete(fact: Fact, lengths: Lengths) -> Outcome:
    """What a value is, relative to a root.

    Args:
        fact: Of the value.
        lengths: Of the root.

    Returns:
        None where it isn't about normalizing at all.
    """
    if not isinstance(fact, Combination) or fact.is_inverse or fact.is_linear:
        return None
    if not same(fact.frame, whole(lengths)):
        return Missing("its result has other axes than what is normalized", 0)
    if 0 in lengths:
        return Missing("what is normalized is empty", 0)
    flaw = _flaw(fact)
    if flaw is not None:
        return Missing(flaw)
    if isinstance(fact.spread, Response):
        return _response(fact, fact.spread, lengths)
    if isinstance(fact.spread, Damping):
        return _damped(fact, fact.spread, lengths)
    return None if fact.spread is None else _divided(fact, fact.spread, lengths)


def _divided(fact: Combination, spread: Spread, lengths: Lengths) -> Outcome:
    """Divided by one statistic."""
    if not fact.c0.is_number(0.0):
        return Missing("a constant is added to what is normalized, but not to its statistic")
    statistic = spread.statistic
    if fact.cx.is_number(0.0):
        return Missing("the mean alone is divided by the statistic")
    place = Place(lengths, statistic.over)
    if statistic.unit is not None:
        return Missing("its statistic is one of numbers that were divided before")
    if statistic.centered:
        return _centered(fact, spread, place)
    if not fact.cm.is_number(0.0):
        return Missing("what is divided is centered, and the statistic is not")
    return _uncentered(fact, spread, place)


def _centered(fact: Combination, spread: Spread, place: Place) -> Outcome:
    missing = _why_not_standardized(fact, spread)
    if missing is not None:
        return Missing(missing)
    if spread.outer:
        return _outside(fact, spread, place)
    epsilon = spread.statistic.epsilon
    found = [reading for read in _CENTERED if (reading := read(fact, place, epsilon))]
    if found:
        return replace(found[0], others=tuple(found[1:]))
    return Missing(_no_layer(place))


def _why_not_standardized(fact: Combination, spread: Spread) -> str | None:
    """What keeps X from being standardized, None where nothing does."""
    statistic = spread.statistic
    summed = not _close(statistic.square, 1.0) or statistic.count is not None
    whys = (
        (not _close(statistic.mean_square, -statistic.square), "its statistic is no variance"),
        (summed, f"the variance is multiplied by {statistic.square:g}: {_SUMMED}"),
        (fact.cm.is_number(0.0), "what is divided by the deviation is not centered"),
        (fact.over != statistic.over, "mean and variance are over different axes"),
        (not fact.cm.equals(-fact.cx), "what is subtracted is not the mean itself"),
        (
            spread.floor is not None or spread.guarded,
            "the deviation has a lower bound in place of an epsilon",
        ),
        (not _close(spread.gain, 1.0), "the deviation is multiplied by a number"),
        (fact.least is not None, "its result has a lower bound"),
        (statistic.epsilon < 0, "its epsilon is negative"),
    )
    return next((why for holds, why in whys if holds), None)


_SUMMED: Final = "a sum in place of a mean, or another number of degrees of freedom"


def _no_layer(place: Place) -> str:
    axes = place.axes
    where = "part of an axis" if axes is None else f"axes {list(axes)} of {place.rank}"
    return f"no normalization layer has statistics over {where} and such a scale and bias"


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_ROUNDING)


Read = Callable[[Combination, Place, float], "Reading | None"]


def _affine(
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


def _layer_norm(fact: Combination, place: Place, epsilon: float) -> Reading | None:
    axis = place.trailing
    if axis is None:
        return None
    only_channels = (
        axis == 1
        and place.rank > 2  # noqa: PLR2004
        and any(each.atoms for each in (fact.cx, fact.c1))
        and all(place.stands(each, [1]) for each in (fact.cx, fact.c1))
    )
    found = _affine(fact, place, range(axis, place.rank))
    if found is None or only_channels:
        return None
    attributes: dict[str, Number] = {"axis": axis - place.rank, "epsilon": epsilon}
    return Reading("LayerNorm", attributes, *found)


def _by_channel(
    name: str, fact: Combination, place: Place, attributes: dict[str, Number]
) -> Reading | None:
    found = _affine(fact, place, [1])
    return None if found is None else Reading(name, attributes, *found)


def _instance_norm(fact: Combination, place: Place, epsilon: float) -> Reading | None:
    if place.rank < 3 or not place.is_over(range(2, place.rank)):  # noqa: PLR2004
        return None
    return _by_channel("InstanceNorm", fact, place, {"epsilon": epsilon})


def _layer_norm_2d(fact: Combination, place: Place, epsilon: float) -> Reading | None:
    if place.rank < 3 or not place.is_over([1]):  # noqa: PLR2004
        return None
    return _by_channel("LayerNorm2d", fact, place, {"epsilon": epsilon})


def _group_norm(fact: Combination, place: Place, epsilon: float) -> Reading | None:
    groups = place.groups
    if groups is None or place.rank < 2:  # noqa: PLR2004
        return None
    return _by_channel("GroupNorm", fact, place, {"num_groups": groups, "epsilon": epsilon})


def _batch_statistics(fact: Combination, place: Place, epsilon: float) -> Reading | None:
    others = [axis for axis in range(place.rank) if axis != 1]
    if place.rank < 2 or not place.is_over(others) or place.lengths[0] == 1:  # noqa: PLR2004
        return None
    return _by_channel("BatchNormTraining", fact, place, {"epsilon": epsilon})


def _adaptive(
    name: str, axis: Callable[[Place], int], over: Callable[[Place], range], least: int
) -> Read:
    def read(fact: Combination, place: Place, epsilon: float) -> Reading | None:
        if fact.scale is None and (fact.bias is None or same(fact.bias.frame, place.frame)):
            return None  # what is added to every element is a branch of the network
        if place.rank < least or not place.is_over(over(place)):
            return None
        found = _affine(fact, place, (0, axis(place)))
        return None if found is None else Reading(name, {"epsilon": epsilon}, *found)

    return read


_CENTERED: Final[Sequence[Read]] = (
    _layer_norm,
    _instance_norm,
    _layer_norm_2d,
    _group_norm,
    _batch_statistics,
    _adaptive(
        "AdaptiveLayerNorm",
        lambda place: place.rank - 1,
        lambda place: range(place.rank - 1, place.rank),
        2,
    ),
    _adaptive("AdaptiveInstanceNorm", lambda _: 1, lambda place: range(2, place.rank), 3),
)


def _outside(fact: Combination, spread: Spread, place: Place) -> Outcome:
    """The epsilon stands outside the root."""
    if spread.statistic.epsilon:
        return Missing("there is an epsilon inside the root and another outside")
    axes = place.axes
    if axes is None:
        return Missing("its groups are no axes")
    if not fact.is_fixed or not fact.cx.is_number(1.0) or not fact.c1.is_number(0.0):
        return Missing("it has a scale or a bias, which MeanVarianceNorm has not")
    return Reading("MeanVarianceNorm", {"axes": axes, "epsilon": spread.outer})


def _uncentered(fact: Combination, spread: Spread, place: Place) -> Outcome:
    statistic = spread.statistic
    if not _close(spread.gain, 1.0):
        return Missing("the divisor is multiplied by a number")
    if spread.outer:
        return Missing("an epsilon is added outside the root")
    if statistic.epsilon < 0:
        return Missing("its epsilon is negative")
    if statistic.power == SQUARE and statistic.epsilon:
        return _root_mean_square(fact, statistic, spread, place)
    return _length(fact, spread, place)


def _count(place: Place) -> int | None:
    sizes = [atom.size for atom in place.over]
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else None


def _is_sum(statistic: Statistic, place: Place) -> bool:
    """Whether it is the sum over all that it is over, and no part of it a mean."""
    if statistic.count is not None:
        digits = [atom.size for atom in place.over]
        return _close(statistic.square, 1.0) and same_amount(statistic.count.digits, digits)
    count = _count(place)
    return count is not None and _close(statistic.square, count)


def _root_mean_square(
    fact: Combination, statistic: Statistic, spread: Spread, place: Place
) -> Outcome:
    if not _close(statistic.square, 1.0) or statistic.count is not None:
        return Missing(f"the mean square is multiplied by {statistic.square:g}: a sum in its place")
    if spread.floor is not None or spread.guarded:
        return Missing("the divisor has both an epsilon and a lower bound")
    axis, count = place.trailing, _count(place)
    unit = None if count is None else 1 / math.sqrt(count)
    if statistic.epsilon < _NEGLIGIBLE and unit is not None and fact.cx.number is not None:
        axes = place.axes
        if axes and len(axes) == 1 and _close(fact.cx.number, unit) and _is_bare(fact):
            order = {"axis": axes[0] - place.rank, "p": SQUARE, "epsilon": 0.0}
            return Reading("LpNorm", order)
    spatial = place.rank > 2 and place.is_over(range(2, place.rank))  # noqa: PLR2004
    if spatial and place.stands(fact.cx, [1]) and place.stands(fact.c1, [1]):
        bare = fact.cx.number is not None and fact.c1.is_number(0.0) and fact.least is None
        if axis is None or not bare:
            return _filter_response(fact, statistic, place)
    if axis is None:
        return Missing(_no_layer(place))
    if fact.least is not None or fact.bias is not None or not fact.c1.is_number(0.0):
        return Missing("it has a bias or a lower bound, which RMSNorm has not")
    found = _affine(fact, place, range(axis, place.rank))
    if found is None:
        return Missing(_no_layer(place))
    return Reading("RMSNorm", {"axis": axis - place.rank, "epsilon": statistic.epsilon}, *found)


def _is_bare(fact: Combination) -> bool:
    return fact.is_fixed and fact.c1.is_number(0.0)


def _filter_response(fact: Combination, statistic: Statistic, place: Place) -> Outcome:
    found = _affine(fact, place, [1])
    if found is None or not place.stands(fact.least, [1]):
        return Missing(_no_layer(place))
    parameters, sources = found
    if fact.least is not None:
        parameters["threshold"] = place.array(fact.least, [1])
        if fact.least.source is not None:
            sources["threshold"] = fact.least
    return Reading("FilterResponseNorm", {"epsilon": statistic.epsilon}, parameters, sources)


def _length(fact: Combination, spread: Spread, place: Place) -> Outcome:
    """Divided by a p-norm."""
    statistic, axes = spread.statistic, place.axes
    summed = _is_sum(statistic, place) or math.isinf(statistic.power)
    if statistic.epsilon or not summed:
        return Missing("its statistic is no p-norm: a mean in place of a sum")
    bound = spread.floor
    if bound is None and not spread.guarded:
        return Missing("a row of zeros would be divided by zero")
    if bound is not None and bound > _LARGEST_BOUND:
        return Missing(f"its lower bound {bound:g} limits lengths and guards against no zero")
    if axes is None or len(axes) != 1:
        return Missing("its norm is over several axes, or over part of one")
    if not fact.c1.is_number(0.0) or not fact.is_fixed or fact.cx.number is None:
        return Missing("it has a scale for each feature or a bias, which a p-norm has not")
    attributes: dict[str, Number] = {
        "axis": axes[0] - place.rank,
        "p": statistic.power,
        "epsilon": 0.0 if bound is None or bound <= _GUARD else bound,
    }
    if fact.cx.is_number(1.0):
        return Reading("LpNorm", attributes)
    if statistic.power != SQUARE or axes[0] != place.rank - 1:
        return Missing("it is scaled by a number, which a p-norm is not")
    scale = {"scale": np.asarray([fact.cx.number])}
    sources = {"scale": fact.cx} if fact.cx.source is not None else {}
    return Reading("ScaleNorm", {"epsilon": attributes["epsilon"]}, scale, sources)


def _response(fact: Combination, response: Response, lengths: Lengths) -> Outcome:
    """GlobalResponseNorm: each channel by its size relative to the others."""
    average = response.average
    spread, statistic = average.spread, average.spread.statistic
    place = Place(lengths, average.over)
    axes = place.axes
    plain = not spread.outer and spread.floor is None and not spread.guarded
    plain = plain and _close(average.gain, spread.gain)
    if axes is None or len(axes) != 1 or axes[0] == 0 or not plain or statistic.epsilon:
        return Missing("its response is relative to no axis of channels")
    others = [axis for axis in range(1, place.rank) if axis != axes[0]]
    spatial = Place(lengths, statistic.over)
    if statistic.power != SQUARE or statistic.centered or not _is_sum(statistic, spatial):
        return Missing("its sizes are no norms over all positions")
    if not spatial.is_over(others):
        return Missing("its sizes are not over all positions")
    linear = fact.cm.is_number(0.0) and fact.c0.is_number(0.0)
    if not fact.skip or not linear or fact.least is not None:
        return Missing("its input is not added to its result")
    fixed = Combination(fact.frame, fact.cx, ZERO, c1=fact.c1, spread=spread)
    found = _affine(fixed, place, axes)
    if found is None:
        return Missing("its scale and bias are not by channel")
    attributes: dict[str, Number] = {"axis": axes[0] - place.rank, "epsilon": average.epsilon}
    return Reading("GlobalResponseNorm", attributes, *found)


def _damped(fact: Combination, damping: Damping, lengths: Lengths) -> Outcome:
    """LocalResponseNorm: divided by a power of what stands in a window of channels."""
    window, bare = damping.window, replace(fact, spread=None)
    if not bare.is_view or not fact.is_fixed:
        return Missing("its result is scaled or shifted, which LocalResponseNorm's is not")
    if len(lengths) < 2 or whole(lengths)[1] != (window.atom,):  # noqa: PLR2004
        return Missing("its window is not along the channels, axis 1")
    size = window.below + window.above + 1
    sides = {(size - 1) // 2: 0, size // 2: 1}  # the first where both are the same
    if size % 2:
        sides = {size // 2: 0}
    if window.below not in sides:
        return Missing(f"its window reaches {window.below} below and {window.above} above")
    if window.epsilon < 0 or window.factor <= 0:
        return Missing("it is divided by what may be negative")
    return Reading(
        "LocalResponseNorm",
        {
            "size": size,
            "alpha": window.factor * size,
            "beta": damping.exponent,
            "bias": window.epsilon,
            "torch_window": sides[window.below],
        },
    )


def is_centered(fact: Fact | None) -> bool:
    """Whether a value is another minus its mean: over its own size it standardizes the other."""
    if not isinstance(fact, Combination) or not fact.is_linear:
        return False
    return not fact.cm.is_number(0.0) and fact.cm.equals(-fact.cx)


def output_of_layer_norm(fact: Fact | None, inner: Fact | None) -> int | None:
    """The place of a value among LayerNorm's outputs: 1 for the mean, 2 for 1 / deviation.

    Args:
        fact: Of the result.
        inner: Of the value.
    """
    if not isinstance(fact, Combination) or not isinstance(inner, Combination):
        return None
    spread = fact.spread
    if not isinstance(spread, Spread) or len(inner.frame) != len(fact.frame):
        return None
    is_mean = inner.is_linear and inner.cx.is_number(0.0) and inner.c0.is_number(0.0)
    if is_mean and inner.cm.is_number(1.0) and inner.over == spread.statistic.over:
        return 1
    if inner.is_inverse and inner.c0.is_number(1.0) and spread.like(inner.spread):
        return 2
    return None
