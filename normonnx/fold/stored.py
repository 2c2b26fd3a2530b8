"""Constants that are stored as integers, behind a DequantizeLinear of constants.

DequantizeLinear: ONNX spec; per-axis scales from version 13 on, blocked ones from version 21 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.surroundings import STANDARD, Surroundings
from normonnx.graph.attributes import int_of, is_given

SCALE: Final = 1  # input of DequantizeLinear
ZERO_POINT: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A constant that is stored as integers.

    Attributes:
        node: Its DequantizeLinear.
        shape: Of the constant.
        integers: Type of what is stored.
        dtype: Type of the constant.
        scale: In float64.
        zero_point: Of the same shape; None where there is none, which is 0.
        axis: Along which scale and zero point vary; None where they don't.
        blocked: Whether each entry of the scale is for a block along `axis`.
    """

    node: ir.Node
    shape: tuple[int, ...]
    integers: np.dtype[Any]
    dtype: np.dtype[Any]
    scale: FloatArray
    zero_point: npt.NDArray[Any] | None
    axis: int | None
    blocked: bool


def stored(surroundings: Surroundings, value: ir.Value | None) -> Stored | None:
    """What a value is stored as; None where it is no DequantizeLinear of constants."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "DequantizeLinear" or node.domain not in STANDARD:
        return None
    kind = surroundings.kind(node.inputs[0])
    scale = surroundings.constants.get(node.inputs[SCALE])
    zero_point = None
    if is_given(node, ZERO_POINT):
        zero_point = surroundings.constants.get(node.inputs[ZERO_POINT])
        if zero_point is None:
            return None
    if kind is None or scale is None or any(a.is_ref() for a in node.attributes.values()):
        return None
    shape, integers = kind
    rank = len(shape)
    axis = int_of(node, "axis", 1)
    one = scale.size == 1
    return Stored(
        node,
        shape,
        integers,
        np.dtype(scale.dtype),
        scale.astype(np.float64),
        zero_point,
        None if one else axis % rank if rank else None,
        blocked=not one and int_of(node, "block_size", 0) > 0,
    )


def dequantized(surroundings: Surroundings, value: ir.Value | None) -> FloatArray | None:
    """A small constant that is stored as integers, in float64; None where it is none."""
    found = stored(surroundings, value)
    if found is None or found.blocked:
        return None
    integers = surroundings.constants.get(found.node.inputs[0])
    if integers is None:
        return None
    zero = np.zeros(()) if found.zero_point is None else found.zero_point.astype(np.float64)
    exact = integers.astype(np.float64) - along(zero, found)
    return np.asarray(exact * along(found.scale, found))


def along(array: npt.NDArray[Any], found: Stored) -> npt.NDArray[Any]:
    """Scale or zero point in a shape that broadcasts against the constant."""
    if array.size == 1 or found.axis is None:
        return array.reshape(())
    if found.blocked:
        repeats = found.shape[found.axis] // array.shape[found.axis]
        return np.repeat(array, repeats, axis=found.axis)
    shape = [1] * len(found.shape)
    shape[found.axis] = array.size
    return array.reshape(shape)
