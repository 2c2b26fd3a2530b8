"""When a sweep will be done, from how long what is done has taken.

A model's weight is its bytes plus a constant, for what any model costs: starting an interpreter and
loading what works takes as long as working on some megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONSTANT: Final = 8 << 20  # bytes that take as long as starting does


def weight(nbytes: int) -> float:
    """How much work a model of so many bytes is, in bytes."""
    return CONSTANT + nbytes


@dataclass(slots=True)
class Estimate:
    """What is left of a sweep.

    Attributes:
        left: Weight of the models that are not done.
        jobs: How many run at a time.
    """

    left: float
    jobs: int
    _seconds: float = 0.0
    _weight: float = 0.0

    def done(self, work: float, seconds: float) -> None:
        """A model of that weight is done after so many seconds of its own."""
        self.left = max(0.0, self.left - work)
        self._seconds += seconds
        self._weight += work

    def reused(self, work: float) -> None:
        """A model of that weight needs no work."""
        self.left = max(0.0, self.left - work)

    @property
    def seconds(self) -> float | None:
        """Seconds that are left; None while nothing is known."""
        if not self._weight:
            return None
        return self._seconds / self._weight * self.left / max(1, self.jobs)
