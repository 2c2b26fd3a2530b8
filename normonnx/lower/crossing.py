"""One node at the border between two opsets: what an adapter may ask, and what it may write."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from normonnx.catalogue.recording import Facts
from normonnx.catalogue.tracing import Tracer
from normonnx.graph.attributes import MOST_STEERING
from normonnx.graph.constants import Constants, Dims
from normonnx.graph.element_types import ElementTypes
from normonnx.graph.inference import inferred
from normonnx.graph.ranks import Ranks
from normonnx.graph.shape_values import entries
from normonnx.lower.versions import STANDARD, definition, named_type

Integer = int  # methods below hide the types' own names
Integers = list[int]
Floating = float
_UNSAID: Final = Facts((), ir.DataType.FLOAT, {"stash_type": int(ir.DataType.FLOAT)})


class RefusalError(Exception):
    """A node can't be written in the other opset; the message says why."""


class Asked:
    """Constants, shapes and types of the model as it was before anything moved."""

    def __init__(self, model: ir.Model) -> None:
        self._constants = Constants(model)
        self._ranks = Ranks(model, self._constants)
        self._types = ElementTypes(self._ranks.arguments.given)
        self._model = model
        self._dtypes: dict[int, tuple[ir.Value, ir.DataType | None]] = {}
        self._inferred: Mapping[str, ir.DataType] | None = None

    def entries(self, value: ir.Value) -> Sequence[int | None]:
        """What a shape holds, None for what is computed from other shapes.

        Raises:
            RefusalError: It is given by the caller.
        """
        found = self.array(value)
        if found is not None:
            return [int(number) for number in found.reshape(-1)]
        if value.producer() is None:
            message = f"the shape {value.name!r} is given by the caller, who may ask for length 0"
            raise RefusalError(message)
        self._ranks.lengths(value)
        parts = entries(self._ranks, value) or ()
        return [each if isinstance(each, int) else None for each in parts]

    def array(self, value: ir.Value | None) -> npt.NDArray[Any] | None:
        """The numbers of a constant; None for anything else."""
        if value is None:
            return None
        if value.const_value is not None and value.graph is None and value.producer() is None:
            return value.const_value.numpy()  # written by an adapter, in no graph yet
        return self._constants.get(value)

    def dims(self, value: ir.Value | None) -> Dims | None:
        """Dimensions of a value, None for each that is not known; None where the rank isn't."""
        return self._ranks.dims(value)

    def dtype(self, value: ir.Value | None) -> ir.DataType | None:
        """Element type of a value; None where it is not known."""
        if value is None:
            return None
        if value.dtype not in (None, ir.DataType.UNDEFINED):
            return value.dtype
        if id(value) not in self._dtypes:
            found = self._types.get(value)
            dtype = self._by_definition(value) if found is None else ir.DataType.from_numpy(found)
            self._dtypes[id(value)] = value, dtype or self._by_name(value)
        return self._dtypes[id(value)][1]

    def _by_definition(self, value: ir.Value) -> ir.DataType | None:
        """The one type that an output may have, or that of an input of the same kind."""
        node = value.producer()
        found = None if node is None else definition(node.op_type, onnx.defs.onnx_opset_version())
        if node is None or found is None or node.domain not in STANDARD:
            return None
        if node.op_type == "ConstantOfShape":
            filler = node.attributes.get("value")
            if filler is not None and filler.is_ref():
                return None
            return ir.DataType.FLOAT if filler is None else filler.as_tensor().dtype
        formal = found.output(value.index() or 0)
        if formal is None:
            return None
        if len(formal.types) == 1:
            return named_type(next(iter(formal.types)))
        for index, given in enumerate(node.inputs):
            kind = found.input(index)
            if kind is not None and kind.kind == formal.kind and given is not None:
                return self.dtype(given)
        return None

    def _by_name(self, value: ir.Value) -> ir.DataType | None:
        """What shape inference says, where the rules of single operators don't."""
        if value.graph is not self._model.graph:
            return None
        if self._inferred is None:
            made = [output for node in inferred(self._model).graph for output in node.outputs]
            self._inferred = {
                each.name: each.dtype for each in made if each.name and each.dtype is not None
            }
        return self._inferred.get(value.name or "")


