"""Whether a normalization already stands in a graph as one of its forms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from normonnx.lower.form_graph import FormGraph

Array = npt.NDArray[Any]
_COMMUTE: Final = frozenset({"Add", "Max", "Mul"})
_AXES: Final = frozenset({"axes", "axis"})
_ONNX: Final = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of the values of a graph.

    Attributes:
        constant_of: What a value holds, if it is constant.
        rank_of: How many axes it has, if that is known.
        strictly: Whether constants that are yet to be computed are none.
        any_content: Whether constants of one type and shape are alike, whatever they hold.
    """

    constant_of: Callable[[ir.Value], Array | None]
    rank_of: Callable[[ir.Value | None], int | None]
    strictly: bool = False
    any_content: bool = False


def is_spelled(
    made: FormGraph,
    pairs: Sequence[tuple[ir.Value, ir.Value]],
    entering: Mapping[int, ir.Value | Array],
    known: Knowledge,
    opset: int,
) -> bool:
    """Whether values of a graph are computed exactly as a form computes its outputs.

    Args:
        made: The form.
        pairs: Outputs of the form, each with the value of the graph that it is to be.
        entering: For each input of the form, by id, the value of the graph, or the constant, that
            it stands for.
        known: Of the graph.
        opset: Version of the default operator set.
    """
    match = _Match(made, entering, known, opset)
    return all(match.same(mine, theirs) for mine, theirs in pairs)


class _Match:
    def __init__(
        self,
        made: FormGraph,
        entering: Mapping[int, ir.Value | Array],
        known: Knowledge,
        opset: int,
    ) -> None:
        self._constants = made.constants
        self._entering = entering
        self._known = known
        self._opset = opset
        self._pairs: dict[int, ir.Value] = {}

    def same(self, mine: ir.Value | None, theirs: ir.Value | None) -> bool:
        if mine is None or theirs is None:
            return mine is theirs
        if id(mine) in self._pairs:
            return self._pairs[id(mine)] is theirs
        found = self._computed_alike(mine, theirs)
        if found and id(mine) not in self._constants:  # equal constants may be one, or several
            self._pairs[id(mine)] = theirs
        return found

    def _computed_alike(self, mine: ir.Value, theirs: ir.Value) -> bool:
        if id(mine) in self._constants:
            maker = theirs.producer()
            if self._known.strictly and maker is not None and maker.op_type != "Constant":
                return False
            alike = _same_kind if self._known.any_content else _equal
            return alike(self._constants[id(mine)][0], self._known.constant_of(theirs))
        if id(mine) in self._entering:
            given = self._entering[id(mine)]
            if given is theirs:
                return True
            held = self._known.constant_of(given) if isinstance(given, ir.Value) else given
            return held is not None and _equal(held, self._known.constant_of(theirs))
        one, other = mine.producer(), theirs.producer()
        if one is None or other is None:
            return False
        if (_domain(one), one.op_type) != (_domain(other), other.op_type):
            return False
        if one.outputs.index(mine) != other.outputs.index(theirs):
            return False
        counted = _has_axes(one) or _has_axes(other)
        rank = self._known.rank_of(other.inputs[0]) if counted else None
        if self._attributes(one, rank) != self._attributes(other, rank):
            return False
        return self._inputs(one, other, rank)

    def _inputs(self, one: ir.Node, other: ir.Node, rank: int | None) -> bool:
        mine, theirs = _trimmed(one.inputs), _trimmed(other.inputs)
        if len(mine) != len(theirs):
            return False
        if one.op_type.startswith("Reduce") and _domain(one) == "" and len(mine) > 1:
            return self.same(mine[0], theirs[0]) and self._axes(mine[1], rank) == self._axes(
                theirs[1], rank
            )
        orders = [theirs]
        if one.op_type in _COMMUTE and _domain(one) == "":
            orders.append(theirs[::-1])
        for order in orders:
            before = dict(self._pairs)
            if all(self.same(*pair) for pair in zip(mine, order, strict=True)):
                return True
            self._pairs = before
        return False

    def _axes(self, value: ir.Value | None, rank: int | None) -> tuple[int, ...] | None:
        """Axes given as an input, which has to be constant."""
        if value is None:
            return None
        held = self._constants[id(value)][0] if id(value) in self._constants else None
        held = self._known.constant_of(value) if held is None else held
        return None if held is None else _places(tuple(map(int, held.reshape(-1))), rank)

    def _attributes(self, node: ir.Node, rank: int | None) -> dict[str, Any]:
        """As they count: with the defaults of the operator, and axes as places among all."""
        own = {name: _plain(each.value) for name, each in node.attributes.items()}
        found = {**_defaults(_domain(node), node.op_type, self._opset), **own}
        for name in _AXES & set(found):
            found[name] = _places(found[name], rank)
        return found


def _has_axes(node: ir.Node) -> bool:
    return bool(node.inputs) and (
        node.op_type.startswith("Reduce") or any(name in _AXES for name in node.attributes)
    )


def _places(axes: Any, rank: int | None) -> Any:  # noqa: ANN401  # one or several
    if rank is None:
        return axes
    return tuple(axis % rank for axis in axes) if isinstance(axes, tuple) else axes % rank


@functools.lru_cache(maxsize=512)
def _defaults(domain: str, op_type: str, opset: int) -> Mapping[str, Any]:
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return {}
    return {
        name: _plain(onnx.helper.get_attribute_value(attribute.default_value))
        for name, attribute in schema.attributes.items()
        if attribute.default_value.type
    }


def _plain(value: Any) -> Any:  # noqa: ANN401  # of any attribute
    if isinstance(value, int | str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return float(np.float32(value))
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, ir.TensorProtocol):
        return (str(value.dtype), value.numpy().tobytes())
    return value


def _same_kind(mine: Array, theirs: Array | None) -> bool:
    return theirs is not None and mine.dtype == theirs.dtype and mine.shape == theirs.shape


def _equal(mine: Array, theirs: Array | None) -> bool:
    return _same_kind(mine, theirs) and np.array_equal(
        mine, np.asarray(theirs), equal_nan=mine.dtype.kind == "f"
    )


def _trimmed(inputs: Sequence[ir.Value | None]) -> list[ir.Value | None]:
    found = list(inputs)
    while found and found[-1] is None:
        found.pop()
    return found


def _domain(node: ir.Node) -> str:
    return "" if node.domain in _ONNX else node.domain
