"""GroupNorm: each sample standardized over groups of channels and all positions.

y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias, scale and bias for each channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import conditions, steps
from normonnx.catalogue.arithmetic import along_channels, standardized
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
from normonnx.core.errors import UsageError

Finish = Callable[[Tracer, ir.Value, ir.Value, ir.Value, ir.Value], ir.Value]
_MICROSOFT: Final = "com.microsoft"
_MOST_CHANNELS: Final = 512
_PER_CHANNEL: Final = 21  # first version whose scale has one entry for each channel


def formula(
    x: Array, scale: Array, bias: Array, *, num_groups: int, epsilon: float, **_: object
) -> Array:
    """Standardized within groups, then scaled and shifted by channel."""
    rows = x.reshape(x.shape[0], num_groups, -1)
    y = standardized(rows, (2,), epsilon).reshape(x.shape)
    return y * along_channels(scale, x.ndim) + along_channels(bias, x.ndim)


def _groups(op: Tracer, x: ir.Value) -> ir.Value:
    return op.reshape(op.wide(x), 0, op.index("num_groups"), -1)


def _body(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    z = steps.corrected(op, _groups(op, x), 2)
    channels = steps.rows_of_channels(op, op.like(z, x))
    return steps.by_channel_of_rows(op, x, channels, scale, bias)


def _rows(op: Tracer, x: ir.Value) -> ir.Value:
    return op.reshape(op.wide(x), 0, op.known("num_groups"), -1)


def _finish(op: Tracer, x: ir.Value, z: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return steps.by_channel(op, x, op.like(z, x), scale, bias)


def _chain(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.chain(op, _rows(op, x), 2), scale, bias)


def _corrected(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _finish(op, x, steps.corrected(op, _rows(op, x), 2), scale, bias)


def _instances(
    op: Tracer,
    x: ir.Value,
    rows: ir.Value,
    parameters: tuple[ir.Value, ir.Value],
    finish: Finish,
) -> ir.Value:
    """Groups as the channels of an InstanceNormalization, whose own parameters suffice at times."""
    groups, added = op.known("num_groups"), op.slot("epsilon")
    scale, bias = (by_group(op.content(each), groups) for each in parameters)
    # Of a group of one number only the bias is left, which the operator rounds beside what cancels.
    single = steps.product(op.facts.shape[1:]) == groups
    if scale is None or bias is None or single:
        one, zero = op.numbers(np.ones(groups)), op.numbers(np.zeros(groups))
        unit = op("InstanceNormalization", rows, one, zero, epsilon=added)
        return finish(op, x, unit, *parameters)
    full = op.numbers(scale), op.numbers(bias)
    return op.back(op.like(op("InstanceNormalization", rows, *full, epsilon=added), x), x)


def by_group(parameter: Array | None, groups: int) -> Array | None:
    """The number of each group, where a parameter of shape (C,), or (1,), has one for each."""
    if parameter is None or (parameter.size % groups and parameter.size != 1):
        return None
    if parameter.size == 1:
        return np.repeat(parameter.reshape(1), groups)
    rows = parameter.reshape(groups, -1)
    return rows[:, 0] if (rows == rows[:, :1]).all() else None


def _instance(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _instances(op, x, _rows(op, x), (scale, bias), _finish)


def _centre(op: Tracer, x: ir.Value) -> ir.Value:
    rows = _rows(op, x)
    return op("Sub", rows, op.mean(rows, (2,)))


def _centered_instance(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _instances(op, x, _centre(op, x), (scale, bias), _finish)


def _instance_batch(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _instances(op, x, _rows(op, x), (scale, bias), _finish_by_batch)


def _centered_instance_batch(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    return _instances(op, x, _centre(op, x), (scale, bias), _finish_by_batch)


def _finish_by_batch(
    op: Tracer, x: ir.Value, rows: ir.Value, scale: ir.Value, bias: ir.Value
) -> ir.Value:
    """BatchNormalization of mean 0 and variance 1 is the affine."""
    full = [steps.per_channel(op, each) for each in (scale, bias)]
    channels = op.size(1)
    zero, one = op.numbers(np.zeros(channels)), op.numbers(np.ones(channels))
    y = op("BatchNormalization", op.like(rows, x), *full, zero, one, epsilon=0.0)
    return op.back(y, x)


def _group_length(call: NormCall) -> int | None:
    size = steps.product(call.shape[1:])
    return None if size is None else size // cast("int", call.attributes["num_groups"])


def _layer(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    sizes = cast("tuple[int, ...]", op.facts.shape[1:])
    one = op.numbers(np.ones(math.prod(sizes) // op.known("num_groups")))
    z = op("LayerNormalization", _rows(op, x), one, axis=-1, epsilon=op.slot("epsilon"))
    return _finish(op, x, z, scale, bias)


def _native(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    full = [steps.per_channel(op, each) for each in (scale, bias)]
    groups, added, stash = op.slot("num_groups"), op.slot("epsilon"), op.stash()
    y = op("GroupNormalization", op.wide(x), *full, num_groups=groups, epsilon=added, v=stash)
    return op.back(y, x)


def _microsoft(op: Tracer, x: ir.Value, scale: ir.Value, bias: ir.Value) -> ir.Value:
    """The kernel has channels last and float32 parameters, and sums in float32 whatever X is."""
    last = op.transpose(x, 0, 2, 3, 1)
    full = [steps.per_channel(op, each) for each in (scale, bias)]
    y = op(
        "GroupNorm",
        last,
        *full,
        domain=_MICROSOFT,
        groups=op.slot("num_groups", "groups"),
        epsilon=op.slot("epsilon"),
        activation=0,
        channels_last=1,
    )
    return op.transpose(y, 0, 3, 1, 2)


def _has_kernel(call: NormCall) -> str | None:
    """ONNX Runtime's CUDA kernel: two channels of one group a thread, groups within one block."""
    if call.dtype not in (np.float32, np.float16):
        return f"X is {call.dtype}; the operator knows float32 and float16"
    channels, groups = cast("int", call.shape[1]), cast("int", call.attributes["num_groups"])
    share = channels // groups
    if share % 2 or share > _MOST_CHANNELS:
        return f"a group has {share} channels; the kernel takes even numbers up to {_MOST_CHANNELS}"
    return None


