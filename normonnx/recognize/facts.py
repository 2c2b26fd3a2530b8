"""What is known of a value, relative to one tensor that it is computed from: the root X.

    Combination   r (cx X + cm M + c0) + c1        M the mean of X over some of its digits
    Quadratic     xx X^2 + xm X M + mm M^2
    Absolute      gain |X|^power, each element divided by a spread, maybe; or gain |a X + b M|^power
    Statistic     n (square E|X|^power + mean_square M^2) + epsilon, n of unknown lengths or 1
    Spread        max(Statistic^(1 / power), floor) gain + outer; r is one over it
    Average       the mean of a Spread over further digits, plus epsilon
    Response      a Spread over its Average; r, too
    Window        factor (sum of X^2 over a window of channels) + epsilon; Padded is X^2 before that
    Damping       Window^exponent; r is one over it

X itself, its mean, the centered, the inverse deviation, the normalized and its affine tails are all
Combinations. Coefficients are constants in the layout of X.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import onnx_ir as ir

from normonnx.graph.lengths import Length
from normonnx.recognize.fields import Field, number
from normonnx.recognize.frames import Atom, Atoms, Frame

ZERO: Final = number(0.0)
ONE: Final = number(1.0)
SQUARE: Final = 2.0
NOWHERE: Final[Atoms] = frozenset()


@dataclass(frozen=True, slots=True)
class Count:
    """How many elements a sum is over, as two equal products of lengths.

    Attributes:
        digits: Lengths of digits of the root.
        lengths: Of the dimensions that were summed over, in the view that the sum was taken in.
    """

    digits: tuple[Length, ...]
    lengths: tuple[Length, ...]

    def times(self, other: Count | None) -> Count:
        """How many a sum of such sums is over."""
        if other is None:
            return self
        return Count(self.digits + other.digits, self.lengths + other.lengths)


@dataclass(frozen=True, slots=True)
class Statistic:
    """n (square E|X|^power + mean_square E[X]^2) + epsilon, at least `least`.

    Attributes:
        frame: Of the value.
        over: What is averaged over.
        power: 1, 2, another, or infinity for the largest absolute value.
        square: Factor of the mean power.
        mean_square: Factor of the square of the mean; -square makes a variance.
        count: n where it is a sum over unknown lengths, else None: known ones are in `square`.
        epsilon: What is added.
        least: Lower bound, None without.
        unit: What X was divided by, element for element, before the power.
        guarded: Whether a value of 0 is replaced by 1.
        flaw: Why it is the statistic of no normalization; then its numbers mean nothing.
    """

    frame: Frame
    over: Atoms
    power: float
    square: float
    mean_square: float = 0.0
    count: Count | None = None
    epsilon: float = 0.0
    least: float | None = None
    unit: Spread | None = None
    guarded: bool = False
    flaw: str | None = None

    @property
    def centered(self) -> bool:
        """Whether it is a variance."""
        return self.mean_square != 0.0


@dataclass(frozen=True, slots=True)
class Spread:
    """max(statistic^(1 / power), floor) gain + outer.

    Attributes:
        frame: Of the value.
        statistic: Under the root.
        floor: Smaller values are replaced by it; None without.
        guarded: Whether a value of 0 is replaced by 1.
        outer: Added after the root.
        gain: Factor.
    """

    frame: Frame
    statistic: Statistic
    floor: float | None = None
    guarded: bool = False
    outer: float = 0.0
    gain: float = 1.0

    def like(self, other: object) -> bool:
        """Whether it is the same number wherever the two stand."""
        return isinstance(other, Spread) and self.key == other.key

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the number it is, wherever it stands."""
        count = self.statistic.count
        digits = None if count is None else Count(count.digits, ())
        statistic = replace(self.statistic, frame=(), unit=None, count=digits)
        unit = self.statistic.unit
        inner = None if unit is None else unit.key
        return statistic, inner, self.floor, self.guarded, self.outer, self.gain


@dataclass(frozen=True, slots=True)
class Average:
    """gain mean(spread) + epsilon: how large channels are on average (GlobalResponseNorm)."""

    frame: Frame
    spread: Spread
    over: Atoms
    epsilon: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True, slots=True)
class Response:
    """spread / (mean(spread) + epsilon)."""

    frame: Frame
    average: Average

    def like(self, other: object) -> bool:
        """Whether it is the same number wherever the two stand."""
        if not isinstance(other, Response):
            return False
        mine, its = self.average, other.average
        same = (mine.over, mine.epsilon, mine.gain) == (its.over, its.epsilon, its.gain)
        return same and mine.spread.like(its.spread)


