"""Each normalization that was found becomes one call of its function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

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


def emit(
    model: ir.Model,
    findings: Findings,
    *,
    keep: Collection[str] = (),
    observer: Observer | None = None,
) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Put a call in place of every normalization that is none yet, in place.

    Args:
        model: Changed in place; it gets the functions, and IR version 8 where it has an older one.
        findings: Of this model as it is.
        keep: Names of nodes or values that must stay as they are.
        observer: Called after each rewrite, with the model already changed.

    Returns:
        What was done, and what was not and why.
    """
    editor = Editor(model, keep)
    applied: list[Event] = []
    refused = [
        Event(RULE, label(miss.node), miss.node.op_type, miss.reason)
        for miss in findings.near_misses
    ]
    for found in reversed(findings.norms):  # a later one may stand on an earlier one's result
        if found.is_call:
            continue
        why = _why_not(model, found, frozenset(keep))
        node = found.node
        if why is not None:
            refused.append(Event(RULE, label(node), node.op_type, why))
            continue
        event = _event(found)
        _put(model, editor, found)
        applied.append(event)
        if observer is not None:
            observer(event)
    editor.finish()
    return tuple(reversed(applied)), tuple(refused)


def _why_not(model: ir.Model, found: Found, kept: frozenset[str]) -> str | None:
    opset = checks.opset_at(model, found.node)
    if opset < FUNCTIONS_SINCE:
        return (
            f"it is a {found.call.norm.name}, but {DOMAIN}::{found.call.norm.name} needs opset "
            f"{FUNCTIONS_SINCE} or later and the model has {opset}"
        )
    for node in found.region.nodes:
        names = {node.name, *(value.name for value in node.outputs)}
        if names & kept:
            return f"{label(node)} is kept as asked"
    return None


def _event(found: Found) -> Event:
    call, nodes = found.call, found.region.nodes
    what = found.spelling[0] if len(nodes) == 1 else f"{len(nodes)} nodes"
    verb = "normalizes" if len(nodes) == 1 else "normalize"
    reason = f"{what} that {verb} {found.root.name!r} became {DOMAIN}::{call.norm.name}"
    names = tuple(label(node) for node in reversed(nodes))
    return Event(RULE, label(found.node), found.node.op_type, reason, len(nodes), 1, names)


def _put(model: ir.Model, editor: Editor, found: Found) -> None:
    node, norm = found.node, found.call.norm
    opset = checks.opset_at(model, node)
    x = _before(editor, found)
    inputs: list[Operand] = [x]
    inputs += [_operand(editor, node, argument) for argument in found.arguments]
    _declare(model, node, norm.name, opset)
    extras = dict(found.extras)
    attributes = call_attributes(found.call, opset).values()
    if found.surplus.channels_last or found.surplus.activation:
        name = f"{node.outputs[0].name}_{norm.name}"
        y = editor.add_before(
            node,
            norm.name,
            inputs,
            name,
            domain=DOMAIN,
            attributes=attributes,
            outputs=len(norm.outputs),
        )
        _after(editor, found, y)
        return
    editor.put(
        node,
        DOMAIN,
        norm.name,
        inputs,
        attributes=attributes,
        outputs=len(norm.outputs),
        extras=extras,
    )


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


def _operand(editor: Editor, node: ir.Node, argument: Argument) -> Operand:
    output = node.outputs[0].name or "norm"
    if argument.array is not None:
        name = f"{output}_{argument.name}"
        return tensors.of_array(argument.array), name
    if argument.value is None:
        message = f"nothing was found for {argument.name}"
        raise ValueError(message)
    if argument.shape is None:
        return argument.value
    shape = tensors.of_array(np.asarray(argument.shape, np.int64))
    name = f"{output}_{argument.name}"
    operands: Sequence[Operand] = (argument.value, (shape, f"{name}_shape"))
    return editor.add_before(node, "Reshape", operands, name)


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
