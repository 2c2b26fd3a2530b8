"""Which values are constant, and what they hold: partial evaluation, bounded in size.

A value is constant when it is an initializer that nobody can override, or the output of a Constant
node, or computed from constants by one of the operators of `folding.EVALUATORS`. Initializers are
views of the file whatever their size; a computed constant has at most `LARGEST_COMPUTED` elements,
so a ConstantOfShape of 10 TB is simply not constant.

An initializer that is also a graph input can be overridden by the caller from IR version 4 on and
is no constant then; in IR version 3 every initializer has to be an input, and only those named by
the user (`keep_inputs`) are left to the caller.

The Shape of a value that is not constant is, where the dimensions asked for are known: exporters
write scale and bias as Expand(1, Shape<start=1, end=2>(x)).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.graph import folding
from normonnx.graph.element_types import element_type

LARGEST_COMPUTED: Final = 1 << 24  # elements
_INPUTS_ARE_DEFAULTS: Final = (
    4  # first IR version in which an initializer that is an input is a default
)
_NOT_KNOWN: Final = np.iinfo(np.int64).min
_DEEPEST: Final = 32  # shapes that depend on constants that depend on shapes
Dims = tuple[int | None, ...]
_TYPE_ONLY: Final[Mapping[str, frozenset[int]]] = {
    "Shape": frozenset({0}),
    "Size": frozenset({0}),
    "CastLike": frozenset({1}),
}


class Constants:
    """The constants of one model, evaluated on demand and remembered."""

    def __init__(self, model: ir.Model, keep_inputs: Collection[str] = ()) -> None:
        self._overridable = {
            id(value)
            for value in model.graph.inputs
            if model.ir_version >= _INPUTS_ARE_DEFAULTS or value.name in keep_inputs
        }
        self._known: dict[int, tuple[ir.Value, npt.NDArray[Any] | None]] = {}
        self._shape_of: Callable[[ir.Value], Dims | None] | None = None
        self._depth = 0

    def learn_shapes(self, shape_of: Callable[[ir.Value], Dims | None]) -> None:
        """Ask `shape_of` for the dimensions of values that are not constant; it must be certain."""
        self._shape_of = shape_of

    def get(self, value: ir.Value | None) -> npt.NDArray[Any] | None:
        """The constant content of a value, read-only; None when it is not a known constant."""
        if value is None:
            return None
        found = self._known.get(id(value))
        if found is not None:
            return found[1]
        if not self._needed(value):
            array = self._evaluate(value)
            self._known[id(value)] = value, array
            return array
        waiting = [(value, False)]
        while waiting:
            current, ready = waiting.pop()
            if id(current) in self._known:
                continue
            if ready:
                self._known[id(current)] = (current, self._evaluate(current))
                continue
            waiting.append((current, True))
            waiting += [(needed, False) for needed in self._needed(current)]
        return self._known[id(value)][1]

    def forget(self, value: ir.Value) -> None:
        """Evaluate a value anew when it is asked for again, since its content was replaced."""
        self._known.pop(id(value), None)

    def is_initializer(self, value: ir.Value | None) -> bool:
        """Whether a value is an initializer that can't be overridden, of any size."""
        return (
            value is not None
            and value.const_value is not None
            and value.is_initializer()
            and id(value) not in self._overridable
        )

    def is_overridable(self, value: ir.Value | None) -> bool:
        """Whether a value is an initializer that the caller may override by an input."""
        return value is not None and id(value) in self._overridable and value.is_initializer()

    def _needed(self, value: ir.Value) -> tuple[ir.Value, ...]:
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            return ()
        if node.op_type not in folding.EVALUATORS:
            return ()
        skipped = _TYPE_ONLY.get(node.op_type, frozenset())
        return tuple(v for i, v in enumerate(node.inputs) if v is not None and i not in skipped)

    def _evaluate(self, value: ir.Value) -> npt.NDArray[Any] | None:
        node = value.producer()
        if node is None:
            return self._initializer(value)
        if node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Constant":
            return folding.constant_attribute(node)
        if node.op_type not in folding.EVALUATORS:
            return None
        if node.op_type in ("Shape", "Size"):
            inputs: list[npt.NDArray[Any] | None] = [self._shape_only(node.inputs[0])]
            if inputs[0] is None and node.op_type == "Shape" and node.inputs[0] is not None:
                return folding.shape_within(node, self._dims(node.inputs[0]))
        elif node.op_type == "CastLike":
            inputs = [self.get(node.inputs[0]), _typed(node.inputs[1])]
        else:
            inputs = [None if v is None else self._known[id(v)][1] for v in node.inputs]
        if node.op_type in ("Gather", "Slice") and inputs[0] is None:
            inputs[0] = self._partly_known_shape(node.inputs[0])
            found = _evaluated(node, inputs)
            return None if found is None or (found == _NOT_KNOWN).any() else found
        return _evaluated(node, inputs)

    def _partly_known_shape(self, value: ir.Value | None) -> npt.NDArray[Any] | None:
        """A whole shape, `_NOT_KNOWN` for what isn't: often only known entries are selected."""
        node = None if value is None else value.producer()
        if node is None or node.op_type != "Shape" or node.domain not in ("", "ai.onnx"):
            return None
        if node.attributes or node.inputs[0] is None:
            return None
        dims = self._dims(node.inputs[0])
        if dims is None:
            return None
        return np.asarray([_NOT_KNOWN if dim is None else dim for dim in dims], dtype=np.int64)

    def _initializer(self, value: ir.Value) -> npt.NDArray[Any] | None:
        if not self.is_initializer(value) or value.const_value is None:
            return None
        if value.const_value.dtype in folding.NOT_FOLDED:
            return None
        array = value.const_value.numpy().view()
        array.flags.writeable = False
        return array

    def _shape_only(self, value: ir.Value | None) -> npt.NDArray[Any] | None:
        """A stand-in without content for a constant whose shape is asked for."""
        if value is None:
            return None
        if self.is_initializer(value) and value.const_value is not None:
            return np.broadcast_to(np.int8(0), tuple(value.const_value.shape.numpy()))
        return self.get(value)

    def _dims(self, value: ir.Value) -> Dims | None:
        if self._shape_of is None or self._depth >= _DEEPEST:
            return None
        self._depth += 1
        try:
            return self._shape_of(value)
        finally:
            self._depth -= 1


def _evaluated(node: ir.Node, inputs: list[npt.NDArray[Any] | None]) -> npt.NDArray[Any] | None:
    """A node's result; None where one of its inputs is not constant."""
    if any(f is None and w is not None for f, w in zip(inputs, node.inputs, strict=False)):
        return None
    return folding.evaluate(folding.EVALUATORS[node.op_type], node, inputs, LARGEST_COMPUTED)


def reads_content(node: ir.Node, index: int) -> bool:
    """Whether a node reads the numbers of its index-th input, not just its shape or type."""
    if node.domain not in ("", "ai.onnx"):
        return True
    return index not in _TYPE_ONLY.get(node.op_type, frozenset())


def _typed(value: ir.Value | None) -> npt.NDArray[Any] | None:
    found = element_type(value)
    return None if found is None else np.empty(0, dtype=found)
