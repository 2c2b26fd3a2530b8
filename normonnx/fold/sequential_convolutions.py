"""Two convolutions in a row become one where this multiplies less, one of them having one tap.

One tap after a kernel: W[m, c, i] = sum over j of B[m, j] A[j, c, i], bias B a + b; strides
multiply. One tap before a kernel: W[m, c, i] = sum over j of B[m, j, i] A[j, c], bias b plus the
sum of B[m, j, i] a[j], which is right where B reads no padding: there a would be missing. A stride
s of the first spreads the window of the second, for floor((floor(n / s) + e) / t) is
floor((n + s e) / (s t)).

Groups: with g = gcd(group of A, group of B) the result has g groups, for output group i of g reads
only group i of A's outputs, which reads only group i of the inputs.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import FloatArray
from normonnx.fold.combination import KernelProduct, Placed, Product
from normonnx.fold.constant_convolution import (
    Convolution,
    bias_edits,
    convolution_of,
    is_convolution,
    rows_of,
)
from normonnx.fold.plan import Bypass, CombinedWeight, Plan, Refusal, Rows, SetInput, merge
from normonnx.fold.sum_tree import is_read_once
from normonnx.fold.surroundings import Surroundings, described
from normonnx.fold.window import Taps, Window, attribute_edits, size
from normonnx.fold.worth import growth
from normonnx.graph.walk import label

_EVERY: Final = slice(None)


def plan(surroundings: Surroundings, node: ir.Node) -> Plan | Refusal | None:
    """One Conv for this one and the one before it; None where there is no such pair."""
    first = node.inputs[0].producer() if is_convolution(node) and node.inputs[0] else None
    if first is None or not is_convolution(first) or first.graph is not node.graph:
        return None
    pair = f"it and {described(first)} before it stay two: "
    if not is_read_once(first.outputs[0]):
        return Refusal(f"{pair}the output of the first is also read elsewhere", quiet=True)
    found = []
    for one in (first, node):
        convolution = convolution_of(surroundings, one)
        if isinstance(convolution, Refusal):
            return Refusal(f"{pair}{label(one)!r}: {convolution.reason}", quiet=True)
        found.append(convolution)
    refusal = _refusal(*found)
    if refusal is not None:
        return Refusal(pair + refusal.reason, quiet=refusal.quiet)
    return _plan(surroundings, *found)


def _refusal(first: Convolution, second: Convolution) -> Refusal | None:
    """Why two Convs can't, or had better not, become one."""
    if first.outputs != second.inputs or len(first.window) != len(second.window):
        return Refusal("the second does not fit the outputs of the first")
    if first.weight.dtype != second.weight.dtype:
        return Refusal(f"their weights are {first.weight.dtype} and {second.weight.dtype}")
    if size(first.window) > 1 and size(second.window) > 1:
        return Refusal("both have more than one tap", quiet=True)
    one_tap = second if size(second.window) == 1 else first
    if any(taps.is_padded for taps in one_tap.window):
        return Refusal(f"{label(one_tap.node)!r} has one tap, but pads its input")
    if one_tap is first:
        padded = any(taps.is_padded for taps in second.window)
        if padded and first.bias is not None and np.any(first.bias):
            return Refusal("the padding between them lacks the bias of the first")
        if any(taps.excess > 0 for taps in second.window):
            return Refusal("the second has more outputs than inputs, which the first works for")
    return _worth(first, second)


def _worth(first: Convolution, second: Convolution) -> Refusal | None:
    """A Refusal unless one Conv multiplies less for each place of the output than the two."""
    before = _weights(first) + _weights(second)
    after = math.prod(_shape(first, second))
    if after < before:
        return None
    return Refusal(
        f"one would multiply {after} times for each place of its output, the two do {before} times"
    )


def _weights(found: Convolution) -> int:
    return math.prod(found.weight.shape)


def _group(first: Convolution, second: Convolution) -> int:
    return math.gcd(first.group, second.group)


def _shape(first: Convolution, second: Convolution) -> tuple[int, ...]:
    """Shape of the weight of both."""
    kernel = first if size(second.window) == 1 else second
    return (
        second.outputs,
        first.inputs // _group(first, second),
        *(taps.count for taps in kernel.window),
    )


def _plan(surroundings: Surroundings, first: Convolution, second: Convolution) -> Plan | Refusal:
    shape, group = _shape(first, second), _group(first, second)
    too_large = growth([first.node, second.node], [first.weight, second.weight], math.prod(shape))
    if too_large is not None:
        return too_large
    left, right = _in_groups(surroundings, second, group), _in_groups(surroundings, first, group)
    kernel_first = size(second.window) == 1
    rows = Product(left, right, group) if kernel_first else KernelProduct(left, right, group)
    weight, node = second.weight, second.node
    combined = CombinedWeight(rows, weight.dtype, weight.value.name or "weight", weight.value)
    edits = (
        SetInput(node, 1, combined),
        *bias_edits(node, _bias(first, second, left), weight),
        *attribute_edits(node, _window(first, second), group),
        Bypass(first.node, 0),
    )
    reason = f"{described(first.node)} multiplied into {described(node)}, which follows it"
    return merge(node, edits, reason)


def _in_groups(surroundings: Surroundings, found: Convolution, group: int) -> Rows:
    """The weight of a Conv written in fewer groups."""
    rows = rows_of(surroundings, found.weight)
    if found.group == group:
        return rows
    shape = (found.outputs, found.inputs // group, *found.weight.shape[2:])
    return Placed(rows, found.group, shape, group, (_EVERY,) * len(found.window))


def _bias(first: Convolution, second: Convolution, left: Rows) -> FloatArray | None:
    """The bias of both."""
    if first.bias is None or not np.any(first.bias):
        return second.bias
    group = _group(first, second)
    summed = left.rows(0, second.outputs)
    summed = summed.reshape(*summed.shape[:2], -1).sum(axis=2)
    moved: FloatArray = np.einsum(
        "gmj,gj->gm",
        summed.reshape(group, second.outputs // group, -1),
        first.bias.reshape(group, -1),
    ).reshape(-1)
    return moved if second.bias is None else moved + second.bias


def _window(first: Convolution, second: Convolution) -> Window:
    """Where both together read the input of the first."""
    if size(second.window) == 1:
        return tuple(
            Taps(one.start, one.step, one.count, one.stride * other.stride, one.excess)
            for one, other in zip(first.window, second.window, strict=True)
        )
    return tuple(
        Taps(
            one.stride * other.start,
            one.stride * other.step if other.count > 1 else 1,
            other.count,
            one.stride * other.stride,
            one.stride * other.excess,
        )
        for one, other in zip(first.window, second.window, strict=True)
    )
