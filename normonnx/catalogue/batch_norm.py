"""BatchNorm: each channel shifted and scaled by statistics of the training data.

y = scale (x - mean) / sqrt(var + epsilon) + bias, channels on axis 1. At inference nothing is
measured: it is a per-channel affine, which `fold/` moves into its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import along_channels
from normonnx.catalogue.batch_norm_training import (
    BATCH_NORM_TRAINING,
    read_training,
    training_layer,
)
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.layers import affine_of, array, check_rank
from normonnx.catalogue.norm import (
    ONNX_EPSILON,
    Array,
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
from normonnx.core.errors import UsageError

_TRAINING_IS_AN_ATTRIBUTE: Final = 14


def formula(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, *, epsilon: float, **_: object
) -> Array:
    """Y = scale (X - mean) / sqrt(var + epsilon) + B."""
    factor = scale / np.sqrt(var + epsilon)
    shifted = x - along_channels(mean, x.ndim)
    return shifted * along_channels(factor, x.ndim) + along_channels(bias, x.ndim)


def _factor(op: Tracer, scale: ir.Value, var: ir.Value) -> ir.Value:
    return op("Div", op.wide(scale), op("Sqrt", op("Add", op.wide(var), op.scalar("epsilon"))))


def _body(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, mean: ir.Value, var: ir.Value
) -> ir.Value:
    rows = steps.rows_of_channels(op, op.wide(x))
    y = _shifted_and_scaled(
        op, rows, (scale, bias, mean, var), lambda parameter: op.unsqueeze(parameter, 1)
    )
    return op.back(op.like(y, x), x)


def _shifted_and_scaled(
    op: Tracer, x: ir.Value, parameters: Sequence[ir.Value], stand: steps.Stand
) -> ir.Value:
    scale, bias, mean, var = parameters
    shifted = steps.lowered(op, x, mean, stand)
    return steps.raised(op, op("Mul", shifted, stand(_factor(op, scale, var))), bias, stand)


def _affine(op: Tracer, x: ir.Value, *parameters: ir.Value) -> ir.Value:
    return op.back(_shifted_and_scaled(op, op.wide(x), parameters, op.along_channels), x)


def _native(op: Tracer, x: ir.Value, *parameters: ir.Value) -> ir.Value:
    full = [steps.per_channel(op, vector) for vector in parameters]
    y = op("BatchNormalization", op.wide(x), *full, epsilon=op.slot("epsilon"))
    return op.back(y, x)


def _depthwise(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, mean: ir.Value, var: ir.Value
) -> ir.Value:
    channels = op.size(1)
    factor = _factor(op, steps.per_channel(op, scale), var)
    weight = op.unsqueeze(factor, *range(1, op.rank))
    shifted = steps.lowered(op, op.wide(x), mean, op.along_channels)
    y = op("Conv", shifted, weight, steps.bias_of(op, bias, steps.per_channel), group=channels)
    return op.back(y, x)


def check(call: NormCall) -> None:
    """No channel may have var + epsilon <= 0.

    Raises:
        UsageError: One has.
    """
    var = call.parameters["var"]
    if isinstance(var, tuple):
        return
    least = float(np.min(var.astype(np.float64)))
    added = float(cast("float", call.attributes["epsilon"]))
    if least + added <= 0:
        place = int(np.argmin(var.astype(np.float64)))
        message = (
            f"{call.norm.name}: var is {least:g} in channel {place} and epsilon {added:g}; "
            "expected var + epsilon > 0"
        )
        raise UsageError(message)


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """BatchNormalization, opsets 7 to 15."""
    older = op.version < _TRAINING_IS_AN_ATTRIBUTE
    training = op.outputs > 1 if older else op.int("training_mode", 0) != 0
    if training:
        return read_training(op, inputs)
    names = ("scale", "bias", "mean", "var")
    parameters = {name: cast("Array", found) for name, found in zip(names, inputs[1:], strict=True)}
    if not op.int("spatial", 1):
        parameters = {name: found[None] for name, found in parameters.items()}
    return Reading("BatchNorm", parameters, {"epsilon": op.float("epsilon", ONNX_EPSILON)})


def layer(  # module: a torch module
    module: Any, shape: Sequence[Dim], *, ranks: tuple[int, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """torch's BatchNorm layers: batch statistics in training, and where none were tracked."""
    if ranks:
        check_rank(module, shape, *ranks)
    if module.training or module.running_mean is None:
        return training_layer(module, shape)
    return "BatchNorm", {
        **affine_of(module),
        "mean": array(module.running_mean),
        "var": array(module.running_var),
        "epsilon": module.eps,
    }


_RANKS: Final = {"BatchNorm1d": (2, 3), "BatchNorm2d": (4,), "BatchNorm3d": (5,)}

BATCH_NORM: Final = Norm(
    name="BatchNorm",
    aliases=("BN",),
    parameters=(
        Parameter("scale", Extent.CHANNELS, "multiplies each channel (gamma)", 1.0),
        Parameter("bias", Extent.CHANNELS, "added to each channel (beta)", 0.0),
        Parameter("mean", Extent.CHANNELS, "running mean of each channel", statistic=True),
        Parameter("var", Extent.CHANNELS, "running variance of each channel", statistic=True),
    ),
    attributes=(epsilon(), stash_type()),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            native=True,
            requires=conditions.knows_channels,
            operators=("BatchNormalization",),
        ),
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form("Sub-Mul-Add", _affine),
        Form(
            "depthwise Conv",
            _depthwise,
            requires=conditions.every(
                conditions.not_double, conditions.knows_channels, conditions.rank_of(3, 5)
            ),
        ),
    ),
    equation="y = scale (x - mean) / sqrt(var + epsilon) + bias",
    region=Region(Share.ALL, Share.ONE, Share.ALL, fixed=True),
    source="Ioffe and Szegedy, Batch Normalization, 2015; ONNX BatchNormalization-15",
    use=(
        "convolutional networks with batches of at least 16 in training. At inference it is one "
        "scale and one shift for each channel and folds into the convolution before it; with "
        "training_mode=1 it is BatchNormTraining"
    ),
    alternatives={"training_mode": BATCH_NORM_TRAINING},
    check=check,
    readers={("", "BatchNormalization"): read},
    layers={
        **{f"torch.nn.{name}": partial(layer, ranks=ranks) for name, ranks in _RANKS.items()},
        "torch.nn.SyncBatchNorm": layer,
    },
)
