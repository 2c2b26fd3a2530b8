"""Powers, roots, sizes and bounds of values with known facts.

Every function gives None where the result is none of the facts; nothing is ever guessed.
"""

from __future__ import annotations

from dataclasses import replace

from normonnx.recognize.facts import (
    NOWHERE,
    SQUARE,
    ZERO,
    Absolute,
    Combination,
    Damping,
    Fact,
    Quadratic,
    Spread,
    Statistic,
    Window,
)
from normonnx.recognize.fields import number
from normonnx.recognize.frames import Frame
from normonnx.recognize.means import common_mean
from normonnx.recognize.rounding import close


def quadratic(one: Combination, other: Combination, frame: Frame) -> Quadratic | None:
    """The product of two values that are linear in X, with numbers as factors."""
    over = common_mean(one, other)
    if over is None or not all(_is_uniform_pair(each) for each in (one, other)):
        return None
    (a, b), (c, d) = ((each.cx.number or 0.0, each.cm.number or 0.0) for each in (one, other))
    return Quadratic(frame, over, a * c, a * d + b * c, b * d)


def _is_uniform_pair(fact: Combination) -> bool:
    """Whether it is a X + b M with numbers a and b."""
    nothing = fact.c0.is_number(0.0) and fact.c1.is_number(0.0)
    numbers = fact.cx.number is not None and fact.cm.number is not None
    return fact.is_linear and fact.is_fixed and nothing and numbers


def inverted(spread: Spread) -> Combination:
    """One over a spread."""
    gain = number(1.0)
    if spread.gain != 1.0:
        gain = number(1.0 / spread.gain)
        spread = replace(spread, gain=1.0, outer=spread.outer / spread.gain)
    return Combination(spread.frame, ZERO, ZERO, NOWHERE, gain, spread)


def rooted(statistic: Statistic, exponent: float) -> Spread:
    """A statistic to the power of one over its own; other roots are a flaw."""
    if not close(exponent * statistic.power, 1.0):
        flaw = f"the mean of powers of {statistic.power:g} is raised to the power {exponent:g}"
        return Spread(statistic.frame, replace(statistic, flaw=statistic.flaw or flaw))
    floor = None if statistic.least is None else statistic.least**exponent
    plain = replace(statistic, least=None, guarded=False)
    return Spread(statistic.frame, plain, floor, statistic.guarded)


def powered(fact: Fact, exponent: float) -> Fact | None:
    """A value to a constant power."""
    if exponent == 1.0:
        return fact
    if isinstance(fact, Statistic):
        root = rooted(fact, abs(exponent))
        return root if exponent > 0 else inverted(root)
    if isinstance(fact, Window | Damping):
        return _damping(fact, exponent)
    if isinstance(fact, Spread):
        if exponent == -1.0:
            return inverted(fact)
        return squared(fact) if exponent == SQUARE else None
    if isinstance(fact, Combination):
        if exponent == SQUARE:
            return quadratic(fact, fact, fact.frame)
        odd = exponent > 0 and _is_uniform_pair(fact)
        return Absolute(fact.frame, exponent, inner=fact) if odd else None
    return _sizes_powered(fact, exponent) if isinstance(fact, Absolute) else None


def _sizes_powered(fact: Absolute, exponent: float) -> Fact | None:
    if fact.inner is not None:
        square = exponent == SQUARE and fact.power == 1.0
        return square_of_sizes(fact, fact, fact.frame) if square else None
    if exponent <= 0 or fact.gain <= 0:
        return None
    power, gain = fact.power * exponent, fact.gain**exponent
    if power == SQUARE and fact.unit is None:
        return Quadratic(fact.frame, NOWHERE, gain, 0.0, 0.0)
    return replace(fact, power=power, gain=gain)


def _damping(fact: Window | Damping, exponent: float) -> Fact | None:
    """A window's sum to a power; one over it where the power is negative."""
    window = fact if isinstance(fact, Window) else fact.window
    already = fact.exponent if isinstance(fact, Damping) else 1.0
    found = Damping(fact.frame, window, abs(exponent) * already)
    if exponent > 0:
        return found
    return Combination(found.frame, ZERO, spread=found, c0=number(1.0))


def squared(spread: Spread) -> Statistic | None:
    """The square of a 2-norm is its sum of squares again."""
    statistic = spread.statistic
    plain = not spread.outer and spread.gain == 1.0 and not spread.guarded
    if statistic.power != SQUARE or not plain or spread.floor is not None:
        return None
    return replace(statistic, frame=spread.frame)


def absolute(fact: Fact) -> Fact | None:
    """The absolute value."""
    if isinstance(fact, Combination) and fact.is_linear and fact.is_plain and fact.is_fixed:
        gain = fact.cx.number
        return None if gain is None else Absolute(fact.frame, 1.0, abs(gain))
    if isinstance(fact, Combination) and _is_uniform_pair(fact):
        return Absolute(fact.frame, 1.0, inner=fact)
    if isinstance(fact, Spread | Statistic | Absolute):
        return fact if not isinstance(fact, Absolute) or fact.gain > 0 else None
    return fact if isinstance(fact, Quadratic) and fact.is_square else None


def bounded(fact: Fact, least: float) -> Fact | None:
    """The larger of a value and a number."""
    if isinstance(fact, Statistic) and fact.count is None:
        if least <= fact.epsilon and _is_never_negative(fact):
            return fact
        if least <= 0 or fact.epsilon:
            return None
        return replace(fact, least=max(least, fact.least or 0.0))
    if isinstance(fact, Statistic) and least > 0 and not fact.epsilon:
        return replace(fact, least=max(least, fact.least or 0.0))
    if isinstance(fact, Spread):
        if least <= fact.outer:
            return fact
        if fact.outer or fact.guarded:
            return None
        bound = least / fact.gain
        return replace(fact, floor=max(bound, fact.floor or 0.0))
    return None


def _is_never_negative(statistic: Statistic) -> bool:
    variance = close(statistic.mean_square, -statistic.square)
    return statistic.square > 0 and (variance or statistic.mean_square >= 0)


def square_of_sizes(one: Absolute, other: Absolute, frame: Frame) -> Fact | None:
    """|a X + b M| |a X + b M|."""
    if one.inner is None or other.inner is None or (one.power, other.power) != (1.0, 1.0):
        return None
    pairs = [(each.inner.cx.number, each.inner.cm.number) for each in (one, other) if each.inner]
    if pairs[0] != pairs[1] or one.inner.over != other.inner.over:
        return None
    square = quadratic(one.inner, other.inner, frame)
    gain = one.gain * other.gain
    if square is None:
        return None
    return replace(square, xx=square.xx * gain, xm=square.xm * gain, mm=square.mm * gain)
