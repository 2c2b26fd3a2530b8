"""Elementwise arithmetic between values of one root, constants, and operands at run time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import onnx_ir as ir

from normonnx.graph.attributes import float_of
from normonnx.graph.lengths import Lengths
from normonnx.recognize import algebra, powers
from normonnx.recognize.asking import Asked, Operand, Operands, same_amount
from normonnx.recognize.choosing import filled, masked
from normonnx.recognize.facts import (
    Combination,
    Damping,
    Fact,
    Masked,
    Runtime,
    Spread,
    Statistic,
    Total,
    Window,
)
from normonnx.recognize.fields import Field, number
from normonnx.recognize.frames import Frame
from normonnx.recognize.table import Transfer


def _met(fact: Fact, operand: Operand) -> tuple[Field, Frame] | None:
    """A constant that meets a fact, and the frame of the result."""
    constant = operand.constant
    if constant is None:
        return None
    rank = max(constant.ndim, len(fact.frame))
    frame = ((),) * (rank - len(fact.frame)) + fact.frame
    found = operand.field(frame)
    if found is None and isinstance(fact, Combination) and fact.is_inverse:
        frame = _as_the_root(fact, frame)
        found = operand.field(frame)
    return None if found is None else (found, frame)


def _as_the_root(fact: Combination, frame: Frame) -> Frame:
    """A frame with what was reduced in its place again, where a value stands as X does.

    Keras multiplies the inverse deviation by a vector along what it is over, and X by that.
    """
    spread = fact.spread
    if not isinstance(spread, Spread):
        return frame
    whole = {atom.axis: atom for atom in spread.statistic.over if atom.stride == 1}
    upright = all(
        not dim or (len(dim) == 1 and dim[0].axis == axis) for axis, dim in enumerate(frame)
    )
    if not upright or len(whole) != len(spread.statistic.over):
        return frame
    if any(frame[axis] for axis in whole if axis < len(frame)):
        return frame
    return tuple(
        (whole[axis],) if not dim and axis in whole else dim for axis, dim in enumerate(frame)
    )


def _add(ask: Asked, left: Operand, right: Operand) -> Fact | None:
    if left.fact is not None and right.fact is not None:
        return algebra.total(left.fact, right.fact, 1.0)
    for one, other in ((left, right), (right, left)):
        if one.fact is None:
            continue
        met = _met(one.fact, other)
        if met is not None:
            return algebra.shifted(one.fact, *met)
        if other.constant is None:
            if isinstance(one.fact, Masked):
                return filled(ask, one.fact, other)
            if isinstance(one.fact, Statistic):
                return replace(one.fact, flaw="its epsilon is no constant")
            return _with_bias(ask, one.fact, other)
    return None


def _sub(_ask: Asked, left: Operand, right: Operand) -> Fact | None:
    if left.fact is not None and right.fact is not None:
        return algebra.total(left.fact, right.fact, -1.0)
    if left.fact is not None:
        met = _met(left.fact, right)
        return None if met is None else algebra.shifted(left.fact, -met[0], met[1])
    if right.fact is not None:
        met = _met(right.fact, left)
        if met is None:
            return None
        negative = algebra.scaled(right.fact, number(-1.0), met[1])
        return None if negative is None else algebra.shifted(negative, *met)
    return None


def _mul(ask: Asked, left: Operand, right: Operand) -> Fact | None:
    if left.fact is not None and right.fact is not None:
        return algebra.product(left.fact, right.fact)
    for one, other in ((left, right), (right, left)):
        if one.fact is None:
            continue
        met = _met(one.fact, other)
        if met is not None:
            return algebra.scaled(one.fact, *met)
        if other.constant is None:
            return masked(ask, one.fact, one, other) or _with_scale(ask, one.fact, other)
    return None


def _div(ask: Asked, left: Operand, right: Operand) -> Fact | None:
    if left.fact is not None and right.fact is not None:
        return algebra.quotient(left.fact, right.fact)
    if left.fact is not None:
        met = _met(left.fact, right)
        if met is not None:
            return algebra.scaled(left.fact, met[0].inverse(), met[1])
        return _over_count(ask, left.fact, right)
    if isinstance(right.fact, Spread):
        inverse = powers.inverted(right.fact)
        met = _met(inverse, left)
        return None if met is None else algebra.scaled(inverse, *met)
    return None


def _over_count(ask: Asked, fact: Fact, operand: Operand) -> Fact | None:
    """A sum over how many elements there are is a mean."""
    if not isinstance(fact, Statistic | Total) or fact.count is None:
        return None
    amount = ask.amount(operand.value)
    same = (fact.count.digits, fact.count.lengths)
    if amount is None or not any(same_amount(amount, each) for each in same):
        return None
    if isinstance(fact, Total):
        return replace(fact.mean, frame=fact.frame)
    return None if fact.epsilon or fact.least is not None else replace(fact, count=None)


def _with_scale(ask: Asked, fact: Fact, operand: Operand) -> Fact | None:
    if not isinstance(fact, Combination) or fact.is_linear or not fact.is_fixed:
        return None
    runtime = _runtime(fact.frame, ask.lengths(operand.value), operand.value)
    if runtime is None or not fact.c1.is_number(0.0) or fact.is_inverse:
        return None
    return replace(fact, scale=runtime)


def _with_bias(ask: Asked, fact: Fact, operand: Operand) -> Fact | None:
    if not isinstance(fact, Combination) or fact.is_linear or fact.bias is not None:
        return None
    if fact.least is not None:  # a bias after a bound
        return None
    runtime = _runtime(fact.frame, ask.lengths(operand.value), operand.value)
    if runtime is None or not fact.c1.is_number(0.0) or fact.is_inverse:
        return None
    return replace(fact, bias=runtime)


def _runtime(frame: Frame, lengths: Lengths | None, value: ir.Value) -> Runtime | None:
    """An operand that is the same along some dimension of the fact, and fits into it."""
    if lengths is None or len(lengths) > len(frame):
        return None
    full = (1,) * (len(frame) - len(lengths)) + lengths
    stands = tuple(() if length == 1 else dim for length, dim in zip(full, frame, strict=True))
    if any(length != 1 and not dim for length, dim in zip(full, frame, strict=True)):
        return None
    return Runtime(value, stands)


Pair = Callable[[Asked, Operand, Operand], Fact | None]


def _binary(function: Pair) -> Transfer:
    def transfer(ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
        left, right = operands[:2]
        return None if left is None or right is None else function(ask, left, right)

    return transfer


def _sum(ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
    known = [operand for operand in operands if operand is not None]
    known.sort(key=lambda operand: operand.fact is None)  # what depends on the root first
    if not known or known[0].fact is None:
        return None
    found = known[0]
    for operand in known[1:]:
        fact = _add(ask, found, operand)
        if fact is None:
            return None
        found = Operand(found.value, fact, None)
    return found.fact


def _unary(function: Callable[[Fact], Fact | None]) -> Transfer:
    def transfer(_ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
        first = operands[0]
        return None if first is None or first.fact is None else function(first.fact)

    return transfer


def _negative(fact: Fact) -> Fact | None:
    return algebra.scaled(fact, number(-1.0), fact.frame)


def _root(fact: Fact) -> Fact | None:
    return powers.powered(fact, 0.5)


def _reciprocal(fact: Fact) -> Fact | None:
    if isinstance(fact, Spread):
        return powers.inverted(fact)
    if isinstance(fact, Window | Damping):
        return powers.powered(fact, -1.0)
    if isinstance(fact, Combination) and fact.is_constant:
        return replace(fact, c0=fact.c0.inverse())
    return None


def _pow(_ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
    base, exponent = operands[:2]
    if base is None or base.fact is None or exponent is None:
        return None
    found = _number_met(base.fact, exponent)
    return None if found is None else powers.powered(base.fact, found)


def _number_met(fact: Fact, operand: Operand) -> float | None:
    """The one number that a constant is, where it doesn't make the result larger."""
    met = _met(fact, operand)
    return met[0].number if met is not None and len(met[1]) == len(fact.frame) else None


