"""What several formulas share, in float64; every variance is that of centered numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normonnx.catalogue.norm import Array


def along_channels(vector: Array, rank: int) -> Array:
    """A vector (C) to stand along axis 1 of an array of that rank; other shapes as they are."""
    return vector.reshape(1, -1, *[1] * (rank - 2)) if np.ndim(vector) == 1 else vector


def moments(x: Array, axes: Sequence[int]) -> tuple[Array, Array, Array]:
    """Centered numbers, mean, and population variance over axes, which are kept as 1."""
    mean = x.mean(axis=tuple(axes), keepdims=True)
    centered = x - mean
    rest = centered.mean(axis=tuple(axes), keepdims=True)  # what the mean itself rounded away
    centered = centered - rest
    return centered, mean + rest, np.mean(centered * centered, axis=tuple(axes), keepdims=True)


def standardized(x: Array, axes: Sequence[int], epsilon: float) -> Array:
    """Mean 0 and variance 1 over axes: (x - mean) / sqrt(variance + epsilon)."""
    centered, _, variance = moments(x, axes)
    return centered / np.sqrt(variance + epsilon)


def spatial(rank: int) -> range:
    """Axes behind batch and channels."""
    return range(2, rank)


def trailing(axis: int, rank: int) -> range:
    """Axes from `axis` on."""
    return range(axis % rank, rank)


def per_sample(vector: Array, rank: int) -> Array:
    """(N, C) to stand on axes 0 and 1."""
    return vector.reshape(*vector.shape, *[1] * (rank - vector.ndim))
