"""QuantizeLinear and DequantizeLinear: for each channel since opset 13, of one scale before."""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from normonnx.lower.crossing import Crossing, RefusalError, Table, Written

_FLOAT: Final = int(ir.DataType.FLOAT)


def _has_one_scale(at: Crossing) -> bool:
    dims = at.dims(1)
    return dims is not None and all(dim == 1 for dim in dims)


def _quantize_down(at: Crossing) -> Written | None:
    if not _has_one_scale(at):
        message = "it has a scale for each channel, which came with opset 13"
        raise RefusalError(message)
    return at.again(drop=["axis"]) if "axis" in at.node.attributes else None


def _dequantize_down(at: Crossing) -> Written | None:
    """(x - zero point) scale, along the axis of the channels."""
    if _has_one_scale(at):
        return at.again(drop=["axis"]) if "axis" in at.node.attributes else None
    axis, rank = at.int("axis", 1), len(at.known_dims())
    behind = range(1, rank - axis % rank)
    found = at.op("Cast", at.input(0), to=_FLOAT)
    if at.given(2):
        zero = at.op("Cast", at.op.unsqueeze(at.input(2), *behind), to=_FLOAT)
        found = at.op("Sub", found, zero)
    return [at.op("Mul", found, at.op.unsqueeze(at.input(1), *behind))]


DOWN: Final[Table] = {
    ("QuantizeLinear", 13): _quantize_down,
    ("DequantizeLinear", 13): _dequantize_down,
}
