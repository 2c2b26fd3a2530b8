"""Kernels of the float64 oracle: where onnx's reference is wrong, slow or loses precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from normonnx.runtime.invocation import Kernel
from normonnx.runtime.kernels.contrib import CONTRIB
from normonnx.runtime.kernels.convolution import CONVOLUTIONS
from normonnx.runtime.kernels.elementwise import ELEMENTWISE
from normonnx.runtime.kernels.movement import MOVEMENTS
from normonnx.runtime.kernels.normalization import NORMALIZATIONS, SCALERS
from normonnx.runtime.kernels.pooling import POOLS
from normonnx.runtime.kernels.product import PRODUCTS
from normonnx.runtime.kernels.quantization import QUANTIZATIONS
from normonnx.runtime.kernels.recurrent import RECURRENCES
from normonnx.runtime.kernels.resize import RESIZES

KERNELS: Final[Mapping[str, Kernel]] = {
    **CONVOLUTIONS,
    **ELEMENTWISE,
    **MOVEMENTS,
    **NORMALIZATIONS,
    **POOLS,
    **PRODUCTS,
    **QUANTIZATIONS,
    **RECURRENCES,
    **RESIZES,
}
KERNELS_BY_DOMAIN: Final[Mapping[str, Mapping[str, Kernel]]] = {
    "": KERNELS,
    "ai.onnx.ml": SCALERS,
    "com.microsoft": CONTRIB,
}
