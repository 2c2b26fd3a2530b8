"""Transposes and Reshapes that undo or repeat one another go.

Transpose by q after Transpose by p is Transpose by p[q[i]]; where that is the identity both go. A
Reshape reads only the order of its elements, so that a Reshape, Flatten, Squeeze or Unsqueeze
before it is needed only where it copies a dimension of its input (0 with allowzero 0). A Reshape to
the shape that its input has already, or had before such nodes, goes, too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import onnx_ir as ir

from normonnx.fold.plan import Bypass, Plan, Refusal, SetAttribute, merge
from normonnx.fold.sum_tree import is_read_once
from normonnx.fold.surroundings import STANDARD, Surroundings, described
from normonnx.graph.constants import Dims
from normonnx.graph.steering import permutation

_TRANSPOSES: Final = ("Transpose",)
_RESHAPES: Final = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")


def plan(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """The rewrite without this Transpose or Reshape, or the one before it; None where it stays."""
    reader = {"Transpose": _transpose, "Reshape": _reshape}.get(node.op_type)
    if reader is None or node.domain not in STANDARD or surroundings.is_kept(node):
        return None
    return reader(surroundings, node)


def _transpose(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    second = _permutation(surroundings, node)
    if second is None:
        return None
    if second == tuple(range(len(second))):
        return _bypassed(surroundings, (node,), node.inputs[0], f"{described(node)} moves no axis")
    before = _before(surroundings, node, _TRANSPOSES)
    first = _permutation(surroundings, before) if before is not None else None
    if before is None or first is None or len(first) != len(second):
        return None
    together = tuple(first[axis] for axis in second)
    if together == tuple(range(len(together))):
        reason = f"{described(before)} and {described(node)} undo one another"
        return _bypassed(surroundings, (node, before), before.inputs[0], reason)
    edits = (SetAttribute(node, "perm", together), Bypass(before, 0))
    return merge(node, edits, f"{described(before)} composed with {described(node)}")


def _permutation(surroundings: Surroundings, node: ir.Node) -> tuple[int, ...] | None:
    value = node.inputs[0]
    dims = None if value is None else surroundings.ranks.certain_dims(value)
    axes = permutation(node, None if dims is None else len(dims))
    return None if axes is None else tuple(axes)


def _reshape(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    value = node.inputs[0]
    if value is None:
        return None
    found = _there_and_back(surroundings, node)
    wanted = _target(surroundings, node)
    if found is not None or wanted is None:
        return found
    dims = surroundings.ranks.certain_dims(value)
    copies = node.attributes.get("allowzero") is None or not node.attributes["allowzero"].as_int()
    if dims is not None and _is_same(wanted, dims, copies=copies):
        reason = f"{described(node)} keeps the shape of its input"
        return _bypassed(surroundings, (node,), value, reason)
    before = _before(surroundings, node, _RESHAPES)
    if before is None or (copies and 0 in wanted):
        return None
    reason = f"{described(before)} is undone by {described(node)}, which alone sets the shape"
    return merge(node, (Bypass(before, 0),), reason)


def _there_and_back(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """The plan without a Reshape to the Shape of what the nodes before it reshaped."""
    shape = node.inputs[1].producer() if len(node.inputs) > 1 and node.inputs[1] else None
    if shape is None or shape.op_type != "Shape" or shape.domain not in STANDARD:
        return None
    if any(name in shape.attributes for name in ("start", "end")):
        return None
    nodes = [node]
    while nodes[-1].inputs[0] is not shape.inputs[0]:
        before = _before(surroundings, nodes[-1], _RESHAPES)
        if before is None:
            return None
        nodes.append(before)
    names = " and ".join(described(one) for one in reversed(nodes))
    reason = f"{names} give the shape that was there before"
    return _bypassed(surroundings, tuple(nodes), shape.inputs[0], reason)


def _target(surroundings: Surroundings, node: ir.Node) -> tuple[int, ...] | None:
    """The constant shape that a Reshape is given; None when it is computed."""
    zero = node.attributes.get("allowzero")
    if len(node.inputs) < 2 or (zero is not None and zero.is_ref()):  # noqa: PLR2004
        return None
    shape = surroundings.constants.get(node.inputs[1])
    return None if shape is None else tuple(int(dim) for dim in shape.reshape(-1))


def _is_same(wanted: tuple[int, ...], dims: Dims, *, copies: bool) -> bool:
    """Whether a target is the shape that a value has: at most one dimension is left to -1."""
    if len(wanted) != len(dims) or wanted.count(-1) > 1:
        return False
    return all(
        target == -1 or (target == 0 and copies) or target == dim
        for target, dim in zip(wanted, dims, strict=True)
    )


def _before(surroundings: Surroundings, node: ir.Node, op_types: Collection[str]) -> ir.Node | None:
    """The node of these operators before, where nothing else reads its output."""
    value = node.inputs[0]
    found = None if value is None else value.producer()
    if value is None or found is None or found.graph is not node.graph:
        return None
    same = found.op_type in op_types and found.domain in STANDARD
    return found if same and is_read_once(value) and not surroundings.is_kept(found) else None


def _bypassed(
    surroundings: Surroundings, nodes: tuple[ir.Node, ...], source: ir.Value | None, reason: str
) -> Plan | Refusal | None:
    """The plan without nodes, the last first; None where the name of an output would be lost."""
    if source is None:
        return None
    node, producer = nodes[0], source.producer()
    if node.outputs[0].is_graph_output() and (
        producer is None
        or producer.graph is not node.graph
        or source.is_graph_output()
        or surroundings.is_kept(producer)
    ):
        return None
    return merge(node, (Bypass(gone, 0) for gone in nodes), reason)
