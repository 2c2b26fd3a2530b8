"""A region of a model, as it was at one moment, as a model of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import onnx_ir as ir

from normonnx.graph import checks
from normonnx.validation.changes import Change
from normonnx.validation.islands import Types
from normonnx.validation.sketch import Array
from normonnx.validation.snapshots import Step

_LEAST_IR_VERSION: Final = 4  # the first in which an initializer need not be an input
_FUNCTIONS_IR_VERSION: Final = 8  # the first with functions


def both_sides(
    model: ir.Model, change: Change, types: Types, feeds: Mapping[ir.Value, Array]
) -> tuple[ir.Model, ir.Model]:
    """The region of a change before and after it, with inputs and outputs of the same names.

    Weights are shared with the model, not copied.

    Args:
        model: That the change was made to.
        change: What changed.
        types: Types of the values of the model.
        feeds: What enters, whose types and shapes become those of the inputs; where it is empty
            they are as declared.
    """
    imports = checks.imports_at(model, change.graph)
    names, inputs = output_names(change), input_names(change)
    sides = []
    for place, steps in enumerate((change.before, change.after)):
        made = _Copy(types, dict(zip(names, (pair[place] for pair in change.outputs), strict=True)))
        for value, name in inputs.items():
            made.enters(value, name, feeds.get(value))
        for step in steps:
            made.follows(step)
        leaving = made.leaving([old for old, _ in change.outputs])
        graph = ir.Graph(
            made.inputs,
            leaving,
            nodes=made.nodes,
            initializers=made.weights,
            name="region",
            opset_imports=dict(imports),
        )
        functions = _called(model, made.nodes)
        least = _FUNCTIONS_IR_VERSION if functions else _LEAST_IR_VERSION
        version = max(model.ir_version, least)
        sides.append(ir.Model(graph, ir_version=version, functions=functions))
    return sides[0], sides[1]


def _called(model: ir.Model, nodes: Sequence[ir.Node]) -> list[ir.Function]:
    """All functions of a model where one of its nodes calls one: functions may call others."""
    calls = any(node.op_identifier() in model.functions for node in nodes)
    return list(model.functions.values()) if calls else []


def output_names(change: Change) -> list[str]:
    """What leaves a region, by the names it had before."""
    called = {
        value: name
        for step in change.before
        for value, name in zip(step.node.outputs, step.names, strict=True)
    }
    return _unique([called.get(old) or old.name or "out" for old, _ in change.outputs], set())


def input_names(change: Change) -> dict[ir.Value, str]:
    """What enters a region, with the name of the input that it becomes."""
    names = _unique([value.name or "in" for value in change.inputs], set(output_names(change)))
    return dict(zip(change.inputs, names, strict=True))


def _unique(names: Sequence[str], taken: set[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        while name in taken:
            name += "_"  # noqa: PLW2901
        taken.add(name)
        found.append(name)
    return found


@dataclass(slots=True, eq=False)
class _Copy:
    """A model in the making.

    Attributes:
        types: Of the values of the model that it is a part of.
        outputs: What leaves it, by the name to give it.
        inputs: What it has so far.
        weights: The same.
        nodes: The same.
        values: The copy of each value.
        taken: Names in use.
    """

    types: Types
    outputs: Mapping[str, ir.Value]
    inputs: list[ir.Value] = field(default_factory=list)
    weights: list[ir.Value] = field(default_factory=list)
    nodes: list[ir.Node] = field(default_factory=list)
    values: dict[ir.Value, ir.Value] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.taken |= set(self.outputs)

    def enters(self, value: ir.Value, name: str, array: Array | None) -> None:
        """Add an input."""
        if array is None:
            made = ir.Value(name=name, type=self._type(value), shape=self.types.shape(value))
        else:
            kind = ir.TensorType(ir.DataType.from_numpy(array.dtype))
            made = ir.Value(name=name, type=kind, shape=ir.Shape(array.shape))
        self.taken.add(name)
        self.values[value] = made
        self.inputs.append(made)

    def follows(self, step: Step) -> None:
        """Add a node as it was."""
        node = step.node
        read = [
            None if value is None else self._operand(value, content)
            for value, content in zip(step.inputs, step.contents, strict=True)
        ]
        made = ir.Node(
            node.domain,
            node.op_type,
            read,
            step.attributes,
            overload=node.overload,
            num_outputs=len(node.outputs),
            name=node.name,
        )
        for old, name, new in zip(node.outputs, step.names, made.outputs, strict=True):
            new.name, new.type = "", None
            if name:
                new.name, new.type = _unique([name], self.taken)[0], self._type(old)
            self.values[old] = new
        self.nodes.append(made)

    def leaving(self, declared: Sequence[ir.Value]) -> list[ir.Value]:
        """The outputs, each under its name and with the type of what it was before."""
        found = []
        for (name, value), old in zip(self.outputs.items(), declared, strict=True):
            end = ir.Node("", "Identity", [self.values[value]], name="")
            end.outputs[0].name, end.outputs[0].type = name, self._type(old)
            self.nodes.append(end)
            found.append(end.outputs[0])
        return found

    def _operand(self, value: ir.Value, content: object) -> ir.Value:
        if content is None or value in self.values:
            return self.values[value]
        (name,) = _unique([value.name or "constant"], self.taken)
        if isinstance(content, ir.Attr):
            node = ir.Node("", "Constant", [], [content], name="")
            made = node.outputs[0]
            made.name = name
            self.nodes.append(node)
        else:
            made = self._weight(name, cast("ir.TensorProtocol", content))
        self.values[value] = made
        return made

    def _weight(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        kind, shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        made = ir.Value(name=name, type=kind, shape=shape, const_value=tensor)
        self.weights.append(made)
        return made

    def _type(self, value: ir.Value) -> ir.TypeProtocol | None:
        if value.dtype not in {None, ir.DataType.UNDEFINED}:
            return value.type
        kind = self.types.known(value)
        return None if kind is None else ir.TensorType(ir.DataType.from_numpy(kind))
