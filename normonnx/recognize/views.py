"""Operators that show the same numbers in another shape or type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import onnx_ir as ir

from normonnx.graph.attributes import axes_within, int_of, steering
from normonnx.graph.steering import permutation
from normonnx.recognize import frames
from normonnx.recognize.asking import Asked, Operands
from normonnx.recognize.facts import Fact, Padded
from normonnx.recognize.frames import Frame
from normonnx.recognize.table import Transfer


def _framed(operands: Operands) -> tuple[Fact, Frame] | None:
    first = operands[0]
    if first is None or first.fact is None or isinstance(first.fact, Padded):
        return None
    return first.fact, first.fact.frame


def _same(_ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
    first = operands[0]
    return None if first is None else first.fact


def _dropout(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    training = operands[2].constant if len(operands) > 2 and operands[2] else None  # noqa: PLR2004
    known = len(node.inputs) < 3 or node.inputs[2] is None or training is not None  # noqa: PLR2004
    if not known or (training is not None and bool(training.any())):
        return None
    return _same(ask, node, operands)


def _cast(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Between floating-point types: rounding is no part of the function.

    What is cast from an unknown type, which may be integer, is where facts start anew.
    """
    if (
        ask.element_type(node.inputs[0]) is None
        or not ask.is_floating(node.inputs[0])
        or not ask.is_floating(node.outputs[0])
    ):
        return None
    return _same(ask, node, operands)


def _reshape(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    found = _framed(operands)
    before, after = ask.lengths(node.inputs[0]), ask.lengths(node.outputs[0])
    if found is None or before is None or after is None or len(before) != len(found[1]):
        return None
    frame = frames.reshaped(found[1], before, after)
    return None if frame is None else replace(found[0], frame=frame)


def _transpose(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    found = _framed(operands)
    axes = None if found is None else permutation(node, len(found[1]))
    if found is None or axes is None:
        return None
    return replace(found[0], frame=tuple(found[1][axis] for axis in axes))


def _unsqueeze(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    found = _framed(operands)
    wanted = steering(node, "axes", ask.constants, 1)
    if found is None or wanted is None:
        return None
    rank = len(found[1]) + len(wanted)
    axes = axes_within(wanted, rank)
    if axes is None or len(set(axes)) != len(axes):
        return None
    remaining = iter(found[1])
    frame = tuple(() if axis in axes else next(remaining) for axis in range(rank))
    return replace(found[0], frame=frame)


def _squeeze(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    found = _framed(operands)
    if found is None:
        return None
    wanted = steering(node, "axes", ask.constants, 1)
    lengths = ask.lengths(node.inputs[0])
    if wanted is None and (len(node.inputs) > 1 or lengths is None or not _certain(lengths)):
        return None
    rank = len(found[1])
    if wanted is None:
        axes: list[int] | None = [axis for axis in range(rank) if lengths and lengths[axis] == 1]
    else:
        axes = axes_within(wanted, rank)
    if axes is None or any(found[1][axis] and not _one(found[1], axis) for axis in axes):
        return None
    kept = tuple(dim for axis, dim in enumerate(found[1]) if axis not in axes)
    return replace(found[0], frame=kept)


def _one(frame: Frame, axis: int) -> bool:
    """A length that is not known and squeezed must be 1: it takes no part any more."""
    return all(not isinstance(atom.size, int) for atom in frame[axis])


def _certain(lengths: tuple[object, ...]) -> bool:
    return all(isinstance(length, int) for length in lengths)


def _expand(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Repeated along dimensions where it was 1: it is the same along them."""
    found = _framed(operands)
    before, after = ask.lengths(node.inputs[0]), ask.lengths(node.outputs[0])
    if found is None or before is None or after is None:
        return None
    rank = len(after)
    frame = ((),) * (rank - len(found[1])) + found[1]
    return replace(found[0], frame=frame)


def _flatten(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    found = _framed(operands)
    if found is None:
        return None
    rank = len(found[1])
    axis = int_of(node, "axis", 1)
    axis += rank if axis < 0 else 0
    before = ask.lengths(node.inputs[0])
    if before is None or len(before) != rank or not 0 <= axis <= rank:
        return None
    parts = found[1][:axis], found[1][axis:]
    whole = all(dim or length == 1 for dim, length in zip(found[1], before, strict=True))
    if not whole:
        return None
    rows, columns = (
        frames.merged_in_order(tuple(atom for dim in part for atom in dim)) for part in parts
    )
    return replace(found[0], frame=(rows, columns))


VIEWS: Final[Mapping[str, Transfer]] = {
    "Cast": _cast,
    "CastLike": _cast,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Identity": _same,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
