"""Arithmetic on facts: what is known of a sum, a product, a mean of values with known facts.

Every function gives None where the result is none of the facts; nothing is ever guessed.
"""

from __future__ import annotations

import math
from dataclasses import replace

from normonnx.recognize.facts import (
    NOWHERE,
    SQUARE,
    ZERO,
    Absolute,
    Average,
    Combination,
    Damping,
    Fact,
    Quadratic,
    Response,
    Spread,
    Statistic,
    Window,
)
from normonnx.recognize.fields import Field, number
from normonnx.recognize.frames import Atoms, Frame, broadcast, joined, overlap, within


def common_mean(one: Combination, other: Combination) -> Atoms | None:
    """What the means of both are over; None where they differ."""
    if one.cm.is_number(0.0):
        return other.over
    if other.cm.is_number(0.0) or one.over == other.over:
        return one.over
    return None


def scaled(fact: Fact, factor: Field, frame: Frame) -> Fact | None:
    """A fact times a constant."""
    if isinstance(fact, Combination):
        if not fact.is_fixed:
            return None
        fields = (fact.cx, fact.cm, fact.c0, fact.c1)
        cx, cm, c0, c1 = (each * factor if not each.is_number(0.0) else each for each in fields)
        return replace(fact, frame=frame, cx=cx, cm=cm, c0=c0, c1=c1)
    if isinstance(fact, Response):
        return Combination(frame, ZERO, c0=factor, spread=fact)
    value = factor.number
    if value is None or not math.isfinite(value):
        return None
    if isinstance(fact, Quadratic):
        xx, xm, mm = fact.xx * value, fact.xm * value, fact.mm * value
        return replace(fact, frame=frame, xx=xx, xm=xm, mm=mm)
    if isinstance(fact, Absolute):
        return replace(fact, frame=frame, gain=fact.gain * value)
    return _scaled_statistic(fact, value, frame) if value > 0 else None


def _scaled_statistic(fact: Fact, value: float, frame: Frame) -> Fact | None:
    if isinstance(fact, Average):
        epsilon = fact.epsilon * value
        return replace(fact, frame=frame, gain=fact.gain * value, epsilon=epsilon)
    if isinstance(fact, Window):
        return replace(fact, frame=frame, factor=fact.factor * value, epsilon=fact.epsilon * value)
    if isinstance(fact, Spread) and not fact.guarded:
        return replace(fact, frame=frame, gain=fact.gain * value, outer=fact.outer * value)
    if not isinstance(fact, Statistic) or fact.guarded:
        return None
    return replace(
        fact,
        frame=frame,
        square=fact.square * value,
        mean_square=fact.mean_square * value,
        epsilon=fact.epsilon * value,
        least=None if fact.least is None else fact.least * value,
    )


def shifted(fact: Fact, added: Field, frame: Frame) -> Fact | None:
    """A fact plus a constant."""
    if isinstance(fact, Combination):
        after = fact.skip or (fact.scale is not None and fact.bias is None)
        if after:  # X, or an operand at run time, came before the bias
            return replace(fact, frame=frame, c1=fact.c1 + added)
        if not fact.is_fixed:
            return None
        if fact.is_linear:
            return replace(fact, frame=frame, c0=fact.c0 + added)
        return replace(fact, frame=frame, c1=fact.c1 + added)
    value = added.number
    if value is None and isinstance(fact, Statistic):
        return replace(fact, frame=frame, flaw="its epsilon is a vector")
    if value is None or not math.isfinite(value):
        return None
    if isinstance(fact, Statistic) and fact.least is None and not fact.guarded:
        return replace(fact, frame=frame, epsilon=fact.epsilon + value)
    if isinstance(fact, Spread) and not fact.guarded:
        return replace(fact, frame=frame, outer=fact.outer + value)
    if isinstance(fact, Average | Window):
        return replace(fact, frame=frame, epsilon=fact.epsilon + value)
    return None


def total(one: Fact, other: Fact, sign: float) -> Fact | None:
    """The sum of two values, the second times `sign`."""
    frame = broadcast(one.frame, other.frame)
    if frame is None:
        return None
    if isinstance(one, Combination) and isinstance(other, Combination):
        return _sum_of_combinations(one, other, sign, frame)
    if isinstance(one, Quadratic) and isinstance(other, Quadratic):
        return _sum_of_quadratics(one, other, sign, frame)
    if isinstance(one, Statistic) and isinstance(other, Statistic | Quadratic):
        return _sum_of_statistics(one, other, sign, frame)
    if isinstance(one, Quadratic) and isinstance(other, Statistic) and sign > 0:
        return _sum_of_statistics(other, one, sign, frame)
    return None


