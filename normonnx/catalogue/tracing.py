"""Writing a form: ONNX nodes for one opset, either into a graph or as the body of a function.

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

_AXES_ARE_INPUTS: Final = 18  # ReduceMean, ReduceMax, ReduceL2 and the like
_SUM_TAKES_AXES: Final = 13  # ReduceSum, Squeeze and Unsqueeze
_CAST_LIKE: Final = 15
_NEGATIVE_AXES: Final = 11
_PADS_ARE_INPUTS: Final = 11
_CUTS_ARE_INPUTS: Final = 10
_WHERE: Final = 9
_MAX_BROADCASTS: Final = 8
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


class Tracer:
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
            value if isinstance(value, ir.Attr) else ir.convenience.convert_attribute(name, value)
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

    def is_all(self, parameter: ir.Value, number: float) -> bool:
        """Whether a parameter is known to be that number everywhere, for every run of the model."""
        if self._facts is None or parameter.const_value is None or parameter.is_graph_input():
            return False
        return bool((parameter.const_value.numpy() == number).all())

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
            return ir.convenience.convert_attribute(slot, self._facts.attributes[name])
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

    def choose(self, condition: ir.Value, one: ir.Value, other: ir.Value) -> ir.Value:
        """Elements of `one` where the condition holds, of `other` elsewhere; both finite."""
        if self.opset >= _WHERE:
            return self("Where", condition, one, other)
        mask = self._to_working(condition)
        rest = self("Sub", self.numbers(1.0), mask)
        return self("Add", self("Mul", mask, one), self("Mul", rest, other))

    def larger(self, one: ir.Value, other: ir.Value) -> ir.Value:
        """The larger of both, element by element; the second is finite and may be of fewer."""
        if self.opset >= _MAX_BROADCASTS:
            return self("Max", one, other)
        return self.choose(self("Greater", one, other), one, other)

    # --- reductions -------------------------------------------------------------------------------

    def _axes(self, axes: Sequence[int]) -> list[int]:
        if self._facts is not None and self.opset < _NEGATIVE_AXES:
            return [axis if axis >= 0 else axis + self.rank for axis in axes]
        return list(axes)

    def reduce(self, op_type: str, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """ReduceMean, ReduceSum, ReduceMax, ReduceL2 and the like over known axes, kept as 1.

        Negative axes count from the end of X's rank, where the opset has only positive ones.
        """
        known = self._axes(axes)
        since = _SUM_TAKES_AXES if op_type == "ReduceSum" else _AXES_ARE_INPUTS
        if self.opset >= since:
            return self(op_type, x, self.ints(*known), keepdims=1)
        return self(op_type, x, axes=known, keepdims=1)

    def mean(self, x: ir.Value, axes: Sequence[int]) -> ir.Value:
        """Mean over axes, kept as 1."""
        return self.reduce("ReduceMean", x, axes)

    def sum_over(self, x: ir.Value, axes: ir.Value) -> ir.Value:
        """Sum over axes that are computed, kept as 1; opset 13."""
        return self("ReduceSum", x, axes, keepdims=1)

    # --- shapes -----------------------------------------------------------------------------------

    def unsqueeze(self, x: ir.Value, *axes: int) -> ir.Value:
        """Axes of size 1 put in."""
        if not axes:
            return x
        if self.opset >= _SUM_TAKES_AXES:
            return self("Unsqueeze", x, self.ints(*axes))
        return self("Unsqueeze", x, axes=list(axes))

    def along_channels(self, vector: ir.Value) -> ir.Value:
        """A vector (C) or (1) as (C, 1, ...), to stand along axis 1 of X."""
        return self.unsqueeze(vector, *range(1, self.rank - 1))

    def reshape(self, x: ir.Value, *dims: int | ir.Value) -> ir.Value:
        """A new shape; dimensions are numbers, or vectors of one int64."""
        if all(isinstance(dim, int) for dim in dims):
            return self("Reshape", x, self.ints(*dims))  # type: ignore[arg-type]
        parts = [self.ints(dim) if isinstance(dim, int) else dim for dim in dims]
        return self("Reshape", x, self("Concat", *parts, axis=0))

    def like(self, y: ir.Value, x: ir.Value) -> ir.Value:
        """Numbers of X, in another shape, back in the shape of X."""
        if self._facts is not None:
            dims = self._facts.shape
            if sum(not isinstance(dim, int) for dim in dims) <= 1:
                return self.reshape(y, *(dim if isinstance(dim, int) else -1 for dim in dims))
        return self("Reshape", y, self("Shape", x))

    def pad(self, x: ir.Value, before: Sequence[int], after: Sequence[int]) -> ir.Value:
        """Zeros put before and after along each axis."""
        if self.opset >= _PADS_ARE_INPUTS:
            return self("Pad", x, self.ints(*before, *after))
        return self("Pad", x, pads=[*before, *after])

    def cut(self, x: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        """What lies between two places along an axis."""
        if self.opset >= _CUTS_ARE_INPUTS:
            return self("Slice", x, self.ints(start), self.ints(end), self.ints(axis))
        return self("Slice", x, starts=[start], ends=[end], axes=[axis])

    def transpose(self, x: ir.Value, *perm: int) -> ir.Value:
        """Axes in another order."""
        return self("Transpose", x, perm=list(perm))

    def wide_count(self, x: ir.Value, *axes: int) -> ir.Value:
        """Number of elements along axes of a value, in the working type, as a scalar."""
        sizes = self("Gather", self("Shape", x), self.ints(*axes))
        count = self.reduce("ReduceProd", sizes, (0,))
        return self._to_working(self.scalar_of(count))

    def scalar_of(self, vector: ir.Value) -> ir.Value:
        """A vector of one number as a scalar."""
        return self("Reshape", vector, self.constant(np.array([], np.int64)))

    def whole(self, number: int) -> ir.Value:
        """A whole number as a scalar int64."""
        return self.constant(np.array(number, np.int64))

    def rank_of(self, x: ir.Value) -> ir.Value:
        """Rank of a value as a vector of one int64."""
        return self("Shape", self("Shape", x))

    def positions(self, x: ir.Value, axis: ir.Value) -> ir.Value:
        """Where an axis stands among 0, 1, ..., rank - 1: a mask, true at that axis."""
        rank = self.rank_of(x)
        every = self("Range", self.whole(0), self.scalar_of(rank), self.whole(1))
        return self("Equal", every, self("Mod", self("Add", axis, rank), rank))
