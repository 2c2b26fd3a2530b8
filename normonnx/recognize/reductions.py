"""Reductions: means, sums and norms over digits of the root."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import onnx_ir as ir

from normonnx.graph.attributes import axes_within, int_of
from normonnx.graph.lengths import Length
from normonnx.graph.steering import reduced_axes
from normonnx.recognize import algebra, frames, means, powers
from normonnx.recognize.asking import Asked, Operands, keeps_dims
from normonnx.recognize.facts import (
    SQUARE,
    Absolute,
    Average,
    Combination,
    Count,
    Fact,
    Quadratic,
    Spread,
    Statistic,
    Total,
)
from normonnx.recognize.fields import number
from normonnx.recognize.frames import Atoms, Frame
from normonnx.recognize.table import Transfer


class _Reduction:
    """What one reduction node reduces."""

    def __init__(
        self, fact: Fact, axes: Sequence[int], lengths: Sequence[Length], *, keep: bool
    ) -> None:
        self.gone: Atoms = frames.atoms_of(fact.frame, axes)
        self.frame: Frame = frames.reduced(fact.frame, axes, keep=keep)
        self.sizes = [lengths[axis] for axis in axes]
        self.repeats = any(not fact.frame[axis] and lengths[axis] != 1 for axis in axes)

    @property
    def amount(self) -> Count:
        """How many elements, whether known or not."""
        return Count(tuple(atom.size for atom in self.gone), tuple(self.sizes))

    @property
    def count(self) -> int | None:
        """How many elements; None where that is not known."""
        known = [size for size in self.sizes if isinstance(size, int)]
        return math.prod(known) if len(known) == len(self.sizes) else None


def _reduction(ask: Asked, node: ir.Node, fact: Fact) -> _Reduction | None:
    lengths = ask.lengths(node.inputs[0])
    if lengths is None or len(lengths) != len(fact.frame):
        return None
    axes = reduced_axes(node, ask.constants, len(lengths))
    if axes is None or not axes:
        return None
    return _Reduction(fact, axes, lengths, keep=keeps_dims(node))


def _sum_of_sums(fact: Total, reduction: _Reduction) -> Fact | None:
    """Sums over further lengths."""
    found = means.mean_of_combination(fact.mean, reduction.gone, reduction.frame)
    if found is None or reduction.repeats:
        return None
    return Total(reduction.frame, found, reduction.amount.times(fact.count))


def _mean_of(fact: Fact, reduction: _Reduction) -> Fact | None:
    gone, frame = reduction.gone, reduction.frame
    if not gone and isinstance(fact, Statistic | Spread):
        return replace(fact, frame=frame)  # it is the same all along
    if isinstance(fact, Combination):
        return means.mean_of_combination(fact, gone, frame)
    if isinstance(fact, Quadratic):
        return means.mean_of_quadratic(fact, gone, frame)
    if isinstance(fact, Absolute):
        return means.mean_of_powers(fact, gone, frame)
    if isinstance(fact, Statistic):
        return means.averaged_again(fact, gone, frame)
    if isinstance(fact, Spread) and not reduction.repeats:
        return Average(frame, fact, gone)
    return None


def _sum_of(fact: Fact, reduction: _Reduction) -> Fact | None:
    if reduction.repeats:
        return None
    if isinstance(fact, Total):
        return _sum_of_sums(fact, reduction)
    found = _mean_of(fact, reduction)
    if reduction.count is not None and found is not None:
        return algebra.scaled(found, number(float(reduction.count)), reduction.frame)
    if isinstance(found, Statistic):
        return replace(found, count=reduction.amount.times(found.count))
    if isinstance(found, Combination):
        return Total(reduction.frame, found, reduction.amount)
    return None


def _first(operands: Operands) -> Fact | None:
    return operands[0].fact if operands and operands[0] is not None else None


def _reducing(build: Callable[[Fact, _Reduction], Fact | None]) -> Transfer:
    def transfer(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
        fact = _first(operands)
        reduction = None if fact is None else _reduction(ask, node, fact)
        return None if fact is None or reduction is None else build(fact, reduction)

    return transfer


def _sum_of_squares(fact: Fact, reduction: _Reduction) -> Fact | None:
    squares = powers.powered(fact, SQUARE)
    return None if squares is None else _sum_of(squares, reduction)


def _euclidean(fact: Fact, reduction: _Reduction) -> Fact | None:
    found = _sum_of_squares(fact, reduction)
    return powers.rooted(found, 1 / SQUARE) if isinstance(found, Statistic) else None


def _manhattan(fact: Fact, reduction: _Reduction) -> Fact | None:
    sizes = powers.absolute(fact)
    found = None if sizes is None else _sum_of(sizes, reduction)
    return powers.rooted(found, 1.0) if isinstance(found, Statistic) else found


def _sum(fact: Fact, reduction: _Reduction) -> Fact | None:
    found = _sum_of(fact, reduction)
    if isinstance(found, Statistic) and found.power == 1.0:
        return powers.rooted(found, 1.0)
    return found


def _largest(fact: Fact, reduction: _Reduction) -> Fact | None:
    """The largest absolute value is the norm of infinite order."""
    if not isinstance(fact, Absolute) or fact.power != 1.0:
        return None
    if fact.unit is not None or fact.inner is not None or fact.gain <= 0:
        return None
    statistic = Statistic(reduction.frame, reduction.gone, math.inf, 1.0)
    return Spread(reduction.frame, statistic, gain=fact.gain)


def _global_average(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    fact, lengths = _first(operands), ask.lengths(node.inputs[0])
    if fact is None or lengths is None or len(lengths) != len(fact.frame):
        return None
    axes = range(2, len(lengths))
    return _mean_of(fact, _Reduction(fact, axes, lengths, keep=True)) if axes else None


def _top(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """TopK with k = 1: the largest along an axis, kept as 1."""
    fact, lengths = _first(operands), ask.lengths(node.inputs[0])
    if fact is None or lengths is None or len(lengths) != len(fact.frame):
        return None
    wanted = operands[1].number if len(operands) > 1 and operands[1] else int_of(node, "k", 0)
    axes = axes_within([int_of(node, "axis", -1)], len(lengths))
    if wanted != 1 or not int_of(node, "largest", 1) or axes is None:
        return None
    return _largest(fact, _Reduction(fact, axes, lengths, keep=True))


REDUCTIONS: Final[Mapping[str, Transfer]] = {
    "GlobalAveragePool": _global_average,
    "ReduceL1": _reducing(_manhattan),
    "ReduceL2": _reducing(_euclidean),
    "ReduceMax": _reducing(_largest),
    "ReduceMean": _reducing(_mean_of),
    "ReduceSum": _reducing(_sum),
    "ReduceSumSquare": _reducing(_sum_of_squares),
    "TopK": _top,
}
