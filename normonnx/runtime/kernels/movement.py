"""Operators that move, select or retype: Cast, Reshape, Gather and so on (ONNX specification).

A cast to a floating-point type is the identity here: the oracle computes in float64 throughout.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float
from normonnx.runtime import reference
from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel

_NO_SATURATION = (ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2)


def promoted(value: Any) -> Any:  # noqa: ANN401  # arrays, lists of arrays, None
    """Floating-point arrays as float64; everything else as it is."""
    if isinstance(value, list):
        return [promoted(entry) for entry in value]
    if value is None or not hasattr(value, "dtype"):
        return value
    array = np.asarray(value)
    if array.dtype == np.float64 or not is_float(array.dtype):
        return array
    return array.astype(np.float64)


def cast(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """To an integer truncates, to bool compares with 0, to floating point is exact."""
    x, target = inputs[0], ir.DataType(call.int("to", 1))
    if target is ir.DataType.STRING or x.dtype.kind in "OUS":
        return reference.run(call, inputs)
    return (_converted(x, np.dtype(target.numpy())),)


def cast_like(_call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """As Cast, to the type of the second input."""
    return (_converted(inputs[0], inputs[1].dtype),)


def _converted(x: Array, dtype: np.dtype[Any]) -> Array:
    if is_float(dtype):
        return x.astype(np.float64)
    if dtype == np.bool_:
        return np.asarray(x != 0)
    with np.errstate(invalid="ignore"):
        if dtype in _NO_SATURATION:
            return x.astype(np.int8).astype(dtype)
        return np.asarray(x.astype(dtype))


def constant_of_shape(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """One value everywhere."""
    shape = tuple(inputs[0].reshape(-1).tolist())
    filler = np.zeros(1, np.float32)
    if "value" in call.attributes:
        filler = call.attributes["value"].as_tensor().numpy()
    return (np.broadcast_to(promoted(filler).reshape(()), shape),)


def expand(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Broadcast in both directions."""
    x, wanted = inputs[0], tuple(int(dim) for dim in inputs[1].reshape(-1))
    return (np.broadcast_to(x, np.broadcast_shapes(x.shape, wanted)),)


def tile(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Repeat along each axis."""
    x, repeats = inputs[0], [int(number) for number in inputs[1].reshape(-1)]
    if len(repeats) != x.ndim:
        message = f"it has {len(repeats)} repeats for {x.ndim} axes"
        raise ValueError(message)
    return (np.tile(x, repeats),)


def reshape(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """0 copies a dimension (unless allowzero), -1 is what remains."""
    x = inputs[0]
    wanted = call.axes(inputs, name="shape") or []
    if not call.int("allowzero", 0):
        wanted = [x.shape[i] if dim == 0 else dim for i, dim in enumerate(wanted)]
    return (x.reshape(wanted),)


def transpose(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Permute the axes; reverse them without perm."""
    return (np.transpose(inputs[0], call.ints("perm")),)


def unsqueeze(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Insert axes of size 1."""
    return (np.expand_dims(inputs[0], tuple(call.axes(inputs) or ())),)


def squeeze(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Drop axes of size 1."""
    axes = call.axes(inputs)
    return (np.squeeze(inputs[0], None if axes is None else tuple(axes)),)


def flatten(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """To a matrix, split at axis."""
    x, axis = inputs[0], call.int("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    return (x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])),)


def concat(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Join along an axis."""
    return (np.concatenate(list(inputs), axis=call.int("axis", 1)),)


def split(call: Invocation, inputs: Inputs) -> tuple[Array, ...]:
    """Parts of the sizes given; else of one size, the last one smaller where it doesn't fit."""
    x, axis = inputs[0], call.int("axis", 0)
    length, sizes = x.shape[axis], call.axes(inputs, name="split")
    outputs = len(call.node.outputs)
    parts = call.int("num_outputs", outputs) if sizes is None else len(sizes)
    if parts != outputs:
        message = f"it has {parts} parts and {outputs} outputs"
        raise ValueError(message)
    if sizes is None:
        each = -(-length // parts)
        sizes = [each] * (parts - 1) + [length - each * (parts - 1)]
    if sum(sizes) != length or min(sizes, default=0) < 0:
        message = f"an axis of {length} has no parts of {sizes[:8]}"
        raise ValueError(message)
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis))


def gather(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Entries along an axis; negative indices count from the end."""
    return (np.take(inputs[0], inputs[1], axis=call.int("axis", 0)),)


def gather_elements(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """One entry per index, at the index's own position along the other axes."""
    x, indices = inputs
    axis = call.int("axis", 0) % x.ndim
    index = list(np.ix_(*(range(size) for size in indices.shape)))
    index[axis] = np.where(indices < 0, indices + x.shape[axis], indices)
    return (x[tuple(index)],)


def scatter(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """Scatter, the old name of ScatterElements."""
    x, indices, updates = inputs
    axis = call.int("axis", 0) % x.ndim
    index = list(np.ix_(*(range(size) for size in indices.shape)))
    index[axis] = np.where(indices < 0, indices + x.shape[axis], indices)
    y = x.copy()
    y[tuple(index)] = updates
    return (y,)


def shape(call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Dimensions from start to end."""
    dims = np.shape(inputs[0])
    end = call.int("end", len(dims))
    return (np.asarray(dims[call.int("start", 0) : end], dtype=np.int64),)


def identity(_call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """The input itself."""
    return (inputs[0],)


def where(_call: Invocation, inputs: Inputs) -> tuple[Array]:
    """Choose by condition."""
    return (np.asarray(np.where(inputs[0], inputs[1], inputs[2])),)


MOVEMENTS: dict[str, Kernel] = {
    "Cast": cast,
    "CastLike": cast_like,
    "Concat": concat,
    "ConstantOfShape": constant_of_shape,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "Identity": identity,
    "Reshape": reshape,
    "Scatter": scatter,
    "Shape": shape,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
    "Where": where,
}
