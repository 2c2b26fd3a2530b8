"""Elementwise operators, reductions and softmax in float64 (ONNX operator specification)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel

_NODES = 64  # expansion points of erf per unit
_REACH = 6.0  # beyond, erf is 1 in float64
_TERMS = 10
_SOFTMAX_AXIS_IS_LAST = 13  # before, Softmax flattened its input from `axis` on


def _unary(function: Callable[[Any], Any]) -> Kernel:
    def kernel(_call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
        return (np.asarray(function(inputs[0])),)

    return kernel


def _binary(function: Callable[[Any, Any], Any]) -> Kernel:
    def kernel(_call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
        return (np.asarray(function(inputs[0], inputs[1])),)

    return kernel


def _variadic(function: Callable[[Any, Any], Any]) -> Kernel:
    """Of one input or more, from the first to the last."""

    def kernel(_call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
        return (np.asarray(functools.reduce(function, inputs)),)

    return kernel


def _mean(_call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    return (np.asarray(functools.reduce(np.add, inputs) / len(inputs)),)


def _divide(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(np.divide(a, b))
    quotient = np.abs(a) // np.where(b == 0, 1, np.abs(b))  # integers truncate towards zero
    return np.asarray(np.where((a < 0) != (b < 0), -quotient, quotient).astype(a.dtype))


def _power(a: Array, b: Array) -> Array:
    if b.size == 1 and float(b.reshape(-1)[0]) == 2.0:  # noqa: PLR2004
        return np.asarray(np.multiply(a, a))
    return np.asarray(np.power(a, b).astype(a.dtype))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + small), small / (1 + small)))


@functools.cache
def _erf_tables() -> Array:
    """Taylor coefficients of erf around k/64: g0 = erf, then those of its derivative's series.

    With g = erf' = 2/sqrt(pi) exp(-x²), g' = -2 x g gives (n+1) g[n+1] = -2 (x g[n] + g[n-1]).
    """
    points = np.arange(int(_REACH * _NODES) + 1) / _NODES
    series = [2 / math.sqrt(math.pi) * np.exp(-points * points)]
    previous = np.zeros_like(points)
    for n in range(_TERMS):
        following = -2 * (points * series[-1] + previous) / (n + 1)
        previous = series[-1]
        series.append(following)
    table = [np.array([math.erf(point) for point in points])]
    table += [coefficient / (n + 1) for n, coefficient in enumerate(series)]
    return np.stack(table)


def erf(x: Array) -> Array:
    """The error function to the last digits of float64; numpy has none."""
    table = _erf_tables()
    size = np.minimum(np.abs(x), _REACH)
    with np.errstate(invalid="ignore"):
        index = np.where(np.isnan(size), 0, np.rint(size * _NODES)).astype(np.intp)
    offset = size - index / _NODES
    total = np.zeros_like(offset)
    for coefficients in table[::-1]:
        total = total * offset + coefficients[index]
    return np.asarray(np.copysign(total, x))


def gelu(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """x Phi(x), exactly or by tanh (Hendrycks and Gimpel, 2016)."""
    x = inputs[0]
    if call.text("approximate", "none") == "tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        return (0.5 * x * (1 + np.tanh(inner)),)
    return (0.5 * x * (1 + erf(x / math.sqrt(2))),)


def softmax(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """exp(x) over its sum, shifted by the largest entry."""
    x = inputs[0]
    flat, axis = _softmax_layout(call, x)
    raised = np.exp(flat - flat.max(axis=axis, keepdims=True))
    return ((raised / raised.sum(axis=axis, keepdims=True)).reshape(x.shape),)


def log_softmax(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Logarithm of softmax."""
    x = inputs[0]
    flat, axis = _softmax_layout(call, x)
    shifted = flat - flat.max(axis=axis, keepdims=True)
    total = np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return ((shifted - total).reshape(x.shape),)


