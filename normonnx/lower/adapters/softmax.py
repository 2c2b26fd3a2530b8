"""Softmax, LogSoftmax and Hardmax: over one axis since opset 13, over all from `axis` on before.

Up: Flatten at that axis, the operator over the last of two axes, and back to the shape of X. Down:
what is not the last axis becomes it.
"""

from __future__ import annotations

from typing import Final

from normonnx.lower.crossing import Crossing, Table, Written

_OPERATORS: Final = ("Softmax", "LogSoftmax", "Hardmax")


def _up(at: Crossing) -> Written | None:
    axis, dims = at.int("axis", 1), at.dims()
    if axis == -1 or (dims is not None and axis % len(dims) == len(dims) - 1):
        return at.again(attributes={"axis": -1})
    x = at.input(0)
    flat = at.op("Flatten", x, axis=axis)
    y = at.op(at.node.op_type, flat, axis=-1)
    return [at.op("Reshape", y, at.op("Shape", x))]


def _down(at: Crossing) -> Written | None:
    axis = at.int("axis", -1)
    if axis == -1:
        return at.again(attributes={"axis": -1})
    last = len(at.known_dims()) - 1
    if axis % (last + 1) == last:
        return at.again(attributes={"axis": last})
    order = list(range(last + 1))
    order[axis], order[last] = last, axis % (last + 1)
    y = at.op(at.node.op_type, at.op.transpose(at.input(0), *order), axis=last)
    return [at.op.transpose(y, *order)]


UP: Final[Table] = {(name, 13): _up for name in _OPERATORS}
DOWN: Final[Table] = {(name, 13): _down for name in _OPERATORS}
