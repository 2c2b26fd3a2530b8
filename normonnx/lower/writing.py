"""Putting a form in the place of a normalization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Form
from normonnx.graph import tensors
from normonnx.graph.editing import Editor
from normonnx.lower.form_graph import FormGraph, form_graph

Constants = Mapping[int, tuple[tensors.StreamedTensor, str]]


def put(  # noqa: PLR0913
    editor: Editor,
    node: ir.Node,
    call: NormCall,
    form: Form,
    opset: int,
    inputs: Sequence[ir.Value],
    extras: Mapping[int, ir.Value],
) -> int:
    """Write a form ahead of a node and let its result take the place of the node's.

    New nodes and constants are named after the result, so that the same form in the same place has
    the same names, whatever stood there before.

    Args:
        editor: Of the model.
        node: Gives the result; goes, with all that is read by nothing then.
        call: What is normalized.
        form: What to write.
        opset: Version of the default operator set where the node stands.
        inputs: X and all parameters; new constants stand in no graph yet.
        extras: Other values whose place outputs take, by the number of the output.

    Returns:
        How many nodes were added.
    """
    made = form_graph(call, form, opset, inputs, outputs=1 + max(extras, default=0))
    constants = _constants(call, made, inputs, node)
    editor.put_all(node, made.nodes, constants, made.outputs, extras=extras)
    return len(made.nodes)


def write(  # noqa: PLR0913
    editor: Editor,
    node: ir.Node,
    call: NormCall,
    form: Form,
    opset: int,
    inputs: Sequence[ir.Value],
) -> ir.Value:
    """Write a form ahead of a node, which stays; the result. Arguments are as for `put`."""
    made = form_graph(call, form, opset, inputs)
    editor.add_all_before(node, made.nodes, _constants(call, made, inputs, node))
    return made.outputs[0]


def _constants(
    call: NormCall, made: FormGraph, inputs: Sequence[ir.Value], node: ir.Node
) -> Constants:
    """New constants of the graph, by the id of the value that stands for each, with its name."""
    stem = node.outputs[0].name or "norm"
    found = {
        key: (tensors.of_array(array), f"{stem}_{origin}")
        for key, (array, origin) in made.constants.items()
    }
    for parameter, value in zip(call.norm.parameters, inputs[1:], strict=True):
        array = call.parameters[parameter.name]
        if value.graph is None and value.producer() is None and not isinstance(array, tuple):
            found[id(value)] = tensors.of_array(array), f"{stem}_{parameter.name}"
    return found