def check(call: NormCall) -> None:
    """Channels divide into groups.

    Raises:
        UsageError: They don't; or a group is one number, whose variance is 0, and epsilon is 0.
    """
    groups, channels = cast("int", call.attributes["num_groups"]), call.shape[1]
    if isinstance(channels, int) and channels % groups:
        message = (
            f"{call.norm.name}: X has {channels} channels and num_groups is {groups}; expected a "
            f"divisor of {channels}: {', '.join(map(str, _divisors(channels)))}"
        )
        raise UsageError(message)
    if steps.product(call.shape[1:]) == groups:
        steps.check_more_than(call, (1,))


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def read(op: Operator, inputs: Sequence[Array | None]) -> Reading:
    """GroupNormalization 18, with scale and bias by group, and 21, by channel."""
    x, scale, bias = (cast("Array", each) for each in inputs[:3])
    groups = op.int("num_groups", 1)
    if op.version < _PER_CHANNEL and scale.size == groups:
        share = x.shape[1] // groups
        scale, bias = np.repeat(scale, share), np.repeat(bias, share)
    attributes = {"num_groups": groups, "epsilon": op.float("epsilon", ONNX_EPSILON)}
    return Reading("GroupNorm", {"scale": scale, "bias": bias}, attributes)


def layer(module: Any, _shape: Sequence[Dim]) -> tuple[str, dict[str, Any]]:  # a torch module
    """torch.nn.GroupNorm."""
    return "GroupNorm", {
        **affine_of(module),
        "num_groups": module.num_groups,
        "epsilon": module.eps,
    }


GROUP_NORM: Final = Norm(
    name="GroupNorm",
    aliases=("GN",),
    parameters=(
        Parameter("scale", Extent.CHANNELS, "multiplies each channel (gamma)", 1.0),
        Parameter("bias", Extent.CHANNELS, "added to each channel (beta)", 0.0),
    ),
    attributes=(
        Attribute.int("num_groups", None, "groups that the channels are divided into", least=1),
        epsilon(),
        stash_type(),
    ),
    formula=formula,
    forms=(
        Form(
            "native",
            _native,
            since=21,
            native=True,
            requires=conditions.knows_channels,
            operators=("GroupNormalization",),
        ),
        Form("centered chain", _body, since=13, generic=True, centered=True),
        Form(
            "Reshape-InstanceNorm-Reshape-Mul-Add",
            _instance,
            requires=conditions.not_double,
            operators=("InstanceNormalization",),
        ),
        Form(
            "Reshape-InstanceNorm-Reshape-BatchNorm",
            _instance_batch,
            requires=conditions.every(conditions.not_double, conditions.knows_channels),
            operators=("InstanceNormalization", "BatchNormalization"),
        ),
        Form(
            "Reshape-LayerNorm-Reshape-Mul-Add",
            _layer,
            since=17,
            requires=conditions.every(
                conditions.knows_all_but_batch, conditions.has_short_filler(_group_length)
            ),
            operators=("LayerNormalization",),
        ),
        Form("chain", _chain),
        Form("corrected chain", _corrected, centered=True),
        Form(
            "centered, then InstanceNorm",
            _centered_instance,
            centered=True,
            requires=conditions.not_double,
            operators=("InstanceNormalization",),
        ),
        Form(
            "centered, then InstanceNorm-Reshape-BatchNorm",
            _centered_instance_batch,
            centered=True,
            requires=conditions.every(conditions.not_double, conditions.knows_channels),
            operators=("InstanceNormalization", "BatchNormalization"),
        ),
        Form(
            "com.microsoft GroupNorm",
            _microsoft,
            requires=conditions.every(
                conditions.not_double,
                conditions.rank_of(4, 4),
                conditions.knows_channels,
                _has_kernel,
            ),
            operators=("com.microsoft::GroupNorm",),
            caveat=(
                "ONNX Runtime has a CUDA kernel of it and none for CPU; it takes the variance as "
                "E[x^2] - mean^2, which is wrong where the mean is far above the spread"
            ),
        ),
    ),
    equation="y = scale (x - mean(x)) / sqrt(var(x) + epsilon) + bias",
    region=Region(Share.ONE, Share.GROUP, Share.ALL, attributes={"num_groups": 2}),
    source="Wu and He, Group Normalization, 2018; ONNX GroupNormalization-21",
    use=(
        "convolutional networks that train with few samples a batch (detection, segmentation, "
        "diffusion U-Nets); 32 groups is usual. One group is LayerNorm over C and all positions, "
        "C groups are InstanceNorm"
    ),
    centered=True,
    check=check,
    readers={("", "GroupNormalization"): read},
    fused=(("com.microsoft", "GroupNorm"), ("com.microsoft", "SkipGroupNorm")),
    layers={"torch.nn.GroupNorm": layer},
)
