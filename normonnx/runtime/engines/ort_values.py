"""Types that NumPy does not know, such as bfloat16, into and out of ONNX Runtime.

Its Python bindings take and give plain NumPy types only; `OrtValue` carries any bytes under a type.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx_ir as ir

_EXOTIC: Final = ("bfloat16", "float8", "float4")


def is_exotic(kind: str) -> bool:
    """Whether a type as onnxruntime spells it, such as tensor(bfloat16), is none of NumPy's."""
    return any(f"({name}" in kind for name in _EXOTIC)


def run(session: Any, feeds: Mapping[str, Any]) -> list[Any]:  # noqa: ANN401
    """Run a session on arrays of any type; outputs that are no tensors become None."""
    from onnxruntime import OrtValue

    values = {name: _value(OrtValue, array) for name, array in feeds.items()}
    return [_array(found) for found in session.run_with_ort_values(None, values)]


def _value(kind: Any, array: Any) -> Any:  # noqa: ANN401
    found = np.ascontiguousarray(array).reshape(np.shape(array))
    if found.dtype.kind != "V":
        return kind.ortvalue_from_numpy(found)
    bits = found.view(np.dtype(f"uint{8 * found.dtype.itemsize}"))
    number = ir.DataType.from_numpy(found.dtype).value
    return kind.ortvalue_from_numpy_with_onnx_type(bits, number)


def _array(value: Any) -> Any:  # noqa: ANN401
    if not value.is_tensor():
        return None
    if not is_exotic(value.data_type()):
        return value.numpy()
    dtype = np.dtype(ir.DataType(value.element_type()).numpy())
    shape = tuple(value.shape())
    raw = ctypes.string_at(value.data_ptr(), math.prod(shape) * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(shape)
