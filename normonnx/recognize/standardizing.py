"""Norms with a variance: centered over the same digits and divided by the deviation.

Which one it is depends on the axes, and where these leave two readings, on what scale and bias run
along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from normonnx.catalogue.norm import Number
from normonnx.recognize.facts import Combination, Spread
from normonnx.recognize.frames import same
from normonnx.recognize.places import Place
from normonnx.recognize.readings import Missing, Outcome, Reading, affine, no_layer
from normonnx.recognize.rounding import close

_SUMMED: Final = "a sum in place of a mean, or another number of degrees of freedom"


def centered(fact: Combination, spread: Spread, place: Place) -> Outcome:
    """Divided by the root of a variance."""
    missing = _why_not_standardized(fact, spread)
    if missing is not None:
        return Missing(missing)
    if spread.outer:
        return _outside(fact, spread, place)
    epsilon = spread.statistic.epsilon
    found = [reading for read in _CENTERED if (reading := read(fact, place, epsilon))]
    if found:
        return replace(found[0], others=tuple(found[1:]))
    return Missing(no_layer(place))


def _why_not_standardized(fact: Combination, spread: Spread) -> str | None:
    """What keeps X from being standardized, None where nothing does."""
    statistic = spread.statistic
    summed = not close(statistic.square, 1.0) or statistic.count is not None
    whys = (
        (not close(statistic.mean_square, -statistic.square), "its statistic is no variance"),
        (summed, f"the variance is multiplied by {statistic.square:g}: {_SUMMED}"),
        (fact.cm.is_number(0.0), "what is divided by the deviation is not centered"),
        (fact.over != statistic.over, "mean and variance are over different axes"),
        (not fact.cm.equals(-fact.cx), "what is subtracted is not the mean itself"),
        (
            spread.floor is not None or spread.guarded,
            "the deviation has a lower bound in place of an epsilon",
        ),
        (not close(spread.gain, 1.0), "the deviation is multiplied by a number"),
        (fact.least is not None, "its result has a lower bound"),
        (statistic.epsilon < 0, "its epsilon is negative"),
    )
    return next((why for holds, why in whys if holds), None)


Read = Callable[[Combination, Place, float], "Reading | None"]


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
    found = affine(fact, place, range(axis, place.rank))
    if found is None or only_channels:
        return None
    attributes: dict[str, Number] = {"axis": axis - place.rank, "epsilon": epsilon}
    return Reading("LayerNorm", attributes, *found)


def _by_channel(
    name: str, fact: Combination, place: Place, attributes: dict[str, Number]
) -> Reading | None:
    found = affine(fact, place, [1])
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
        found = affine(fact, place, (0, axis(place)))
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
