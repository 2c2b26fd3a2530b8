"""A form as it comes to stand in a graph: what depends on constants alone is computed already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.emitting import release, trace
from normonnx.catalogue.norm import Form
from normonnx.graph import folding
from normonnx.graph.constants import LARGEST_COMPUTED

Array = npt.NDArray[Any]
_ONNX: Final = ("", "ai.onnx")
_PLAIN: Final = "constant"


@dataclass(frozen=True, slots=True, eq=False)
class FormGraph:
    """Nodes that stand in no graph yet.

    Attributes:
        nodes: In order.
        constants: What they read that is neither an input nor computed by one of them, by id, and
            the name of the parameter that it was computed from; "constant" for none.
        outputs: The outputs that were wanted.
    """

    nodes: tuple[ir.Node, ...]
    constants: Mapping[int, tuple[Array, str]]
    outputs: tuple[ir.Value, ...]

    def drop(self) -> None:
        """Let go of the inputs, when the nodes come to stand nowhere."""
        release(self.nodes)


def form_graph(
    call: NormCall, form: Form, opset: int, inputs: Sequence[ir.Value], *, outputs: int = 1
) -> FormGraph:
    """Write a form.

    Args:
        call: What is normalized.
        form: One of `call.forms_at(opset)`.
        opset: Version of the default operator set.
        inputs: X and all parameters, with their types.
        outputs: How many outputs are wanted.
    """
    traced = trace(call, form, opset, inputs, outputs=outputs)
    known: dict[int, tuple[Array, str]] = {}
    for parameter, value in zip(call.norm.parameters, inputs[1:], strict=True):
        array = call.parameters[parameter.name]
        if not isinstance(array, tuple):
            known[id(value)] = array, parameter.name
    for value in traced.constants:
        if value.const_value is not None:
            known[id(value)] = value.const_value.numpy(), _PLAIN
    kept = []
    for node in traced.nodes:
        if _computed(node, known):
            release([node])
        else:
            kept.append(node)
    read = {id(value) for node in kept for value in node.inputs if value is not None}
    given = {id(value) for value in inputs}
    constants = {key: found for key, found in known.items() if key in read and key not in given}
    return FormGraph(tuple(kept), constants, traced.outputs)


def placeholders(call: NormCall) -> list[ir.Value]:
    """X and all parameters as values that stand in no graph."""
    kind = ir.DataType.from_numpy(call.dtype)
    found = [ir.Value(name="X", type=ir.TensorType(kind), shape=ir.Shape(call.shape))]
    for parameter in call.norm.parameters:
        given = call.parameters[parameter.name]
        shape = given if isinstance(given, tuple) else given.shape
        dtype = kind if isinstance(given, tuple) else ir.DataType.from_numpy(given.dtype)
        value = ir.Value(name=parameter.name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        if not isinstance(given, tuple):
            value.const_value = ir.Tensor(np.asarray(given))
        found.append(value)
    return found


def _computed(node: ir.Node, known: dict[int, tuple[Array, str]]) -> bool:
    """Whether a node reads constants alone; what it gives is known then."""
    if node.domain not in _ONNX or len(node.outputs) != 1:
        return False
    inputs = [None if value is None else known.get(id(value)) for value in node.inputs]
    if node.op_type == "Constant":
        found = folding.constant_attribute(node)
    elif node.op_type not in folding.EVALUATORS or any(each is None for each in inputs):
        return False
    else:
        arrays = [each[0] for each in inputs if each is not None]
        evaluator = folding.EVALUATORS[node.op_type]
        found = folding.evaluate(evaluator, node, arrays, LARGEST_COMPUTED)
    if found is None:
        return False
    origins = [each[1] for each in inputs if each is not None and each[1] != _PLAIN]
    known[id(node.outputs[0])] = np.asarray(found), origins[0] if origins else _PLAIN
    return True