def _sum_of_combinations(
    one: Combination, other: Combination, sign: float, frame: Frame
) -> Fact | None:
    if not (one.is_fixed and other.is_fixed):
        return None
    second = scaled(other, number(sign), other.frame)
    over = common_mean(one, other)
    if not isinstance(second, Combination) or over is None:
        return None
    if one.is_constant and not other.is_linear:
        return replace(second, frame=frame, c1=second.c1 + one.c0)
    if second.is_constant and not one.is_linear:
        return replace(one, frame=frame, c1=one.c1 + second.c0)
    for normal, other_one in ((one, second), (second, one)):
        if isinstance(normal.spread, Response) and other_one.is_view:
            return replace(normal, frame=frame, skip=True)
    spread = one.spread
    if (spread is None) != (second.spread is None):
        return None
    if spread is not None and not spread.like(second.spread):
        return None
    return cancelled(
        Combination(
            frame,
            one.cx + second.cx,
            one.cm + second.cm,
            over,
            one.c0 + second.c0,
            spread,
            one.c1 + second.c1,
        )
    )


def cancelled(fact: Combination) -> Combination:
    """Without the digits of a mean that has cancelled."""
    if fact.cm.is_number(0.0) and fact.over:
        return replace(fact, over=NOWHERE)
    return fact


def _sum_of_quadratics(one: Quadratic, other: Quadratic, sign: float, frame: Frame) -> Fact | None:
    over = one.over or other.over
    if one.over and other.over and one.over != other.over:
        return None
    if one.averaged != other.averaged:
        return None
    xx, xm, mm = one.xx + sign * other.xx, one.xm + sign * other.xm, one.mm + sign * other.mm
    return replace(one, frame=frame, over=over, xx=xx, xm=xm, mm=mm)


def _sum_of_statistics(
    one: Statistic, other: Statistic | Quadratic, sign: float, frame: Frame
) -> Fact | None:
    """E[X^2] - E[X]^2, however it came about."""
    if one.power != SQUARE or one.over != other.over or one.least is not None or one.count:
        return None
    if isinstance(other, Quadratic):
        if other.xx or other.xm:
            return None
        return replace(one, frame=frame, mean_square=one.mean_square + sign * other.mm)
    if other.power != SQUARE or other.least is not None or other.count or other.flaw:
        return None
    if one.unit is not None or other.unit is not None:
        return None
    return replace(
        one,
        frame=frame,
        square=one.square + sign * other.square,
        mean_square=one.mean_square + sign * other.mean_square,
        epsilon=one.epsilon + sign * other.epsilon,
    )


def product(one: Fact, other: Fact) -> Fact | None:
    """The product of two values."""
    frame = broadcast(one.frame, other.frame)
    if frame is None:
        return None
    for first, second in ((one, other), (other, one)):
        if isinstance(first, Combination):
            found = _times(first, second, frame)
            if found is not None:
                return found
        if isinstance(first, Absolute) and isinstance(second, Absolute):
            return _powers(first, second, frame)
        if isinstance(first, Spread) and isinstance(second, Spread):
            same = squared(first) if first.like(second) else None
            return _rescaled(first, second, frame) if same is None else replace(same, frame=frame)
        if isinstance(first, Damping) and isinstance(second, Damping):
            return _damped_twice(first, second, frame)
    if isinstance(one, Combination) and isinstance(other, Combination):
        return _quadratic(one, other, frame)
    return None


def _damped_twice(one: Damping, other: Damping, frame: Frame) -> Damping | None:
    """sqrt(s) sqrt(sqrt(s)) is s^0.75."""
    if not replace(one, exponent=other.exponent).like(other):
        return None
    return Damping(frame, one.window, one.exponent + other.exponent)


def _times(one: Combination, other: Fact, frame: Frame) -> Fact | None:
    """Times a constant, one over a spread, or a response, which are Combinations of no X."""
    if isinstance(other, Response):
        return replace(one, frame=frame, spread=other) if one.is_linear and one.is_fixed else None
    if not isinstance(other, Combination):
        return None
    if other.is_constant:
        return scaled(one, other.c0, frame)
    return _over_spread(one, other, frame) if one.is_linear and other.is_inverse else None


