"""MeanVarianceNorm: standardized over any axes, without scale and bias.

y = (x - mean(x)) / (sqrt(var(x)) + epsilon). The epsilon stands outside the root, as in the
function body of ONNX's MeanVarianceNormalization, where it is 1e-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import moments
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import (
    Array,
    Attribute,
    Form,
    Norm,
    Operator,
    Reading,
    Region,
    Share,
    epsilon,
    stash_type,
)
from normonnx.catalogue.tracing import Tracer
from normonnx.core.errors import UsageError

_EPSILON: Final = float(np.float32(1e-9))
_AXES_ARE_INPUTS: Final = 18


def formula(x: Array, *, axes: tuple[int, ...], epsilon: float, **_: object) -> Array:
    """Centered, and divided by the deviation plus epsilon."""
    centered, _mean, variance = moments(x, axes)
    return np.asarray(centered / (np.sqrt(variance) + epsilon))


def _divided(op: Tracer, centre: ir.Value, mean: steps.Mean) -> ir.Value:
    root = op("Sqrt", mean(op("Mul", centre, centre)))
    return op("Div", centre, op("Add", root, op.scalar("epsilon")))


def _body(op: Tracer, x: ir.Value) -> ir.Value:
    def mean(value: ir.Value) -> ir.Value:
        if op.opset >= _AXES_ARE_INPUTS:
            return op("ReduceMean", value, op.index_list("axes"), keepdims=1)
        return op("ReduceMean", value, v=op.slot("axes"), keepdims=1)

    centre, _ = steps.centered(op, op.wide(x), mean)
    return op.back(_divided(op, centre, mean), x)


def _over(op: Tracer) -> steps.Mean:
    return lambda value: op.mean(value, op.known("axes"))


def _corrected(op: Tracer, x: ir.Value) -> ir.Value:
    centre, _ = steps.centered(op, op.wide(x), _over(op))
    return op.back(_divided(op, centre, _over(op)), x)


def _chain(op: Tracer, x: ir.Value) -> ir.Value:
    wide = op.wide(x)
    return op.back(_divided(op, op("Sub", wide, _over(op)(wide)), _over(op)), x)


def _native(op: Tracer, x: ir.Value) -> ir.Value:
    y = op("MeanVarianceNormalization", op.wide(x), axes=list(op.known("axes")))
    return op.back(y, x)


def _centered_native(op: Tracer, x: ir.Value) -> ir.Value:
    wide = op.wide(x)
    centre = op("Sub", wide, _over(op)(wide))
    y = op("MeanVarianceNormalization", centre, axes=list(op.known("axes")))
    return op.back(y, x)


def _operator_epsilon(call: NormCall) -> str | None:
    added = cast("float", call.attributes["epsilon"])
    same = float(np.float32(added)) == _EPSILON
    return None if same else f"epsilon is {added:g} and the operator's is 1e-9"


def _rank_four(call: NormCall) -> str | None:
    """ONNX Runtime's kernel knows the axes of images alone."""
    axes = {axis % len(call.shape) for axis in cast("tuple[int, ...]", call.attributes["axes"])}
    usual = len(call.shape) == 4 and axes in ({0, 2, 3}, {0, 1, 2, 3})  # noqa: PLR2004
    return (
        None if usual else f"ONNX Runtime's kernel normalizes images only, not axes {sorted(axes)}"
    )


def check(call: NormCall) -> None:
    """Axes that X has, each once.

    Raises:
        UsageError: There are others, or none.
    """
    axes, rank = cast("tuple[int, ...]", call.attributes["axes"]), len(call.shape)
    inside = all(-rank <= axis < rank for axis in axes)
    if not axes or not inside or len({axis % rank for axis in axes}) != len(axes):
        message = (
            f"{call.norm.name}: axes is {list(axes)}; expected different axes from {-rank} to "
            f"{rank - 1}, for X of rank {rank}"
        )
        raise UsageError(message)


def read(op: Operator, _inputs: Sequence[Array | None]) -> Reading:
    """MeanVarianceNormalization 9 and 13."""
    axes = op.ints("axes")
    chosen = tuple(axes) if axes is not None else (0, 2, 3)
    return Reading("MeanVarianceNorm", {}, {"axes": chosen, "epsilon": _EPSILON})


_NO_EPSILON: Final = (
    "ONNX Runtime on CPU adds no epsilon: what is constant gives NaN, and where the deviation is "
    "1e-4 the result is off by 1e-5"
)
_NATIVE: Final = conditions.every(conditions.not_double, _operator_epsilon, _rank_four)

MEAN_VARIANCE_NORM: Final = Norm(
    name="MeanVarianceNorm",
    aliases=("MVN",),
    parameters=(),
    attributes=(
        Attribute.ints("axes", (0, 2, 3), "axes that are normalized"),
        epsilon(1e-9, to="the deviation, outside the root"),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            since=9,
            native=True,
            requires=_NATIVE,
            caveat=_NO_EPSILON,
            operators=("MeanVarianceNormalization",),
        ),
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form(
            "centered, then native",
            _centered_native,
            since=9,
            centered=True,
            requires=_NATIVE,
            caveat=_NO_EPSILON,
            operators=("MeanVarianceNormalization",),
        ),
        Form("chain", _chain),
        Form("corrected chain", _corrected, centered=True),
    ),
    equation="y = (x - mean(x)) / (sqrt(var(x)) + epsilon)",
    region=Region(Share.ALL, Share.ONE, Share.ALL),
    source="ONNX MeanVarianceNormalization-13",
    use="networks from Caffe and CNTK, and inputs that are standardized inside the model",
    centered=True,
    min_rank=1,
    check=check,
    readers={("", "MeanVarianceNormalization"): read},
)
