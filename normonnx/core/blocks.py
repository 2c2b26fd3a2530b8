"""Arrays in pieces that stay in the processor's cache: what is worked out of large ones is small.

A whole-array expression makes an array of the same size for each step, and waits for memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import numpy as np

from normonnx.core.dtypes import Array

LARGEST: Final = 1 << 16  # elements


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Flat pieces of arrays of one shape, the same entries of each, to be read only.

    The pieces together hold each entry once, in no certain order; they don't outlive the next one.
    """
    if arrays[0].size <= LARGEST:
        yield tuple(array.reshape(-1) for array in arrays)
        return
    iterated = np.nditer(
        arrays,
        ["external_loop", "buffered"],
        [["readonly"] for _ in arrays],
        buffersize=LARGEST,
    )
    with iterated as pieces:
        for piece in pieces:  # numpy gives the piece of a single array by itself
            yield piece if len(arrays) > 1 else cast("tuple[Array]", (piece,))


def both_finite(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The same, without the entries that are NaN or infinite in one of the arrays."""
    for piece in blocks(*arrays):
        kept = np.isfinite(piece[0])
        for other in piece[1:]:
            kept &= np.isfinite(other)
        yield piece if kept.all() else tuple(each[kept] for each in piece)
