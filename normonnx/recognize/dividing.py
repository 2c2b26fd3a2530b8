"""Norms that subtract no mean: by a mean square, a p-norm, a response, a window of channels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from normonnx.catalogue.lp_norm import SQUARES_VANISH
from normonnx.catalogue.norm import Number
from normonnx.graph.lengths import Lengths
from normonnx.recognize.facts import SQUARE, ZERO, Combination, Damping, Response, Spread, Statistic
from normonnx.recognize.frames import atoms_of, whole
from normonnx.recognize.places import Place
from normonnx.recognize.readings import (
    Missing,
    Outcome,
    Reading,
    affine,
    count_of,
    is_sum,
    no_layer,
)
from normonnx.recognize.rounding import close

_LARGEST_BOUND: Final = 1e-2  # a larger one limits lengths rather than guarding against zero


_NEGLIGIBLE: Final = 1e-30  # beside any square that float32 keeps its digits in


_SMALLEST: Final = float(np.finfo(np.float32).tiny)


def uncentered(fact: Combination, spread: Spread, place: Place) -> Outcome:
    """Divided by a statistic that is no variance."""
    statistic = spread.statistic
    if not close(spread.gain, 1.0):
        return Missing("the divisor is multiplied by a number")
    if spread.outer:
        return Missing("an epsilon is added outside the root")
    if statistic.epsilon < 0:
        return Missing("its epsilon is negative")
    if statistic.power == SQUARE and statistic.epsilon:
        return _root_mean_square(fact, statistic, spread, place)
    return _length(fact, spread, place)


def _root_mean_square(
    fact: Combination, statistic: Statistic, spread: Spread, place: Place
) -> Outcome:
    if not close(statistic.square, 1.0) or statistic.count is not None:
        return Missing(f"the mean square is multiplied by {statistic.square:g}: a sum in its place")
    if spread.floor is not None or spread.guarded:
        return Missing("the divisor has both an epsilon and a lower bound")
    axis, count = place.trailing, count_of(place)
    unit = None if count is None else 1 / math.sqrt(count)
    if statistic.epsilon < _NEGLIGIBLE and unit is not None and fact.cx.number is not None:
        axes = place.axes
        if axes and len(axes) == 1 and close(fact.cx.number, unit) and _is_bare(fact):
            order = {"axis": axes[0] - place.rank, "p": SQUARE, "epsilon": 0.0}
            return Reading("LpNorm", order)
    spatial = place.rank > 2 and place.is_over(range(2, place.rank))  # noqa: PLR2004
    if spatial and place.stands(fact.cx, [1]) and place.stands(fact.c1, [1]):
        bare = fact.cx.number is not None and fact.c1.is_number(0.0) and fact.least is None
        if axis is None or not bare:
            return _filter_response(fact, statistic, place)
    if axis is None:
        return Missing(no_layer(place))
    if fact.least is not None or fact.bias is not None or not fact.c1.is_number(0.0):
        return Missing("it has a bias or a lower bound, which RMSNorm has not")
    found = affine(fact, place, range(axis, place.rank))
    if found is None:
        return Missing(no_layer(place))
    return Reading("RMSNorm", {"axis": axis - place.rank, "epsilon": statistic.epsilon}, *found)


def _is_bare(fact: Combination) -> bool:
    return fact.is_fixed and fact.c1.is_number(0.0)


def _filter_response(fact: Combination, statistic: Statistic, place: Place) -> Outcome:
    found = affine(fact, place, [1])
    if found is None or not place.stands(fact.least, [1]):
        return Missing(no_layer(place))
    parameters, sources = found
    if fact.least is not None:
        parameters["threshold"] = place.array(fact.least, [1])
        if fact.least.source is not None:
            sources["threshold"] = fact.least
    return Reading("FilterResponseNorm", {"epsilon": statistic.epsilon}, parameters, sources)


def _length(fact: Combination, spread: Spread, place: Place) -> Outcome:
    """Divided by a p-norm."""
    statistic, axes = spread.statistic, place.axes
    summed = is_sum(statistic, place) or math.isinf(statistic.power)
    if statistic.epsilon or not summed:
        return Missing("its statistic is no p-norm: a mean in place of a sum")
    bound = spread.floor
    if not bound and not spread.guarded:
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
        "epsilon": 0.0 if bound is None or bound <= _guard(statistic.power) else bound,
    }
    if fact.cx.is_number(1.0):
        return Reading("LpNorm", attributes)
    if statistic.power != SQUARE or axes[0] != place.rank - 1:
        return Missing("it is scaled by a number, which a p-norm is not")
    scale = {"scale": np.asarray([fact.cx.number])}
    sources = {"scale": fact.cx} if fact.cx.source is not None else {}
    # Without an epsilon it would make NaN of a row of zeros, which stay zeros here.
    return Reading("ScaleNorm", {"epsilon": bound or _guard(SQUARE)}, scale, sources)


def _guard(order: float) -> float:
    """A bound that no row but zeros has reached, as far as float32 can tell."""
    return SQUARES_VANISH if order == SQUARE else _SMALLEST


def response(fact: Combination, response: Response, lengths: Lengths) -> Outcome:
    """GlobalResponseNorm: each channel by its size relative to the others."""
    average = response.average
    spread, statistic = average.spread, average.spread.statistic
    place = Place(lengths, average.over)
    axes = place.axes
    plain = not spread.outer and spread.floor is None and not spread.guarded
    plain = plain and close(average.gain, spread.gain)
    if axes is None or len(axes) != 1 or axes[0] == 0 or not plain or statistic.epsilon:
        return Missing("its response is relative to no axis of channels")
    others = [axis for axis in range(1, place.rank) if axis != axes[0]]
    spatial = Place(lengths, statistic.over)
    if statistic.power != SQUARE or statistic.centered or not is_sum(statistic, spatial):
        return Missing("its sizes are no norms over all positions")
    if statistic.over != atoms_of(spatial.frame, others):  # which may be one position
        return Missing("its sizes are not over all positions")
    linear = fact.cm.is_number(0.0) and fact.c0.is_number(0.0)
    if not fact.skip or not linear or fact.least is not None:
        return Missing("its input is not added to its result")
    fixed = Combination(fact.frame, fact.cx, ZERO, c1=fact.c1, spread=spread)
    found = affine(fixed, place, axes)
    if found is None:
        return Missing("its scale and bias are not by channel")
    attributes: dict[str, Number] = {"axis": axes[0] - place.rank, "epsilon": average.epsilon}
    return Reading("GlobalResponseNorm", attributes, *found)


def damped(fact: Combination, damping: Damping, lengths: Lengths) -> Outcome:
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
