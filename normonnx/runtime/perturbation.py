"""Noise of a few roundoffs on inputs and weights: how far outputs move is the noise floor."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from normonnx.core.dtypes import unit_roundoff
from normonnx.runtime.invocation import Array

_MULTIPLIER: Final = 2654435761  # of Fibonacci hashing: 2**32 over the golden ratio


@dataclass(slots=True)
class Perturbation:
    """Relative random noise of `scale` roundoffs, uniform in [-u, u] times scale, from one seed.

    Attributes:
        seed: The same seed moves the same numbers alike.
        scale: How many roundoffs.
        kernels: Whether to allow as well for what kernels are known to add by themselves, beyond
            rounding: backends need that, two models compared in float64 don't.
        alike: Move equal numbers of an array alike, as rounding does. On constant inputs every
            position of an image rounds like the next, and a mean over them averages nothing out.
    """

    seed: int
    scale: float = 1.0
    kernels: bool = False
    alike: bool = False
    _noise: Array = field(init=False, repr=False)
    _taken: int = 0

    def __post_init__(self) -> None:
        """Draw one block of noise, reused at shifting positions: weights are many."""
        self._noise = np.random.default_rng(self.seed).uniform(-1, 1, (1 << 18) + 1)

    def moved(self, array: Array, dtype: Any, times: float = 1.0) -> Array:  # noqa: ANN401  # anything numpy takes as a dtype
        """`array`, each entry moved by at most `scale` times `times` roundoffs, relative."""
        return np.asarray(array * (1 + times * self._drawn(array, dtype)))

    def shifted(self, array: Array, dtype: Any) -> Array:  # noqa: ANN401
        """`array`, each entry moved by at most `scale` roundoffs of the number 1."""
        return np.asarray(array + self._drawn(array, dtype))

    def _drawn(self, array: Array, dtype: Any) -> Array:  # noqa: ANN401
        self._taken += 1
        shape = array.shape
        size, start = math.prod(shape), self._taken * 7919 % (self._noise.size // 2)
        noise = self._noise[start:]
        if self.alike:
            return np.asarray(self.scale * unit_roundoff(dtype) * noise[_places(array, noise.size)])
        drawn = noise[:size] if size <= noise.size else np.resize(noise, size)
        return np.asarray(self.scale * unit_roundoff(dtype) * drawn.reshape(shape))


def _places(array: Array, size: int) -> Array:
    """A place below `size` for each number, the same for those that are equal in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        bits = np.asarray(array, np.float32).view(np.uint32).astype(np.uint64)
    return np.asarray((bits * np.uint64(_MULTIPLIER) >> np.uint64(16)) % np.uint64(size), np.int64)
