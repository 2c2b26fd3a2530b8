"""Means, variances and roots in every spelling, and what may be done wrong in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tests.property.writing import (
    NARROW,
    Array,
    NotDrawnError,
    Value,
    Writer,
    broadcast,
    dtype_of,
    size,
)

MIXED = ("axes", "subset", "transposed", "subtrahend")  # faults that the centered is blamed for


@dataclass(frozen=True)
class Affine:
    """What stands along `axes` of a view: arrays with one dimension for each of these axes."""

    scale: Array | None
    bias: Array | None
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Moments:
    """How a value is normalized.

    Attributes:
        axes: Of the view that is normalized.
        centered: Whether the mean is subtracted.
        epsilon: What is added.
        outside: Whether it is added to the root.
        affine: Scale and bias in this view, None where they come later.
        other: Another value of the same shape, for faults.
        spoiled: Axes for the variance, as a fault.
    """

    axes: tuple[int, ...]
    centered: bool
    epsilon: float
    outside: bool = False
    affine: Affine | None = None
    other: Value | None = None
    spoiled: tuple[int, ...] = field(default=())


def square(w: Writer, x: Value) -> Value:
    """X^2."""
    exponents = {"exponent": 3.0, "exponent nearly 2": 2.01, "exponent 1.5": 1.5}
    if w.fault in exponents:
        positive = w.op("Abs", [x]) if w.fault == "exponent 1.5" else x
        return w.blame(w.power(positive, exponents[w.fault]))
    how = w.one_of("Mul", "Mul", "Pow", "Pow", "Abs")
    if how == "Mul":
        return w.op("Mul", [x, x])
    if how == "Abs":
        x = w.op("Abs", [x])
    return w.power(x, 2)


def mean(w: Writer, x: Value, axes: Sequence[int], *, variance: bool = False) -> Value:
    """The mean over some axes, which stay as dimensions of 1."""
    if variance and w.fails("sum"):
        return w.blame(w.reduce("ReduceSum", x, axes))
    if variance and w.fails("ddof"):
        total, known = w.reduce("ReduceSum", x, axes), math.prod(size(x.dims[a]) for a in axes)
        return w.blame(w.op("Div", [total, w.number(float(known - 1), x.kind)]))
    how = w.one_of("ReduceMean", "ReduceMean", "sum", "steps", "pool")
    if how == "pool" and list(axes) == list(range(2, x.rank)) and x.kind not in NARROW:
        dims = [dim if axis < 2 else 1 for axis, dim in enumerate(x.dims)]
        return w.op("GlobalAveragePool", [x], dims)
    if how == "sum":
        return averaged(w, x, w.reduce("ReduceSum", x, axes), axes)
    if how == "steps" and len(axes) > 1:
        order = w.shuffled(axes)
        cut = 1 + w.pick(range(len(order) - 1))
        first = w.reduce("ReduceMean", x, sorted(order[:cut]))
        return w.reduce("ReduceMean", first, sorted(order[cut:]))
    return w.reduce("ReduceMean", x, axes)


def averaged(w: Writer, x: Value, total: Value, axes: Sequence[int]) -> Value:
    """A sum over how many elements there were."""
    count, known = w.count(x, axes, total.kind)
    if known is not None and w.chance(30):
        return w.op(
            "Mul", w.shuffled([total, w.number(1.0 / known, total.kind)]), total.dims, total.kind
        )
    return w.op("Div", [total, count])


def mean_square(w: Writer, x: Value, axes: Sequence[int]) -> Value:
    """E[X^2]."""
    special = w.fault in {"sum", "ddof"} or str(w.fault).startswith("exponent")
    how = "plain" if special else w.one_of("plain", "plain", "plain", "squares", "norm")
    if how == "squares":
        return averaged(w, x, w.reduce("ReduceSumSquare", x, axes), axes)
    if how == "norm":
        length = w.reduce("ReduceL2", x, axes)
        again = w.op("Mul", [length, length]) if w.chance(50) else w.power(length, 2.0)
        return averaged(w, x, again, axes)
    return mean(w, square(w, x), axes, variance=True)


def average(w: Writer, x: Value, how: Moments) -> tuple[Value, tuple[int, ...]]:
    """What is subtracted: the mean, or something else as a fault."""
    axes, source = how.axes, x
    if w.fails("subtrahend") and how.other is not None:
        source = w.cast(how.other, x.kind)
    if w.fails("axes"):
        axes = how.spoiled
    if w.fails("subset"):
        axes = axes[1:]
    if not axes:
        message = "there is no other axis"
        raise NotDrawnError(message)
    found = mean(w, source, axes)
    w.leakable.append(found)
    return (turned(w, found, x, how) if w.fails("transposed") else found), axes


def turned(w: Writer, found: Value, x: Value, how: Moments) -> Value:
    """A statistic that is transposed, so that it stands along another axis of equal length."""
    for gone in how.axes:
        for kept in range(x.rank):
            if kept not in how.axes and x.dims[kept] == x.dims[gone]:
                order = list(range(x.rank))
                order[gone], order[kept] = kept, gone
                return w.transpose(found, order)
    message = "no two axes are of equal length"
    raise NotDrawnError(message)


def centered(w: Writer, x: Value, m: Value) -> Value:
    """X - M."""
    found = w.minus(x, m)
    return w.blame(found) if w.fault in MIXED else found


def variance(w: Writer, x: Value, how: Moments, m: Value, d: Value) -> Value:
    """The variance in one of the ways to compute it."""
    axes = how.axes
    plain = w.fault in {"sum", "ddof"} or str(w.fault).startswith("exponent") or w.fault in MIXED
    way = (
        "centered"
        if plain
        else w.one_of("centered", "centered", "centered", "raw", "mixed", "again")
    )
    if way == "again":
        d = w.minus(x, m)
    if way == "mixed":
        return mean(w, w.op("Mul", w.shuffled([x, d])), axes)
    if way == "raw":
        found = w.op("Sub", [mean_square(w, x, axes), square(w, m)])
        if w.chance(40):
            return w.op("Relu", [found])
        if w.chance(40):
            return w.op("Max", w.shuffled([found, w.number(0.0, x.kind)]), found.dims, found.kind)
        return found
    return mean_square(w, d, axes)


def with_epsilon(w: Writer, value: Value, how: Moments) -> Value:
    """Plus epsilon, a number; or something else as a fault."""
    if w.fails("vector epsilon"):
        dims = [size(dim) for dim in value.dims]
        known = [at for at, n in enumerate(dims) if n > 1 and isinstance(value.dims[at], int)]
        if not known:
            message = "no axis of known length for a vector to run along"
            raise NotDrawnError(message)
        axis = known[0]
        numbers = np.linspace(how.epsilon, 2 * how.epsilon, dims[axis])
        vector = w.along(numbers.astype(dtype_of(value.kind)), [axis], value.rank)
        return w.blame(w.pair("Add", value, vector))
    if w.fails("runtime epsilon"):
        return w.blame(w.pair("Add", value, w.input("epsilon", [1], value.kind)))
    return w.pair("Add", value, w.number(how.epsilon, value.kind))


def root(w: Writer, value: Value) -> Value:
    """The square root."""
    if w.chance(70):
        return w.op("Sqrt", [value])
    return w.power(value, 0.5)


def inverse(w: Writer, value: Value) -> Value:
    """One over a value."""
    how = w.one_of("Reciprocal", "Div", "Pow")
    if how == "Reciprocal":
        return w.op("Reciprocal", [value])
    if how == "Div":
        return w.op("Div", [w.number(1.0, value.kind), value], value.dims, value.kind)
    return w.power(value, -1.0)


def divisor(w: Writer, v: Value, how: Moments) -> tuple[Value, bool]:
    """The deviation, or one over it, and which of the two."""
    if w.fails("root"):
        inside = with_epsilon(w, v, how)
        power = w.one_of(0.25, 1 / 3, 0.4, 1.0)
        return w.blame(w.power(inside, power)), False
    if how.outside:
        found = with_epsilon(w, root(w, v), how)
    else:
        inside = with_epsilon(w, v, how)
        if w.chance(20):
            return w.power(inside, -0.5), True
        found = root(w, inside)
    return (inverse(w, found), True) if w.chance(40) else (found, False)


def scaled(w: Writer, y: Value, affine: Affine | None) -> Value:
    """Times scale, plus bias."""
    if affine is None:
        return y
    if affine.scale is not None:
        y = w.pair("Mul", y, w.along(affine.scale, affine.axes, y.rank))
    if affine.bias is not None:
        y = w.pair("Add", y, w.along(affine.bias, affine.axes, y.rank))
    return y


def normalize(w: Writer, x: Value, how: Moments, wide: int | None = None) -> Value:
    """A value by its moments.

    Args:
        w: The graph.
        x: What is normalized.
        how: Over what.
        wide: Element type of the statistics alone; None for that of x.
    """
    m = None
    d = x
    if how.centered:
        m, _ = average(w, x, how)
        d = centered(w, x, m)
        w.leakable.append(d)
    source = w.cast(d, wide or d.kind)
    if m is not None and source is d:
        v = variance(w, x, how, m, d)
    else:
        v = mean_square(w, source, how.axes)
    w.leakable.append(v)
    r, inverted = divisor(w, v, how)
    w.leakable.append(r)
    r = w.cast(r, d.kind)
    if m is not None and inverted and w.fault is None and w.chance(30):
        return folded(w, x, m, r, how.affine)
    return scaled(w, divided(w, x, d, r, how, inverted=inverted), how.affine)


def divided(w: Writer, x: Value, d: Value, r: Value, how: Moments, *, inverted: bool) -> Value:
    """What is left of x over the deviation; another numerator as a fault."""
    if w.fails("numerator") and how.other is not None:
        d = w.cast(how.other, d.kind)
    if w.fails("not centered"):
        d = x
    if w.fails("transposed") and not how.centered:
        r = turned(w, r, x, how)
    y = w.op("Mul", w.shuffled([d, r]), d.dims, d.kind) if inverted else w.op("Div", [d, r])
    odd = w.fault in {"numerator", "not centered"}
    return w.blame(y) if odd or (w.fails("transposed") and not how.centered) else y


def folded(w: Writer, x: Value, m: Value, r: Value, affine: Affine | None) -> Value:
    """x inv + (beta - m inv), inv with gamma in it."""
    inv = r
    if affine is not None and affine.scale is not None:
        inv = w.pair("Mul", inv, w.along(affine.scale, affine.axes, x.rank))
    first = w.op("Mul", w.shuffled([x, inv]), x.dims, x.kind)
    second = w.op("Mul", w.shuffled([m, inv]), broadcast(m.dims, inv.dims), x.kind)
    if affine is not None and affine.bias is not None:
        beta = w.along(affine.bias, affine.axes, x.rank)
        shift = w.op("Sub", [beta, second], broadcast(beta.dims, second.dims), x.kind)
        return w.op("Add", w.shuffled([first, shift]), x.dims, x.kind)
    return w.op("Sub", [first, second], x.dims, x.kind)
