"""What a transfer function may ask: facts of operands, constants, lengths, types."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.graph.attributes import int_of
from normonnx.graph.constants import Constants
from normonnx.graph.element_types import ElementTypes
from normonnx.graph.lengths import Length, Lengths, Unknown
from normonnx.graph.ranks import Ranks
from normonnx.graph.shape_values import entries
from normonnx.recognize.facts import Fact
from normonnx.recognize.fields import Field, field, number
from normonnx.recognize.frames import Frame

_DEEPEST: Final = 24
_MOST_LENGTHS: Final = 64  # in a product
_PASSED_ON: Final = frozenset(["Cast", "CastLike", "Identity", "Reshape", "Squeeze", "Unsqueeze"])
_COUNTING: Final = frozenset([*_PASSED_ON, "Gather", "Mul", "ReduceProd", "Size", "Slice"])
_DEFAULT_DOMAINS: Final = ("", "ai.onnx")


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """An input of a node, as seen from one root.

    Attributes:
        value: The input.
        fact: What is known of it relative to the root; None where nothing is.
        constant: Its numbers, where they are known.
    """

    value: ir.Value
    fact: Fact | None
    constant: npt.NDArray[Any] | None

    def field(self, frame: Frame) -> Field | None:
        """Its numbers in the layout of the root, where it meets a view of that frame."""
        if self.constant is None or self.constant.dtype.kind in "bOSU":
            return None
        own = self.value if self.constant.ndim else None
        found = field(self.constant, frame, own)
        single = None if found is None else found.number
        return found if single is None else number(_unrounded(single, self.constant.dtype))

    @property
    def number(self) -> float | None:
        """The one number that it holds; None for anything else."""
        if self.constant is None or self.constant.size == 0 or self.constant.dtype.kind in "bOSU":
            return None
        numbers = self.constant.reshape(-1)
        first = float(numbers[0])
        same = numbers.size == 1 or bool((numbers == numbers[0]).all())
        return first if same else None


def _unrounded(value: float, kind: np.dtype[Any]) -> float:
    """1 / n where a number is that, rounded to its type: a sum times it is the mean itself."""
    if kind == np.float64 or not math.isfinite(value) or not 0.0 < abs(value) < 1.0:
        return value
    whole = 1.0 / round(1.0 / value)
    return whole if float(np.asarray(whole).astype(kind)) == value else value


Operands = Sequence[Operand | None]


class Asked:
    """Constants, lengths and types of one model."""

    def __init__(self, constants: Constants, ranks: Ranks) -> None:
        self.constants = constants
        self.ranks = ranks
        self._types = ElementTypes(ranks.arguments.given)

    def lengths(self, value: ir.Value | None) -> Lengths | None:
        """The shape of a value."""
        return self.ranks.lengths(value)

    def known(self, value: ir.Value | None) -> Lengths | None:
        """The same, for `shape_values.entries`."""
        return self.ranks.lengths(value)

    def element_type(self, value: ir.Value | None) -> np.dtype[Any] | None:
        """Element type of a value; None when unknown."""
        return self._types.get(value)

    def uniform(self, value: ir.Value) -> npt.NDArray[Any] | None:
        """The one number that a constant of unknown shape holds everywhere."""
        node = value.producer()
        if node is None or node.op_type != "ConstantOfShape" or node.domain:
            return None
        filler = node.attributes.get("value")
        if filler is None:
            return np.zeros(1, np.float32)
        return None if filler.is_ref() else filler.as_tensor().numpy().reshape(1)

    def is_floating(self, value: ir.Value | None) -> bool:
        """Whether a value holds floating-point numbers, as far as is known."""
        found = self.element_type(value)
        return found is None or found.kind == "f" or found.name == "bfloat16"

    def constant(self, value: ir.Value) -> npt.NDArray[Any] | None:
        """The numbers of a value: also where they count elements of known lengths."""
        found = self.constants.get(value)
        node = value.producer()
        if found is not None or node is None or node.op_type not in _COUNTING:
            return found
        amount = self.amount(value)
        if amount is None or not all(isinstance(length, int) for length in amount):
            return None
        return np.asarray(math.prod(length for length in amount if isinstance(length, int)))

    def amount(self, value: ir.Value | None, depth: int = 0) -> tuple[Length, ...] | None:
        """The lengths whose product a number is, as exporters compute how many elements there are.

        None where it is something else, or a plain constant.
        """
        node = None if value is None else value.producer()
        if node is None or depth > _DEEPEST or node.domain not in _DEFAULT_DOMAINS:
            return None
        if node.op_type == "Size":
            return self.lengths(node.inputs[0])
        if node.op_type == "ReduceProd":
            return self._entries(node.inputs[0])
        if node.op_type in ("Cast", "CastLike"):
            return self.amount(node.inputs[0], depth + 1)
        if node.op_type == "Mul":
            first = self._factor(node.inputs[0], depth)
            second = None if first is None else self._factor(node.inputs[1], depth)
            if first is None or second is None or len(first) + len(second) > _MOST_LENGTHS:
                return None
            return (*first, *second)
        found = self._entries(value)
        if found is not None and len(found) == 1:
            return found
        if node.op_type in _PASSED_ON:
            return self.amount(node.inputs[0], depth + 1)
        return None

    def _factor(self, value: ir.Value | None, depth: int) -> tuple[Length, ...] | None:
        constant = self.constants.get(value)
        if constant is not None:
            whole = constant.size == 1 and float(constant.reshape(-1)[0]).is_integer()
            return (int(constant.reshape(-1)[0]),) if whole else None
        return self.amount(value, depth + 1)

    def _entries(self, value: ir.Value | None) -> tuple[Length, ...] | None:
        found = entries(self, value)
        if found is None or any(entry is None for entry in found):
            return None
        return tuple(entry for entry in found if entry is not None)


def same_amount(one: Sequence[Length], other: Sequence[Length]) -> bool:
    """Whether two products of lengths are certainly equal."""
    parts = [
        (
            math.prod(length for length in each if isinstance(length, int)),
            sorted(id(length) for length in each if isinstance(length, Unknown)),
        )
        for each in (one, other)
    ]
    return parts[0] == parts[1]


def keeps_dims(node: ir.Node) -> bool:
    """Whether a reduction keeps what it reduces as 1."""
    return bool(int_of(node, "keepdims", 1))
