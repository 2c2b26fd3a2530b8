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

from normonnx.fold.combination import CombinedTensor
from normonnx.fold.plan import (
    Bypass,
    CombinedWeight,
    Edit,
    MirroredIntegers,
    MoveAhead,
    NewConstant,
    Plan,
    Refusal,
    ReplaceNode,
    ScaledWeight,
    SetAttribute,
    SetInput,
    SummedWeight,
    Tensor,
    TurnProduct,
)
from normonnx.fold.scaled import fitting, mirrored, rounded, summed
from normonnx.fold.surroundings import Surroundings
from normonnx.fold.turning import turn
from normonnx.graph import tensors
from normonnx.graph.editing import Editor

_TensorOf = dict[int, tensors.StreamedTensor]
_CHANGED = (ScaledWeight, MirroredIntegers)  # what is there, changed


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
            if edit.node.graph is not None:  # else an edit before left it without a reader
                self._edit(edit, made)
        return None

    def _made(self, tensor: Tensor) -> tensors.StreamedTensor | Refusal:
        if isinstance(tensor, ScaledWeight):
            array = None
            if not self.surroundings.constants.is_initializer(tensor.value):
                array = self.surroundings.constants.get(tensor.value)
            return fitting(tensor, array)
        if isinstance(tensor, MirroredIntegers):
            content = np.asarray(self.surroundings.constants.get(tensor.value))
            found = mirrored(tensor, content)
            return found if isinstance(found, Refusal) else tensors.of_array(found)
        if isinstance(tensor, SummedWeight):
            tensor = NewConstant(
                summed(tensor, self.surroundings.constants.get(tensor.weight.value)),
                tensor.dtype,
                tensor.name,
                instead_of=tensor.instead_of,
            )
        old = tensor.instead_of.const_value if tensor.instead_of is not None else None
        external = isinstance(old, tensors.StreamedTensor) and old.external
        if isinstance(tensor, CombinedWeight):
            combined = CombinedTensor(tensor.rows, tensor.dtype, external=external)
            return combined.refusal() or combined
        small = rounded(tensor)
        if isinstance(small, Refusal):
            return small
        new = tensors.of_array(small)
        new.external = external
        return new

    def _edit(self, edit: Edit, made: _TensorOf) -> None:
        if isinstance(edit, SetInput):
            self._set_input(edit, made)
        elif isinstance(edit, SetAttribute):
            _set_attribute(edit)
        elif isinstance(edit, Bypass):
            self.editor.bypass(edit.node, edit.index)
        elif isinstance(edit, MoveAhead):
            self.editor.move_ahead(edit.node, edit.chain)
            moved = [edit.node, *(node for node, _ in edit.chain)]
            self.surroundings.ranks.forget(node.outputs[0] for node in moved)
        elif isinstance(edit, TurnProduct):
            turn(self.editor, edit, self.surroundings.opset(edit.node))
        else:
            self._replace(edit, made)

    def _set_input(self, edit: SetInput, made: _TensorOf) -> None:
        tensor_of = edit.tensor
        if tensor_of is None:
            self.editor.drop_input(edit.node, edit.index)
            return
        tensor = made[id(tensor_of)]
        old = tensor_of.value if isinstance(tensor_of, _CHANGED) else tensor_of.instead_of
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
            if not isinstance(operand, int):
                inputs.append((made[id(operand)], _name_of(operand)))
            elif (value := edit.node.inputs[operand]) is not None:
                inputs.append(value)
        self.editor.replace(edit.node, edit.op_type, inputs)


def _name_of(tensor: Tensor) -> str:
    return (tensor.value.name or "weight") if isinstance(tensor, _CHANGED) else tensor.name


def _tensors_of(edits: Iterable[Edit]) -> Iterable[Tensor]:
    for edit in edits:
        if isinstance(edit, SetInput) and edit.tensor is not None:
            yield edit.tensor
        elif isinstance(edit, ReplaceNode):
            yield from (operand for operand in edit.inputs if not isinstance(operand, int))


def _set_attribute(edit: SetAttribute) -> None:
    name, value = edit.name, edit.value
    if value is None:
        edit.node.attributes.pop(name, None)
    elif isinstance(value, tuple):
        edit.node.attributes[name] = ir.AttrInt64s(name, value)
    elif isinstance(value, int):
        edit.node.attributes[name] = ir.AttrInt64(name, value)
    else:
        edit.node.attributes[name] = ir.AttrFloat32(name, np.float32(value))
