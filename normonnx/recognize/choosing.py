"""Where: a divisor that is replaced where it would be zero, and bounds spelled as comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.recognize import powers
from normonnx.recognize.asking import Asked, Operand, Operands
from normonnx.recognize.facts import Combination, Fact, Masked, Spread, Statistic
from normonnx.recognize.table import Transfer

_FLIPPED: Final = {"Greater": "Less", "Less": "Greater", "Equal": "Equal"}
_EITHER: Final = {"GreaterOrEqual": "Greater", "LessOrEqual": "Less"}


class _Condition(NamedTuple):
    """A comparison of a value with a number.

    Attributes:
        kind: Greater, Less, Equal or Differs.
        value: What is compared.
        bound: With which numbers.
        holds: Whether the condition is that it holds; else that it doesn't.
        inclusive: Whether equality counts as greater, or as less.
    """

    kind: str
    value: ir.Value
    bound: npt.NDArray[Any]
    holds: bool = True
    inclusive: bool = False


def _where(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    always, one, other = operands
    if one is None or other is None:
        return None
    if always is not None and always.constant is not None and always.constant.size == 1:
        taken = one if always.constant.all() else other
        return taken.fact if _as_long(ask, taken.value, node.outputs[0]) else None
    condition = _condition(ask, node.inputs[0])
    if condition is None:
        return None
    return _selected(condition, one, other)


def _selected(condition: _Condition, one: Operand, other: Operand) -> Fact | None:
    """The first where a condition holds, the second elsewhere."""
    chosen, rest = (one, other) if condition.holds else (other, one)
    if condition.kind in ("Equal", "Less"):
        chosen, rest = rest, chosen
    return _chosen(_opposite(condition), chosen, rest)


def _as_long(ask: Asked, one: ir.Value, other: ir.Value) -> bool:
    """Whether two values certainly have the same shape."""
    lengths = ask.lengths(one)
    return lengths is not None and lengths == ask.lengths(other)


def _opposite(condition: _Condition) -> _Condition:
    """What holds where Equal or Less doesn't; the other conditions as they are."""
    if condition.kind == "Equal":
        return condition._replace(kind="Differs")
    if condition.kind == "Less":
        return condition._replace(kind="Greater", inclusive=not condition.inclusive)
    return condition


def _chosen(condition: _Condition, chosen: Operand, rest: Operand) -> Fact | None:
    """The value itself where it is large enough, or differs from zero; a number elsewhere."""
    fact, bound = chosen.fact, condition.bound
    if chosen.value is not condition.value or fact is None or condition.kind in ("Equal", "Less"):
        return None
    if isinstance(fact, Combination):
        return _limited(condition, fact, rest)
    if bound.size != 1:
        return None
    least, number = float(bound.reshape(-1)[0]), None
    if rest.field(fact.frame) is not None:
        number = rest.number
    if least == 0.0 and number == 1.0 and not condition.inclusive:
        return _guarded(fact)
    if condition.kind == "Greater" and number == least:
        return powers.bounded(fact, least)
    return None


def _limited(condition: _Condition, fact: Combination, rest: Operand) -> Fact | None:
    """A normalized value where it exceeds constants, and these elsewhere: their maximum."""
    least, bound = rest.field(fact.frame), condition.bound
    if condition.kind != "Greater" or least is None or rest.constant is None:
        return None
    if fact.is_linear or not fact.is_fixed or not np.array_equal(bound, rest.constant):
        return None
    return replace(fact, least=least)


def _guarded(fact: Fact) -> Fact | None:
    if isinstance(fact, Spread) and not fact.outer:
        return replace(fact, guarded=True)
    if isinstance(fact, Statistic) and not fact.epsilon and fact.least is None:
        return replace(fact, guarded=True)
    return None


def _condition(ask: Asked, value: ir.Value | None) -> _Condition | None:
    """What a condition compares, through Not; a Cast compares with zero."""
    holds = True
    for _ in range(4):
        node = None if value is None else value.producer()
        if node is None or not node.inputs or node.inputs[0] is None:
            return None
        if node.op_type == "Not":
            holds, value = not holds, node.inputs[0]
            continue
        if node.op_type == "Cast":
            return _Condition("Differs", node.inputs[0], np.zeros(()), holds)
        return _comparison(ask, node, holds=holds)
    return None


def _comparison(ask: Asked, node: ir.Node, *, holds: bool) -> _Condition | None:
    kind = _EITHER.get(node.op_type, node.op_type)
    if kind not in _FLIPPED:
        return None
    for index, turn in ((1, False), (0, True)):
        constant = ask.constants.get(node.inputs[index])
        compared = node.inputs[1 - index]
        if constant is not None and constant.size and compared is not None:
            name = _FLIPPED[kind] if turn else kind
            return _Condition(name, compared, constant, holds, node.op_type in _EITHER)
    return None


def masked(ask: Asked, fact: Fact, operand: Operand, other: Operand) -> Fact | None:
    """A spread, or a normalized value, times a mask of where it exceeds something."""
    node = other.value.producer()
    if node is None or node.op_type != "Cast":
        return None
    if isinstance(fact, Combination):
        condition = _condition(ask, node.inputs[0])
        if condition is None or condition.value is not operand.value or fact.is_linear:
            return None
    elif not isinstance(fact, Spread | Statistic):
        return None
    return Masked(fact.frame, fact, operand.value, other.value)


def filled(ask: Asked, fact: Masked, other: Operand) -> Fact | None:
    """Plus what the mask leaves out, times a number: mask v + (1 - mask) number."""
    rest = other.value.producer()
    node = fact.mask.producer()
    condition = None if node is None else _condition(ask, node.inputs[0])
    if rest is None or condition is None:
        return None
    filler = Operand(other.value, None, np.ones(()))
    if rest.op_type == "Mul":
        numbers = [ask.constants.get(value) for value in rest.inputs]
        known = [
            Operand(value, None, number)
            for value, number in zip(rest.inputs, numbers, strict=True)
            if value is not None and number is not None
        ]
        if len(known) != 1:
            return None
        filler = known[0]
        turned = rest.inputs[0 if numbers[1] is not None else 1]
        rest = None if turned is None else turned.producer()
    if rest is None or rest.op_type != "Sub" or rest.inputs[1] is not fact.mask:
        return None
    one = ask.constants.get(rest.inputs[0])
    if one is None or one.size != 1 or float(one.reshape(-1)[0]) != 1.0:
        return None
    chosen = Operand(fact.value, fact.inner, None)
    return _selected(condition, chosen, filler)


CHOOSING: Final[Mapping[str, Transfer]] = {"Where": _where}
