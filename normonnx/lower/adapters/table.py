"""All adapters: by operator, and the higher of the two opsets between which a node crosses."""

from __future__ import annotations

from typing import Final

from normonnx.lower.adapters import (
    axes,
    normalizing,
    pointwise,
    quantizing,
    resampling,
    selecting,
    softmax,
)
from normonnx.lower.crossing import Table

UP: Final[Table] = {
    **axes.UP,
    **normalizing.UP,
    **pointwise.UP,
    **resampling.UP,
    **selecting.UP,
    **softmax.UP,
}
DOWN: Final[Table] = {
    **axes.DOWN,
    **normalizing.DOWN,
    **pointwise.DOWN,
    **quantizing.DOWN,
    **resampling.DOWN,
    **selecting.DOWN,
    **softmax.DOWN,
}
