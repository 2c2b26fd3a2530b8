"""What a form is written on: nodes as ONNX text, and the constants that they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

EPSILON: Final = 2.0**-17  # 7.6e-6, exact in float16 as well
LAYER: Final = f"LayerNormalization<axis = -1, epsilon = {EPSILON}>"
INSTANCE: Final = f"InstanceNormalization<epsilon = {EPSILON}>"
_SEED: Final = 5


@dataclass(slots=True)
class Sheet:
    """What a form is written on.

    Attributes:
        shape: Of the input.
        constants: By name, in float64 or int64.
    """

    shape: Shape
    constants: dict[str, Array] = field(default_factory=dict)

    def sizes(self, name: str, *sizes: int) -> str:
        """Add a shape, or axes."""
        self.constants[name] = np.array(sizes, np.int64)
        return name

    def numbers(self, name: str, values: npt.ArrayLike) -> str:
        """Add floating-point numbers."""
        self.constants[name] = np.asarray(values, np.float64)
        return name

    def affine(self, channels: int, *, rank: int = 1) -> None:
        """Add a scale w and a bias b, with dimensions of 1 behind the channels up to `rank`."""
        source = np.random.default_rng(_SEED)
        shape = (channels, *(1 for _ in range(rank - 1)))
        self.numbers("w", (source.integers(8, 25, channels) / 16).reshape(shape))
        self.numbers("b", (source.integers(-16, 17, channels) / 16).reshape(shape))


@dataclass(frozen=True, slots=True)
class Form:
    """One spelling.

    Attributes:
        opset: The lowest that has its operators.
        write: Writes its nodes, in ONNX text, and adds its constants.
    """

    opset: int
    write: Callable[[Sheet], str]
