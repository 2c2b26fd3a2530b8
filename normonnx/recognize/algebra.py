"""Arithmetic on facts: what is known of a sum, a product, a quotient of values with known facts.

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
from normonnx.recognize.frames import Frame, broadcast
from normonnx.recognize.means import cancelled, common_mean
from normonnx.recognize.powers import inverted, quadratic, square_of_sizes, squared
from normonnx.recognize.windows import joined


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
    if isinstance(one, Window) and isinstance(other, Window):
        return joined(one, other) if sign > 0 else None
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
        return quadratic(one, other, frame)
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
        return square_of_sizes(one, other, frame)
    units = (one.unit, other.unit)
    if any(unit is not None for unit in units) and (
        units[0] is None or units[1] is None or not units[0].like(units[1])
    ):
        return None
    power, gain = one.power + other.power, one.gain * other.gain
    if power == SQUARE and one.unit is None:
        return Quadratic(frame, NOWHERE, gain, 0.0, 0.0)
    return Absolute(frame, power, gain, one.unit)


def _over_spread(linear: Combination, inverse: Combination, frame: Frame) -> Fact | None:
    """A linear value times a constant over a spread."""
    found = scaled(linear, inverse.c0, frame)
    if not isinstance(found, Combination):
        return None
    return replace(found, spread=inverse.spread)


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
