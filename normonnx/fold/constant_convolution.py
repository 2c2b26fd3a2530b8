"""A Conv with constant weight and bias, as rewrites of several of them see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.combination import exact_rows
from normonnx.fold.moving import Weight, refuse_parameters, weight_of
from normonnx.fold.plan import Edit, NewConstant, Refusal, Rows, SetInput
from normonnx.fold.surroundings import STANDARD, Surroundings
from normonnx.fold.window import Window, group_of, window_of

LARGEST_GROWTH: Final = (
    1 << 20
)  # bytes that a rewrite may add to the weights, where some are shared
_LEAST_RANK: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """One Conv.

    Attributes:
        node: The node.
        weight: Its weight, of shape (M, C/group, k...).
        group: Number of groups.
        window: Where it reads its input.
        bias: Shape (M,); None when it has none.
    """

    node: ir.Node
    weight: Weight
    group: int
    window: Window
    bias: FloatArray | None

    @property
    def outputs(self) -> int:
        """Number of output channels M."""
        return self.weight.shape[0]

    @property
    def inputs(self) -> int:
        """Number of input channels C."""
        return self.weight.shape[1] * self.group

    @property
    def bias_value(self) -> ir.Value | None:
        """The bias input."""
        return self.node.inputs[2] if self.bias is not None else None


def is_convolution(node: ir.Node | None) -> bool:
    """Whether a node is a Conv."""
    return node is not None and node.op_type == "Conv" and node.domain in STANDARD


def convolution_of(surroundings: Surroundings, node: ir.Node) -> Convolution | Refusal:
    """The Conv that a node is; a Refusal when it isn't known before run time."""
    if surroundings.is_kept(node):
        return Refusal("it is kept as asked for")
    weight = weight_of(surroundings, node, 1)
    if isinstance(weight, Refusal):
        return weight
    unknown = refuse_parameters(node, "group")
    if unknown is not None:
        return unknown
    group, shape = group_of(node), weight.shape
    if len(shape) < _LEAST_RANK or min(shape) < 1 or group < 1 or shape[0] % group:
        return Refusal(
            f"Conv: its weight has shape {list(shape)} with group {group}, expected "
            "(M, C/group, k...) with M divisible by group"
        )
    window = window_of(node, shape[2:])
    if isinstance(window, Refusal):
        return window
    bias = _bias(surroundings, node, shape[0])
    if isinstance(bias, Refusal):
        return bias
    return Convolution(node, weight, group, window, bias)


def _bias(surroundings: Surroundings, node: ir.Node, channels: int) -> FloatArray | Refusal | None:
    value = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    if value is None or not value.name:
        return None
    found = surroundings.constants.get(value)
    if found is None:
        return Refusal(f"Conv: {surroundings.why_not_constant(value, 'bias')}")
    if found.size != channels:
        return Refusal(f"Conv: its bias has shape {list(found.shape)}, expected (M)")
    return found.reshape(-1).astype(np.float64)


def rows_of(surroundings: Surroundings, weight: Weight) -> Rows:
    """The content of a weight, by rows."""
    value = weight.value
    if surroundings.constants.is_initializer(value):
        return exact_rows(value.const_value, None)
    return exact_rows(None, surroundings.constants.get(value))


def bias_edits(node: ir.Node, bias: FloatArray | None, weight: Weight) -> tuple[Edit, ...]:
    """Give a node this bias as its input 2; None where it has none and gets none."""
    if bias is None:
        return ()
    old = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    old = old if old is not None and old.name else None
    name = (old.name if old is not None else None) or f"{weight.value.name}_bias"
    return (SetInput(node, 2, NewConstant(bias, weight.dtype, name, instead_of=old)),)


def growth(nodes: Iterable[ir.Node], weights: Iterable[Weight], added: int) -> Refusal | None:
    """A Refusal where weights that others read, too, make the model much larger.

    Args:
        nodes: The nodes that are merged.
        weights: What they read now.
        added: Number of elements of the merged weight.
    """
    merged = {id(node) for node in nodes}
    distinct = {id(weight.value): weight for weight in weights}
    freed, itemsize = 0, 0
    for weight in distinct.values():
        itemsize = weight.dtype.itemsize
        if all(id(use.node) in merged for use in weight.value.uses()):
            freed += int(np.prod(weight.shape)) * itemsize
    more = added * itemsize - freed
    if more <= LARGEST_GROWTH:
        return None
    return Refusal(
        f"weights that are also read elsewhere would make the model {more >> 20} MiB larger"
    )
