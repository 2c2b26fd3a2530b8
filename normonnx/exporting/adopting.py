"""What torch wrote, made a model of ours: calls complete, functions declared, names in order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.emitting import function
from normonnx.catalogue.norm import DOMAIN
from normonnx.core.errors import UsageError
from normonnx.graph import checks, tensors, walk

SCOPES: Final = "pkg.torch.onnx.name_scopes"
CLASSES: Final = "pkg.torch.onnx.class_hierarchy"
_STACK: Final = "pkg.torch.onnx.stack_trace"  # paths of the machine that exported
_QUOTED: Final = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")


def calls(model: ir.Model) -> Iterator[ir.Node]:
    """The calls of the catalogue's functions, in all graphs but these functions."""
    for graph in walk.all_graphs(model):
        yield from (node for node in graph if is_call(node))


def is_call(node: ir.Node) -> bool:
    """Whether a node calls a function of the catalogue."""
    return node.domain == DOMAIN and node.op_type in set(CATALOGUE)


def complete(model: ir.Model) -> None:
    """Give each call that torch wrote all its inputs, in place: what was left out is a constant."""
    for node in list(calls(model)):
        norm = CATALOGUE[node.op_type]
        given = list(node.inputs[1:]) + [None] * (len(norm.parameters) - len(node.inputs) + 1)
        kind = node.inputs[0].dtype if node.inputs[0] is not None else None
        inputs = [node.inputs[0]]
        for parameter, value in zip(norm.parameters, given, strict=True):
            if value is None or not value.name:
                name = f"{node.outputs[0].name}_{parameter.name}"
                value = _constant(node, name, parameter.default or 0.0, kind)  # noqa: PLW2901
            inputs.append(value)
        _replace(node, inputs, len(norm.outputs))


def _constant(node: ir.Node, name: str, number: float, kind: ir.DataType | None) -> ir.Value:
    dtype = np.float32 if kind is None else kind.numpy()
    tensor = tensors.of_array(np.full(1, number, dtype), name)
    value = ir.Value(
        name=name,
        type=ir.TensorType(tensor.dtype),
        shape=ir.Shape([1]),
        const_value=tensor,
    )
    owner = node.graph
    if not isinstance(owner, ir.Graph):
        message = f"{walk.label(node)} stands in no graph"
        raise TypeError(message)
    owner.initializers[name] = value
    return value


def _replace(node: ir.Node, inputs: Sequence[ir.Value | None], outputs: int) -> None:
    """The same call with other inputs and all outputs."""
    old = node.outputs[0]
    new = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        node.attributes.values(),
        num_outputs=outputs,
        name=node.name,
    )
    new.metadata_props.update(node.metadata_props)
    graph = node.graph
    if graph is None:
        message = f"{walk.label(node)} stands in no graph"
        raise ValueError(message)
    result = new.outputs[0]
    result.type, result.shape = old.type, old.shape
    graph.insert_before(node, new)
    if isinstance(graph, ir.Graph):
        for place, value in enumerate(graph.outputs):
            if value is old:
                graph.outputs[place] = result
    old.replace_all_uses_with(result)
    name = old.name
    graph.remove(node, safe=True)
    old.name, result.name = None, name


def declare(model: ir.Model, opset: int) -> None:
    """Give the model the functions that it calls, and no others of the catalogue, in place."""
    called = {node.op_type for node in calls(model)}
    for key in [key for key in model.functions if key[0] == DOMAIN and key[1] not in called]:
        del model.functions[key]
    for name in sorted(called):
        made = function(CATALOGUE[name], opset)
        model.functions[made.identifier()] = made
    if called:
        model.opset_imports[DOMAIN] = 1
    else:
        model.opset_imports.pop(DOMAIN, None)


def only_used_domains(model: ir.Model) -> None:
    """Forget operator sets that nothing in the model is written in, in place."""
    used = {node.domain for graph in walk.all_graphs(model) for node in graph}
    for name in list(model.opset_imports):
        if name and name not in used:
            del model.opset_imports[name]


