"""Each normalization that was found becomes one call of its function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.emitting import call_attributes, function
from normonnx.catalogue.norm import DOMAIN, FUNCTIONS_SINCE
from normonnx.core.events import Event
from normonnx.graph import checks, tensors
from normonnx.graph.editing import Editor, Operand
from normonnx.graph.walk import label
from normonnx.recognize.arguments import Argument
from normonnx.recognize.findings import Findings, Found

RULE: Final = "recognize"
FUNCTIONS_IR: Final = 8  # first IR version with functions in a model
Observer = Callable[[Event], None]


class Writer(Protocol):
    """Writes a normalization in another way."""

    rule: str

    def why_not(self, found: Found) -> str | None:
        """Why it is not written; "" where there is nothing to say."""

    def event(self, found: Found) -> Event:
        """What to tell of it; asked before it is written."""

    def put(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> None:
        """Put it in place of the node that gives the result, under its name.

        Args:
            editor: Of the model.
            found: The normalization.
            inputs: What is normalized, and all parameters; known constants stand in no graph.
        """

    def write(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> ir.Value:
        """Put it ahead of that node; its result."""


def emit(
    model: ir.Model,
    findings: Findings,
    *,
    keep: Collection[str] = (),
    observer: Observer | None = None,
    writer: Writer | None = None,
) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Put a call in place of every normalization that is none yet, in place.

    Args:
        model: Changed in place; it gets the functions, and IR version 8 where it has an older one.
        findings: Of this model as it is.
        keep: Names of nodes or values that must stay as they are.
        observer: Called after each rewrite, with the model already changed.
        writer: Writes normalizations in another way than as calls.

    Returns:
        What was done, and what was not and why.
    """
    editor = Editor(model, keep)
    writer = writer or Calls(model)
    applied: list[Event] = []
    refused = [
        Event(RULE, label(miss.node), miss.node.op_type, miss.reason)
        for miss in findings.near_misses
    ]
    for found in reversed(findings.norms):  # a later one may stand on an earlier one's result
        why = _kept(found, frozenset(keep)) or writer.why_not(found)
        if why is not None:
            if why:
                refused.append(Event(writer.rule, label(found.node), found.node.op_type, why))
            continue
        event = writer.event(found)
        _put(editor, found, writer)
        applied.append(event)
        if observer is not None:
            observer(event)
    editor.finish()
    return tuple(reversed(applied)), tuple(refused)


def _kept(found: Found, kept: frozenset[str]) -> str | None:
    for node in found.region.nodes:
        names = {node.name, *(value.name for value in node.outputs)}
        if names & kept:
            return f"{label(node)} is kept as asked"
    return None


