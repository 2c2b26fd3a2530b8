"""What every absorber returns, and how vectors become bias inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray, is_float
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.plan import Edit, NewConstant, Refusal, SetInput
from normonnx.fold.surroundings import Surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Absorbed:
    """What an operator does with an affine of its output.

    Attributes:
        edits: How the operator itself changes.
        left: What remains to be added to its output, where it has no bias; None when nothing does.
        dtype: Element type of its output, where something is left.
    """

    edits: tuple[Edit, ...]
    left: ChannelAffine | None = None
    dtype: np.dtype[Any] | None = None


Absorber = Callable[[Surroundings, ir.Node, ChannelAffine], Absorbed | Refusal]


@dataclass(frozen=True, slots=True)
class Weight:
    """A constant floating-point weight."""

    value: ir.Value
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def weight_of(
    surroundings: Surroundings, node: ir.Node, index: int, role: str = "weight"
) -> Weight | Refusal:
    """The index-th input of a node as a weight; a Refusal when it is no floating-point constant."""
    value = node.inputs[index] if index < len(node.inputs) else None
    kind = surroundings.kind(value)
    if kind is None or value is None:
        return Refusal(f"{node.op_type}: {surroundings.why_not_constant(value, role)}")
    shape, dtype = kind
    if not is_float(dtype):
        return Refusal(f"{node.op_type}: its {role} {value.name!r} is {dtype}, not floating point")
    return Weight(value, shape, dtype)


def refuse_parameters(node: ir.Node, *names: str) -> Refusal | None:
    """A Refusal when one of these attributes is a parameter of the function the node stands in."""
    for name in names:
        if name in node.attributes and node.attributes[name].is_ref():
            return Refusal(
                f"{node.op_type}: its attribute {name} is a parameter of the function it stands in"
            )
    return None


def channel_bias(
    surroundings: Surroundings, node: ir.Node, weight: Weight, affine: ChannelAffine
) -> Edit | Refusal | None:
    """The new bias (input 2) of a convolution: scale * bias + shift; None when there is none."""
    value = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    dtype = weight.dtype
    if value is None or not value.name:
        if affine.is_scale:
            return None
        bias: FloatArray = affine.shift
        value = None
    else:
        old = surroundings.constants.get(value)
        if old is None:
            return Refusal(f"{node.op_type}: {surroundings.why_not_constant(value, 'bias')}")
        if old.reshape(-1).size != affine.scale.size:
            return Refusal(f"{node.op_type}: its bias has shape {list(old.shape)}, expected (M)")
        dtype = old.dtype
        bias = affine.scale * old.reshape(-1).astype(np.float64) + affine.shift
    name = value.name if value is not None else f"{weight.value.name}_bias"
    return SetInput(node, 2, NewConstant(bias, dtype, name or "bias", instead_of=value))
