"""Sums over a window of channels, as LocalResponseNorm has them, however they are spelled.

    Padded     X^2 with zeros before and after along one axis
    Window     factor (sum of X^2 over c - below ... c + above) + epsilon
    Damping    Window^exponent; r is one over it

Squares are pooled with channels as the depth of a volume or the rows of an image, or convolved with
a banded matrix, or multiplied by one. Zeros count in the average, or the ends would differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.graph.attributes import float_of, int_of, ints_of, is_given, text_of
from normonnx.graph.steering import padding_of, slices
from normonnx.recognize.asking import Asked, Operands
from normonnx.recognize.facts import (
    Combination,
    Damping,
    Fact,
    Padded,
    Quadratic,
    Window,
)
from normonnx.recognize.frames import Atom, Frame
from normonnx.recognize.table import Transfer

_ALPHA: Final = float(np.float32(1e-4))
_NO_END: Final = 2**31 - 1  # the end of a slice that goes on to the last
_LARGEST: Final = 1 << 22  # elements of a banded matrix
_MATRIX: Final = 2


def _squares(fact: Fact | None) -> Quadratic | None:
    """X^2 itself."""
    return fact if isinstance(fact, Quadratic) and fact.is_square else None


def _one_atom(frame: Frame, axis: int) -> Atom | None:
    return frame[axis][0] if len(frame[axis]) == 1 else None


def _pad(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Zeros around squares, along one axis."""
    fact = operands[0].fact if operands[0] else None
    pads = None if fact is None else padding_of(node, ask.constants, len(fact.frame))
    if pads is None or not any(any(pad) for pad in pads):
        return None if pads is None else fact
    squares = _squares(fact)
    if squares is None or text_of(node, "mode", "constant") != "constant":
        return None
    if float_of(node, "value", 0.0) != 0.0:
        return None
    if is_given(node, 2):
        filler = operands[2]
        if filler is None or filler.number != 0.0:
            return None
    padded = [axis for axis, pad in enumerate(pads) if any(pad)]
    if len(padded) != 1 or min(pads[padded[0]]) < 0:
        return None
    return Padded(squares.frame, squares, padded[0], *pads[padded[0]])


