"""Two matrix products in a row become one where this multiplies less.

(x A) B = x (A B), and B (A x) = (B A) x. Gemm then Gemm: alpha_2 (alpha_1 x' A + c) B + d = x'
(alpha_1 alpha_2 A B) + (alpha_2 c B + d).
"""

from __future__ import annotations

import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.combination import Product
from normonnx.fold.plan import Bypass, CombinedWeight, Plan, Refusal, SetInput, merge
from normonnx.fold.product import MatrixProduct, gemm_edits, is_product, product_of
from normonnx.fold.sum_tree import is_read_once
from normonnx.fold.surroundings import Surroundings, described
from normonnx.fold.worth import growth


def plan(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """One product for this one and the one before it; None where there is no such pair."""
    if not is_product(node):
        return None
    second = product_of(surroundings, node)
    if isinstance(second, Refusal) or second.data is None:
        return None
    before = second.data.producer()
    if before is None or not is_product(before) or before.graph is not node.graph:
        return None
    first = product_of(surroundings, before)
    if isinstance(first, Refusal):
        return None
    refusal = _refusal(first, second)
    if refusal is not None:
        pair = f"it and {described(before)} before it stay two: "
        return Refusal(pair + refusal.reason, quiet=refusal.quiet)
    return _plan(surroundings, first, second)


def _refusal(first: MatrixProduct, second: MatrixProduct) -> Refusal | None:
    """Why two products can't, or had better not, become one."""
    if not is_read_once(first.node.outputs[0]):
        return Refusal("the output of the first is also read elsewhere", quiet=True)
    if first.side != second.side:
        return Refusal("one multiplies from the left, one from the right", quiet=True)
    if second.transposes_data:
        return Refusal("the second transposes its input", quiet=True)
    if first.weight.dtype != second.weight.dtype:
        return Refusal(f"their weights are {first.weight.dtype} and {second.weight.dtype}")
    is_matmul = second.node.op_type == "MatMul"
    if is_matmul and (first.bias is not None or first.transposes_data):
        return Refusal("a MatMul has no bias and transposes nothing")
    outer, inner = (first, second) if first.side == 1 else (second, first)
    if outer.shape[1] != inner.shape[0]:
        return Refusal("the second does not fit the outputs of the first")
    before = outer.shape[0] * outer.shape[1] + inner.shape[0] * inner.shape[1]
    after = outer.shape[0] * inner.shape[1]
    if after < before:
        return None
    return Refusal(f"one would multiply {after} times for each row, the two do {before} times")


def _plan(
    surroundings: Surroundings, first: MatrixProduct, second: MatrixProduct
) -> Plan | Refusal:
    stored = second.transposed
    left, right = (
        one.matrix(surroundings, transposed=stored)
        for one in ((second, first) if (first.side == 0) != stored else (first, second))
    )
    rows = Product(left, right)
    too_large = growth(
        [first.node, second.node],
        [first.weight, second.weight],
        rows.shape[0] * rows.shape[1],
    )
    if too_large is not None:
        return too_large
    weight, node = second.weight, second.node
    combined = CombinedWeight(rows, weight.dtype, weight.value.name or "weight", weight.value)
    bias = _bias(surroundings, first, second)
    edits = (
        SetInput(node, second.side, combined),
        *gemm_edits(second, bias, transposes_data=first.transposes_data),
        Bypass(first.node, 1 - first.side),
    )
    reason = f"{described(first.node)} multiplied into {described(node)}, which follows it"
    return merge(node, edits, reason)


def _bias(
    surroundings: Surroundings, first: MatrixProduct, second: MatrixProduct
) -> FloatArray | None:
    """The bias of both; None where neither has one."""
    if first.bias is None:
        return second.bias
    matrix = second.matrix(surroundings, transposed=False)
    moved: FloatArray = first.bias @ matrix.rows(0, matrix.shape[0])
    return moved if second.bias is None else moved + second.bias
