"""RMSNorm: each row divided by its root mean square over the axes from `axis` on.

y = scale x / sqrt(mean(x^2) + epsilon)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import steps
from normonnx.catalogue.arithmetic import trailing
from normonnx.catalogue.layers import affine_of
from normonnx.catalogue.norm import (
    ONNX_EPSILON,
    Array,
    Attribute,
    Dim,
    Extent,
    Form,
    Norm,
    Operator,
    Parameter,
    Reading,
    Region,
    Share,
    epsilon,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer


def formula(x: Array, scale: Array, *, axis: int, epsilon: float, **_: object) -> tuple[Array, ...]:
    """Y, and 1 / sqrt(mean(x^2) + epsilon)."""
    square = np.mean(x * x, axis=tuple(trailing(axis, x.ndim)), keepdims=True)
    inverse = 1 / np.sqrt(square + epsilon)
    return x * inverse * scale, inverse


def _finish(op: Tracer, x: ir.Value, z: ir.Value, scale: ir.Value) -> ir.Value:
    return op.back(steps.scaled(op, z, scale), x)


def _body(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    rows = op("Flatten", op.wide(x), axis=op.slot("axis"))
    z = op("Div", rows, steps.deviation(op, rows, lambda value: op.mean(value, (1,))))
    return _finish(op, x, op.like(z, x), scale)


def _axes(op: Tracer) -> range:
    return trailing(op.known("axis"), op.rank)


def _root(op: Tracer, square: ir.Value) -> ir.Value:
    return op("Sqrt", op("Add", square, op.scalar("epsilon")))


def _chain(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    """As torch writes it below opset 23."""
    wide = op.wide(x)
    root = _root(op, op.mean(op("Pow", wide, op.numbers(2.0)), _axes(op)))
    return _finish(op, x, op("Mul", wide, op("Reciprocal", root)), scale)


def _fused(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    """ONNX Runtime makes one kernel of it where the axis is the last."""
    z = steps.uncentered_chain(op, op.wide(x), *_axes(op))
    return op.back(steps.fused_affine(op, z, scale), x)


def _division(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    wide = op.wide(x)
    root = steps.deviation(op, wide, lambda value: op.mean(value, _axes(op)))
    return _finish(op, x, op("Div", wide, root), scale)


def _sum(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    wide = op.wide(x)
    count = steps.product(op.facts.shape[op.known("axis") % op.rank :])
    total = op.reduce("ReduceSumSquare", wide, _axes(op))
    root = _root(op, op("Div", total, op.numbers(float(count or 1))))
    return _finish(op, x, op("Div", wide, root), scale)


def _native(op: Tracer, x: ir.Value, scale: ir.Value) -> ir.Value:
    y = op(
        "RMSNormalization",
        op.wide(x),
        steps.trailing_parameter(op, scale),
        axis=op.slot("axis"),
        epsilon=op.slot("epsilon"),
        v=op.stash(),
    )
    return op.back(y, x)


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """RMSNormalization-23, and ONNX Runtime's SimplifiedLayerNormalization."""
    attributes: dict[str, int | float | tuple[int, ...]] = {
        "axis": op.int("axis", -1),
        "epsilon": op.float("epsilon", ONNX_EPSILON),
    }
    scale = {"scale": cast("Array", inputs[1])}
    return Reading("RMSNorm", scale, attributes, extra=op.outputs - 1)


def layer(module: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:  # a torch module
    """torch.nn.RMSNorm; eps=None is the machine epsilon of the type that it computes in."""
    given: dict[str, Any] = {**affine_of(module), "axis": -len(module.normalized_shape)}
    double = given["scale"].dtype == np.float64 if "scale" in given else False
    machine = np.finfo(np.float64 if double else np.float32).eps
    return "RMSNorm", {**given, "epsilon": float(machine if module.eps is None else module.eps)}


RMS_NORM: Final = Norm(
    name="RMSNorm",
    aliases=("RootMeanSquareNorm", "T5LayerNorm"),
    parameters=(Parameter("scale", Extent.TRAILING, "multiplies each feature (gamma)", 1.0),),
    attributes=(
        Attribute.int("axis", -1, "first of the axes that are normalized"),
        epsilon(to="the mean square"),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            since=23,
            native=True,
            requires=steps.knows_trailing,
            operators=("RMSNormalization",),
        ),
        Form("chain with Mul and Div, by rows", _body, since=13, generic=True),
        Form("chain with Pow and Div", _fused),
        Form("chain with Pow and Reciprocal", _chain),
        Form("chain with Mul and Div", _division),
        Form("chain with ReduceSumSquare", _sum, requires=steps.knows_sizes_from_axis),
    ),
    equation="y = scale x / sqrt(mean(x^2) + epsilon)",
    region=Region(Share.ONE, Share.ALL, Share.ONE, layout="N*C"),
    source="Zhang and Sennrich, RMS Layer Normalization, 2019; ONNX RMSNormalization-23",
    use="large language models (Llama, T5, Gemma): LayerNorm without the mean and the bias",
    min_rank=1,
    readers={("", "RMSNormalization"): read, ("", "SimplifiedLayerNormalization"): read},
    fused=(("com.microsoft", "SkipSimplifiedLayerNormalization"),),
    layers={"torch.nn.RMSNorm": layer},
)
