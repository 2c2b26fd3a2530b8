"""What the functions of a model are called with: a parameter is as long as what is given for it."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from normonnx.graph import walk

Identifier = tuple[str, str, str]


class Arguments:
    """The calls of the functions of one model, looked up on demand."""

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._functions = {id(function.graph): key for key, function in model.functions.items()}
        self._calls: dict[Identifier, list[ir.Node]] | None = None

    def given(self, value: ir.Value) -> Sequence[ir.Value]:
        """What is given for the parameter of a function, call by call; nothing for other values."""
        if not self._functions:
            return ()
        key = self._functions.get(id(value.graph))
        if key is None or not value.is_graph_input():
            return ()
        inputs = self._model.functions[key].inputs
        index = next((at for at, each in enumerate(inputs) if each is value), None)
        calls = self._called().get(key, [])
        if index is None or any(len(call.inputs) <= index for call in calls):
            return ()
        found = [call.inputs[index] for call in calls]
        return [each for each in found if each is not None] if None not in found else ()

    def result(self, value: ir.Value) -> ir.Value | None:
        """What a function gives for the output of its only call; None for other values."""
        if not self._model.functions:
            return None
        node = value.producer()
        key = None if node is None else node.op_identifier()
        if node is None or key not in self._model.functions or len(self._called()[key]) != 1:
            return None
        index = next(at for at, each in enumerate(node.outputs) if each is value)
        outputs = self._model.functions[key].outputs
        return outputs[index] if index < len(outputs) else None

    def _called(self) -> dict[Identifier, list[ir.Node]]:
        if self._calls is None:
            self._calls = {}
            for graph in walk.all_graphs(self._model):
                for node in graph:
                    if node.op_identifier() in self._model.functions:
                        self._calls.setdefault(node.op_identifier(), []).append(node)
        return self._calls
