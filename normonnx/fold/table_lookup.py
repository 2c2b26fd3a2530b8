"""Constants take an affine into their own numbers, and so does a table that Gather looks up.

y = s C[i] + t is the lookup in the table s C + t.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray, is_float
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft
from normonnx.fold.plan import Refusal, ScaledWeight, SetInput
from normonnx.fold.surroundings import Surroundings


def into_constant(
    surroundings: Surroundings, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """Give a node its constant input with the affine applied to it."""
    value = node.inputs[index]
    kind = surroundings.kind(value)
    if value is None or kind is None:
        return Refusal(f"{node.op_type}: its input is no constant")
    found = applied(value, kind, affine)
    if isinstance(found, Refusal):
        return found
    return Draft((SetInput(node, index, found),), into=(node,))


def applied(
    value: ir.Value, kind: tuple[tuple[int, ...], np.dtype[np.generic]], affine: ChannelAffine
) -> ScaledWeight | Refusal:
    """A constant of known shape and type with an affine applied to it."""
    shape, dtype = kind
    if not is_float(dtype):
        return Refusal(f"the constant {value.name!r} is {dtype}, not floating point")
    for axis, length in affine.lengths.items():
        if axis >= len(shape) or shape[axis] != length:
            return Refusal(
                f"the constant {value.name!r} has shape {list(shape)}, but the affine "
                f"{list(affine.scale.shape)} over axes {affine.axes}"
            )
    view = shape or (1,)

    def across(vector: FloatArray) -> FloatArray:
        lengths = affine.lengths
        return vector.reshape([lengths.get(axis, 1) for axis in range(len(view))])

    offsets = None if affine.is_scale else across(affine.shift)
    return ScaledWeight(value, view, across(affine.scale), offsets)
