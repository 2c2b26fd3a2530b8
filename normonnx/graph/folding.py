"""Evaluating one node on constants, for the operators that exporters write around constants.

Arithmetic stays in the element type of the operands, rounded after each operator, because that is
what the runtime would compute. Every evaluator checks the size of its result before it makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Arrays = Sequence[npt.NDArray[Any] | None]
Evaluator = Callable[[ir.Node, Arrays, int], npt.NDArray[Any]]


NOT_FOLDED: Final = (ir.DataType.STRING, ir.DataType.COMPLEX64, ir.DataType.COMPLEX128)


class _TooLarge(Exception):  # noqa: N818  # control flow, never seen outside
    pass


_FAILURES: Final = (
    _TooLarge,
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    RuntimeError,  # numpy's, of more than 32 axes
    TypeError,
    ValueError,
)


def evaluate(
    evaluator: Evaluator, node: ir.Node, inputs: Arrays, largest: int
) -> npt.NDArray[Any] | None:
    """Apply an evaluator; None when the result is too large or the node can't be evaluated."""
    try:
        with np.errstate(all="ignore"):
            return evaluator(node, inputs, largest)
    except _FAILURES:
        return None


def _bounded(shape: Sequence[int], largest: int) -> tuple[int, ...]:
    found = tuple(int(dim) for dim in shape)
    if math.prod(found) > largest or any(dim < 0 for dim in found):
        raise _TooLarge
    return found


def _array(inputs: Arrays, index: int) -> npt.NDArray[Any]:
    found = inputs[index]
    if found is None:
        raise IndexError(index)
    return found


def _ints(node: ir.Node, name: str, inputs: Arrays, index: int) -> list[int] | None:
    """Axes and the like: an attribute in older opsets, an input in newer ones."""
    if name in node.attributes:
        return [int(number) for number in node.attributes[name].as_ints()]
    if len(inputs) > index and inputs[index] is not None:
        return [int(number) for number in _array(inputs, index).reshape(-1)]
    return None


def _int(node: ir.Node, name: str, default: int) -> int:
    return int(node.attributes[name].as_int()) if name in node.attributes else default


