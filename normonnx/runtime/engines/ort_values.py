"""Types that NumPy does not know, such as bfloat16 and int4, into and out of ONNX Runtime.

Its Python bindings take and give plain NumPy types only; `OrtValue` carries any bytes under a type.
Types of less than a byte lie packed there, the first entry in the lowest bits, and ml_dtypes gives
each a byte of its own.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_EXOTIC: Final = ("bfloat16", "float8", "float4", "int4", "uint4", "int2", "uint2")
_BYTE: Final = 8
_REGISTERED: Final = 2  # dtype.isbuiltin of a type that a package has added to NumPy's own


def is_exotic(kind: str) -> bool:
    """Whether a type as onnxruntime spells it, such as tensor(bfloat16), is none of NumPy's."""
    return any(f"({name}" in kind for name in _EXOTIC)


def is_foreign(array: Any) -> bool:  # noqa: ANN401
    """Whether an array is of a type that ml_dtypes added to NumPy's own."""
    return isinstance(array, np.ndarray) and array.dtype.isbuiltin == _REGISTERED


def run(session: Any, feeds: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    """Run a session on arrays of any type; outputs that are no tensors become None."""
    values = {name: value_of(array) for name, array in feeds.items()}
    return [_array(found) for found in session.run_with_ort_values(None, values)]


def value_of(array: Any) -> Any:  # noqa: ANN401
    """An array of any type as onnxruntime's `OrtValue`, on the CPU."""
    import onnx_ir as ir  # a second of imports that most workers never need
    from onnxruntime import OrtValue

    found = np.ascontiguousarray(array).reshape(np.shape(array))
    if not is_foreign(found):
        return OrtValue.ortvalue_from_numpy(found)
    number = ir.DataType.from_numpy(found.dtype)
    bits = found.view(np.dtype(f"uint{_BYTE * found.dtype.itemsize}"))
    if number.bitwidth < _BYTE:
        bits = _packed(bits, number.bitwidth)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(bits, number.value)


def _array(value: Any) -> Any:  # noqa: ANN401
    if not value.is_tensor():
        return None
    if not is_exotic(value.data_type()):
        return value.numpy()
    import onnx_ir as ir

    number = ir.DataType(value.element_type())
    shape = tuple(value.shape())
    size = math.prod(shape)
    raw = ctypes.string_at(value.data_ptr(), math.ceil(size * number.bitwidth / _BYTE))
    if number.bitwidth < _BYTE:
        raw = _unpacked(np.frombuffer(raw, np.uint8), number.bitwidth)[:size].tobytes()
    return np.frombuffer(raw, np.dtype(number.numpy())).reshape(shape)


def _packed(entries: Array, width: int) -> Array:
    """Several entries a byte; as long as before, since the array's shape is the tensor's."""
    each = _BYTE // width
    padded = np.zeros((math.ceil(entries.size / each), each), np.uint8)
    padded.reshape(-1)[: entries.size] = entries.reshape(-1) & ((1 << width) - 1)
    packed = np.zeros(entries.size, np.uint8)
    packed[: len(padded)] = np.sum(padded << width * np.arange(each), axis=1, dtype=np.uint8)
    return packed.reshape(entries.shape)


def _unpacked(packed: Array, width: int) -> Array:
    """One entry in the low bits of each byte, as ml_dtypes has them."""
    shifted = packed[:, None] >> width * np.arange(_BYTE // width)
    return np.asarray(shifted & ((1 << width) - 1), np.uint8).reshape(-1)
