"""What an output depends on: random operators, and operators that decide."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import onnx_ir as ir

RANDOM: Final = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
# A small change of the input may change their output by a lot.
DECISIONS: Final = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Ceil",
        "Compress",
        "DynamicQuantizeLinear",
        "Equal",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "Hardmax",
        "Less",
        "LessOrEqual",
        "Mod",
        "NonMaxSuppression",
        "NonZero",
        "QuantizeLinear",
        "Round",
        "Sign",
        "TopK",
        "Unique",
        "Where",
    }
)
_FLOATS_TO: Final = frozenset({"Cast", "CastLike"})
_TRAINING_INPUT: Final = 2  # of Dropout, since version 12

Functions = Mapping[ir.OperatorIdentifier, ir.Function]


def depends_on(
    value: ir.Value, operators: Collection[str], functions: Functions | None = None
) -> bool:
    """Whether a value is computed, at any distance, by one of these operators.

    Looks into subgraphs and into model-local functions that are called. A Cast to an integer or to
    bool counts as a decision, Dropout in training as random.
    """
    known = functions or {}
    waiting, seen = [value], {id(value)}
    while waiting:
        node = waiting.pop().producer()
        if node is None:
            continue
        if _is_one_of(node, operators):
            return True
        for following in (*node.inputs, *_results_inside(node, known)):
            if following is not None and id(following) not in seen:
                seen.add(id(following))
                waiting.append(following)
    return False


def _is_one_of(node: ir.Node, operators: Collection[str]) -> bool:
    if node.op_type in operators:
        return True
    if operators is DECISIONS and node.op_type in _FLOATS_TO:
        target = node.outputs[0].dtype
        if "to" in node.attributes and not node.attributes["to"].is_ref():
            target = ir.DataType(node.attributes["to"].as_int())
        return target is not None and not target.is_floating_point()
    return operators is RANDOM and node.op_type == "Dropout" and _is_training(node)


def _is_training(dropout: ir.Node) -> bool:
    """Whether a Dropout may drop: unless its third input is absent or known to be false."""
    if len(dropout.inputs) <= _TRAINING_INPUT:
        return False
    training = dropout.inputs[_TRAINING_INPUT]
    if training is None:
        return False
    tensor = training.const_value
    producer = training.producer()
    if tensor is None and producer is not None and "value" in producer.attributes:
        tensor = producer.attributes["value"].as_tensor()
    return tensor is None or bool(tensor.numpy().any())


def _results_inside(node: ir.Node, functions: Functions) -> Iterator[ir.Value]:
    """What a node's subgraphs, or the function that it calls, return."""
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            yield from attribute.as_graph().outputs
        elif attribute.type == ir.AttributeType.GRAPHS:
            for graph in attribute.as_graphs():
                yield from graph.outputs
    function = functions.get(node.op_identifier())
    if function is not None:
        yield from function.outputs
