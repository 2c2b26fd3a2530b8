"""A tensor in a few numbers, so that two evaluations can be compared without keeping either.

A sketch is a random projection: each of its entries is a sum over the tensor with random weights of
mean 0 and variance 1, the same for every tensor of a size. The root mean square over the entries of
a difference of two sketches estimates the norm of the difference of the tensors (Achlioptas,
Database-friendly random projections, 2003), whatever their shapes, to about a quarter with 16
entries. Tensors that hold the same numbers in another order are told by their moments.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from normonnx.core.dtypes import is_float

Array = npt.NDArray[Any]
_ENTRIES: Final = 16
_BLOCK: Final = 1024
_SEED: Final = 11
_SAFE: Final = (1e-80, 1e80)  # beyond, cubes overflow or vanish


@dataclass(frozen=True, slots=True, eq=False)
class Sketch:
    """What is kept of a tensor.

    Attributes:
        shape: Of the tensor.
        norm: Root of the sum of squares.
        entries: Projections of the flat tensor.
        moments: Mean, mean absolute value, and signed root mean square and cube; of any order.
        odd: How many entries are NaN or infinite; these count as 0 elsewhere.
        is_float: Whether the tensor holds floating-point numbers.
    """

    shape: tuple[int, ...]
    norm: float
    entries: Array
    moments: Array
    odd: int
    is_float: bool

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


def sketch(found: Any) -> Sketch | None:  # noqa: ANN401  # what a kernel returns
    """The sketch of an array of numbers; None for everything else."""
    if not isinstance(found, np.ndarray | np.generic) or np.asarray(found).dtype.kind in "OUSc":
        return None
    array = np.asarray(found)
    flat = np.asarray(array, np.float64).reshape(-1)
    size = np.abs(flat)
    top = float(size.max()) if flat.size else 0.0
    odd = 0
    if not np.isfinite(top):
        finite = np.isfinite(flat)
        odd = int(flat.size - np.count_nonzero(finite))
        flat = np.where(finite, flat, 0.0)
        size = np.abs(flat)
        top = float(size.max())
    unit = top if not _SAFE[0] < top < _SAFE[1] and top > 0 else 1.0
    if unit != 1.0:
        flat, size = flat / unit, size / unit
    return Sketch(
        array.shape,
        unit * float(np.sqrt(np.dot(flat, flat))),
        unit * _projected(flat),
        unit * _moments(flat, size),
        odd,
        is_float(array.dtype),
    )


def distance(one: Sketch, other: Sketch) -> float:
    """Estimated norm of the difference of two tensors of one size, in order."""
    return float(np.sqrt(np.mean(np.square(one.entries - other.entries))))


def moved_by(one: Sketch, other: Sketch) -> float:
    """How far the moments of two tensors lie apart, in units of a tensor's norm over sqrt(size)."""
    return float(np.max(np.abs(one.moments - other.moments)))


def _projected(flat: Array) -> Array:
    """Random weights for a block, times a random sign for each block."""
    blocks = -(-flat.size // _BLOCK)
    if flat.size % _BLOCK:
        flat = np.concatenate([flat, np.zeros(blocks * _BLOCK - flat.size)])
    within = flat.reshape(blocks, _BLOCK) @ _weights()
    return np.asarray(np.einsum("be,be->e", within, _signs(blocks)))


@functools.cache
def _weights() -> Array:
    return np.random.default_rng(_SEED).standard_normal((_BLOCK, _ENTRIES))


def _signs(blocks: int) -> Array:
    known = _all_signs(1 << max(0, blocks - 1).bit_length())
    return known[:blocks]


@functools.cache
def _all_signs(blocks: int) -> Array:
    rows = [np.random.default_rng([_SEED, row]) for row in range(_ENTRIES)]
    return np.stack([row.choice([-1.0, 1.0], blocks) for row in rows], axis=1)


def _moments(flat: Array, size: Array) -> Array:
    if not flat.size:
        return np.zeros(4)
    square, count = flat * flat, flat.size
    cube = float(np.dot(square, flat)) / count
    return np.array(
        [
            flat.sum() / count,
            size.sum() / count,
            np.sqrt(square.sum() / count),
            np.cbrt(cube),
        ]
    )
