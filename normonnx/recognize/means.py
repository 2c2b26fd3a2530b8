"""Means of values with known facts, and what means of X have in common."""

from __future__ import annotations

from dataclasses import replace

from normonnx.recognize.facts import (
    NOWHERE,
    SQUARE,
    ZERO,
    Absolute,
    Combination,
    Fact,
    Quadratic,
    Statistic,
)
from normonnx.recognize.frames import Atoms, Frame, joined, overlap, within


def common_mean(one: Combination, other: Combination) -> Atoms | None:
    """What the means of both are over; None where they differ."""
    if one.cm.is_number(0.0):
        return other.over
    if other.cm.is_number(0.0) or one.over == other.over:
        return one.over
    return None


def cancelled(fact: Combination) -> Combination:
    """Without the digits of a mean that has cancelled."""
    if fact.cm.is_number(0.0) and fact.over:
        return replace(fact, over=NOWHERE)
    return fact


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