def forget_places(model: ir.Model) -> None:
    """Drop the stack traces of the user's code, which differ from machine to machine."""
    for graph in walk.all_graphs(model):
        for node in graph:
            node.metadata_props.pop(_STACK, None)


def module_path(node: ir.Node) -> str:
    """Path of the submodule that a node was written for; "" for the module itself, or unknown."""
    scopes = _listed(node.metadata_props.get(SCOPES, ""))
    return scopes[-2] if len(scopes) > 1 else ""


def module_class(node: ir.Node) -> str:
    """Qualified name of the class of that submodule; "" where it is not known."""
    classes = _listed(node.metadata_props.get(CLASSES, ""))
    return classes[-2] if len(classes) > 1 else ""


def _listed(text: str) -> list[str]:
    """A list of strings as Python prints it."""
    return [first or second for first, second in _QUOTED.findall(text)]


def name_nodes(model: ir.Model, nodes: Sequence[ir.Node]) -> None:
    """Name nodes after the submodules that they were written for; a second one gets a number."""
    own = {id(node) for node in nodes}
    taken = {node.name for graph in walk.all_graphs(model) for node in graph if id(node) not in own}
    for node in nodes:
        path = module_path(node)
        stem = path or node.op_type
        if path and "norm" not in module_class(node).rpartition(".")[2].lower():
            stem = f"{path}/{node.op_type}"
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        node.name = name


def separate_outputs(model: ir.Model) -> None:
    """Let no output be an input, a weight or another output as well, in place."""
    graph = model.graph
    seen: set[int] = set()
    for place, value in enumerate(list(graph.outputs)):
        if value.producer() is None or id(value) in seen:
            node = ir.Node("", "Identity", [value], num_outputs=1)
            made = node.outputs[0]
            made.name = _free(model, f"{value.name}_output")
            made.type, made.shape = value.type, value.shape
            graph.append(node)
            graph.outputs[place] = made
        seen.add(id(value))


def name_inputs(model: ir.Model, wanted: Sequence[str] | None) -> None:
    """Give the graph's inputs other names, in place; fewer than it has leave the last ones.

    Raises:
        UsageError: There are more names than inputs, or one is taken.
    """
    _rename("input", list(model.graph.inputs), wanted, model)


def name_outputs(model: ir.Model, wanted: Sequence[str] | None) -> None:
    """The same for outputs."""
    _rename("output", list(model.graph.outputs), wanted, model)


def _rename(
    what: str, values: Sequence[ir.Value], wanted: Sequence[str] | None, model: ir.Model
) -> None:
    names = list(wanted or ())
    if len(names) > len(values):
        found = ", ".join(value.name or "" for value in values)
        message = f"{len(names)} {what} names were given; the module has {len(values)}: {found}"
        raise UsageError(message)
    if len(set(names)) < len(names) or "" in names:
        message = f"{what} names {names} must differ, and none may be empty"
        raise UsageError(message)
    chosen = values[: len(names)]
    own = {id(value) for value in chosen}
    for value in list(_all_values(model)):
        if value.name in names and id(value) not in own:
            if value.is_graph_input() or (value.is_graph_output() and what == "output"):
                message = f"{what} name {value.name!r} is taken by another input or output"
                raise UsageError(message)
            value.name = _free(model, f"{value.name}_inner")
    for number, value in enumerate(chosen):
        value.name = f"normonnx.renaming.{what}.{number}"
    for value, name in zip(chosen, names, strict=True):
        value.name = name


def _all_values(model: ir.Model) -> Iterator[ir.Value]:
    graph = model.graph
    yield from graph.inputs
    yield from list(graph.initializers.values())
    for node in graph.all_nodes():
        yield from node.outputs


def _free(model: ir.Model, stem: str) -> str:
    taken = {value.name for value in _all_values(model)}
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def opset_of(model: ir.Model) -> int:
    """Version of the default operator set."""
    return checks.opset_of(model)
