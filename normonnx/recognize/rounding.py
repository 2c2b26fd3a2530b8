"""How far numbers that are meant to be equal may lie apart."""

from __future__ import annotations

import math
from typing import Final

SINGLE: Final = 2.0**-21  # a factor such as 1 / 768 in float32, a few times over
DOUBLE: Final = 2.0**-40  # two ways to the same number in float64


def close(one: float, other: float) -> bool:
    """Whether two factors are the same up to the rounding of float32."""
    return math.isclose(one, other, rel_tol=SINGLE)