def _max(_ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
    facts = [operand.fact for operand in operands if operand is not None and operand.fact]
    numbers = [operand for operand in operands if operand is not None and not operand.fact]
    bounds = [_number_met(facts[0], operand) for operand in numbers] if facts else []
    if len(operands) == 2 and len(facts) == 1 and isinstance(facts[0], Combination):  # noqa: PLR2004
        return _bounded_below(facts[0], next(each for each in operands if each and not each.fact))
    if len(facts) != 1 or not bounds or any(bound is None for bound in bounds):
        return None
    return powers.bounded(facts[0], max(bound for bound in bounds if bound is not None))


def _bounded_below(fact: Combination, operand: Operand) -> Fact | None:
    """A normalized value that is at least a constant (FilterResponseNorm's threshold)."""
    met = _met(fact, operand)
    if met is None or fact.is_linear or not fact.is_fixed:
        return None
    return replace(fact, frame=met[1], least=met[0])


def _clip(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    first = operands[0]
    if first is None or first.fact is None:
        return None
    least = _bound(node, operands, "min", 1)
    most = _bound(node, operands, "max", 2)
    if least is None or most is None or not (math.isinf(most) or most > _NEAR_INFINITY):
        return None
    return powers.bounded(first.fact, least)


_NEAR_INFINITY: Final = 1e38  # what stands for no upper bound in float32


def _bound(node: ir.Node, operands: Operands, name: str, index: int) -> float | None:
    """A bound of Clip: an attribute below opset 11; None where it is not known."""
    nothing = -math.inf if name == "min" else math.inf
    if len(operands) <= index or operands[index] is None:
        return float_of(node, name, nothing)
    operand = operands[index]
    return None if operand is None else operand.number


def _relu(fact: Fact) -> Fact | None:
    return powers.bounded(fact, 0.0)


ELEMENTWISE: Final[Mapping[str, Transfer]] = {
    "Abs": _unary(powers.absolute),
    "Add": _binary(_add),
    "Clip": _clip,
    "Div": _binary(_div),
    "Max": _max,
    "Mul": _binary(_mul),
    "Neg": _unary(_negative),
    "Pow": _pow,
    "Reciprocal": _unary(_reciprocal),
    "Relu": _unary(_relu),
    "Sqrt": _unary(_root),
    "Sub": _binary(_sub),
    "Sum": _sum,
}
