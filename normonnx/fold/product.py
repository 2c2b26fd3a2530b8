"""A MatMul or Gemm with one constant matrix, as rewrites of several of them see it.

Gemm: Y = alpha A' B' + beta C with a constant B. MatMul: Y = X W, or Y = W X with the constant at
the left. Only matrices: a weight of more dimensions, or a vector, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.combination import Scaled
from normonnx.fold.constant_convolution import rows_of
from normonnx.fold.moving import Weight, refuse_parameters, weight_of
from normonnx.fold.plan import Edit, NewConstant, Refusal, Rows, SetAttribute, SetInput
from normonnx.fold.surroundings import STANDARD, Surroundings

_MATRIX: Final = 2
_PRODUCTS: Final = ("MatMul", "Gemm")
_ATTRIBUTES: Final = ("alpha", "beta", "transA", "transB")


@dataclass(frozen=True, slots=True, eq=False)
class MatrixProduct:
    """One MatMul or Gemm.

    Attributes:
        node: The node.
        side: Which of its inputs is the weight: 1, or 0 for a MatMul from the left.
        weight: The weight as it is stored.
        transposed: Whether the weight is stored transposed (transB).
        transposes_data: Whether the other input is transposed first (transA).
        alpha: What the product is multiplied by.
        bias: beta C of shape (N,), the columns; None when there is none.
    """

    node: ir.Node
    side: int
    weight: Weight
    transposed: bool
    transposes_data: bool
    alpha: float
    bias: FloatArray | None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the weight as it is multiplied."""
        first, second = self.weight.shape
        return (second, first) if self.transposed else (first, second)

    @property
    def data(self) -> ir.Value | None:
        """The other input."""
        return self.node.inputs[1 - self.side]

    def matrix(self, surroundings: Surroundings, *, transposed: bool) -> Rows:
        """alpha times the weight as it is multiplied, or the transpose of this."""
        rows = rows_of(surroundings, self.weight)
        turn = transposed != self.transposed
        if not turn and self.alpha == 1.0:
            return rows
        if not isinstance(rows, Scaled):
            rows = Scaled(rows.rows(0, rows.shape[0]), np.ones((1, 1)))
        rows = rows.times(self.alpha)
        return rows.transposed() if turn else rows


def is_product(node: ir.Node | None) -> bool:
    """Whether a node is a MatMul or Gemm."""
    return node is not None and node.op_type in _PRODUCTS and node.domain in STANDARD


def product_of(surroundings: Surroundings, node: ir.Node) -> MatrixProduct | Refusal:
    """The product that a node is; a Refusal when it has no constant matrix."""
    if surroundings.is_kept(node):
        return Refusal("it is kept as asked for")
    side = 1
    weight = weight_of(surroundings, node, 1)
    if isinstance(weight, Refusal) and node.op_type == "MatMul":
        left = weight_of(surroundings, node, 0)
        side, weight = (0, left) if not isinstance(left, Refusal) else (1, weight)
    if isinstance(weight, Refusal):
        return weight
    if len(weight.shape) != _MATRIX or min(weight.shape) < 1:
        return Refusal(
            f"{node.op_type}: its weight has shape {list(weight.shape)}, expected two dimensions"
        )
    if node.op_type == "MatMul":
        return MatrixProduct(node, side, weight, False, False, 1.0, None)  # noqa: FBT003
    unknown = refuse_parameters(node, *_ATTRIBUTES)
    if unknown is not None:
        return unknown
    transposed = _number(node, "transB", 0) != 0
    bias = _bias(surroundings, node, weight.shape[0 if transposed else 1])
    if isinstance(bias, Refusal):
        return bias
    turned, alpha = _number(node, "transA", 0) != 0, _number(node, "alpha", 1)
    return MatrixProduct(node, 1, weight, transposed, turned, alpha, bias)


def _bias(surroundings: Surroundings, node: ir.Node, columns: int) -> FloatArray | Refusal | None:
    value = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    beta = _number(node, "beta", 1)
    if value is None or not value.name or beta == 0:
        return None
    found = surroundings.constants.get(value)
    if found is None:
        return Refusal(f"Gemm: {surroundings.why_not_constant(value, 'bias C')}")
    if found.shape not in ((), (1,), (1, 1), (columns,), (1, columns)):
        return Refusal(f"Gemm: its bias C has shape {list(found.shape)}, expected one row")
    row: FloatArray = np.broadcast_to(found.reshape(-1).astype(np.float64), (columns,))
    return beta * row


def _number(node: ir.Node, name: str, default: float) -> float:
    return float(node.attributes[name].value) if name in node.attributes else float(default)


def gemm_edits(
    found: MatrixProduct, bias: FloatArray | None, *, transposes_data: bool
) -> tuple[Edit, ...]:
    """The edits of a Gemm whose weight is replaced by one that alpha has gone into."""
    node, edits = found.node, list[Edit]()
    if node.op_type != "Gemm":
        return ()
    if bias is not None:
        old = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
        old = old if old is not None and old.name else None
        name = (old.name if old is not None else None) or f"{found.weight.value.name}_bias"
        dtype = found.weight.dtype
        edits.append(SetInput(node, 2, NewConstant(bias, dtype, name, instead_of=old)))
        if _number(node, "beta", 1) != 1:
            edits.append(SetAttribute(node, "beta", None))
    if found.alpha != 1:
        edits.append(SetAttribute(node, "alpha", None))
    if transposes_data != found.transposes_data:
        edits.append(SetAttribute(node, "transA", int(transposes_data)))
    return tuple(edits)