def _unary(function: Callable[[Any], Any]) -> Evaluator:
    def apply(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
        array = _array(inputs, 0)
        _bounded(array.shape, largest)
        return np.asarray(function(array), dtype=array.dtype)

    return apply


def _binary(function: Callable[[Any, Any], Any]) -> Evaluator:
    def apply(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
        left, right = _array(inputs, 0), _array(inputs, 1)
        _bounded(np.broadcast_shapes(left.shape, right.shape), largest)
        return np.asarray(function(left, right), dtype=left.dtype)

    return apply


def _comparison(function: Callable[[Any, Any], Any]) -> Evaluator:
    def apply(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
        left, right = _array(inputs, 0), _array(inputs, 1)
        _bounded(np.broadcast_shapes(left.shape, right.shape), largest)
        return np.asarray(function(left, right), dtype=np.bool_)

    return apply


def _remainder(node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    """With the sign of the divisor; with fmod=1 that of the dividend."""
    function = np.fmod if _int(node, "fmod", 0) else np.mod
    return _binary(function)(node, inputs, largest)


def _where(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    arrays = [_array(inputs, index) for index in range(3)]
    _bounded(np.broadcast_shapes(*(array.shape for array in arrays)), largest)
    return np.where(*arrays)


def _range(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    start, limit, delta = (_array(inputs, index).reshape(()) for index in range(3))
    count = max(math.ceil((float(limit) - float(start)) / float(delta)), 0)
    _bounded([count], largest)
    return np.asarray(start + np.arange(count) * delta, dtype=start.dtype)


def _compress(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    array, chosen = _array(inputs, 0), _array(inputs, 1)
    if "axis" not in node.attributes:
        return np.compress(chosen, array.reshape(-1))
    return np.compress(chosen, array, axis=_int(node, "axis", 0))


def _product(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    array, axes = _array(inputs, 0), _ints(node, "axes", inputs, 1)
    if not axes and _int(node, "noop_with_empty_axes", 0):
        return array
    if axes is None and len(inputs) > 1:
        raise IndexError
    over = tuple(axes) if axes else None
    keep = bool(_int(node, "keepdims", 1))
    return np.asarray(np.prod(array, axis=over, keepdims=keep), dtype=array.dtype)


def _divide(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if left.dtype.kind in "iu":
        quotient: npt.NDArray[Any] = np.trunc(left / right)
        return quotient
    return np.asarray(left / right)


def _identity(_node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    return _array(inputs, 0)


def _cast(node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    target = ir.DataType(node.attributes["to"].as_int())
    if target.bitwidth < 8 or target is ir.DataType.STRING:  # noqa: PLR2004
        raise _TooLarge
    return _converted(_array(inputs, 0), np.dtype(target.numpy()), largest)


def _cast_like(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    return _converted(_array(inputs, 0), _array(inputs, 1).dtype, largest)


def _converted(array: npt.NDArray[Any], dtype: np.dtype[Any], largest: int) -> npt.NDArray[Any]:
    _bounded(array.shape, largest)
    return array.astype(dtype)


def _expand(_node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    array = _array(inputs, 0)
    wanted = [int(dim) for dim in _array(inputs, 1).reshape(-1)]
    shape = _bounded(np.broadcast_shapes(array.shape, tuple(wanted)), largest)
    return np.broadcast_to(array, shape)


def _constant_of_shape(node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    shape = _bounded(_array(inputs, 0).reshape(-1).tolist(), largest)
    value = node.attributes.get("value")
    filler = np.zeros(1, np.float32) if value is None else value.as_tensor().numpy()
    return np.broadcast_to(filler.reshape(()), shape)


def _transpose(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    return np.transpose(_array(inputs, 0), _ints(node, "perm", (), 0))


def _reshape(node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    array = _array(inputs, 0)
    wanted = _ints(node, "shape", inputs, 1)
    if wanted is None:
        raise IndexError
    if not _int(node, "allowzero", 0):
        wanted = [array.shape[i] if dim == 0 else dim for i, dim in enumerate(wanted)]
    if not array.flags.c_contiguous:
        _bounded(array.shape, largest)
    return array.reshape(wanted)


def _unsqueeze(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    return np.expand_dims(_array(inputs, 0), tuple(_ints(node, "axes", inputs, 1) or ()))


def _squeeze(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    axes = _ints(node, "axes", inputs, 1)
    return np.squeeze(_array(inputs, 0), None if axes is None else tuple(axes))


def _flatten(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    array, axis = _array(inputs, 0), _int(node, "axis", 1)
    return array.reshape(math.prod(array.shape[:axis]), -1)


def _shape(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    shape = _array(inputs, 0).shape
    return np.asarray(shape[_int(node, "start", 0) : _int(node, "end", len(shape))], dtype=np.int64)


def shape_within(node: ir.Node, dims: tuple[int | None, ...] | None) -> npt.NDArray[Any] | None:
    """What a Shape node gives for these dimensions; None unless all that it asks for are known."""
    if dims is None or any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    wanted = dims[_int(node, "start", 0) : _int(node, "end", len(dims))]
    return None if None in wanted else np.asarray(wanted, dtype=np.int64)


def _size(_node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    return np.asarray(math.prod(_array(inputs, 0).shape), dtype=np.int64)


def _concat(node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    arrays = [_array(inputs, i) for i in range(len(inputs))]
    _bounded([sum(array.size for array in arrays)], largest)
    return np.concatenate(arrays, axis=_int(node, "axis", 0))


def _gather(node: ir.Node, inputs: Arrays, largest: int) -> npt.NDArray[Any]:
    array, indices = _array(inputs, 0), _array(inputs, 1)
    axis = _int(node, "axis", 0)
    _bounded([indices.size, array.size // max(array.shape[axis], 1)], largest)
    return np.take(array, indices, axis=axis)


def _slice(node: ir.Node, inputs: Arrays, _largest: int) -> npt.NDArray[Any]:
    array = _array(inputs, 0)
    starts, ends = _ints(node, "starts", inputs, 1), _ints(node, "ends", inputs, 2)
    if starts is None or ends is None:
        raise IndexError
    axes = _ints(node, "axes", inputs, 3) or list(range(len(starts)))
    steps = _ints(node, "steps", inputs, 4) or [1] * len(starts)
    index = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end, step)
    return array[tuple(index)]


def constant_attribute(node: ir.Node) -> npt.NDArray[Any] | None:
    """What a Constant node holds; None for strings, sparse tensors and function attributes."""
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            return None
        if name == "value":
            tensor: ir.TensorProtocol = (
                attribute.value
            )  # as_tensor checks a protocol, which is slow
            return None if tensor.dtype in NOT_FOLDED else tensor.numpy()
        if name in ("value_float", "value_floats"):
            return np.asarray(attribute.value, dtype=np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(attribute.value, dtype=np.int64)
    return None


EVALUATORS: Final[Mapping[str, Evaluator]] = {
    "Abs": _unary(np.abs),
    "Add": _binary(np.add),
    "And": _comparison(np.logical_and),
    "Cast": _cast,
    "CastLike": _cast_like,
    "Compress": _compress,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _binary(_divide),
    "Equal": _comparison(np.equal),
    "Exp": _unary(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Greater": _comparison(np.greater),
    "GreaterOrEqual": _comparison(np.greater_equal),
    "Identity": _identity,
    "Less": _comparison(np.less),
    "LessOrEqual": _comparison(np.less_equal),
    "Mod": _remainder,
    "Mul": _binary(np.multiply),
    "Neg": _unary(np.negative),
    "Not": _unary(np.logical_not),
    "Or": _comparison(np.logical_or),
    "Pow": _binary(np.power),
    "Range": _range,
    "Reciprocal": _unary(np.reciprocal),
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Sqrt": _unary(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
