"""BatchNorm with batch statistics: each channel standardized over the batch and its positions.

y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias over (N, positions). What a model in
training mode computes, and one whose layers track no running statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import along_channels, moments
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.layers import affine_of, array
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
from normonnx.core.errors import UsageError

_MOMENTUM: Final = float(np.float32(0.9))
_TWO_TYPES: Final = 15  # scale and bias may be of another type than the statistics


def formula(  # as many inputs as the operator has
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float,
    momentum: float = _MOMENTUM,
    ddof: int = 0,
    **_: object,
) -> tuple[Array, ...]:
    """Y, and the running mean and variance after this batch."""
    axes = (0, *range(2, x.ndim))
    centered, found_mean, found_var = moments(x, axes)
    y = centered / np.sqrt(found_var + epsilon)
    y = y * along_channels(scale, x.ndim) + along_channels(bias, x.ndim)
    count = x.size / x.shape[1]
    channels = x.shape[1]
    with np.errstate(all="ignore"):
        unbiased = found_var * (np.float64(count) / (count - ddof))
    kept = [np.broadcast_to(old, (channels,)) * momentum for old in (mean, var)]
    new = [found.reshape(-1) * (1 - momentum) for found in (found_mean, unbiased)]
    return y, kept[0] + new[0], kept[1] + new[1]


def _flat(op: Tracer, value: ir.Value) -> ir.Value:
    return op.reshape(value, -1)


def _running(op: Tracer, old: ir.Value, found: ir.Value) -> ir.Value:
    momentum = op.scalar("momentum")
    rest = op("Sub", op.numbers(1.0), momentum)
    kept = op("Mul", op.wide(old), momentum)
    return op.back(op("Add", kept, op("Mul", _flat(op, found), rest)), old)


def _body(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, mean: ir.Value, var: ir.Value
) -> Sequence[ir.Value]:
    rows = steps.rows_of_channels(op, op.wide(x))
    over = (0, 2)
    found, found_mean = steps.centered(op, rows, lambda value: op.mean(value, over))
    found_var = op.mean(op("Mul", found, found), over)
    z = op("Div", found, op("Sqrt", op("Add", found_var, op.scalar("epsilon"))))
    y = steps.by_channel_of_rows(op, x, z, scale, bias)
    count = op.wide_count(rows, 0, 2)
    unbiased = op("Mul", found_var, op("Div", count, op("Sub", count, op.scalar("ddof"))))
    running = _running(op, mean, found_mean), _running(op, var, unbiased)
    return y, *running


def _axes(op: Tracer) -> tuple[int, ...]:
    return (0, *range(2, op.rank))


def _chain(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, _mean: ir.Value, _var: ir.Value
) -> ir.Value:
    z = steps.chain(op, op.wide(x), *_axes(op))
    return steps.by_channel(op, x, z, scale, bias)


def _statistics_then_inference(
    op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value, _mean: ir.Value, _var: ir.Value
) -> ir.Value:
    found, _ = steps.centered(op, op.wide(x), lambda value: op.mean(value, _axes(op)))
    var = _flat(op, op.mean(op("Mul", found, found), _axes(op)))
    zero = op.numbers(np.zeros(op.size(1)))
    full = [steps.per_channel(op, each) for each in (scale, bias)]
    y = op("BatchNormalization", found, *full, zero, var, epsilon=op.slot("epsilon"))
    return op.back(y, x)


def check(call: NormCall) -> None:
    """More than one number in each channel, and momentum within [0, 1].

    Raises:
        UsageError: There is only one, whose variance is always 0; or momentum lies outside.
    """
    momentum = float(cast("float", call.attributes["momentum"]))
    if momentum > 1:
        message = f"{call.norm.name}: momentum is {momentum:g}; expected 0 to 1"
        raise UsageError(message)
    sizes = (call.shape[0], *call.shape[2:])
    if all(isinstance(size, int) for size in sizes):
        count = math.prod(cast("tuple[int, ...]", sizes))
        ddof = int(cast("int", call.attributes["ddof"]))
        if count <= ddof:
            message = (
                f"{call.norm.name}: X has {count} number in each channel; expected more than "
                f"ddof = {ddof}"
            )
            raise UsageError(message)
        if count == 1 and not call.attributes["epsilon"]:
            message = (
                f"{call.norm.name}: X has one number in each channel, so its variance is 0, and "
                "epsilon is 0; expected epsilon > 0"
            )
            raise UsageError(message)


def read_training(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """BatchNormalization in training mode, opsets 7 to 15."""
    names = ("scale", "bias", "mean", "var")
    parameters = {name: cast("Array", found) for name, found in zip(names, inputs[1:], strict=True)}
    attributes: dict[str, int | float | tuple[int, ...]] = {
        "epsilon": op.float("epsilon", ONNX_EPSILON),
        "momentum": op.float("momentum", _MOMENTUM),
    }
    return Reading("BatchNormTraining", parameters, attributes, extra=op.outputs - 1)


def training_layer(module: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:
    """torch's BatchNorm layers in training, or without running statistics.

    torch's momentum is the share of the new batch, ONNX's that of the old; torch's running variance
    is the unbiased one. momentum=None is a cumulative average: 1 / (batches seen + 1).
    """
    given: dict[str, Any] = {**affine_of(module), "epsilon": module.eps, "ddof": 1}
    if module.running_mean is None:
        return "BatchNormTraining", {**given, "ddof": 0}
    share = module.momentum
    if share is None:
        share = 1 / (int(module.num_batches_tracked) + 1)
    given |= {"mean": array(module.running_mean), "var": array(module.running_var)}
    return "BatchNormTraining", {**given, "momentum": 1 - share}


BATCH_NORM_TRAINING: Final = Norm(
    name="BatchNormTraining",
    aliases=("BatchStatistics",),
    parameters=(
        Parameter("scale", Extent.CHANNELS, "multiplies each channel (gamma)", 1.0),
        Parameter("bias", Extent.CHANNELS, "added to each channel (beta)", 0.0),
        Parameter("mean", Extent.CHANNELS, "running mean before", 0.0, statistic=True),
        Parameter("var", Extent.CHANNELS, "running variance before", 1.0, statistic=True),
    ),
    attributes=(
        epsilon(),
        Attribute.float("momentum", 0.9, "share of the old running statistics", least=0.0),
        Attribute.int("ddof", 0, "1 for the unbiased running variance, as torch", least=0),
        stash_type(),
    ),
    outputs=("Y", "running_mean", "running_var"),
    formula=formula,
    forms=(
        Form("centered chain", _body, since=13, generic=True, centered=True, outputs=3),
        Form("chain", _chain),
        Form(
            "statistics, then BatchNormalization",
            _statistics_then_inference,
            centered=True,
            requires=conditions.knows_channels,
            operators=("BatchNormalization",),
        ),
    ),
    equation="y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ALL, Share.ONE, Share.ALL),
    source="Ioffe and Szegedy, Batch Normalization, 2015; BatchNormalization-15, training_mode=1",
    use=(
        "training, and networks exported in training mode by mistake. A sample's result depends on "
        "what else is in the batch, so for inference export the model in eval mode instead"
    ),
    centered=True,
    check=check,
)
