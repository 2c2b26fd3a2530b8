"""LayerNorm: each row standardized over the axes from `axis` on.

y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import moments, trailing
from normonnx.catalogue.call import NormCall
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


def formula(
    x: Array, scale: Array, bias: Array, *, axis: int, epsilon: float, **_: object
) -> tuple[Array, ...]:
    """Y, the mean, and 1 / sqrt(var + epsilon)."""
    centered, mean, variance = moments(x, trailing(axis, x.ndim))
    inverse = 1 / np.sqrt(variance + epsilon)
    return centered * inverse * scale + bias, mean, inverse


def _axes(op: Tracer) -> range:
    return trailing(op.known("axis"), op.rank)


def _finish(op: Tracer, x: ir.Value, z: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return op.back(steps.affine(op, z, scale, bias), x)


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> Sequence[ir.Value]:
    rows = op("Flatten", op.wide(x), axis=op.slot("axis"))
    found, mean = steps.centered(op, rows, lambda value: op.mean(value, (1,)))
    root = steps.deviation(op, found, lambda value: op.mean(value, (1,)))
    y = _finish(op, x, op.like(op("Div", found, root), x), scale, bias)
    inverse = op("Reciprocal", root)
    kept = _kept_shape(op, x)
    return y, op("Reshape", mean, kept), op("Reshape", inverse, kept)


def _kept_shape(op: Tracer, x: ir.Value) -> ir.Value:
    """Sizes before `axis`, then ones."""
    sizes = op("Shape", x)
    ones = op("Div", sizes, sizes)
    rank = op.rank_of(x)
    axis = op("Mod", op("Add", op.index("axis"), rank), rank)
    before = op("Slice", sizes, op.ints(0), axis, op.ints(0))
    return op("Concat", before, op("Slice", ones, axis, rank, op.ints(0)), axis=0)


def _corrected(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.corrected(op, op.wide(x), *_axes(op)), scale, bias)


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _fused(op, x, op.wide(x), scale, bias)


def _fused(op: Tracer, x: ir.Value, wide: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.chain(op, wide, *_axes(op))
    return op.back(steps.fused_affine(op, z, scale, bias), x)


def _centered_chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    """ONNX Runtime fuses all but the first two operators into LayerNormalization."""
    wide = op.wide(x)
    return _fused(op, x, op("Sub", wide, op.mean(wide, _axes(op))), scale, bias)


def _reciprocal(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    axes, wide = _axes(op), op.wide(x)
    centre = op("Sub", wide, op.mean(wide, axes))
    root = steps.deviation(op, centre, lambda value: op.mean(value, axes))
    return _finish(op, x, op("Mul", centre, op("Reciprocal", root)), scale, bias)


def _operator(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, outputs: int = 1
) -> Sequence[ir.Value]:
    return op.many(
        "LayerNormalization",
        x,
        steps.trailing_parameter(op, scale),
        steps.bias_of(op, bias, steps.trailing_parameter),
        outputs=outputs,
        axis=op.slot("axis"),
        epsilon=op.slot("epsilon"),
        v=op.stash(),
    )


def _native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> Sequence[ir.Value]:
    found = _operator(op, op.wide(x), scale, bias, outputs=op.outputs)
    return op.back(found[0], x), *found[1:]


def _centered_native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    wide = op.wide(x)
    centre = op("Sub", wide, op.mean(wide, _axes(op)))
    return op.back(_operator(op, centre, scale, bias)[0], x)


def _instance(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    rows = steps.product(op.facts.shape[: op.known("axis") % op.rank])
    one, zero = op.numbers(np.ones(rows or 1)), op.numbers(np.zeros(rows or 1))
    flat = op.reshape(op.wide(x), 1, rows or 1, -1)
    z = op("InstanceNormalization", flat, one, zero, epsilon=op.slot("epsilon"))
    return _finish(op, x, op.like(z, x), scale, bias)


def _rows(call: NormCall) -> int | None:
    before = call.shape[: cast("int", call.attributes["axis"]) % len(call.shape)]
    return steps.product(before) if before else None


def check(call: NormCall) -> None:
    """As `steps.check_more_than`."""
    axis = cast("int", call.attributes["axis"])
    steps.check_more_than(call, call.shape[axis % len(call.shape) :])


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """LayerNormalization-17."""
    parameters = {
        name: found
        for name, found in zip(("scale", "bias"), inputs[1:], strict=False)
        if found is not None
    }
    attributes: dict[str, int | float | tuple[int, ...]] = {
        "axis": op.int("axis", -1),
        "epsilon": op.float("epsilon", ONNX_EPSILON),
    }
    return Reading("LayerNorm", parameters, attributes, extra=op.outputs - 1)


def layer(module: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:  # a torch module
    """torch.nn.LayerNorm."""
    axis = -len(module.normalized_shape)
    return "LayerNorm", {**affine_of(module), "axis": axis, "epsilon": module.eps}


LAYER_NORM: Final = Norm(
    name="LayerNorm",
    aliases=("LN",),
    parameters=(
        Parameter("scale", Extent.TRAILING, "multiplies each feature (gamma)", 1.0),
        Parameter("bias", Extent.TRAILING, "added to each feature (beta)", 0.0),
    ),
    attributes=(
        Attribute.int("axis", -1, "first of the axes that are normalized"),
        epsilon(),
        stash_type(),
    ),
    outputs=("Y", "Mean", "InvStdDev"),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            since=17,
            native=True,
            outputs=3,
            requires=steps.knows_trailing,
            operators=("LayerNormalization",),
        ),
        Form("centered chain", _body, since=13, generic=True, centered=True, outputs=3),
        Form(
            "centered, then native",
            _centered_native,
            since=17,
            centered=True,
            requires=steps.knows_trailing,
            operators=("LayerNormalization",),
        ),
        Form("corrected chain", _corrected, centered=True),
        Form(
            "centered, then chain with Pow and Div",
            _centered_chain,
            centered=True,
            requires=conditions.not_fused_through_a_cast,
        ),
        Form("chain with Pow and Div", _chain, requires=conditions.not_fused_through_a_cast),
        Form("chain with Mul and Reciprocal", _reciprocal),
        Form(
            "Reshape-InstanceNorm-Reshape-Mul-Add",
            _instance,
            requires=conditions.every(conditions.not_double, conditions.has_short_filler(_rows)),
            operators=("InstanceNormalization",),
        ),
    ),
    equation="y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ONE, Share.ALL, Share.ALL, attributes={"axis": 1}),
    source="Ba, Kiros and Hinton, Layer Normalization, 2016; ONNX LayerNormalization-17",
    use=(
        "transformers and recurrent networks (axis -1: over the features of one token), any batch "
        "size. Picture: axis 1, all of a sample"
    ),
    centered=True,
    min_rank=1,
    check=check,
    readers={("", "LayerNormalization"): read},
    fused=(("com.microsoft", "SkipLayerNormalization"),),
    layers={"torch.nn.LayerNorm": layer},
)
