"""Putting a form in the place of a normalization.

New nodes and constants are named after the result, so that the same form in the same place has the
same names, whatever stood there before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Form
from normonnx.core.hints import FUSED
from normonnx.graph import tensors
from normonnx.graph.editing import Constants, Editor
from normonnx.lower.form_graph import FormGraph, form_graph

_NEUTRAL: Final = {"Add": 0, "Mul": 1}


@dataclass(frozen=True, slots=True)
class Writing:
    """What to write.

    Attributes:
        call: What is normalized.
        form: The form.
        opset: Version of the default operator set where it is to stand.
    """

    call: NormCall
    form: Form
    opset: int

    def put(
        self,
        editor: Editor,
        node: ir.Node,
        inputs: Sequence[ir.Value],
        extras: Mapping[int, ir.Value],
    ) -> None:
        """Write it in the place of a node.

        Args:
            editor: Of the model.
            node: Gives the result; goes, with all that is read by nothing then.
            inputs: X and all parameters; new constants stand in no graph yet.
            extras: Other values whose place outputs take, by the number of the output.
        """
        made = self._made(inputs, 1 + max(extras, default=0))
        taken = {id(made.outputs[place]): value for place, value in extras.items()}
        constants = self._constants(made, inputs, node)
        _mark(made.nodes, constants)
        editor.splice(node, made.nodes, constants, made.outputs[:1], extras=taken)

    def ahead_of(self, editor: Editor, node: ir.Node, inputs: Sequence[ir.Value]) -> ir.Value:
        """Write it ahead of a node, which stays; the result. Arguments are as for `put`."""
        made = self._made(inputs, 1)
        constants = self._constants(made, inputs, node)
        _mark(made.nodes, constants)
        editor.add_all_before(node, made.nodes, constants)
        return made.outputs[0]

    def _made(self, inputs: Sequence[ir.Value], outputs: int) -> FormGraph:
        return form_graph(self.call, self.form, self.opset, inputs, outputs=outputs)

    def _constants(self, made: FormGraph, inputs: Sequence[ir.Value], node: ir.Node) -> Constants:
        stem = node.outputs[0].name or "norm"
        found = {
            key: (tensors.of_array(array), f"{stem}_{origin}")
            for key, (array, origin) in made.constants.items()
        }
        for parameter, value in zip(self.call.norm.parameters, inputs[1:], strict=True):
            array = self.call.parameters[parameter.name]
            if value.graph is None and value.producer() is None and not isinstance(array, tuple):
                found[id(value)] = tensors.of_array(array), f"{stem}_{parameter.name}"
        return found


def _mark(nodes: Sequence[ir.Node], constants: Constants) -> None:
    """Say of each Mul by 1 and Add of 0 that it is there to be fused; folding leaves it."""
    for node in nodes:
        neutral = _NEUTRAL.get(node.op_type)
        held = [constants[id(each)][0] for each in node.inputs if id(each) in constants]
        if neutral is not None and any((each.numpy() == neutral).all() for each in held):
            node.metadata_props[FUSED] = "1"
