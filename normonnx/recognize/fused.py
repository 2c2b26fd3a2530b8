"""ONNX Runtime's operators that are a normalization and something more.

    SkipLayerNormalization            LayerNorm of input + skip + bias; output 3 is that sum
    SkipSimplifiedLayerNormalization  RMSNorm of it
    GroupNorm                         channels last unless told otherwise, then x sigmoid(x) if told
    SkipGroupNorm                     the same of X + skip + bias; output 1 is that sum

Source: ONNX Runtime's ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UsageError
from normonnx.graph.attributes import float_of, int_of, is_given
from normonnx.graph.lengths import Lengths
from normonnx.recognize.arguments import Argument
from normonnx.recognize.asking import Asked

DOMAIN: Final = "com.microsoft"
_EPSILON: Final = float(np.float32(1e-5))
_SKIP_EPSILON: Final = float(np.float32(1e-12))


@dataclass(frozen=True, slots=True, eq=False)
class Surplus:
    """What a fused operator does besides.

    Attributes:
        addends: Added to its first input before.
        total: The output that is that sum, where something reads it.
        channels_last: Whether channels are the last axis.
        activation: Whether x sigmoid(x) follows.
    """

    addends: tuple[ir.Value, ...] = ()
    total: ir.Value | None = None
    channels_last: bool = False
    activation: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """A fused operator taken apart.

    Attributes:
        call: The normalization; its X is the sum, channels first.
        arguments: For each of its parameters.
        surplus: The rest.
    """

    call: NormCall
    arguments: tuple[Argument, ...]
    surplus: Surplus


@dataclass(frozen=True, slots=True)
class _Slots:
    """Where a fused operator has its inputs and outputs."""

    norm: str
    parameters: Mapping[str, int]
    addends: tuple[int, ...] = ()
    total: int | None = None


_TABLE: Final[Mapping[str, _Slots]] = {
    "GroupNorm": _Slots("GroupNorm", {"scale": 1, "bias": 2}),
    "SkipGroupNorm": _Slots("GroupNorm", {"scale": 1, "bias": 2}, (3, 4), 1),
    "SkipLayerNormalization": _Slots("LayerNorm", {"scale": 2, "bias": 3}, (1, 4), 3),
    "SkipSimplifiedLayerNormalization": _Slots("RMSNorm", {"scale": 2}, (1, 3), 3),
}


def is_fused(node: ir.Node) -> bool:
    """Whether a node is one of these operators."""
    return node.domain == DOMAIN and node.op_type in _TABLE


def taken_apart(ask: Asked, node: ir.Node) -> Fused | str:
    """What a fused operator is made of, or why it can't be told."""
    slots = _TABLE[node.op_type]
    if any(attribute.is_ref() for attribute in node.attributes.values()):
        return "its attributes are parameters of the function around it"
    lengths = ask.lengths(node.inputs[0])
    if lengths is None:
        return "the number of axes of what is normalized is not known"
    unread = [out for at, out in enumerate(node.outputs) if at not in (0, slots.total)]
    if any(out.uses() or out.is_graph_output() for out in unread):
        return f"another output of {node.op_type} is read"
    surplus = _surplus(ask, node, slots, lengths)
    if isinstance(surplus, str):
        return surplus
    return _called(ask, node, slots, surplus, lengths)


def _surplus(ask: Asked, node: ir.Node, slots: _Slots, lengths: Lengths) -> Surplus | str:
    addends = [node.inputs[at] for at in slots.addends if is_given(node, at)]
    if slots.norm == "GroupNorm" and any(
        (found := ask.lengths(each)) is None or len(found) not in (1, len(lengths))
        for each in addends
    ):
        return "its skip is one row for each sample"
    total = None
    if slots.total is not None and slots.total < len(node.outputs):
        total = node.outputs[slots.total]
    read = total is not None and (bool(total.uses()) or total.is_graph_output())
    return Surplus(
        tuple(each for each in addends if each is not None),
        total if read else None,
        slots.norm == "GroupNorm" and int_of(node, "channels_last", 1) != 0,
        slots.norm == "GroupNorm" and int_of(node, "activation", 0) != 0,
    )


def _called(
    ask: Asked, node: ir.Node, slots: _Slots, surplus: Surplus, lengths: Lengths
) -> Fused | str:
    norm = CATALOGUE[slots.norm]
    kind = ask.element_type(node.inputs[0]) or np.dtype(np.float32)
    dims = tuple(length if isinstance(length, int) else None for length in lengths)
    if surplus.channels_last:
        dims = (dims[0], dims[-1], *dims[1:-1])
    given: dict[str, Any] = _attributes(node, slots)
    arguments = list[Argument]()
    for parameter in norm.parameters:
        at = slots.parameters[parameter.name]
        value = node.inputs[at] if is_given(node, at) else None
        if value is None:
            default = np.asarray([parameter.default], kind)
            arguments.append(Argument(parameter.name, default, is_default=True))
            continue
        constant, shape = ask.constants.get(value), ask.lengths(value)
        if constant is None and shape is None:
            return f"the shape of its {parameter.name} is not known"
        static: Sequence[Any] = [n if isinstance(n, int) else None for n in shape or ()]
        given[parameter.name] = tuple(static) if constant is None else constant
        arguments.append(Argument(parameter.name, value=value))
    try:
        call = norm.define(dims, kind, **given)
    except UsageError as error:
        return str(error)
    return Fused(call, tuple(arguments), surplus)


def _attributes(node: ir.Node, slots: _Slots) -> dict[str, Any]:
    if slots.norm == "GroupNorm":
        epsilon = float_of(node, "epsilon", _EPSILON)
        return {"num_groups": int_of(node, "groups", 1), "epsilon": epsilon}
    return {"axis": -1, "epsilon": float_of(node, "epsilon", _SKIP_EPSILON)}
