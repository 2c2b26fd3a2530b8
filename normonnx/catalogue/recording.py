"""Recording nodes and constants for one opset, either for a graph or for the body of a function.

In a graph the type and rank of X and all attributes are known (`Facts`), and come out as constants.
In a function nothing is: attributes become references, and whatever depends on the rank is computed
from the shape. A builder that asks only for values (`scalar`, `index`) serves both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.norm import Dim, Number

_CAST_LIKE: Final = 15
OUTPUT_TYPE: Final = "to"  # attribute of functions below opset 15: the type of Y


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call.

    Attributes:
        shape: Of X; names or None for unknown sizes.
        dtype: Of X.
        attributes: All, by name.
    """

    shape: tuple[Dim, ...]
    dtype: ir.DataType
    attributes: Mapping[str, Number]


class Recorder:
    """Records the nodes of a form.

    Attributes:
        opset: Version of the default operator set.
        outputs: How many outputs are wanted.
        nodes: What was recorded, in order.
        initializers: Constants, without names; in a function they are nodes instead.
        working: Type that is computed in; None inside a function, where it is an attribute.
    """

    def __init__(
        self,
        opset: int,
        facts: Facts | None = None,
        *,
        declared: Mapping[str, ir.AttributeType] | None = None,
        working: ir.DataType | None = None,
        outputs: int = 1,
    ) -> None:
        self.opset = opset
        self.outputs = outputs
        self.nodes: list[ir.Node] = []
        self.initializers: list[ir.Value] = []
        self._facts = facts
        self._declared = declared or {}
        self._constants: dict[tuple[object, ...], ir.Value] = {}
        self._wide: dict[int, ir.Value] = {}
        self.working = working
        if facts is not None and working is None:
            self.working = ir.DataType(int(facts.attributes["stash_type"]))  # type: ignore[arg-type]

    # --- nodes ------------------------------------------------------------------------------------

    def __call__(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        domain: str = "",
        **attributes: Any,  # whatever onnx_ir takes, or an ir.Attr
    ) -> ir.Value:
        """One node with one output."""
        return self.many(op_type, *inputs, domain=domain, outputs=1, **attributes)[0]

    def many(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        outputs: int,
        domain: str = "",
        **attributes: Any,  # as above
    ) -> Sequence[ir.Value]:
        """One node with several outputs.

        Inputs left out at the end are not written: ONNX Runtime 1.32 crashes on a
        LayerNormalization whose bias has an empty name.
        """
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        made = [
            value if isinstance(value, ir.Attr) else _attribute(name, value)
            for name, value in attributes.items()
            if value is not None
        ]
        node = ir.Node(domain, op_type, inputs, made, num_outputs=outputs)
        self.nodes.append(node)
        return node.outputs

    # --- what is known ----------------------------------------------------------------------------

    @property
    def facts(self) -> Facts:
        """What is known; only builders that are not generic may ask."""
        if self._facts is None:
            message = "inside a function nothing is known of X; this form is not generic"
            raise RuntimeError(message)
        return self._facts

    @property
    def is_function(self) -> bool:
        """Whether it is the body of a function, where nothing is known."""
        return self._facts is None

    @property
    def rank(self) -> int:
        """Rank of X."""
        return len(self.facts.shape)

    def size(self, axis: int) -> int:
        """Size of an axis of X that must be known."""
        found = self.facts.shape[axis]
        if not isinstance(found, int):
            message = f"the size of axis {axis} is not known"
            raise TypeError(message)
        return found

    def known(self, name: str) -> Any:  # the type depends on the attribute
        """An attribute as a number."""
        return self.facts.attributes[name]

    def is_number(self, name: str, number: float) -> bool:
        """Whether an attribute is known to be a number; inside a function nothing is."""
        return self._facts is not None and self._facts.attributes[name] == number

    def content(self, parameter: ir.Value) -> npt.NDArray[Any] | None:
        """What a parameter is known to hold, for every run of the model; None where it isn't."""
        if self._facts is None or parameter.const_value is None or parameter.is_graph_input():
            return None
        return parameter.const_value.numpy()

    def is_all(self, parameter: ir.Value, number: float) -> bool:
        """Whether a parameter is known to be that number everywhere."""
        held = self.content(parameter)
        return held is not None and bool((held == number).all())

    # --- constants and attributes -----------------------------------------------------------------

    def constant(self, array: npt.NDArray[Any]) -> ir.Value:
        """A tensor, written once however often it is asked for."""
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._stored(ir.Tensor(array))
        return self._constants[key]

    def _stored(self, tensor: ir.TensorProtocol) -> ir.Value:
        if self._facts is None:
            return self("Constant", value=tensor)
        kind, shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        self.initializers.append(ir.Value(type=kind, shape=shape, const_value=tensor))
        return self.initializers[-1]

    def stash(self) -> ir.Attr:
        """The working type as an attribute `stash_type`."""
        if self.working is not None:
            return ir.AttrInt64("stash_type", int(self.working))
        return self.slot("stash_type")

    def ints(self, *values: int) -> ir.Value:
        """A vector of int64."""
        return self.constant(np.array(values, np.int64))

    def numbers(self, values: npt.ArrayLike) -> ir.Value:
        """Numbers in the working type."""
        array = np.asarray(values, np.float64)
        if self.working is not None:
            return self.constant(array.astype(self.working.numpy()))
        return self._to_working(self.constant(array))

    def slot(self, name: str, slot: str | None = None) -> ir.Attr:
        """An attribute for the attribute slot of a node: its value, or a reference."""
        slot = slot or name
        if self._facts is not None:
            return _attribute(slot, self._facts.attributes[name])
        return ir.RefAttr(slot, name, self._declared[name])

    def scalar(self, name: str) -> ir.Value:
        """A number given as an attribute, in the working type."""
        if self._facts is not None:
            return self.numbers(float(self._facts.attributes[name]))  # type: ignore[arg-type]
        key = ("scalar", name)
        if key not in self._constants:
            is_float = self._declared[name] == ir.AttributeType.FLOAT
            slot = "value_float" if is_float else "value_int"
            self._constants[key] = self._to_working(self("Constant", v=self.slot(name, slot)))
        return self._constants[key]

    def index(self, name: str) -> ir.Value:
        """A whole number given as an attribute, as a vector of one int64."""
        if self._facts is not None:
            return self.ints(int(self._facts.attributes[name]))  # type: ignore[arg-type]
        key = ("index", name)
        if key not in self._constants:
            found = self("Constant", v=self.slot(name, "value_int"))
            self._constants[key] = self("Reshape", found, self.ints(1))
        return self._constants[key]

    def index_list(self, name: str) -> ir.Value:
        """A list given as an attribute, as a vector of int64."""
        if self._facts is not None:
            return self.ints(*self._facts.attributes[name])  # type: ignore[misc]
        return self("Constant", v=self.slot(name, "value_ints"))

    # --- types ------------------------------------------------------------------------------------

    def _to_working(self, value: ir.Value) -> ir.Value:
        if self.working is not None:
            return self("Cast", value, to=int(self.working))
        return self("Cast", value, to=self.slot("stash_type", "to"))

    def wide(self, value: ir.Value) -> ir.Value:
        """A value of the call in the working type."""
        if self._facts is not None and (value.dtype or self._facts.dtype) == self.working:
            return value
        if id(value) not in self._wide:
            self._wide[id(value)] = self._to_working(value)
        return self._wide[id(value)]

    def as_number(self, value: ir.Value) -> ir.Value:
        """A mask or a whole number in the working type."""
        return self._to_working(value)

    def back(self, value: ir.Value, like: ir.Value) -> ir.Value:
        """A result in the type of X; `like` is X."""
        if self._facts is not None:
            if self.working == self._facts.dtype:
                return value
            return self("Cast", value, to=int(self._facts.dtype))
        if self.opset >= _CAST_LIKE:
            return self("CastLike", value, like)
        return self("Cast", value, to=self.slot(OUTPUT_TYPE, "to"))


def _attribute(name: str, value: Any) -> ir.Attr:  # whatever onnx_ir takes
    """An attribute; onnx_ir compares each value with its protocols, name by name."""
    if isinstance(value, int):
        return ir.AttrInt64(name, int(value))
    if isinstance(value, float):
        return ir.AttrFloat32(name, float(value))
    if isinstance(value, str):
        return ir.AttrString(name, value)
    if isinstance(value, list | tuple) and value and all(isinstance(each, int) for each in value):
        return ir.AttrInt64s(name, value)
    return ir.convenience.convert_attribute(name, value)
