"""Normalizations and activations of ONNX Runtime's own domain, com.microsoft, in float64.

Source: ONNX Runtime's ContribOperators.md. Outputs that only training reads are not made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel
from normonnx.runtime.kernels.elementwise import erf, sigmoid

_EPSILON = float(np.float32(1e-5))
_SKIP_EPSILON = float(np.float32(1e-12))  # SkipLayerNormalization's default


def _optional(inputs: Inputs, index: int) -> Any:  # noqa: ANN401  # an array or None
    return inputs[index] if len(inputs) > index else None


def _plus(x: Array, y: Array | None) -> Array:
    return x if y is None else x + y


def skip_layer_normalization(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """LayerNorm over the last axis of input + skip + bias; output 3 is that sum."""
    total = _plus(inputs[0] + inputs[1], _optional(inputs, 4))
    bias = _optional(inputs, 3)
    found = CATALOGUE["LayerNorm"].formula(
        total,
        inputs[2],
        np.zeros(1) if bias is None else bias,
        axis=-1,
        epsilon=call.float("epsilon", _SKIP_EPSILON),
    )
    return (*found, total)[: call.outputs]


def skip_simplified_layer_normalization(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """RMSNorm over the last axis of input + skip + bias; output 3 is that sum."""
    total = _plus(inputs[0] + inputs[1], _optional(inputs, 3))
    epsilon = call.float("epsilon", _SKIP_EPSILON)
    y, inverse = CATALOGUE["RMSNorm"].formula(total, inputs[2], axis=-1, epsilon=epsilon)
    return (y, None, inverse, total)[: call.outputs]


def group_norm(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """GroupNorm, channels last unless channels_last is 0; activation 1 is x sigmoid(x)."""
    return (_group_norm(call, inputs[0], inputs[1], inputs[2]),)


def skip_group_norm(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """GroupNorm of X + skip + bias; output 1 is that sum. skip may be one row per sample."""
    x, skip = inputs[0], inputs[3]
    skip = skip.reshape(x.shape[0], 1, 1, -1) if skip.ndim == 2 else skip  # noqa: PLR2004
    total = _plus(x + skip, _optional(inputs, 4))
    return (_group_norm(call, total, inputs[1], inputs[2]), total)[: call.outputs]


def _group_norm(call: Invocation, x: Array, scale: Array, bias: Array) -> Array:
    last = call.int("channels_last", 1) != 0
    first = np.moveaxis(x, -1, 1) if last else x
    found = CATALOGUE["GroupNorm"].formula(
        first,
        scale,
        bias,
        num_groups=call.int("groups", 1),
        epsilon=call.float("epsilon", _EPSILON),
    )
    y = np.asarray(found)
    if call.int("activation", 0):
        y = y * sigmoid(y)
    return np.moveaxis(y, 1, -1) if last else y


def _biased(function: Callable[[Array], Array]) -> Kernel:
    def kernel(_call: Invocation, inputs: Inputs) -> tuple[Array]:
        return (function(_plus(inputs[0], _optional(inputs, 1))),)

    return kernel


def _gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def _fast_gelu(x: Array) -> Array:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.asarray(0.5 * x * (1 + np.tanh(inner)))


def quick_gelu(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """x sigmoid(alpha x)."""
    alpha = call.float("alpha", float(np.float32(1.702)))
    return (inputs[0] * sigmoid(alpha * inputs[0]),)


def fused_matmul(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """alpha A B with the last two axes of either transposed."""
    if call.int("transBatchA", 0) or call.int("transBatchB", 0):
        message = f"the oracle can't evaluate FusedMatMul with transBatch (node {call.node.name!r})"
        raise UnsupportedOperatorError(message)
    a, b = inputs
    a = np.swapaxes(a, -1, -2) if call.int("transA", 0) and a.ndim > 1 else a
    b = np.swapaxes(b, -1, -2) if call.int("transB", 0) and b.ndim > 1 else b
    return (np.asarray(call.float("alpha", 1.0) * np.matmul(a, b)),)


CONTRIB: dict[str, Kernel] = {
    "BiasGelu": _biased(_gelu),
    "FastGelu": _biased(_fast_gelu),
    "FusedMatMul": fused_matmul,
    "Gelu": _biased(_gelu),
    "GroupNorm": group_norm,
    "QuickGelu": quick_gelu,
    "SkipGroupNorm": skip_group_norm,
    "SkipLayerNormalization": skip_layer_normalization,
    "SkipSimplifiedLayerNormalization": skip_simplified_layer_normalization,
}