def _slice(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """Padded squares from some place on, as many as there were: a window of one neighbour."""
    fact = operands[0].fact if operands[0] else None
    if not isinstance(fact, Padded):
        return None
    cuts = slices(node, ask.constants, len(fact.frame))
    atom = _one_atom(fact.frame, fact.axis)
    if cuts is None or set(cuts) != {fact.axis} or atom is None:
        return None
    cut = cuts[fact.axis]
    rest = fact.before + fact.after - cut.start  # what is left out at the end
    if cut.step != 1 or cut.start < 0 or rest < 0:
        return None
    counted = isinstance(atom.size, int) and cut.stop == cut.start + atom.size
    if not (counted or (cut.stop == -rest if rest else cut.stop >= _NO_END)):
        return None
    ahead = cut.start - fact.before
    return Window(fact.frame, atom, -ahead, ahead, fact.squares.xx)


def joined(one: Window, other: Window) -> Window | None:
    """The sum of two windows that lie side by side."""
    alike = (one.atom, one.frame, one.factor) == (other.atom, other.frame, other.factor)
    if not alike or one.epsilon or other.epsilon:
        return None
    for first, second in ((one, other), (other, one)):
        if first.above + 1 == -second.below:
            return replace(first, above=second.above)
    return None


def _average_pool(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """The mean over a window along one axis."""
    fact = operands[0].fact if operands[0] else None
    padded = fact if isinstance(fact, Padded) else None
    squares = padded.squares if padded is not None else _squares(fact)
    kernel = ints_of(node, "kernel_shape")
    if squares is None or kernel is None or len(kernel) != len(squares.frame) - 2:
        return None
    number = len(kernel)
    pads = ints_of(node, "pads") or [0] * 2 * number
    plain = _is_plain(node, number) and int_of(node, "ceil_mode", 0) == 0
    counted = int_of(node, "count_include_pad", 0) == 1 or not any(pads)
    long = [axis for axis, size in enumerate(kernel) if size != 1]
    if not plain or not counted or len(long) > 1:
        return None
    if padded is not None and long and long[0] + 2 != padded.axis:
        return None
    at = long[0] if long else (padded.axis - 2 if padded is not None else 0)
    if any(pads[axis] or pads[axis + number] for axis in range(number) if axis != at):
        return None
    before, after = pads[at], pads[at + number]
    if padded is not None:
        before, after = before + padded.before, after + padded.after
    return _window(squares, at + 2, kernel[at], (before, after), squares.xx / kernel[at])


def _is_plain(node: ir.Node, number: int) -> bool:
    ones = [1] * number
    steps = (ints_of(node, "strides") or ones) == ones
    dense = (ints_of(node, "dilations") or ones) == ones
    return steps and dense and text_of(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID")


def _window(
    squares: Quadratic, axis: int, size: int, pads: tuple[int, int], factor: float
) -> Window | None:
    """A window that gives one sum for each place, counted from `pads[0]` places before it."""
    atom = _one_atom(squares.frame, axis)
    before, after = pads
    if atom is None or before + after != size - 1:
        return None
    return Window(squares.frame, atom, before, after, factor)


def _convolution(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """With a banded matrix over channels, or with ones along another axis."""
    data, weight = operands[:2]
    squares = _squares(data.fact if data else None)
    rank = 0 if squares is None else len(squares.frame)
    if squares is None or weight is None or weight.constant is None or weight.constant.ndim != rank:
        return None
    bias = _bias(operands)
    if bias is None or not _is_plain(node, rank - 2):
        return None
    kernel = weight.constant
    if kernel.shape[:2] == (1, 1) and int_of(node, "group", 1) == 1:
        found = _along_depth(node, squares, kernel)
    elif any(ints_of(node, "pads") or []) or int_of(node, "group", 1) != 1:
        found = None
    else:
        found = _banded(squares, 1, kernel)
    return None if found is None else replace(found, epsilon=bias)


def _bias(operands: Operands) -> float | None:
    if len(operands) <= _MATRIX or operands[2] is None:
        return 0.0
    return operands[2].number


def _along_depth(node: ir.Node, squares: Quadratic, kernel: npt.NDArray[Any]) -> Window | None:
    number = kernel.ndim - 2
    long = [axis for axis in range(number) if kernel.shape[axis + 2] != 1]
    pads = ints_of(node, "pads") or [0] * 2 * number
    if len(long) != 1 or kernel.min() != kernel.max() or kernel.min() <= 0:
        return None
    at = long[0]
    if any(pads[axis] or pads[axis + number] for axis in range(number) if axis != at):
        return None
    factor = float(kernel.reshape(-1)[0]) * squares.xx
    return _window(squares, at + 2, kernel.size, (pads[at], pads[at + number]), factor)


def _banded(squares: Quadratic, axis: int, matrix: npt.NDArray[Any]) -> Window | None:
    """A matrix with one number along a band around its diagonal."""
    atom = _one_atom(squares.frame, axis)
    size = matrix.shape[0]
    if atom is None or atom.size != size or matrix.size != size * size or size * size > _LARGEST:
        return None
    full = matrix.reshape(size, size).astype(np.float64)
    value = float(full[0, 0])
    ahead = np.arange(size)[None, :] - np.arange(size)[:, None]
    inside = full != 0
    if value <= 0 or not inside.any() or not (full[inside] == value).all():
        return None
    below, above = int(-ahead[inside].min()), int(ahead[inside].max())
    if not np.array_equal(inside, (ahead >= -below) & (ahead <= above)):
        return None
    return Window(squares.frame, atom, below, above, value * squares.xx)


def product_with_matrix(_ask: Asked, _node: ir.Node, operands: Operands) -> Fact | None:
    """MatMul with a banded matrix, from either side."""
    left, right = operands[:2]
    for matrix, data, axis in ((left, right, -2), (right, left, -1)):
        squares = _squares(data.fact if data else None)
        if squares is None or matrix is None or matrix.constant is None or data is None:
            continue
        if matrix.constant.ndim != _MATRIX or len(squares.frame) < _MATRIX:
            return None
        band = matrix.constant if axis == -2 else matrix.constant.T  # noqa: PLR2004
        return _banded(squares, len(squares.frame) + axis, band)
    return None


def _local_response(_ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    """The operator LRN."""
    fact = operands[0].fact if operands[0] else None
    if not isinstance(fact, Combination) or not fact.is_view or len(fact.frame) < _MATRIX:
        return None
    atom, size = _one_atom(fact.frame, 1), int_of(node, "size", 1)
    if atom is None or size < 1:
        return None
    below = (size - 1) // 2
    factor = float_of(node, "alpha", _ALPHA) / size
    window = Window(fact.frame, atom, below, size - 1 - below, factor, float_of(node, "bias", 1.0))
    return replace(fact, spread=Damping(fact.frame, window, float_of(node, "beta", 0.75)))


WINDOWS: Final[Mapping[str, Transfer]] = {
    "AveragePool": _average_pool,
    "Conv": _convolution,
    "LRN": _local_response,
    "MatMul": product_with_matrix,
    "Pad": _pad,
    "Slice": _slice,
}
