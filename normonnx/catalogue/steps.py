"""Steps that several forms share, as ONNX.

The corrected two-pass variance: d = x - mean(x), d' = d - mean(d), variance = mean(d'^2). The first
mean is off by its own rounding, which at a mean far above the spread is as large as the spread; the
second takes that out (Chan, Golub and LeVeque, Algorithms for computing the sample variance, 1983).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue.norm import Dim
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall

Mean = Callable[[ir.Value], ir.Value]
Stand = Callable[[ir.Value], ir.Value]


def centered(op: Tracer, x: ir.Value, mean: Mean) -> tuple[ir.Value, ir.Value]:
    """x minus its mean, twice, and the mean."""
    first = mean(x)
    once = op("Sub", x, first)
    rest = mean(once)
    return op("Sub", once, rest), op("Add", first, rest)


def deviation(op: Tracer, x: ir.Value, mean: Mean) -> ir.Value:
    """sqrt(mean(x^2) + epsilon)."""
    square = mean(op("Mul", x, x))
    return op("Sqrt", op("Add", square, op.scalar("epsilon")))


def corrected(op: Tracer, x: ir.Value, *axes: int) -> ir.Value:
    """Standardized over axes, right at any mean."""
    found, _ = centered(op, x, lambda value: op.mean(value, axes))
    return op("Div", found, deviation(op, found, lambda value: op.mean(value, axes)))


def chain(op: Tracer, x: ir.Value, *axes: int) -> ir.Value:
    """Standardized over axes as exporters write it and runtimes fuse it."""
    return uncentered_chain(op, op("Sub", x, op.mean(x, axes)), *axes)


def uncentered_chain(
    op: Tracer, x: ir.Value, *axes: int, added: ir.Value | None = None
) -> ir.Value:
    """Over its root mean square, likewise; `added` stands for an epsilon that is no attribute."""
    square = op.mean(op("Pow", x, op.numbers(2.0)), axes)
    epsilon = op.scalar("epsilon") if added is None else added
    return op("Div", x, op("Sqrt", op("Add", square, epsilon)))


def as_it_is(parameter: ir.Value) -> ir.Value:
    """A parameter that stands already where it should."""
    return parameter


def scaled(op: Tracer, z: ir.Value, scale: ir.Value, stand: Stand = as_it_is) -> ir.Value:
    """Scale z; z itself where the scale is known to be 1."""
    return z if op.is_all(scale, 1.0) else op("Mul", z, stand(op.wide(scale)))


def divided(op: Tracer, z: ir.Value, divisor: ir.Value, stand: Stand = as_it_is) -> ir.Value:
    """Z / divisor; z itself where that is known to be 1."""
    return z if op.is_all(divisor, 1.0) else op("Div", z, stand(op.wide(divisor)))


def raised(op: Tracer, z: ir.Value, bias: ir.Value, stand: Stand = as_it_is) -> ir.Value:
    """Z + bias; z itself where the bias is known to be 0."""
    return z if op.is_all(bias, 0.0) else op("Add", z, stand(op.wide(bias)))


def lowered(op: Tracer, z: ir.Value, middle: ir.Value, stand: Stand = as_it_is) -> ir.Value:
    """Z - middle; z itself where that is known to be 0."""
    return z if op.is_all(middle, 0.0) else op("Sub", z, stand(op.wide(middle)))


def affine(
    op: Tracer, z: ir.Value, scale: ir.Value, bias: ir.Value, stand: Stand = as_it_is
) -> ir.Value:
    """Scale z + bias: two parameters, each put where it belongs by `stand`."""
    return raised(op, scaled(op, z, scale, stand), bias, stand)


def fused_affine(
    op: Tracer, z: ir.Value, scale: ir.Value, bias: ir.Value | None = None
) -> ir.Value:
    """Scale z + bias, written also where it changes nothing.

    ONNX Runtime makes one kernel of `chain` with the Mul of a scale and the Add of a bias behind
    it (LayerNormFusion, SimplifiedLayerNormFusion), and none without. A 1 or 0 of length 1 it takes
    away before it looks, so they are written in full where the sizes are known.
    """
    known = product(op.facts.shape[op.known("axis") % op.rank :]) is not None
    full = [
        trailing_parameter(op, each) if known else op.wide(each)
        for each in (scale, bias)
        if each is not None
    ]
    y = op("Mul", z, full[0])
    return y if bias is None else op("Add", y, full[1])


def adapted(
    op: Tracer, z: ir.Value, scale: ir.Value, bias: ir.Value, stands: tuple[Stand, Stand]
) -> ir.Value:
    """(offset + scale) z + bias, with the attribute `offset`; `stands` are of scale and bias."""
    if op.is_number("offset", 0.0):
        z = scaled(op, z, scale, stands[0])
    elif not (op.is_number("offset", 1.0) and op.is_all(scale, 0.0)):
        z = op("Mul", z, stands[0](op("Add", op.wide(scale), op.scalar("offset"))))
    return raised(op, z, bias, stands[1])


def bias_of(
    op: Tracer, bias: ir.Value, full: Callable[[Tracer, ir.Value], ir.Value]
) -> ir.Value | None:
    """A bias in full, for operators that may have none; None where it is known to be 0."""
    return None if op.is_all(bias, 0.0) else full(op, bias)


def by_channel(op: Tracer, x: ir.Value, z: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    """Scale z + bias for each channel, z of the shape of X and known rank; in the type of X."""
    return op.back(affine(op, z, scale, bias, op.along_channels), x)


def by_channel_of_rows(
    op: Tracer, x: ir.Value, rows: ir.Value, scale: ir.Value, bias: ir.Value
) -> ir.Value:
    """The same for rows (N, C, positions) and any rank, back in the shape of X."""
    y = affine(op, rows, scale, bias, lambda parameter: op.unsqueeze(parameter, 1))
    return op.back(op.like(y, x), x)


def rows_of_channels(op: Tracer, x: ir.Value) -> ir.Value:
    """(N, C, ...) as (N, C, positions)."""
    return op.reshape(x, 0, 0, -1)


def per_channel(op: Tracer, vector: ir.Value) -> ir.Value:
    """A parameter as long as there are channels, for operators that take no shorter one."""
    return filled(op, vector, op.facts.shape[1])


def filled(op: Tracer, vector: ir.Value, length: Dim) -> ir.Value:
    """A vector of length 1 or `length`, as one of that length."""
    if isinstance(length, int) and vector.shape is not None and vector.shape[0] == length:
        return op.wide(vector)
    return _in_full(op, vector, (length,)) if isinstance(length, int) else op.wide(vector)


def _in_full(op: Tracer, value: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    """A parameter in a shape that it broadcasts to."""
    if value.const_value is not None and not value.is_graph_input():
        return op.numbers(np.broadcast_to(value.const_value.numpy().astype(np.float64), shape))
    return op("Mul", op.wide(value), op.numbers(np.ones(shape)))


def product(dims: tuple[Dim, ...]) -> int | None:
    """Number of elements; None where a size is not known."""
    sizes = [dim for dim in dims if isinstance(dim, int)]
    return math.prod(sizes) if len(sizes) == len(dims) else None


def trailing_parameter(op: Tracer, value: ir.Value) -> ir.Value:
    """A parameter in the sizes from `axis` on, for operators that take no other."""
    dims = op.facts.shape[op.known("axis") % op.rank :]
    if value.shape is None or tuple(value.shape) == dims:
        return op.wide(value)
    return _in_full(op, value, cast("tuple[int, ...]", dims))


def knows_sizes_from_axis(call: NormCall) -> str | None:
    """Sizes from `axis` on are numbers."""
    dims = call.shape[cast("int", call.attributes["axis"]) % len(call.shape) :]
    return None if product(dims) is not None else "the size of what is normalized is not known"


def knows_trailing(call: NormCall) -> str | None:
    """Sizes from `axis` on are numbers, or all parameters have them."""
    dims = call.shape[cast("int", call.attributes["axis"]) % len(call.shape) :]
    given = call.parameters.values()
    full = all(tuple(each if isinstance(each, tuple) else each.shape) == dims for each in given)
    return None if full else knows_sizes_from_axis(call)


def check_more_than(call: NormCall, sizes: tuple[Dim, ...]) -> None:
    """More than one number is normalized together, or epsilon is positive.

    Raises:
        UsageError: It is one number, whose variance is 0, and epsilon is 0.
    """
    if product(sizes) == 1 and not call.attributes["epsilon"]:
        message = (
            f"{call.norm.name}: what is normalized is one number, so its variance is 0, and "
            "epsilon is 0; expected epsilon > 0"
        )
        raise UsageError(message)