def _rescaled(one: Spread, other: Spread, frame: Frame) -> Fact | None:
    """The norm of X / unit, times the unit, is the norm of X."""
    for unit, inner in ((one, other), (other, one)):
        statistic = inner.statistic
        if (
            statistic.unit is not None
            and statistic.unit.like(unit)
            and not statistic.epsilon
            and not inner.outer
            and inner.floor is None
            and statistic.least is None
        ):
            plain = replace(statistic, unit=None)
            return replace(inner, frame=frame, statistic=plain, guarded=False)
    return None


def _powers(one: Absolute, other: Absolute, frame: Frame) -> Fact | None:
    if one.inner is not None or other.inner is not None:
        return _square_of_sizes(one, other, frame)
    units = (one.unit, other.unit)
    if any(unit is not None for unit in units) and (
        units[0] is None or units[1] is None or not units[0].like(units[1])
    ):
        return None
    power, gain = one.power + other.power, one.gain * other.gain
    if power == SQUARE and one.unit is None:
        return Quadratic(frame, NOWHERE, gain, 0.0, 0.0)
    return Absolute(frame, power, gain, one.unit)


def _square_of_sizes(one: Absolute, other: Absolute, frame: Frame) -> Fact | None:
    """|a X + b M| |a X + b M|."""
    if one.inner is None or other.inner is None or (one.power, other.power) != (1.0, 1.0):
        return None
    pairs = [(each.inner.cx.number, each.inner.cm.number) for each in (one, other) if each.inner]
    if pairs[0] != pairs[1] or one.inner.over != other.inner.over:
        return None
    square = _quadratic(one.inner, other.inner, frame)
    return None if square is None else scaled(square, number(one.gain * other.gain), frame)


def _over_spread(linear: Combination, inverse: Combination, frame: Frame) -> Fact | None:
    """A linear value times a constant over a spread."""
    found = scaled(linear, inverse.c0, frame)
    if not isinstance(found, Combination):
        return None
    return replace(found, spread=inverse.spread)


def _quadratic(one: Combination, other: Combination, frame: Frame) -> Fact | None:
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


def quotient(one: Fact, other: Fact) -> Fact | None:
    """One value over another."""
    if isinstance(other, Spread):
        inverse = inverted(other)
        if isinstance(one, Absolute) and one.power == 1.0 and (one.unit, one.inner) == (None, None):
            frame = broadcast(one.frame, other.frame)
            return None if frame is None else replace(one, frame=frame, unit=other)
        if isinstance(one, Combination) and not one.is_linear:
            return _twice_divided(one, other)
        return product(one, inverse)
    if isinstance(other, Window):
        other = Damping(other.frame, other, 1.0)
    if isinstance(other, Damping):
        return product(one, Combination(other.frame, ZERO, spread=other, c0=number(1.0)))
    if isinstance(other, Average) and isinstance(one, Spread) and one.like(other.spread):
        frame = broadcast(one.frame, other.frame)
        return None if frame is None else Response(frame, other)
    if isinstance(other, Combination) and other.is_constant:
        frame = broadcast(one.frame, other.frame)
        return None if frame is None else scaled(one, other.c0.inverse(), frame)
    return None


def _twice_divided(one: Combination, other: Spread) -> Fact | None:
    """X / unit / norm(X / unit) is X / norm(X)."""
    frame = broadcast(one.frame, other.frame)
    unit, statistic = one.spread, other.statistic
    if (
        frame is None
        or not isinstance(unit, Spread)
        or statistic.unit is None
        or not statistic.unit.like(unit)
    ):
        return None
    plain = statistic.least is None and not statistic.epsilon and not other.outer
    if not plain or other.floor is not None or not one.c1.is_number(0.0) or unit.gain != 1.0:
        return None
    guarded = other.guarded and (unit.guarded or bool(unit.floor))  # 0 / 0 is no 0
    spread = Spread(other.frame, replace(statistic, unit=None), guarded=guarded, gain=other.gain)
    return replace(one, frame=frame, spread=spread)


def inverted(spread: Spread) -> Combination:
    """One over a spread."""
    gain = number(1.0)
    if spread.gain != 1.0:
        gain = number(1.0 / spread.gain)
        spread = replace(spread, gain=1.0, outer=spread.outer / spread.gain)
    return Combination(spread.frame, ZERO, ZERO, NOWHERE, gain, spread)


