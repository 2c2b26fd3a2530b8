"""GlobalResponseNorm: channels compete by their size over the whole image.

g = sqrt(sum of x^2 over positions), n = g / (mean of g over channels + epsilon),
y = scale x n + bias + x
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Extent,
    Form,
    Norm,
    Parameter,
    Region,
    Share,
    epsilon,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError


def _positions(axis: int, rank: int) -> tuple[int, ...]:
    return tuple(each for each in range(1, rank) if each != axis % rank)


def _shape(axis: int, rank: int) -> list[int]:
    """Of a parameter that stands along the channels."""
    return [-1 if each == axis % rank else 1 for each in range(rank)]


def formula(
    x: Array, scale: Array, bias: Array, *, axis: int, epsilon: float, **_: object
) -> Array:
    """Scaled by each channel's norm relative to the mean norm, added to x."""
    norm = np.sqrt(np.sum(x * x, axis=_positions(axis, x.ndim), keepdims=True))
    relative = norm / (norm.mean(axis=axis, keepdims=True) + epsilon)
    factor, shift = (each.reshape(_shape(axis, x.ndim)) for each in (scale, bias))
    return np.asarray(factor * x * relative + shift + x)


def _finish(
    op: Tracer, x: ir.Value, response: tuple[ir.Value, ir.Value],
    parameters: tuple[ir.Value, ir.Value], stand: steps.Stand,
) -> ir.Value:  # fmt: skip
    """From each channel's norm and their mean."""
    (norm, mean), (scale, bias), wide = response, parameters, op.wide(x)
    relative = op("Div", norm, op("Add", mean, op.scalar("epsilon")))
    scaled = op("Mul", steps.scaled(op, wide, scale, stand), relative)
    return op.back(op("Add", steps.raised(op, scaled, bias, stand), wide), x)


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    wide = op.wide(x)
    channel = op.positions(x, op.index("axis"))
    batch = op.positions(x, op.ints(0))
    every = op("Range", op.whole(0), op.scalar_of(op.rank_of(x)), op.whole(1))
    over = op("Compress", every, op("Not", op("Or", channel, batch)), axis=0)
    norm = op("Sqrt", op.sum_over(op("Mul", wide, wide), over))
    count = op.as_number(op("Gather", op("Shape", x), op.index("axis")))
    mean = op("Div", op.sum_over(norm, op.index("axis")), count)
    along = op("Where", channel, op.ints(-1), op.ints(1))
    return _finish(
        op, x, (norm, mean), (scale, bias), lambda parameter: op("Reshape", parameter, along)
    )


def _known(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, *, one_operator: bool
) -> ir.Value:
    wide, axis = op.wide(x), op.known("axis")
    over = _positions(axis, op.rank)
    if one_operator:
        norm = op.reduce("ReduceL2", wide, over)
    else:
        norm = op("Sqrt", op.reduce("ReduceSum", op("Mul", wide, wide), over))
    along = _shape(axis, op.rank)
    response = norm, op.mean(norm, (axis,))
    return _finish(op, x, response, (scale, bias), lambda parameter: op.reshape(parameter, *along))


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _known(op, x, scale, bias, one_operator=True)


def _squares(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _known(op, x, scale, bias, one_operator=False)


def check(call: NormCall) -> None:
    """The channels are not the batch.

    Raises:
        UsageError: axis is 0.
    """
    axis = call.attributes["axis"]
    if axis in {0, -len(call.shape)}:
        message = f"{call.norm.name}: axis is {axis}, the batch; expected that of the channels"
        raise UsageError(message)


GLOBAL_RESPONSE_NORM: Final = Norm(
    name="GlobalResponseNorm",
    aliases=("GRN",),
    parameters=(
        Parameter("scale", Extent.ALONG_AXIS, "weight of the normalized response (gamma)", 1.0),
        Parameter("bias", Extent.ALONG_AXIS, "added to each channel (beta)", 0.0),
    ),
    attributes=(
        Attribute.int("axis", -1, "axis of the channels: -1 as in the paper's code, 1 for NCHW"),
        epsilon(1e-6, to="the mean norm"),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form("chain with ReduceSum", _body, since=13, generic=True),
        Form("chain with ReduceL2", _chain),
        Form("chain with Mul, ReduceSum and Sqrt", _squares),
    ),
    equation=(
        "y = scale x g / (mean(g) + epsilon) + bias + x, where g = sqrt(sum of x^2) of each channel"
    ),
    region=Region(Share.ONE, Share.ALL, Share.ALL, layout="N*C"),
    source="Woo et al., ConvNeXt V2, 2023",
    use="ConvNeXt V2: keeps channels from collapsing in masked pre-training",
    min_rank=3,
    check=check,
)
