"""How long something took: on the wall, and of the processor.

On a machine that others share the wall clock also runs while they have the processor; the
processor's clock stands still then, and counts every thread of the process.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Took:
    """A time, in seconds.

    Attributes:
        wall: That went by.
        cpu: That all threads of this process spent on a processor, together.
    """

    wall: float
    cpu: float

    def of(self, repeats: int) -> Took:
        """The time of one of so many repeats."""
        return Took(self.wall / repeats, self.cpu / repeats)


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """A moment to measure from; `started` is now."""

    wall: float
    cpu: float

    @classmethod
    def started(cls) -> Self:
        """Begin now."""
        return cls(time.perf_counter(), time.process_time())

    def took(self) -> Took:
        """The time since."""
        cpu, wall = time.process_time(), time.perf_counter()
        return Took(wall - self.wall, cpu - self.cpu)
