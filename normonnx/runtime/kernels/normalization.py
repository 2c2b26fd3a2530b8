"""Normalizations in float64, each centered before it squares.

Definitions: ONNX operator specification. BatchNormalization 7 to 15 (Ioffe and Szegedy, 2015),
LayerNormalization 17 (Ba et al., 2016), GroupNormalization 18 and 21 (Wu and He, 2018),
InstanceNormalization 6 (Ulyanov et al., 2016), RMSNormalization 23 (Zhang and Sennrich, 2019),
LRN 1 and 13 (Krizhevsky et al., 2012).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel

_EPSILON = float(np.float32(1e-5))
_PER_CHANNEL = 21  # GroupNormalization: first version whose scale has one entry per channel
_TRAINING_IS_AN_ATTRIBUTE = 14  # BatchNormalization: before, extra outputs mean training


def _along_channels(vector: Array, rank: int) -> Array:
    return vector.reshape(1, -1, *[1] * (rank - 2))


def _centered(x: Array, axes: Sequence[int] | int) -> tuple[Array, Array, Array]:
    axis = tuple(axes) if not isinstance(axes, int) else axes
    mean = x.mean(axis=axis, keepdims=True)
    centered = x - mean
    return centered, mean, np.mean(centered * centered, axis=axis, keepdims=True)


def batch_normalization(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """Y = scale (X - mean) / sqrt(var + epsilon) + B, channels on axis 1."""
    x, scale, bias, mean, var = inputs[:5]
    epsilon = call.float("epsilon", _EPSILON)
    extra = sum(1 for value in call.node.outputs[1:] if value.name)
    older = call.version < _TRAINING_IS_AN_ATTRIBUTE
    training = extra > 0 if older else call.int("training_mode", 0) != 0
    if training:
        return _batch_statistics(call, inputs, epsilon)
    if not call.int("spatial", 1):
        return (scale * (x - mean) / np.sqrt(var + epsilon) + bias,)
    factor = scale / np.sqrt(var + epsilon)
    shifted = x - _along_channels(mean, x.ndim)
    return (shifted * _along_channels(factor, x.ndim) + _along_channels(bias, x.ndim),)


def _batch_statistics(call: Invocation, inputs: Inputs, epsilon: float) -> tuple[Array, ...]:
    x, scale, bias, running_mean, running_var = inputs[:5]
    if call.outputs > 3:  # noqa: PLR2004
        message = (
            f"the oracle can't evaluate BatchNormalization with saved outputs ({call.node.name!r})"
        )
        raise UnsupportedOperatorError(message)
    axes = (0, *range(2, x.ndim))
    centered, mean, var = _centered(x, axes)
    momentum = call.float("momentum", float(np.float32(0.9)))
    factor = scale / np.sqrt(var.reshape(-1) + epsilon)
    y = centered * _along_channels(factor, x.ndim) + _along_channels(bias, x.ndim)
    running = (
        running_mean * momentum + mean.reshape(-1) * (1 - momentum),
        running_var * momentum + var.reshape(-1) * (1 - momentum),
    )
    return (y, *running)[: call.outputs]


def layer_normalization(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """Centered and divided by the deviation over axes [axis, rank), then scale and bias."""
    x, scale = inputs[0], inputs[1]
    axis = call.int("axis", -1) % x.ndim
    centered, mean, var = _centered(x, range(axis, x.ndim))
    inverse = 1 / np.sqrt(var + call.float("epsilon", _EPSILON))
    y = centered * inverse * scale
    if len(inputs) > 2 and inputs[2] is not None:  # noqa: PLR2004
        y = y + inputs[2]
    return (y, mean, inverse)[: call.outputs]


def rms_normalization(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """Divided by the root mean square over axes [axis, rank), then scaled."""
    x, scale = inputs[0], inputs[1]
    axes = tuple(range(call.int("axis", -1) % x.ndim, x.ndim))
    square = np.mean(x * x, axis=axes, keepdims=True)
    inverse = 1 / np.sqrt(square + call.float("epsilon", _EPSILON))
    return (x * inverse * scale, inverse)[: call.outputs]


def group_normalization(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Normalized within groups of channels; scale and bias per group (18) or channel (21)."""
    x, scale, bias = inputs[:3]
    groups = call.int("num_groups", 1)
    per_group = call.version < _PER_CHANNEL
    split = x.reshape(x.shape[0], groups, -1)
    centered, _, var = _centered(split, 2)
    y = centered / np.sqrt(var + call.float("epsilon", _EPSILON))
    if per_group and scale.size == groups:
        y = y * scale.reshape(1, -1, 1) + bias.reshape(1, -1, 1)
        return (y.reshape(x.shape),)
    y = y.reshape(x.shape)
    return (y * _along_channels(scale, x.ndim) + _along_channels(bias, x.ndim),)


def instance_normalization(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Normalized over the spatial axes of each channel of each sample."""
    x, scale, bias = inputs[:3]
    centered, _, var = _centered(x, range(2, x.ndim))
    y = centered / np.sqrt(var + call.float("epsilon", _EPSILON))
    return (y * _along_channels(scale, x.ndim) + _along_channels(bias, x.ndim),)


def lrn(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Divided by (bias + alpha/size * sum of squares over a window of channels) ** beta."""
    x = inputs[0]
    size = call.int("size", 1)
    alpha = call.float("alpha", float(np.float32(1e-4)))
    beta, bias = call.float("beta", 0.75), call.float("bias", 1.0)
    below, above = (size - 1) // 2, math.ceil((size - 1) / 2)
    squares = np.pad(x * x, [(0, 0), (below, above), *[(0, 0)] * (x.ndim - 2)])
    total = np.zeros_like(x)
    for offset in range(size):
        total += squares[:, offset : offset + x.shape[1]]
    return (x / (bias + alpha / size * total) ** beta,)


def lp_normalization(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Divided by the p-norm along an axis; a zero norm gives 0."""
    x, axis = inputs[0], call.int("axis", -1)
    order = call.int("p", 2)
    norm = np.linalg.norm(x, ord=order, axis=axis, keepdims=True)
    return (np.divide(x, norm, out=np.zeros_like(x), where=norm != 0),)


def mean_variance_normalization(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Centered and divided by the deviation plus 1e-9 (its function body) over axes."""
    x = inputs[0]
    axes = call.ints("axes") or [0, 2, 3]
    centered, _, var = _centered(x, axes)
    return (centered / (np.sqrt(var) + float(np.float32(1e-9))),)


NORMALIZATIONS: dict[str, Kernel] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LRN": lrn,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
    "RMSNormalization": rms_normalization,
    "SimplifiedLayerNormalization": rms_normalization,
}
