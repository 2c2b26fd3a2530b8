"""From what is known of a value to the normalization that it is, or what is missing.

A norm is complete when r is one over a variance and cm = -cx over the same digits, or one over a
mean square or a norm and cm = 0. Which one it is depends on the axes, and where these leave two
readings, on what scale and bias run along.
"""

from __future__ import annotations

from normonnx.graph.lengths import Lengths
from normonnx.recognize.dividing import damped, response, uncentered
from normonnx.recognize.facts import Combination, Damping, Fact, Response, Spread
from normonnx.recognize.frames import same, whole
from normonnx.recognize.places import Place
from normonnx.recognize.readings import Missing, Outcome
from normonnx.recognize.standardizing import centered


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
        return response(fact, fact.spread, lengths)
    if isinstance(fact.spread, Damping):
        return damped(fact, fact.spread, lengths)
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
        return centered(fact, spread, place)
    if not fact.cm.is_number(0.0):
        return Missing("what is divided is centered, and the statistic is not")
    return uncentered(fact, spread, place)


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
