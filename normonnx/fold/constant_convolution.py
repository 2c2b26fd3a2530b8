"""A Conv with constant weight and bias, as rewrites of several of them see it."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.biases import old_bias
from normonnx.fold.combination import exact_rows
from normonnx.fold.convolution import grouped_weight
from normonnx.fold.moving import Weight
from normonnx.fold.plan import Edit, NewConstant, Refusal, Rows, SetInput
from normonnx.fold.surroundings import STANDARD, Surroundings
from normonnx.fold.window import Window, window_of
from normonnx.graph.attributes import int_of


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


def is_convolution(node: ir.Node | None) -> bool:
    """Whether a node is a Conv."""
    return node is not None and node.op_type == "Conv" and node.domain in STANDARD


def convolution_of(surroundings: Surroundings, node: ir.Node) -> Convolution | Refusal:
    """The Conv that a node is; a Refusal when it isn't known before run time."""
    if surroundings.is_kept(node):
        return Refusal("it is kept as asked for")
    weight = grouped_weight(surroundings, node)
    if isinstance(weight, Refusal):
        return weight
    group, shape = int_of(node, "group", 1), weight.shape
    if min(shape) < 1:
        return Refusal(f"Conv: its weight has shape {list(shape)}, which holds nothing")
    window = window_of(node, shape[2:])
    if isinstance(window, Refusal):
        return window
    bias = old_bias(surroundings, node, shape[0])
    if isinstance(bias, Refusal):
        return bias
    return Convolution(node, weight, group, window, bias)


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