def rooted(statistic: Statistic, exponent: float) -> Spread:
    """A statistic to the power of one over its own; other roots are a flaw."""
    if not math.isclose(exponent * statistic.power, 1.0, rel_tol=1e-6):
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
            return _quadratic(fact, fact, fact.frame)
        odd = exponent > 0 and _is_uniform_pair(fact)
        return Absolute(fact.frame, exponent, inner=fact) if odd else None
    return _sizes_powered(fact, exponent) if isinstance(fact, Absolute) else None


def _sizes_powered(fact: Absolute, exponent: float) -> Fact | None:
    if fact.inner is not None:
        square = exponent == SQUARE and fact.power == 1.0
        return _square_of_sizes(fact, fact, fact.frame) if square else None
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
        if least <= max(fact.epsilon, 0.0) and _is_never_negative(fact):
            return fact
        if least <= 0 or fact.epsilon:
            return None
        return replace(fact, least=max(least, fact.least or 0.0))
    if isinstance(fact, Statistic) and least > 0 and not fact.epsilon:
        return replace(fact, least=max(least, fact.least or 0.0))
    if isinstance(fact, Spread):
        if least <= max(fact.outer, 0.0):
            return fact
        if fact.outer or fact.guarded:
            return None
        bound = least / fact.gain
        return replace(fact, floor=max(bound, fact.floor or 0.0))
    return None


def _is_never_negative(statistic: Statistic) -> bool:
    variance = math.isclose(statistic.mean_square, -statistic.square, rel_tol=1e-6)
    return statistic.square > 0 and (variance or statistic.mean_square >= 0)


def mean_of_combination(fact: Combination, gone: Atoms, frame: Frame) -> Combination | None:
    """The mean over some digits of what is linear in X."""
    if not fact.is_linear or not fact.is_fixed:
        return None
    if fact.cx.varies_along(gone) or fact.cm.varies_along(gone):
        return None
    c0 = fact.c0 if not fact.c0.varies_along(gone) else fact.c0.mean(gone)
    if fact.cx.is_number(0.0):
        over = joined(fact.over, gone) if not fact.cm.is_number(0.0) else NOWHERE
        return Combination(frame, ZERO, fact.cm, over, c0)
    if fact.cm.is_number(0.0):
        return Combination(frame, ZERO, fact.cx, gone, c0)
    if fact.over == gone:
        return cancelled(Combination(frame, ZERO, fact.cx + fact.cm, gone, c0))
    return None


def mean_of_quadratic(fact: Quadratic, gone: Atoms, frame: Frame) -> Fact | None:
    """E[xx X^2 + xm X M + mm M^2]: with M over the same digits, E[X M] is M^2.

    Where M is over more digits, others have to be averaged over later.
    """
    if overlap(fact.averaged, gone):
        return None
    averaged = joined(fact.averaged, gone)
    if fact.over and fact.over != averaged:
        partly = within(averaged, fact.over)
        return replace(fact, frame=frame, averaged=averaged) if partly else None
    return Statistic(frame, averaged, SQUARE, fact.xx, fact.xm + fact.mm)


def mean_of_powers(fact: Absolute, gone: Atoms, frame: Frame) -> Statistic | None:
    """E|X|^p."""
    if fact.inner is not None and fact.power != 1.0:
        flaw = f"its statistic is a mean of powers of {fact.power:g} in place of squares"
        centered = 0.0 if fact.inner.cm.is_number(0.0) else -1.0
        return Statistic(frame, gone, SQUARE, 1.0, centered, flaw=flaw)
    if fact.gain <= 0 or fact.inner is not None:
        return None
    return Statistic(frame, gone, fact.power, fact.gain, unit=fact.unit)


def averaged_again(fact: Statistic, gone: Atoms, frame: Frame) -> Statistic | None:
    """A mean of squares over further digits, which the statistic still varies along."""
    simple = not fact.mean_square and not fact.epsilon and fact.least is None
    if not simple or fact.guarded or fact.unit is not None or overlap(fact.over, gone):
        return None
    return replace(fact, frame=frame, over=joined(fact.over, gone))


def is_constant_over(fact: Combination, gone: Atoms) -> bool:
    """Whether the mean that was added is the same everywhere within those digits."""
    if fact.cm.is_number(0.0):
        return True
    return within(gone, fact.over) and not fact.cm.varies_along(gone)
