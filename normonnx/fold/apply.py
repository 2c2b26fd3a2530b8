"""Applying a plan: first make and check every tensor, then change the model.

Nothing is changed when a tensor does not fit its type. A constant that only the changed slot reads
is replaced under its own name; one that others read is copied. What the change leaves without a
reader goes too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from normonnx.fold.plan import (
    Bypass,
    Edit,
    Plan,
    Refusal,
    ReplaceNode,
    ScaledWeight,
    SetAttribute,
    SetInput,
    Tensor,
)
from normonnx.fold.scaled import check_scaled, rounded, scaled
from normonnx.fold.surroundings import Surroundings
from normonnx.graph import tensors
from normonnx.graph.editing import Editor

_TensorOf = dict[int, tensors.StreamedTensor]


@dataclass(frozen=True, slots=True)
class Applier:
    """Applies plans to one model."""

    surroundings: Surroundings
    editor: Editor

    def apply(self, plan: Plan) -> Refusal | None:
        """Apply a plan whole; a Refusal, with nothing changed, when a tensor can't be held."""
        made: _TensorOf = {}
        for tensor in _tensors_of(plan.edits):
            found = self._made(tensor)
            if isinstance(found, Refusal):
                return found
            made[id(tensor)] = found
        for edit in plan.edits:
            self._edit(edit, made)
        return None

    def _made(self, tensor: Tensor) -> tensors.StreamedTensor | Refusal:
        if isinstance(tensor, ScaledWeight):
            array = None
            if not self.surroundings.constants.is_initializer(tensor.value):
                array = self.surroundings.constants.get(tensor.value)
            product = scaled(tensor.value, array, tensor.view, tensor.factors)
            return check_scaled(product) or product
        small = rounded(tensor)
        if isinstance(small, Refusal):
            return small
        new = tensors.of_array(small)
        old = tensor.instead_of.const_value if tensor.instead_of is not None else None
        new.external = isinstance(old, tensors.StreamedTensor) and old.external
        return new

    def _edit(self, edit: Edit, made: _TensorOf) -> None:
        if isinstance(edit, SetInput):
            self._set_input(edit, made[id(edit.tensor)])
        elif isinstance(edit, SetAttribute):
            _set_attribute(edit)
        elif isinstance(edit, Bypass):
            self.editor.bypass(edit.node, edit.index)
        else:
            self._replace(edit, made)

    def _set_input(self, edit: SetInput, tensor: tensors.StreamedTensor) -> None:
        tensor_of = edit.tensor
        old = tensor_of.value if isinstance(tensor_of, ScaledWeight) else tensor_of.instead_of
        if old is not None and self._may_replace(old, edit.node, edit.index):
            self.editor.replace_content(old, tensor)
            self.surroundings.constants.forget(old)
            return
        name = old.name if old is not None else _name_of(tensor_of)
        self.editor.set_constant(edit.node, edit.index, tensor, name or "constant")

    def _may_replace(self, value: ir.Value, node: ir.Node, index: int) -> bool:
        """Whether nothing but this slot reads an initializer."""
        uses = list(value.uses())
        return (
            self.surroundings.constants.is_initializer(value)
            and not value.is_graph_output()
            and value.name not in self.surroundings.kept
            and len(uses) == 1
            and uses[0].node is node
            and uses[0].idx == index
        )

    def _replace(self, edit: ReplaceNode, made: _TensorOf) -> None:
        inputs: list[ir.Value | tuple[tensors.StreamedTensor, str]] = []
        for operand in edit.inputs:
            if isinstance(operand, ir.Value):
                inputs.append(operand)
            else:
                inputs.append((made[id(operand)], _name_of(operand)))
        self.editor.replace(edit.node, edit.op_type, inputs)


def _name_of(tensor: Tensor) -> str:
    return (tensor.value.name or "weight") if isinstance(tensor, ScaledWeight) else tensor.name


def _tensors_of(edits: Iterable[Edit]) -> Iterable[Tensor]:
    for edit in edits:
        if isinstance(edit, SetInput):
            yield edit.tensor
        elif isinstance(edit, ReplaceNode):
            yield from (operand for operand in edit.inputs if not isinstance(operand, ir.Value))


def _set_attribute(edit: SetAttribute) -> None:
    if edit.value is None:
        edit.node.attributes.pop(edit.name, None)
    else:
        edit.node.attributes[edit.name] = ir.AttrFloat32(edit.name, np.float32(edit.value))