def _softmax_layout(call: Invocation, x: Array) -> tuple[Array, int]:
    if call.version >= _SOFTMAX_AXIS_IS_LAST:
        return x, call.int("axis", -1)
    axis = call.int("axis", 1) % max(x.ndim, 1)
    return x.reshape(math.prod(x.shape[:axis]), -1), 1


def _reduction(function: Callable[..., Any]) -> Kernel:
    def kernel(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
        x = inputs[0]
        axes = call.axes(inputs)
        if not axes and call.int("noop_with_empty_axes", 0):
            return (_reduce_nothing(function, x),)
        axis = tuple(axes) if axes else tuple(range(x.ndim))
        found = function(x, axis=axis, keepdims=call.int("keepdims", 1) != 0)
        return (np.asarray(found).astype(x.dtype),)

    return kernel


def _reduce_nothing(function: Callable[..., Any], x: Array) -> Array:
    return np.asarray(function(x[None], axis=(0,), keepdims=False)).astype(x.dtype)


def _sum_of_squares(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sum(x * x, axis=axis, keepdims=keepdims))


def _euclidean(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sqrt(_sum_of_squares(x, axis=axis, keepdims=keepdims)))


def _absolute_sum(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    return np.asarray(np.sum(np.abs(x), axis=axis, keepdims=keepdims))


def clip(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Limit to [min, max], attributes before version 11 and inputs since."""
    x = inputs[0]
    low = inputs[1] if len(inputs) > 1 else None
    high = inputs[2] if len(inputs) > 2 else None  # noqa: PLR2004
    if "min" in call.attributes:
        low = np.asarray(call.float("min", 0.0))
    if "max" in call.attributes:
        high = np.asarray(call.float("max", 0.0))
    y = x if low is None else np.maximum(x, low)
    y = y if high is None else np.minimum(y, high)
    return (np.asarray(y).astype(x.dtype),)


def prelu(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Slope where negative."""
    x, slope = inputs
    return (np.where(x < 0, x * slope, x).astype(x.dtype),)


def leaky_relu(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """alpha x where negative."""
    x = inputs[0]
    return (np.where(x < 0, call.float("alpha", float(np.float32(0.01))) * x, x),)


def dropout(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """In inference the identity; in training it is random, which the judge excludes."""
    x = inputs[0]
    return (x, np.ones(x.shape, dtype=bool))[: call.outputs]


ELEMENTWISE: dict[str, Kernel] = {
    "Abs": _unary(np.abs),
    "Add": _binary(np.add),
    "Clip": clip,
    "Cos": _unary(np.cos),
    "Div": _binary(_divide),
    "Dropout": dropout,
    "Erf": _unary(erf),
    "Exp": _unary(np.exp),
    "Gelu": gelu,
    "LeakyRelu": leaky_relu,
    "Log": _unary(np.log),
    "LogSoftmax": log_softmax,
    "Max": _variadic(np.maximum),
    "Mean": _mean,
    "Min": _variadic(np.minimum),
    "Mul": _binary(np.multiply),
    "Neg": _unary(np.negative),
    "PRelu": prelu,
    "Pow": _binary(_power),
    "Reciprocal": _unary(np.reciprocal),
    "ReduceL1": _reduction(_absolute_sum),
    "ReduceL2": _reduction(_euclidean),
    "ReduceMean": _reduction(np.mean),
    "ReduceSum": _reduction(np.sum),
    "ReduceSumSquare": _reduction(_sum_of_squares),
    "Relu": _unary(lambda x: np.maximum(x, 0)),
    "Sigmoid": _unary(sigmoid),
    "Sin": _unary(np.sin),
    "Softmax": softmax,
    "Softplus": _unary(lambda x: np.logaddexp(x, 0)),
    "Sqrt": _unary(np.sqrt),
    "Sub": _binary(np.subtract),
    "Sum": _variadic(np.add),
    "Tanh": _unary(np.tanh),
}
