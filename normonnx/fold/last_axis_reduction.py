"""A maximum over the rows of a product is taken along the last axis of the transposed product.

max over n of (x W)[n, c] = max over n of (W' x')[c, n]: the same products, the same sums. Along the
last axis a runtime reads one number after the other; along the one before, each from another row,
which on ONNX Runtime costs more than the product that made them (PointNet: the maximum over a
thousand points).

Transposing x has to cost less than it saves, and each matrix of a batch is a product of its own
then. Measured with ONNX Runtime 1.32 on one thread, K numbers in a row of x and C in one of the
product, 2 K <= C, C >= 256: with 64 rows or more 1.3 to 5.8 times as fast for one matrix (median
1.7) and 1.0 to 1.6 times for eight (1.15); with 16 rows 0.9 to 1.5 times, with four 0.3 to 0.8. A
number of rows that is not known counts as large.
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from normonnx.fold.plan import CombinedWeight, Plan, Refusal, SetInput, TurnProduct, merge
from normonnx.fold.product import MatrixProduct, product_of
from normonnx.fold.sum_tree import is_read_once
from normonnx.fold.surroundings import STANDARD, Surroundings, described
from normonnx.fold.worth import growth
from normonnx.graph.attributes import int_of
from normonnx.graph.lengths import Length
from normonnx.graph.steering import permutation, reduced_axes

_REDUCTIONS: Final = ("ReduceMax", "ReduceMin")
_MATRIX: Final = 2
FEWEST_ROWS: Final = 64
FEWEST_COLUMNS: Final = 256
TIMES_AS_WIDE: Final = 2  # columns of the product, to those of x


def plan(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """The rewrite with the product before a reduction transposed; None where there is no such."""
    before = _product_before(surroundings, node)
    lengths = None if before is None else surroundings.ranks.lengths(before.inputs[0])
    if before is None or lengths is None or len(lengths) < _MATRIX:
        return None
    if reduced_axes(node, surroundings.constants, len(lengths)) != [len(lengths) - 2]:
        return None
    product = product_of(surroundings, before)
    if not isinstance(product, Refusal):
        refusal = _refusal(surroundings, product, lengths[-2])
        if refusal is None:
            return _plan(surroundings, node, product, len(lengths))
    else:
        refusal = product
    reason = f"{described(before)} before it is not transposed: {refusal.reason}"
    return Refusal(reason, quiet=refusal.quiet)


def _product_before(surroundings: Surroundings, node: ir.Node) -> ir.Node | None:
    """The MatMul that a reduction reads; None for other nodes."""
    value = node.inputs[0] if node.op_type in _REDUCTIONS and node.domain in STANDARD else None
    before = None if value is None else value.producer()
    if before is None or before.op_type != "MatMul" or before.domain not in STANDARD:
        return None
    unknown = any(attribute.is_ref() for attribute in node.attributes.values())
    stays = unknown or before.graph is not node.graph or surroundings.is_kept(node)
    return None if stays else before


def _refusal(surroundings: Surroundings, product: MatrixProduct, rows: Length) -> Refusal | None:
    """Why a product had better not be transposed."""
    if product.side == 0:
        return Refusal("its constant stands at the left", quiet=True)
    if not is_read_once(product.node.outputs[0]):
        return Refusal("it is also read elsewhere")
    if product.weight.value.name in surroundings.kept:
        return Refusal("its weight is kept as asked for")
    width, columns = product.shape
    wanted = max(FEWEST_COLUMNS, TIMES_AS_WIDE * width)
    if columns < wanted:
        return Refusal(f"from {width} numbers it makes {columns}; this pays from {wanted} on")
    if isinstance(rows, int) and rows < FEWEST_ROWS:
        return Refusal(f"it has {rows} rows; this pays from {FEWEST_ROWS} on")
    return growth([product.node], [product.weight], width * columns)


def _plan(
    surroundings: Surroundings, node: ir.Node, product: MatrixProduct, rank: int
) -> Plan | Refusal:
    weight = product.weight
    rows = product.matrix(surroundings, transposed=True)
    stored = CombinedWeight(rows, weight.dtype, weight.value.name or "weight", weight.value)
    data = product.node.inputs[0]
    swap = _swap(surroundings, product.node, rank)
    source = None if swap is None else swap.inputs[0]
    dropped = () if swap is None or data is None or not is_read_once(data) else (swap,)
    turn = TurnProduct(node, product.node, rank, source, keeps=bool(int_of(node, "keepdims", 1)))
    reason = f"{described(product.node)} transposed, so that {described(node)} reads its last axis"
    return merge(node, (SetInput(product.node, 1, stored), turn), reason, dropped)


def _swap(surroundings: Surroundings, product: ir.Node, rank: int) -> ir.Node | None:
    """The Transpose that swaps the last two axes of what a product reads; None without one."""
    value = product.inputs[0]
    before = None if value is None else value.producer()
    if before is None or before.op_type != "Transpose" or before.domain not in STANDARD:
        return None
    if before.graph is not product.graph or surroundings.is_kept(before):
        return None
    swapped = permutation(before, rank) == [*range(rank - 2), rank - 1, rank - 2]
    return before if swapped else None
