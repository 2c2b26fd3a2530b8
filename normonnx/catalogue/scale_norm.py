"""ScaleNorm: rows brought to one learned length.

y = scale x / max(sqrt(sum of x^2), epsilon) over the last axis
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
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


def formula(x: Array, scale: Array, *, epsilon: float, **_: object) -> Array:
    """Divided by the length of the row, or by epsilon where that is larger."""
    length = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    return np.asarray(scale * x / np.maximum(length, epsilon))


def _divided(op: Tracer, x: ir.Value, length: ir.Value, scale: ir.Value) -> ir.Value:
    divisor = op.larger(length, op.scalar("epsilon"))
    return op.back(steps.scaled(op, op("Div", op.wide(x), divisor), scale), x)


def _body(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    wide = op.wide(x)
    total = op.sum_over(op("Mul", wide, wide), op.ints(-1))
    return _divided(op, x, op("Sqrt", total), scale)


def _length(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    return _divided(op, x, op.reduce("ReduceL2", op.wide(x), (-1,)), scale)


def _squares(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    total = op.reduce("ReduceSumSquare", op.wide(x), (-1,))
    return _divided(op, x, op("Sqrt", total), scale)


SCALE_NORM: Final = Norm(
    name="ScaleNorm",
    parameters=(Parameter("scale", Extent.ONE, "length of every row (g)", 1.0),),
    attributes=(epsilon(1e-5, to="nothing: a smaller length is replaced by it"), stash_type()),
    formula=formula,
    forms=(
        Form("chain with ReduceSum", _body, since=13, generic=True),
        Form("chain with ReduceL2", _length),
        Form("chain with ReduceSumSquare", _squares),
    ),
    equation="y = scale x / max(sqrt(sum of x^2), epsilon)",
    region=Region(Share.ONE, Share.ALL, Share.ONE, layout="N*C"),
    source="Nguyen and Salazar, Transformers without Tears, 2019",
    use="transformers with little training data: one number in place of LayerNorm's vectors",
    min_rank=1,
)
