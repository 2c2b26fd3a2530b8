"""What is computed from weights alone, evaluated away: in float64, rounded once.

A convolution that standardizes its weight, a layer that normalizes it, or `1 + weight`: torch
writes them into the graph, and they would be computed at every run. What is evaluated takes the
name of the weight that it was made of, where that is read by nothing else and has its shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.exporting.adopting import declare, opset_of
from normonnx.graph import tensors

Evaluate = Callable[[ir.Model], Mapping[str, Any]]
# Operators that only move numbers: these are left to the ordinary folding of constants.
_MOVING: Final = frozenset(
    ["Cast", "Concat", "Constant", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice",
     "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"]
)  # fmt: skip
_NO_NUMBERS: Final = frozenset(
    ["And", "ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less",
     "LessOrEqual", "NonZero", "Not", "Or", "Shape", "Size", "Xor"]
)  # fmt: skip
# Of these, those that only turn a weight: its transpose, under its name, instead.
_TURNING: Final = frozenset(["Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"])
_RANDOM: Final = frozenset(
    ["Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"]
)  # fmt: skip
_GROWTH: Final = 4  # times as large as what it is made of, at most
_SMALL: Final = 1 << 12


def evaluate_weights(model: ir.Model, evaluate: Evaluate) -> tuple[str, ...]:
    """Evaluate what weights alone decide, in place.

    Args:
        model: Changed in place; its functions need not be declared.
        evaluate: Gives the outputs of a model without inputs, in float64, by name.

    Returns:
        Names of the values that became initializers.
    """
    _infer_types(model.graph)
    cones = _cones(model.graph)
    ends = {id(value): value for value in _ends(model.graph, cones)}
    if not ends:
        return ()
    found = evaluate(_excerpt(model, list(ends.values())))
    made: list[tuple[ir.Value, str]] = []
    for value in ends.values():
        array = found.get(value.name or "")
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            continue
        if _is_worth_keeping(array, cones[id(value)]):
            made.append(_fixed(model.graph, value, array, cones[id(value)]))
    _remove_unread(model.graph)
    taken = {each.name for node in model.graph for each in node.outputs}
    names = []
    for value, name in made:
        free = name not in taken and name not in model.graph.initializers
        value.name = name if free else value.name
        names.append(value.name or "")
    return tuple(names)


def _infer_types(graph: ir.Graph) -> None:
    """Give values without a type that of what they are moved from, in place: torch leaves it out.

    An arithmetic operator gives what it takes, too; whether it did is seen when it is evaluated.
    """
    for node in graph:
        first = node.inputs[0] if node.inputs else None
        for value in node.outputs[:1]:
            if value.type is None and first is not None and first.dtype is not None:
                kind = first.dtype
                if node.op_type == "Cast":
                    kind = ir.DataType(node.attributes["to"].as_int())
                if kind.is_floating_point() and node.op_type not in _NO_NUMBERS:
                    value.type = ir.TensorType(kind)


def _cones(graph: ir.Graph) -> dict[int, list[ir.Value]]:
    """For each value that constants alone decide, the initializers that it is computed from."""
    found: dict[int, list[ir.Value]] = {
        id(value): [value] for value in graph.initializers.values() if not value.is_graph_input()
    }
    for node in graph:
        inputs = [value for value in node.inputs if value is not None and value.name]
        is_plain = node.op_type not in _RANDOM and not _has_graph(node)
        if is_plain and all(id(value) in found for value in inputs):
            made = {id(each): each for value in inputs for each in found[id(value)]}
            for value in node.outputs:
                found[id(value)] = list(made.values())
    return found


def _has_graph(node: ir.Node) -> bool:
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in kinds for attribute in node.attributes.values())


def _ends(graph: ir.Graph, cones: Mapping[int, list[ir.Value]]) -> list[ir.Value]:
    """Where what is constant meets what is not, and weights were computed with on the way."""
    computed: set[int] = set()
    for node in graph:
        if not node.outputs or id(node.outputs[0]) not in cones:
            continue
        by_others = any(id(value) in computed for value in node.inputs)
        if by_others or (node.op_type not in _MOVING and _weighs(node)):
            computed |= {id(value) for value in node.outputs}
    outputs = {id(value) for value in graph.outputs}
    turned = _turned(graph, cones)
    return [
        value
        for node in graph
        for value in node.outputs
        if (id(value) in computed or id(value) in turned)
        and value.dtype is not None
        and value.dtype.is_floating_point()
        and _weighty(cones[id(value)])
        and id(value) not in outputs
        and any(not _is_constant(use, cones) for use in value.consumers())
    ]


def _turned(graph: ir.Graph, cones: Mapping[int, list[ir.Value]]) -> set[int]:
    """Values that are one weight in another order or shape, which nothing else reads."""
    sources = {id(v): v for v in graph.initializers.values() if not v.is_graph_input()}
    found: set[int] = set()
    for node in graph:
        first = node.inputs[0] if node.inputs else None
        if node.op_type not in _TURNING or first is None or id(first) not in sources:
            continue
        if not node.outputs or id(node.outputs[0]) not in cones:
            continue
        source, value = sources[id(first)], node.outputs[0]
        sources[id(value)] = source
        if _is_wide(source) and _reaches_only(source, value):
            found.add(id(value))
    return found


def _is_wide(weight: ir.Value) -> bool:
    """Whether it is a weight of numbers, not a shape or a single number."""
    kind = weight.dtype is not None and weight.dtype.is_floating_point()
    return kind and weight.shape is not None and len(weight.shape) > 0


def _is_constant(node: ir.Node, cones: Mapping[int, list[ir.Value]]) -> bool:
    return bool(node.outputs) and id(node.outputs[0]) in cones


def _weighs(node: ir.Node) -> bool:
    """Whether its result is numbers, not a shape."""
    kinds = [value.dtype for value in (*node.inputs[:1], *node.outputs[:1]) if value is not None]
    return any(kind is not None and kind.is_floating_point() for kind in kinds)


def _weighty(cone: list[ir.Value]) -> bool:
    """Whether a weight is among what it is made of."""
    return any(map(_is_wide, cone))


def _excerpt(model: ir.Model, values: list[ir.Value]) -> ir.Model:
    """A model of its own of what these values are computed by; it has no inputs."""
    needed = _needed(model.graph, values)
    copies: dict[int, ir.Value] = {}
    for value in model.graph.initializers.values():
        copies[id(value)] = ir.Value(
            name=value.name, type=value.type, shape=value.shape, const_value=value.const_value
        )
    nodes = []
    for node in needed:
        inputs = [None if each is None else copies[id(each)] for each in node.inputs]
        made = ir.Node(
            node.domain,
            node.op_type,
            inputs,
            node.attributes.values(),
            num_outputs=len(node.outputs),
            name=node.name,
        )
        for old, new in zip(node.outputs, made.outputs, strict=True):
            new.name, new.type, new.shape = old.name, old.type, old.shape
            copies[id(old)] = new
        nodes.append(made)
    read = {id(each) for node in nodes for each in node.inputs if each is not None}
    weights = [copies[id(each)] for each in model.graph.initializers.values()]
    graph = ir.Graph(
        [],
        [copies[id(value)] for value in values],
        nodes=nodes,
        initializers=[each for each in weights if id(each) in read],
        opset_imports=model.opset_imports,
        name="weights",
    )
    found = ir.Model(graph, ir_version=model.ir_version)
    declare(found, opset_of(found))
    return found


def _needed(graph: ir.Graph, values: list[ir.Value]) -> list[ir.Node]:
    """The nodes that values are computed by, in order."""
    wanted = {id(value) for value in values}
    found = []
    for node in reversed(list(graph)):
        if any(id(each) in wanted for each in node.outputs):
            found.append(node)
            wanted |= {id(each) for each in node.inputs if each is not None}
    return found[::-1]


def _remove_unread(graph: ir.Graph) -> None:
    outputs = {id(value) for value in graph.outputs}
    for node in reversed(list(graph)):
        if not any(id(value) in outputs or value.uses() for value in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and id(value) not in outputs and not value.is_graph_input():
            del graph.initializers[name]


def _is_worth_keeping(array: np.ndarray[Any, Any], cone: list[ir.Value]) -> bool:
    largest = max((math.prod(value.shape.numpy()) for value in cone if value.shape), default=0)
    return array.size <= max(_GROWTH * largest, _SMALL)


def _fixed(
    graph: ir.Graph, value: ir.Value, array: np.ndarray[Any, Any], cone: list[ir.Value]
) -> tuple[ir.Value, str]:
    """An initializer in the place of a computed value, and the name that it is to have."""
    kind = value.dtype or ir.DataType.FLOAT
    rounded = array.astype(kind.numpy())
    source = _namesake(value, rounded.shape, cone)
    wanted = (source.name if source is not None else value.name) or ""
    name = f"{value.name}.evaluated"
    made = ir.Value(
        name=name,
        type=ir.TensorType(kind),
        shape=ir.Shape(rounded.shape),
        const_value=tensors.of_array(rounded, name),
    )
    value.replace_all_uses_with(made)
    graph.initializers[name] = made
    return made, wanted


def _namesake(value: ir.Value, shape: tuple[int, ...], cone: list[ir.Value]) -> ir.Value | None:
    """The weight that it was made of, where there is one of its shape that goes with this."""
    alike = [
        each
        for each in cone
        if each.shape is not None
        and sorted(each.shape.numpy()) == sorted(shape)
        and each.name
        and _is_wide(each)
        and _reaches_only(each, value)
    ]
    return alike[0] if len(alike) == 1 else None


def _reaches_only(weight: ir.Value, value: ir.Value) -> bool:
    """Whether all that is computed from a weight goes into one value."""
    left, seen = [weight], set[int]()
    while left:
        current = left.pop()
        if current is value or id(current) in seen:
            continue
        seen.add(id(current))
        readers = list(current.consumers())
        if not readers:
            return False
        left += [output for node in readers for output in node.outputs if output.uses()]
        if any(not any(o.uses() for o in node.outputs) for node in readers):
            return False
    return True