@dataclass(frozen=True, slots=True)
class Window:
    """factor (sum of X^2 over c - below ... c + above) + epsilon.

    Attributes:
        frame: Of the value.
        atom: What c counts.
        below: How many before.
        above: How many after.
        factor: Of the sum.
        epsilon: What is added.
    """

    frame: Frame
    atom: Atom
    below: int
    above: int
    factor: float
    epsilon: float = 0.0


@dataclass(frozen=True, slots=True)
class Damping:
    """A window's sum to a power."""

    frame: Frame
    window: Window
    exponent: float

    def like(self, other: object) -> bool:
        """Whether it is the same number wherever the two stand."""
        if not isinstance(other, Damping):
            return False
        same = replace(self.window, frame=()) == replace(other.window, frame=())
        return same and self.exponent == other.exponent


@dataclass(frozen=True, slots=True, eq=False)
class Runtime:
    """An operand that is computed at run time and not from the root.

    Attributes:
        value: The operand.
        frame: Along what it stands, in the dimensions of the fact it met.
    """

    value: ir.Value
    frame: Frame


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """r (cx X + cm M + c0) + c1; without a spread r is 1 and c1 is 0.

    Attributes:
        frame: Of the value.
        cx: Factor of X.
        cm: Factor of the mean.
        over: What the mean is over; empty where cm is 0.
        c0: Added before r.
        spread: What r is one over; or the response that r is.
        c1: Added after r.
        scale: An operand at run time that multiplied all this, None without.
        bias: An operand at run time that was added in the end, None without.
        skip: Whether X itself was added after r.
        least: Lower bound of the result, None without.
    """

    frame: Frame
    cx: Field = ONE
    cm: Field = ZERO
    over: Atoms = NOWHERE
    c0: Field = ZERO
    spread: Spread | Response | Damping | None = None
    c1: Field = ZERO
    scale: Runtime | None = None
    bias: Runtime | None = None
    skip: bool = False
    least: Field | None = None

    @property
    def is_view(self) -> bool:
        """Whether it is X, in another shape."""
        return self.is_linear and self.cx.is_number(1.0) and self.is_plain

    @property
    def is_linear(self) -> bool:
        """Whether nothing was divided by a statistic."""
        return self.spread is None

    @property
    def is_plain(self) -> bool:
        """Whether neither the mean nor a constant was added."""
        return self.cm.is_number(0.0) and self.c0.is_number(0.0) and self.c1.is_number(0.0)

    @property
    def is_constant(self) -> bool:
        """Whether X cancels."""
        return self.is_linear and self.cx.is_number(0.0) and self.cm.is_number(0.0)

    @property
    def is_inverse(self) -> bool:
        """Whether it is a constant over the spread."""
        nothing = self.cx.is_number(0.0) and self.cm.is_number(0.0) and self.c1.is_number(0.0)
        return self.spread is not None and nothing and self.is_fixed

    @property
    def is_fixed(self) -> bool:
        """Whether nothing but constants entered after r."""
        after = self.scale is None and self.bias is None
        return after and not self.skip and self.least is None


@dataclass(frozen=True, slots=True)
class Quadratic:
    """xx X^2 + xm X M + mm M^2; or its mean over `averaged`, where M is over more than that."""

    frame: Frame
    over: Atoms
    xx: float
    xm: float
    mm: float
    averaged: Atoms = NOWHERE

    @property
    def is_square(self) -> bool:
        """Whether it is a positive number times X^2."""
        return self.xx > 0 and not self.xm and not self.mm and not self.averaged


@dataclass(frozen=True, slots=True)
class Absolute:
    """gain |X / unit|^power, element for element; with `inner`, a X + b M in place of X.

    Powers of `inner` other than 1 may have a sign; they are but known to be no squares.
    """

    frame: Frame
    power: float
    gain: float = 1.0
    unit: Spread | None = None
    inner: Combination | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of what is linear in X over unknown lengths: their product times a mean."""

    frame: Frame
    mean: Combination
    count: Count


@dataclass(frozen=True, slots=True)
class Padded:
    """X^2 with zeros before and after along one dimension; no other fact is as long as it."""

    frame: Frame
    squares: Quadratic
    axis: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Masked:
    """A spread, statistic or normalized value where a condition holds, else 0: Where below opset 9.

    Attributes:
        frame: Of the value.
        inner: What is known of it.
        value: The tensor that it is a fact of.
        mask: 1 where the condition holds, 0 elsewhere.
    """

    frame: Frame
    inner: Combination | Spread | Statistic
    value: ir.Value
    mask: ir.Value


Fact = (
    Combination
    | Quadratic
    | Absolute
    | Statistic
    | Total
    | Spread
    | Average
    | Response
    | Padded
    | Window
    | Damping
    | Masked
)
