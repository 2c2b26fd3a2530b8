"""FilterResponseNorm: each channel divided by its root mean square, with a threshold.

y = max(scale x / sqrt(mean(x^2) + epsilon) + bias, threshold); the mean is over positions. The
maximum is the thresholded linear unit that takes the activation's place. Without a threshold it is
the normalization alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import ml_dtypes
import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
from normonnx.catalogue.arithmetic import along_channels, spatial
from normonnx.catalogue.norm import (
    Array,
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

_MAX_BROADCASTS: Final = 8


def formula(
    x: Array, scale: Array, bias: Array, threshold: Array, *, epsilon: float, **_: object
) -> Array:
    """Divided by the root mean square, scaled, shifted, and bounded from below."""
    square = np.mean(x * x, axis=tuple(spatial(x.ndim)), keepdims=True)
    factor, shift, least = (along_channels(each, x.ndim) for each in (scale, bias, threshold))
    return np.asarray(np.maximum(x / np.sqrt(square + epsilon) * factor + shift, least))


def _body(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, threshold: ir.Value
) -> ir.Value:
    rows = steps.rows_of_channels(op, op.wide(x))
    z = op("Div", rows, steps.deviation(op, rows, lambda value: op.mean(value, (2,))))
    y = _bounded(op, z, (scale, bias, threshold), lambda parameter: op.unsqueeze(parameter, 1))
    return op.back(op.like(y, x), x)


def _bounded(
    op: Tracer, z: ir.Value, parameters: Sequence[ir.Value], stand: steps.Stand
) -> ir.Value:
    """max(scale z + bias, threshold); without a threshold nothing is bounded."""
    scale, bias, threshold = parameters
    y = steps.affine(op, z, scale, bias, stand)
    if op.is_all(threshold, -math.inf):
        return y
    return op.larger(y, stand(_least(op, threshold)))


def _least(op: Tracer, threshold: ir.Value) -> ir.Value:
    """The threshold; finite below opset 8, where a maximum is a sum of what masks let through."""
    if op.opset >= _MAX_BROADCASTS or threshold.const_value is None or op.working is None:
        return op.wide(threshold)
    numbers = threshold.const_value.numpy().astype(np.float64)
    return op.numbers(np.maximum(numbers, float(ml_dtypes.finfo(op.working.numpy()).min)))


def _finish(op: Tracer, x: ir.Value, z: ir.Value, *parameters: ir.Value) -> ir.Value:
    return op.back(_bounded(op, z, parameters, op.along_channels), x)


def _chain(op: Tracer, x: ir.Value, *parameters: ir.Value) -> ir.Value:
    wide = op.wide(x)
    axes = spatial(op.rank)
    root = steps.deviation(op, wide, lambda value: op.mean(value, axes))
    return _finish(op, x, op("Div", wide, root), *parameters)


def _reciprocal(op: Tracer, x: ir.Value, *parameters: ir.Value) -> ir.Value:
    wide = op.wide(x)
    square = op.mean(op("Pow", wide, op.numbers(2.0)), spatial(op.rank))
    inverse = op("Reciprocal", op("Sqrt", op("Add", square, op.scalar("epsilon"))))
    return _finish(op, x, op("Mul", wide, inverse), *parameters)


FILTER_RESPONSE_NORM: Final = Norm(
    name="FilterResponseNorm",
    aliases=("FRN",),
    parameters=(
        Parameter("scale", Extent.CHANNELS, "multiplies each channel (gamma)", 1.0),
        Parameter("bias", Extent.CHANNELS, "added to each channel (beta)", 0.0),
        Parameter("threshold", Extent.CHANNELS, "least output of each channel (tau)", -math.inf),
    ),
    attributes=(epsilon(1e-6, to="the mean square"), stash_type()),
    formula=formula,
    forms=(
        Form("chain with Mul and Div, by rows", _body, since=13, generic=True),
        Form("chain with Mul and Div", _chain),
        Form("chain with Pow and Reciprocal", _reciprocal),
    ),
    equation="y = max(scale x / sqrt(mean(x^2) + epsilon) + bias, threshold)",
    region=Region(Share.ONE, Share.ONE, Share.ALL),
    source="Singh and Krishnan, Filter Response Normalization Layer, 2020",
    use="convolutional networks trained with a batch of one; no mean is subtracted",
    min_rank=3,
)
