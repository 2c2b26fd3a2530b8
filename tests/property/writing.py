"""Writes one ONNX graph, operator by operator, with what every spelling has a choice in.

Constants come as initializers, Constant nodes or computed; axes as an attribute or an input, in any
order, negative or not; and operators that change nothing stand in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from tests.rewriting import SIZES

Array = npt.NDArray[Any]
Dim = int | str
Pick = Callable[[Sequence[Any]], Any]
T = TypeVar("T")
_AXES_ARE_INPUTS: Final = 18  # of every reduction but ReduceSum


class NotDrawnError(Exception):
    """What was drawn so far has no place for the fault."""


@dataclass(frozen=True)
class Value:
    """A value of the graph that is written: name, dimensions and element type."""

    name: str
    dims: tuple[Dim, ...]
    kind: int

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.dims)

    @property
    def is_static(self) -> bool:
        """Whether every dimension is known."""
        return all(isinstance(dim, int) for dim in self.dims)


def size(dim: Dim) -> int:
    """How long a dimension is when the model is run; one of digits is written "2*H"."""
    if isinstance(dim, int):
        return dim
    return math.prod(int(each) if each.isdigit() else SIZES[each] for each in dim.split("*"))


def product(dims: Sequence[Dim]) -> Dim:
    """The length of several dimensions that are joined."""
    known = math.prod(dim for dim in dims if isinstance(dim, int))
    names = [dim for dim in dims if isinstance(dim, str)]
    return "*".join([str(known)] * (known != 1) + names) if names else known


class Writer:
    """A graph in the making.

    Attributes:
        pick: Draws one of several options.
        fault: What is to be done wrong, None for nothing.
        wrong: Names of nodes that no normalization may contain, for the fault that was done.
        leakable: Values within the normalization that may be read from outside, as a fault.
        part: What the nodes that are written belong to: "core", "side" or "outer".
    """

    def __init__(self, pick: Pick, opset: int, fault: str | None = None) -> None:
        self.pick = pick
        self.opset = opset
        self.fault = fault
        self.wrong: set[str] = set()
        self.leakable: list[Value] = []
        self.part = "core"
        self.leaked: Value | None = None
        self.inverse = False
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.initializers: dict[str, Array] = {}
        self._count = 0
        self._idled: dict[str, str] = {}

    @property
    def aside(self) -> str:
        """The part that constants belong to."""
        return "outer" if self.part == "outer" else "side"

    def one_of(self, *options: T) -> T:
        """One of some options."""
        found: T = self.pick(options)
        return found

    def chance(self, percent: int) -> bool:
        """Whether something happens."""
        return bool(self.pick(range(100)) < percent)

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Items in another order."""
        left, found = list(items), list[T]()
        while left:
            found.append(left.pop(self.pick(range(len(left)))))
        return found

    def fails(self, fault: str) -> bool:
        """Whether this fault is to be done here."""
        return self.fault == fault

    def blame(self, value: Value) -> Value:
        """No normalization may contain the node that gives this value."""
        name = value.name
        while name in self._idled:
            name = self._idled[name]
        self.wrong |= {node.name for node in self.nodes if name in node.output}
        return value

    def random(self, shape: Sequence[int], kind: int) -> Array:
        """Normal numbers."""
        source = np.random.default_rng(self.pick(range(1 << 16)))
        return np.asarray(source.standard_normal(tuple(shape)).astype(dtype_of(kind)))

    def fresh(self, stem: str) -> str:
        """A new name."""
        self._count += 1
        return f"{stem}{self._count}"

    def input(self, stem: str, dims: Sequence[Dim], kind: int) -> Value:
        """A new graph input."""
        value = Value(self.fresh(stem), tuple(dims), kind)
        self.inputs.append(helper.make_tensor_value_info(value.name, kind, list(dims)))
        return value

    def op(
        self,
        op_type: str,
        inputs: Sequence[Value | str],
        dims: Sequence[Dim] | None = None,
        kind: int | None = None,
        **attributes: Any,  # noqa: ANN401
    ) -> Value:
        """A node; its result has the dimensions and type of the first input unless told."""
        names = [each if isinstance(each, str) else each.name for each in inputs]
        first = next(each for each in inputs if isinstance(each, Value))
        output = self.fresh("v")
        self.nodes.append(
            helper.make_node(op_type, names, [output], f"{self.part}_{output}", **attributes)
        )
        found = Value(output, first.dims if dims is None else tuple(dims), kind or first.kind)
        if self.part == "core" and found.kind != TensorProto.INT64 and self.chance(3):
            return self._idle(found)
        return found

    def _idle(self, value: Value) -> Value:
        """An operator that changes nothing."""
        op_type = self.one_of("Identity", "Dropout", "Cast")
        attributes: dict[str, Any] = {"to": value.kind} if op_type == "Cast" else {}
        output = self.fresh("v")
        self.nodes.append(
            helper.make_node(op_type, [value.name], [output], f"{self.part}_{output}", **attributes)
        )
        self._idled[output] = value.name
        return Value(output, value.dims, value.kind)

    def pair(self, op_type: str, one: Value, other: Value | str) -> Value:
        """Add or Mul, operands in any order; Add as Sum at times."""
        inputs: list[Value | str] = [one, other]
        if self.chance(50):
            inputs.reverse()
        if op_type == "Add" and self.chance(8):
            op_type = "Sum"
        dims, kind = one.dims, one.kind
        if isinstance(other, Value):
            dims = broadcast(one.dims, other.dims)
        return self.op(op_type, inputs, dims, kind)

    def minus(self, one: Value, other: Value) -> Value:
        """Sub, or Add of the negative."""
        dims = broadcast(one.dims, other.dims)
        if self.chance(15):
            negative = self.op("Neg", [other])
            return self.op("Add", self.shuffled([one, negative]), dims, one.kind)
        return self.op("Sub", [one, other], dims, one.kind)

    def power(self, value: Value, exponent: float) -> Value:
        """Pow, with an exponent of any type that holds it."""
        kinds: list[int] = [TensorProto.FLOAT]
        if value.kind != TensorProto.BFLOAT16 or self.opset >= 15:
            kinds.append(value.kind)
        if exponent == int(exponent):
            kinds += [TensorProto.INT64, TensorProto.INT32]
        return self.op("Pow", [value, self.number(exponent, self.pick(kinds))])

    def cast(self, value: Value, kind: int) -> Value:
        """To another type; nothing where it has it."""
        return value if value.kind == kind else self.op("Cast", [value], kind=kind, to=kind)

    # Constants

    def constant(self, array: Array) -> str:
        """The name of a constant, however it is held or computed."""
        how = self.one_of("initializer", "initializer", "node", "node", "identity", "computed")
        if how == "identity":
            return self._side("Identity", [self._held(array)])
        if how == "computed" and array.dtype.kind in "fV":
            neutral = np.ones((), array.dtype)
            return self._side("Mul", self.shuffled([self._held(array), self._held(neutral)]))
        return self._held(array, node=how == "node")

    def _held(self, array: Array, *, node: bool = False) -> str:
        name = self.fresh("c")
        if node:
            tensor = numpy_helper.from_array(array)
            self.nodes.append(
                helper.make_node("Constant", [], [name], f"{self.aside}_{name}", value=tensor)
            )
        else:
            self.initializers[name] = array
        return name

    def _side(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:  # noqa: ANN401
        name = self.fresh("k")
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [name], f"{self.aside}_{name}", **attributes)
        )
        return name

    def ints(self, numbers: Sequence[int]) -> str:
        """A vector of whole numbers."""
        return self.constant(np.asarray(numbers, np.int64))

    def number(self, value: float, kind: int) -> str:
        """One number, as a scalar or a vector of one."""
        array = np.asarray(value).astype(dtype_of(kind))
        return self.constant(array if self.chance(60) else array.reshape(1))

    def along(self, array: Array, axes: Sequence[int], rank: int) -> Value:
        """A constant that stands along some axes, in order, of a value of that rank."""
        shape = [1] * rank
        for axis, length in zip(axes, array.shape, strict=True):
            shape[axis] = length
        kind = kind_of(array.dtype)
        if array.size == 1 and self.chance(50):
            return Value(self.constant(array.reshape(self.one_of((), (1,)))), (), kind)
        while self.chance(70) and len(shape) > 1 and shape[0] == 1:
            shape.pop(0)
        how = self.one_of("as it is", "as it is", "Reshape", "Unsqueeze", "Transpose", "Expand")
        return Value(self._standing(array, shape, how), tuple(shape), kind)

    def _standing(self, array: Array, shape: list[int], how: str) -> str:
        shaped = array.reshape(shape)
        if how == "Reshape":
            return self._side("Reshape", [self.constant(array), self.ints(shape)])
        if how == "Transpose" and len(shape) > 1:
            turned = self._held(np.ascontiguousarray(shaped.T))
            return self._side("Transpose", [turned])
        if how == "Expand":
            return self._side("Expand", [self.constant(shaped), self.ints(shape)])
        ones = [axis for axis, length in enumerate(shape) if length == 1]
        if how == "Unsqueeze" and ones:
            kept = shaped.reshape([n for n in shape if n != 1])
            return self._side("Unsqueeze", [self.constant(kept), self.ints(ones)])
        return self.constant(shaped)

    # Reductions and views

    def reduce(self, op_type: str, value: Value, axes: Sequence[int]) -> Value:
        """A reduction; what is reduced stays as dimensions of 1, in the end."""
        keep = self.chance(75)
        given = self.shuffled([self.one_of(axis, axis - value.rank) for axis in axes])
        inputs: list[Value | str] = [value]
        attributes: dict[str, Any] = {}
        if not (len(axes) == value.rank and self.chance(50)):
            if op_type == "ReduceSum" or self.opset >= _AXES_ARE_INPUTS:
                inputs.append(self.ints(given))
            else:
                attributes["axes"] = given
        if not keep or self.chance(50):
            attributes["keepdims"] = int(keep)
        full = tuple(1 if axis in axes else dim for axis, dim in enumerate(value.dims))
        if keep:
            return self.op(op_type, inputs, full, **attributes)
        rest = tuple(dim for axis, dim in enumerate(value.dims) if axis not in axes)
        return self.unsqueezed(self.op(op_type, inputs, rest, **attributes), axes, full)

    def unsqueezed(self, value: Value, axes: Sequence[int], full: tuple[Dim, ...]) -> Value:
        """Dimensions of 1 at some places."""
        if sum(isinstance(dim, str) for dim in full) < 2 and self.chance(40):
            shape = [dim if isinstance(dim, int) else -1 for dim in full]
            return self.op("Reshape", [value, self.ints(shape)], full)
        given = [self.one_of(axis, axis - len(full)) for axis in axes]
        return self.op("Unsqueeze", [value, self.ints(given)], full)

    def count(self, value: Value, axes: Sequence[int], kind: int) -> tuple[str, int | None]:
        """How many elements there are along some axes: a constant, or computed from the shape."""
        sizes = [value.dims[axis] for axis in axes]
        known = [each for each in sizes if isinstance(each, int)]
        total = math.prod(known)
        if len(known) == len(sizes) and self.chance(70):
            return self.number(float(total), kind), total
        if len(axes) == value.rank and self.chance(50):
            amount = self._side("Size", [value.name])
        else:
            shape = self._side("Shape", [value.name])
            amount = self._gathered(shape, axes)
        return self._side("Cast", [amount], to=kind), None

    def _gathered(self, shape: str, axes: Sequence[int]) -> str:
        if len(axes) == 1 or self.chance(50):
            scalar = self.chance(50) and len(axes) == 1
            index = np.asarray(axes[0] if scalar else list(axes), np.int64)
            lengths = self._side("Gather", [shape, self.constant(index)], axis=0)
            if len(axes) == 1:
                return lengths
            if self.opset >= _AXES_ARE_INPUTS:
                return self._side("ReduceProd", [lengths, self.ints([0])], keepdims=0)
            return self._side("ReduceProd", [lengths], axes=[0], keepdims=0)
        found = [
            self._side("Gather", [shape, self.constant(np.asarray(axis, np.int64))])
            for axis in axes
        ]
        product = found[0]
        for each in found[1:]:
            product = self._side("Mul", [product, each])
        return product

    def reshape(self, value: Value, dims: Sequence[Dim], like: Value | None = None) -> Value:
        """To dimensions of which one at most is not known, or to the shape of another value."""
        if like is not None and self.chance(50):
            return self.op("Reshape", [value, self._side("Shape", [like.name])], dims)
        target = [dim if isinstance(dim, int) else -1 for dim in dims]
        if dims[0] == value.dims[0] and self.chance(70):
            target[0] = 0
        if target.count(-1) > 1 or self.chance(20):
            source = value if like is None else like
            return self.op("Reshape", [value, self._computed_shape(source, dims)], dims)
        if -1 not in target and self.chance(40):
            target[self.pick([a for a, n in enumerate(target) if n != 0] or [0])] = -1
        return self.op("Reshape", [value, self.ints(target)], dims)

    def _computed_shape(self, value: Value, dims: Sequence[Dim]) -> str:
        """A shape put together from lengths of a value."""
        shape = self._side("Shape", [value.name])
        parts = list[str]()
        for dim in dims:
            if isinstance(dim, str) and dim in value.dims:
                index = self.ints([value.dims.index(dim)])
                parts.append(self._side("Gather", [shape, index]))
            else:
                parts.append(self.ints([dim if isinstance(dim, int) else -1]))
        return self._side("Concat", parts, axis=0)

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """Dimensions in another order."""
        dims = [value.dims[axis] for axis in order]
        return self.op("Transpose", [value], dims, perm=list(order))


def broadcast(one: Sequence[Dim], other: Sequence[Dim]) -> tuple[Dim, ...]:
    """The dimensions of a sum."""
    rank = max(len(one), len(other))
    first, second = ((1,) * (rank - len(each)) + tuple(each) for each in (one, other))
    return tuple(right if left == 1 else left for left, right in zip(first, second, strict=True))


def dtype_of(kind: int) -> np.dtype[Any]:
    """The numpy type of an element type."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind))


def kind_of(dtype: npt.DTypeLike) -> int:
    """The element type of a numpy type."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


NARROW: Final = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
