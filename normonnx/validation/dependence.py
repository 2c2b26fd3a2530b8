"""What an output depends on: random operators, and operators that decide."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import onnx_ir as ir

RANDOM: Final = frozenset(
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split()
)
# A small change of the input may change their output by a lot.
DECISIONS: Final = frozenset(
    "ArgMax ArgMin Ceil Equal Floor Greater GreaterOrEqual Hardmax Less LessOrEqual Mod NonMaxSuppression "
    "NonZero QuantizeLinear DynamicQuantizeLinear Round Sign TopK Unique Where".split()
)
_FLOATS_TO = frozenset({"Cast", "CastLike"})


def depends_on(value: ir.Value, operators: Collection[str]) -> bool:
    """Whether a value is computed, at any distance, by one of these operators.

    A Cast to an integer or to bool counts as a decision, Dropout in training as random.
    """
    waiting, seen = [value], {id(value)}
    while waiting:
        node = waiting.pop().producer()
        if node is None:
            continue
        if _is_one_of(node, operators):
            return True
        inner = [output for graph in _bodies(node) for output in graph.outputs]
        for following in (*node.inputs, *inner):
            if following is not None and id(following) not in seen:
                seen.add(id(following))
                waiting.append(following)
    return False


def _is_one_of(node: ir.Node, operators: Collection[str]) -> bool:
    if node.op_type in operators:
        return True
    if operators is DECISIONS and node.op_type in _FLOATS_TO:
        target = node.outputs[0].dtype
        if "to" in node.attributes:
            target = ir.DataType(node.attributes["to"].as_int())
        return target is not None and not target.is_floating_point()
    if operators is RANDOM and node.op_type == "Dropout":
        return len(node.inputs) > 2 and node.inputs[2] is not None  # noqa: PLR2004
    return False


def _bodies(node: ir.Node) -> list[ir.Graph]:
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found