class Calls:
    """Writes normalizations as calls of the catalogue's functions."""

    rule: str = RULE

    def __init__(self, model: ir.Model) -> None:
        self._model = model

    def why_not(self, found: Found) -> str | None:
        """Functions need opset 13; what is a call already stays."""
        if found.is_call:
            return ""
        opset = checks.opset_at(self._model, found.node)
        if opset >= FUNCTIONS_SINCE:
            return None
        name = found.call.norm.name
        return (
            f"it is a {name}, but {DOMAIN}::{name} needs opset {FUNCTIONS_SINCE} or later and the "
            f"model has {opset}"
        )

    def event(self, found: Found) -> Event:
        """That it became a call."""
        nodes = found.region.nodes
        what = found.spelling[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
        verb = "normalizes" if len(nodes) == 1 else "normalize"
        became = f"{DOMAIN}::{found.call.norm.name}"
        reason = f"{what} that {verb} {found.root.name!r} became {became}"
        names = tuple(label(node) for node in reversed(nodes))
        node = found.node
        return Event(RULE, label(node), node.op_type, reason, len(nodes), 1, names)

    def put(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> None:
        """As one node."""
        node, norm = found.node, found.call.norm
        opset = self._declared(found)
        editor.put(
            node,
            DOMAIN,
            norm.name,
            self._operands(found, inputs),
            attributes=call_attributes(found.call, opset).values(),
            outputs=len(norm.outputs),
            extras=dict(found.extras),
        )

    def write(self, editor: Editor, found: Found, inputs: Sequence[ir.Value]) -> ir.Value:
        """As one node ahead of another."""
        node, norm = found.node, found.call.norm
        opset = self._declared(found)
        return editor.add_before(
            node,
            norm.name,
            self._operands(found, inputs),
            f"{node.outputs[0].name}_{norm.name}",
            domain=DOMAIN,
            attributes=call_attributes(found.call, opset).values(),
            outputs=len(norm.outputs),
        )

    def _declared(self, found: Found) -> int:
        opset = checks.opset_at(self._model, found.node)
        _declare(self._model, found.node, found.call.norm.name, opset)
        return opset

    def _operands(self, found: Found, inputs: Sequence[ir.Value]) -> list[Operand]:
        output = found.node.outputs[0].name or "norm"
        return [
            (tensors.of_array(argument.array), f"{output}_{argument.name}")
            if argument is not None and argument.array is not None
            else value
            for argument, value in zip((None, *found.arguments), inputs, strict=True)
        ]


def _put(editor: Editor, found: Found, writer: Writer) -> None:
    x = _before(editor, found)
    inputs = [x, *(_operand(editor, found.node, argument) for argument in found.arguments)]
    if found.surplus.channels_last or found.surplus.activation:
        _after(editor, found, writer.write(editor, found, inputs))
    else:
        writer.put(editor, found, inputs)


def _before(editor: Editor, found: Found) -> ir.Value:
    """What is normalized: a fused operator adds to it first, and has channels last."""
    node, x, name = found.node, found.root, f"{found.root.name}_sum"
    for addend in found.surplus.addends:
        x = editor.add_before(node, "Add", [x, addend], name)
    if found.surplus.total is not None:
        editor.pass_on(found.surplus.total, x)
    if found.surplus.channels_last:
        rank = len(found.call.shape)
        perm = ir.AttrInt64s("perm", [0, rank - 1, *range(1, rank - 1)])
        x = editor.add_before(node, "Transpose", [x], f"{x.name}_first", attributes=[perm])
    return x


def _after(editor: Editor, found: Found, y: ir.Value) -> None:
    """The activation and the order of axes that a fused operator leaves."""
    node, rank = found.node, len(found.call.shape)
    perm = [ir.AttrInt64s("perm", [0, *range(2, rank), 1])]
    if found.surplus.activation and found.surplus.channels_last:
        y = editor.add_before(node, "Transpose", [y], f"{y.name}_last", attributes=perm)
    if found.surplus.activation:
        gate = editor.add_before(node, "Sigmoid", [y], f"{y.name}_gate")
        editor.put(node, "", "Mul", [y, gate])
    else:
        editor.put(node, "", "Transpose", [y], attributes=perm)


def _operand(editor: Editor, node: ir.Node, argument: Argument) -> ir.Value:
    """What a parameter is given; a new constant stands in no graph."""
    if argument.array is not None:
        tensor = tensors.of_array(argument.array)
        return ir.Value(
            name=argument.name,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
            const_value=tensor,
        )
    if argument.value is None:
        message = f"nothing was found for {argument.name}"
        raise ValueError(message)
    value = editor.current(argument.value)
    if argument.shape is None:
        return value
    shape = tensors.of_array(np.asarray(argument.shape, np.int64))
    name = f"{node.outputs[0].name or 'norm'}_{argument.name}"
    return editor.add_before(node, "Reshape", [value, (shape, f"{name}_shape")], name)


def _declare(model: ir.Model, node: ir.Node, name: str, opset: int) -> None:
    """The function, and its domain wherever it is called."""
    made = function_of(model, name, opset)
    if made is not None:
        model.functions[made.identifier()] = made
    model.opset_imports.setdefault(DOMAIN, 1)
    graph = node.graph if isinstance(node.graph, ir.Graph) else None
    checks.imports_at(model, graph).setdefault(DOMAIN, 1)
    model.ir_version = max(model.ir_version, FUNCTIONS_IR)


def function_of(model: ir.Model, name: str, opset: int) -> ir.Function | None:
    """The function of a norm, where the model hasn't it yet."""
    if any(key[:2] == (DOMAIN, name) for key in model.functions):
        return None
    return function(CATALOGUE[name], opset)
