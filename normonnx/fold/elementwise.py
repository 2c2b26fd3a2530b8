"""Cast and the activations that a positive scale gets through.

f(s x) = s f(x) for s > 0 and f in Relu, LeakyRelu and PRelu; a shift doesn't get through. Cast
between floating-point types carries an affine where it can't overflow the narrower type: every x
of that type must keep |s x + t| within it, upwards; downwards, every (x - t) / s.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from normonnx.core import dtypes
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Draft, Planner, carried_down, carried_up, refuse_parameters
from normonnx.fold.plan import Refusal
from normonnx.fold.surroundings import described

_LEAST_BYTES = 2  # of a type whose rounding is about as large wherever its range is met


def rectifier_up(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """A positive scale of the output is one of the input."""
    refusal = _not_homogeneous(node, affine, "before")
    if refusal is not None:
        return refusal
    return carried_up(planner, node, affine)


def rectifier_down(
    planner: Planner, node: ir.Node, index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """A positive scale of the input is one of the output."""
    if index != 0:
        return Refusal("PRelu: it reads it as its slope", quiet=True)
    refusal = _not_homogeneous(node, affine, "after")
    if refusal is not None:
        return refusal
    return carried_down(planner, node, affine)


def _not_homogeneous(node: ir.Node, affine: ChannelAffine, where: str) -> Refusal | None:
    if affine.is_scale and affine.is_positive:
        return None
    return Refusal(
        f"{described(node)} {where} it can't take a scale and shift, only a positive scale",
        quiet=True,
    )


def cast_up(planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine) -> Draft | Refusal:
    """In the type before the cast, if it can hold the results."""
    types = _types(planner, node)
    if isinstance(types, Refusal):
        return types
    source, target = types
    top = dtypes.largest(source)
    if _is_narrower(source, target) and not np.all(
        np.abs(affine.scale) * top + np.abs(affine.shift) <= top
    ):
        return Refusal(f"Cast: the result might not fit {source}, which it is before the cast")
    return carried_up(planner, node, affine)


def cast_down(
    planner: Planner, node: ir.Node, _index: int, affine: ChannelAffine
) -> Draft | Refusal:
    """In the type after the cast, if it can hold what comes in."""
    types = _types(planner, node)
    if isinstance(types, Refusal):
        return types
    source, target = types
    top = dtypes.largest(target)
    if _is_narrower(target, source) and not np.all(
        top + np.abs(affine.shift) <= np.abs(affine.scale) * top
    ):
        return Refusal(f"Cast: its input might not fit {target}, which it is after the cast")
    return carried_down(planner, node, affine)


def _is_narrower(one: np.dtype[np.generic], other: np.dtype[np.generic]) -> bool:
    """Whether a type has a smaller range: bfloat16, which has fewer digits only, has not."""
    return 2 * dtypes.largest(one) < dtypes.largest(other)


def _is_wide(dtype: np.dtype[np.generic]) -> bool:
    return dtypes.is_float(dtype) and dtype.itemsize >= _LEAST_BYTES


def _types(
    planner: Planner, node: ir.Node
) -> tuple[np.dtype[np.generic], np.dtype[np.generic]] | Refusal:
    parameter = refuse_parameters(node)
    if parameter is not None:
        return parameter
    source = planner.surroundings.element_type(node.inputs[0])
    target = planner.surroundings.element_type(node.outputs[0])
    if source is None or target is None or not all(map(_is_wide, (source, target))):
        return Refusal(
            f"Cast: it is from {source} to {target}, expected floating point of 16 bits or more",
            quiet=True,
        )
    return source, target
