"""Conv: over a window of channels, or depthwise, of one position: each channel times a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import onnx_ir as ir

from normonnx.graph.attributes import int_of, ints_of, text_of
from normonnx.recognize import algebra
from normonnx.recognize.asking import Asked, Operands
from normonnx.recognize.facts import Combination, Fact
from normonnx.recognize.fields import field
from normonnx.recognize.table import Transfer
from normonnx.recognize.windows import WINDOWS


def _convolution(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    return WINDOWS["Conv"](ask, node, operands) or _depthwise(ask, node, operands)


def _depthwise(ask: Asked, node: ir.Node, operands: Operands) -> Fact | None:
    first, weight = operands[0], operands[1]
    fact = None if first is None else first.fact
    numbers = None if weight is None else weight.constant
    lengths = ask.lengths(node.inputs[0])
    if not isinstance(fact, Combination) or numbers is None or lengths is None:
        return None
    channels = lengths[1] if len(lengths) > 1 else None
    if numbers.shape != (channels, *[1] * (len(lengths) - 1)) or not _stays(node, numbers.shape[0]):
        return None
    factor = field(numbers.reshape(numbers.shape[0], *numbers.shape[2:]), fact.frame)
    if len(fact.frame) != len(lengths) or factor is None:
        return None
    found = algebra.scaled(fact, factor, fact.frame)
    if len(operands) < 3 or operands[2] is None or found is None:  # noqa: PLR2004
        return found
    bias = operands[2].constant
    if bias is None or bias.shape != numbers.shape[:1]:
        return None
    added = field(bias.reshape(-1, *[1] * (len(lengths) - 2)), fact.frame)
    return None if added is None else algebra.shifted(found, added, fact.frame)


def _stays(node: ir.Node, channels: int) -> bool:
    """Whether every position stays where it is, and every channel has a filter of its own."""
    steps = ints_of(node, "strides") or []
    padding = ints_of(node, "pads") or []
    automatic = text_of(node, "auto_pad", "NOTSET")
    still = all(step == 1 for step in steps) and (automatic != "NOTSET" or not any(padding))
    return still and int_of(node, "group", 1) == channels


CONVOLVING: Final[Mapping[str, Transfer]] = {"Conv": _convolution}
