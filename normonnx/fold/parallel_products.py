"""Matrix products of one input whose results are summed become one, the input's own affines too.

x W_1 + x W_2 = x (W_1 + W_2), and s x + t = x diag(s) + t where s and t vary along the axis that is
summed over. Biases add up; a MatMul has none, so a shift is refused there. Every merge leaves one
product of the same size where there were two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.combination import Placed, Scaled, Summed
from normonnx.fold.plan import CombinedWeight, Plan, Refusal, Rows, SetInput, merge
from normonnx.fold.product import MatrixProduct, gemm_edits, is_product, product_of
from normonnx.fold.sum_tree import AffineBranch, Leaf, SumTree, affine_branch, is_read_once
from normonnx.fold.surroundings import Surroundings, described
from normonnx.fold.worth import growth
from normonnx.graph.walk import label

_LAST_BUT_ONE: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Branch:
    """One summand: a product, or an affine of the input itself."""

    leaf: Leaf
    nodes: tuple[ir.Node, ...]
    product: MatrixProduct | None
    scale: FloatArray | None
    bias: FloatArray | None

    @property
    def name(self) -> str:
        return described(self.nodes[0]) if self.nodes else "the input itself"


def plan(surroundings: Surroundings, tree: SumTree) -> Plan | Refusal | None:
    """One product for branches of a sum; None where no two of them have one input."""
    refusal = None
    products, problems = _products(surroundings, tree)
    for anchor in sorted(products, key=_has_no_bias):
        members, problem = _company(surroundings, tree, anchor, products)
        if len(members) > 1:
            return _plan(surroundings, tree, members)
        refusal = refusal or problem
    return refusal or problems


def _has_no_bias(branch: _Branch) -> bool:
    return branch.product is None or branch.product.node.op_type != "Gemm"


def _products(surroundings: Surroundings, tree: SumTree) -> tuple[list[_Branch], Refusal | None]:
    """The products among the leaves; a Refusal where one that shares its input isn't known."""
    found: list[_Branch] = []
    problems: list[tuple[ir.Node, Refusal]] = []
    for leaf in tree.leaves:
        node = leaf.value.producer()
        if node is None or not is_product(node):
            continue
        product = product_of(surroundings, node)
        if isinstance(product, Refusal):
            problems.append((node, Refusal(f"{label(node)!r}: {product.reason}")))
        elif node.graph is not tree.root.graph:
            problems.append((node, Refusal(f"{leaf.value.name!r} comes from outside the subgraph")))
        elif not is_read_once(leaf.value):
            reason = f"the output of {described(node)} is also read elsewhere"
            problems.append((node, Refusal(reason)))
        else:
            found.append(_Branch(leaf, (node,), product, None, product.bias))
    shared = {id(branch.product.data) for branch in found if branch.product is not None}
    for node, problem in problems:
        if any(id(value) in shared for value in node.inputs):
            return found, problem
    return found, None


def _company(
    surroundings: Surroundings, tree: SumTree, anchor: _Branch, products: Sequence[_Branch]
) -> tuple[list[_Branch], Refusal | None]:
    """The anchor and those that one product can compute with it, and why no more."""
    members, refusal = [anchor], None
    kept = anchor.product
    if kept is None or kept.data is None:
        return members, None
    for branch in products:
        other = branch.product
        if other is None or branch is anchor or other.data is not kept.data:
            continue
        problem = _differ(kept, other)
        if problem is None:
            members.append(branch)
        else:
            pair = f"{described(kept.node)} and {described(other.node)} stay two"
            refusal = refusal or Refusal(f"{pair}: {problem}")
    own = {branch.leaf.place for branch in products}
    for leaf in tree.leaves:
        if leaf.place in own:
            continue
        found = affine_branch(surroundings, leaf, (kept.data,))
        if isinstance(found, AffineBranch):
            identity = _identity(surroundings, leaf, found, kept)
            if isinstance(identity, _Branch):
                members.append(identity)
            else:
                refusal = refusal or identity
        else:
            refusal = refusal or found
    return members, refusal


def _differ(one: MatrixProduct, other: MatrixProduct) -> str | None:
    """Why two products of one input can't become one; None where they can."""
    if one.side != other.side:
        return "one multiplies from the left, one from the right"
    if one.transposes_data != other.transposes_data:
        return "only one transposes its input"
    if one.shape != other.shape:
        return f"their weights have shapes {list(one.shape)} and {list(other.shape)}"
    if one.weight.dtype != other.weight.dtype:
        return f"their weights are {one.weight.dtype} and {other.weight.dtype}"
    if one.node.op_type == "MatMul" and other.bias is not None:
        return "a MatMul has no bias"
    return None


def _identity(
    surroundings: Surroundings, leaf: Leaf, found: AffineBranch, kept: MatrixProduct
) -> _Branch | Refusal:
    """The input times scale plus shift, as a diagonal matrix."""
    name = described(found.nodes[0]) if found.nodes else "the input itself"
    pair = f"{described(kept.node)} and {name} stay two"
    channels = kept.shape[0]
    if kept.shape != (channels, channels) or kept.transposes_data:
        return Refusal(f"{pair}: the product changes the shape of its input")
    scale, bias = np.ones(channels), None
    if found.affine is not None:
        rank = surroundings.ranks.rank(found.value)
        axis = -1 if rank is None else rank - (1 if kept.side == 1 else _LAST_BUT_ONE)
        along = found.affine.over(axis, channels)
        if along is None:
            return Refusal(f"{pair}: the affine varies along axes {found.affine.axes}")
        if not along.is_scale and kept.node.op_type == "MatMul":
            return Refusal(f"{pair}: a MatMul has no bias for its shift")
        scale, bias = along.scale, None if along.is_scale else along.shift
    return _Branch(leaf, found.nodes, None, scale, bias)


def _plan(surroundings: Surroundings, tree: SumTree, members: Sequence[_Branch]) -> Plan | Refusal:
    others = members[1:]
    found = [member.product for member in members if member.product is not None]
    keeper = found[0]
    too_large = growth(
        [one.node for one in found],
        [one.weight for one in found],
        keeper.shape[0] * keeper.shape[1],
    )
    if too_large is not None:
        return too_large
    structure, dead = tree.without([other.leaf for other in others])
    dropped = (*dead, *(node for other in others for node in other.nodes))
    weight = keeper.weight
    rows = Summed(tuple(_matrix(surroundings, keeper, member) for member in members))
    combined = CombinedWeight(rows, weight.dtype, weight.value.name or "weight", weight.value)
    biases = [member.bias for member in members if member.bias is not None]
    bias = np.sum(biases, axis=0) if biases else None
    edits = (
        *structure,
        SetInput(keeper.node, keeper.side, combined),
        *gemm_edits(keeper, bias, transposes_data=keeper.transposes_data),
    )
    names = " and ".join(other.name for other in others)
    reason = f"{names} merged into {described(keeper.node)}, parallel to it"
    return merge(tree.root, edits, reason, dropped)


def _matrix(surroundings: Surroundings, keeper: MatrixProduct, member: _Branch) -> Rows:
    """A member's matrix as the keeper stores its own."""
    if member.product is not None:
        return member.product.matrix(surroundings, transposed=keeper.transposed)
    size = keeper.shape[0]
    scale = np.ones(size) if member.scale is None else member.scale
    return Placed(Scaled(scale.reshape(size, 1), np.ones((1, 1))), size, (size, size), 1)
