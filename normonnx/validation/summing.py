"""Sums of numbers that are all alike: their roundings have one sign, and do not average out.

Adding n numbers one after another in float32 is off by at most (n - 1) u relative to the sum of
their sizes (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2). On N(0, 1) it is
far less, since the roundings are of both signs. On a constant image, or where a network is left
with what its biases make, each addition rounds like the one before, and kernels come near that
bound. So on such inputs the noise floor takes in sums moved by n / 16 roundoffs: 16 times that, by
which backends are judged, is the bound.

The sums are those of reductions and poolings, and the means inside of normalizations: with
y = scale (x - mean) / std + bias, a mean moved by d moves y by -scale d / std.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import unit_roundoff
from normonnx.runtime.invocation import Array
from normonnx.runtime.oracle import evaluate
from normonnx.validation.truths import Truth

PROFILES_OF_EQUALS: Final = frozenset({"constant", "tiny", "subnormal", "one-hot"})
_SHARE: Final = 1 / 16
_SEEDS: Final = (700, 701, 702)
_EPSILON: Final = 1e-5
_SUMS: Final = frozenset(
    {
        "AveragePool",
        "GlobalAveragePool",
        "LpNormalization",
        "RMSNormalization",
        "ReduceL1",
        "ReduceL2",
        "ReduceMean",
        "ReduceSum",
        "ReduceSumSquare",
    }
)
_CENTERED: Final = frozenset({"GroupNormalization", "InstanceNormalization", "LayerNormalization"})


@lru_cache(maxsize=2)  # for all outputs and backends; a model and a truth are hashed by identity
def with_moved_sums(model: ir.Model, truth: Truth) -> tuple[Mapping[str, Any], ...]:
    """Outputs of a model with every sum of its main graph moved; nothing where sums are benign."""
    if truth.case.profile not in PROFILES_OF_EQUALS:
        return ()
    return tuple(_moved(model, truth, seed) for seed in _SEEDS)


def _moved(model: ir.Model, truth: Truth, seed: int) -> dict[str, Any]:
    source = np.random.default_rng(seed)

    def watch(node: ir.Node, inputs: Sequence[Any], results: Sequence[Any]) -> list[Any] | None:
        if node.domain not in ("", "ai.onnx") or not results:
            return None
        first = results[0]
        if not isinstance(first, np.ndarray) or first.dtype.kind != "f" or not first.size:
            return None
        if node.op_type in _SUMS:
            by = _bound(node, _terms(node, inputs[0], first)) * source.uniform(-1, 1, first.shape)
            return [first + by * _summed(node, inputs, first), *results[1:]]
        if node.op_type in _CENTERED:
            return [first + _recentered(node, inputs, first, source), *results[1:]]
        return None

    return evaluate(model, truth.case.feeds, watch=watch)


def _bound(node: ir.Node, terms: float) -> float:
    """Relative; what is narrower than float32 is summed in float32."""
    dtype = node.outputs[0].dtype
    double = dtype is ir.DataType.DOUBLE
    return _SHARE * terms * unit_roundoff(np.float64 if double else np.float32)


def _terms(node: ir.Node, given: Array, result: Array) -> float:
    if node.op_type == "AveragePool":
        return float(math.prod(node.attributes["kernel_shape"].as_ints()))
    if node.op_type in ("LpNormalization", "RMSNormalization"):
        return float(math.prod(given.shape[1:]))
    return given.size / result.size


def _summed(node: ir.Node, inputs: Sequence[Any], result: Array) -> Array:
    """Sizes of the terms, added up as the node does: what its error is relative to."""
    if node.op_type not in ("ReduceMean", "ReduceSum", "GlobalAveragePool"):
        return result  # all terms have one sign, or the result is as large as they are
    x = np.abs(inputs[0])
    axes: tuple[int, ...] | None = None
    if node.op_type == "GlobalAveragePool":
        axes = tuple(range(2, x.ndim))
    elif "axes" in node.attributes:
        axes = tuple(node.attributes["axes"].as_ints())
    elif len(inputs) > 1 and inputs[1] is not None:
        axes = tuple(int(axis) for axis in np.reshape(inputs[1], -1)) or None
    total = x.sum(axis=axes) if node.op_type == "ReduceSum" else x.mean(axis=axes)
    return total.reshape(result.shape) if total.size == result.size else result


def _recentered(
    node: ir.Node, inputs: Sequence[Any], result: Array, source: np.random.Generator
) -> Array:
    """How far a normalization moves when the mean inside it does."""
    x, scale = inputs[0], inputs[1]
    rows = x.reshape(_rows(node, x), -1)
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else _EPSILON
    size = np.abs(rows).mean(axis=1, keepdims=True)
    size = size / np.sqrt(rows.var(axis=1, keepdims=True) + epsilon)
    by = _bound(node, rows.shape[1]) * source.uniform(-1, 1, size.shape)
    shift = np.broadcast_to(size * by, rows.shape).reshape(result.shape)
    return np.asarray(shift * _spread(node, scale, x))


def _rows(node: ir.Node, x: Array) -> int:
    """Number of means: one for each sample and group, channel, or leading place."""
    if node.op_type == "GroupNormalization":
        return int(x.shape[0] * node.attributes["num_groups"].as_int())
    if node.op_type == "InstanceNormalization":
        return int(x.shape[0] * x.shape[1])
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
    return math.prod(x.shape[:axis])


def _spread(node: ir.Node, scale: Array, x: Array) -> Array:
    """The scale, so that it broadcasts against x."""
    if node.op_type == "LayerNormalization":
        return scale
    channels = np.repeat(scale, x.shape[1] // scale.size)  # one a group before opset 21
    return channels.reshape(1, -1, *(1 for _ in x.shape[2:]))