@dataclass(frozen=True, slots=True, eq=False)
class Crossing:
    """A node on its way from one opset to its neighbour.

    Attributes:
        node: The node, as the opset that it comes from has it.
        opset: The opset that it is to be written in.
        asked: What is known of the model.
        wanted: Values of nodes in no graph that stand for an output that is read, by identity.
        op: Records what is written.
    """

    node: ir.Node
    opset: Integer
    asked: Asked
    wanted: Collection[Integer] = ()
    op: Tracer = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "op", Tracer(self.opset, _UNSAID))

    # --- what the node has ------------------------------------------------------------------------

    def given(self, index: Integer) -> bool:
        """Whether the node has an index-th input; what was written on the way has no name yet."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return value is not None and value.name != ""

    def input(self, index: Integer) -> ir.Value:
        """The index-th input, which the operator requires."""
        value = self.node.inputs[index]
        if value is None:
            message = f"its input {index} is missing"
            raise RefusalError(message)
        return value

    def optional(self, index: Integer) -> ir.Value | None:
        """The index-th input; None where there is none."""
        return self.node.inputs[index] if self.given(index) else None

    def array(self, index: Integer, what: str) -> npt.NDArray[Any]:
        """The numbers of the index-th input, which must be constant.

        Raises:
            RefusalError: They are computed at run time, or given by the caller.
        """
        found = self.asked.array(self.input(index))
        if found is None:
            message = f"its {what} must be constant in opset {self.opset}"
            raise RefusalError(message)
        return found

    def ints(self, index: Integer, what: str) -> Integers | None:
        """The index-th input as integers; None where it is left out.

        Raises:
            RefusalError: As `array`; or they are more than any operator takes.
        """
        if not self.given(index):
            return None
        found = self.array(index, what).reshape(-1)
        if found.size > MOST_STEERING:
            message = f"its {what} is an array of {found.size:,} numbers"
            raise RefusalError(message)
        return [int(number) for number in found]

    def single(self, index: Integer) -> Floating | None:
        """The one number that the index-th input is, where float32 has it; None for all else."""
        found = self.asked.array(self.input(index))
        if found is None or found.size != 1:
            return None
        number = float(found.reshape(-1)[0])
        return number if float(np.float32(number)) == number else None

    def is_read(self, index: Integer) -> bool:
        """Whether anything reads the index-th output."""
        if index >= len(self.node.outputs):
            return False
        value = self.node.outputs[index]
        return bool(value.uses()) or value.is_graph_output() or id(value) in self.wanted

    # --- attributes -------------------------------------------------------------------------------

    def known(self, name: str) -> ir.Attr | None:
        """An attribute; None where it is absent.

        Raises:
            RefusalError: It is a parameter of the function that the node stands in.
        """
        found = self.node.attributes.get(name)
        if found is not None and found.is_ref():
            message = f"its {name} is a parameter of the function around it; inline that first"
            raise RefusalError(message)
        return found

    def int(self, name: str, default: Integer) -> Integer:
        """An integer attribute, or its default."""
        found = self.known(name)
        return default if found is None else int(found.as_int())

    def float(self, name: str, default: Floating) -> Floating:
        """A floating-point attribute, or its default."""
        found = self.known(name)
        return default if found is None else float(found.as_float())

    def text(self, name: str, default: str) -> str:
        """A string attribute, or its default."""
        found = self.known(name)
        return default if found is None else found.as_string()

    def int_list(self, name: str) -> Integers | None:
        """An attribute of several integers; None where it is absent."""
        found = self.known(name)
        return None if found is None else [int(number) for number in found.as_ints()]

    # --- what is known of values ------------------------------------------------------------------

    def dims(self, index: Integer = 0) -> Dims | None:
        """Dimensions of the index-th input, as far as they are known."""
        return self.asked.dims(self.optional(index))

    def known_dims(self, index: Integer = 0) -> Dims:
        """Dimensions of the index-th input, whose number must be known.

        Raises:
            RefusalError: It is not.
        """
        found = self.dims(index)
        if found is None:
            value = self.input(index)
            message = f"the number of axes of {value.name!r} is not known"
            raise RefusalError(message)
        return found

    def dtype(self, index: Integer = 0) -> ir.DataType | None:
        """Element type of the index-th input; None where it is not known."""
        return self.asked.dtype(self.optional(index))

    def known_dtype(self, index: Integer = 0) -> ir.DataType:
        """Element type of the index-th input, which must be known.

        Raises:
            RefusalError: It is not.
        """
        found = self.dtype(index)
        if found is None:
            message = f"the type of {self.input(index).name!r} is not known"
            raise RefusalError(message)
        return found

    # --- what is written --------------------------------------------------------------------------

    def again(
        self,
        *,
        op_type: str = "",
        inputs: Sequence[ir.Value | None] | None = None,
        drop: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        """The same node with other inputs or attributes; its outputs."""
        wanted: dict[str, Any] = {
            name: found for name, found in self.node.attributes.items() if name not in drop
        }
        wanted |= attributes or {}
        given = list(self.node.inputs if inputs is None else inputs)
        while given and given[-1] is None:
            given.pop()
        return self.op.many(
            op_type or self.node.op_type, *given, outputs=len(self.node.outputs), **wanted
        )

    def number(self, value: Floating, index: Integer = 0) -> ir.Value:
        """A scalar of the type of the index-th input."""
        return self.op.constant(np.asarray(value, self.known_dtype(index).numpy()))


Written = Sequence[ir.Value | None]
Adapter = Callable[[Crossing], Written | None]
"""Writes a node in the next opset, giving a value for each of its outputs (None where nothing reads
it); None where the node may stay as it is. Raises RefusalError where it can't be written."""
Table = Mapping[tuple[str, int], Adapter]
"""Adapters by operator and the higher of the two opsets."""
