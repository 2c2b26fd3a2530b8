"""Parts of a model as models of their own, fed with the truth of what they read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.validation.islands import Types, captured, is_weight
from normonnx.validation.sketch import Array

_LEAST_IR_VERSION: Final = 4  # the first in which an initializer need not be an input


@dataclass(frozen=True, slots=True)
class Segment:
    """What lies between two rows of values of the main graph.

    Attributes:
        inputs: Names of the values it reads that are no constants.
        outputs: Names of the values it gives.
        label: What it is known as.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    label: str = ""


Tried = Callable[[Segment, ir.Model, Mapping[str, Array], Mapping[str, Array]], None]


def cut(model: ir.Model, segment: Segment, feeds: Mapping[str, Array]) -> ir.Model | None:
    """A segment as a model; weights are shared with the original, not copied.

    Args:
        model: That it is of.
        segment: What to cut out.
        feeds: What it reads, whose types and shapes become those of its inputs.

    Returns:
        None where it is not bounded by its inputs, or one of these is not given.
    """
    if not all(name in feeds for name in segment.inputs):
        return None
    try:
        graph = ir.convenience.extract(model.graph, segment.inputs, segment.outputs)
    except ValueError:
        return None
    for value in graph.inputs:
        array = feeds[value.name or ""]
        value.type = ir.TensorType(ir.DataType.from_numpy(array.dtype))
        value.shape = ir.Shape(array.shape)
    functions = list(model.clone().functions.values()) if model.functions else []
    version = max(model.ir_version, _LEAST_IR_VERSION)
    return ir.Model(graph, ir_version=version, functions=functions)


def of_node(node: ir.Node) -> Segment:
    """A node with what its subgraphs read, as a segment."""
    read = [value for value in node.inputs if value is not None]
    read += [value for value in captured(node) if value.graph is node.graph]
    outputs = tuple(value.name for value in node.outputs if value.name)
    return Segment(tuple(names_of(read)), outputs, node.name or "")


def names_of(values: Iterable[ir.Value]) -> dict[str, None]:
    """Names of those that are no constants, each once, in order."""
    return {value.name: None for value in values if value.name and not is_constant(value)}


def is_constant(value: ir.Value) -> bool:
    """Whether a value is a weight, or made by a node Constant."""
    producer = value.producer()
    return is_weight(value) if producer is None else producer.op_type == "Constant"


class Walk:
    """Hands out segments with the truth around them while the oracle runs.

    What no segment waits for any more is dropped, so that memory stays bounded.
    """

    def __init__(
        self,
        model: ir.Model,
        types: Types,
        segments: Sequence[Segment],
        feeds: Mapping[str, Any],
        tried: Tried,
    ) -> None:
        self._model, self._types, self._tried = model, types, tried
        self._waiting = list(segments)
        self._values = {value.name: value for value in model.graph.inputs if value.name}
        self._wanted = {name for one in segments for name in (*one.inputs, *one.outputs)}
        self._truths: dict[str, Any] = {k: v for k, v in feeds.items() if k in self._wanted}
        self._serve()

    def watch(self, node: ir.Node, _inputs: Sequence[Any], results: Sequence[Any]) -> None:
        """Called by the oracle after each node."""
        new = False
        for value, result in zip(node.outputs, results, strict=False):
            if value.name in self._wanted and isinstance(result, np.ndarray | np.generic):
                self._truths[value.name or ""] = np.asarray(result)
                self._values[value.name or ""] = value
                new = True
        if new:
            self._serve()

    def _serve(self) -> None:
        ready = [
            one
            for one in self._waiting
            if all(name in self._truths for name in (*one.inputs, *one.outputs))
        ]
        if not ready:
            return
        self._waiting = [one for one in self._waiting if one not in ready]
        for segment in ready:
            feeds = {
                name: self._types.given(self._values[name], self._truths[name])
                for name in segment.inputs
            }
            made = cut(self._model, segment, feeds)
            if made is not None:
                truths = {name: self._truths[name] for name in segment.outputs}
                self._tried(segment, made, feeds, truths)
        left = {name for one in self._waiting for name in (*one.inputs, *one.outputs)}
        self._truths = {k: v for k, v in self._truths.items() if k in left}
