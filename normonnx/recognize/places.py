"""What a statistic is over, in terms of the root's axes, and parameters as arrays along axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from normonnx.graph.lengths import Lengths
from normonnx.recognize.facts import Runtime
from normonnx.recognize.fields import Array, Field
from normonnx.recognize.frames import Atom, Atoms, Frame, atoms_of, merged, whole, within


@dataclass(frozen=True, slots=True)
class Place:
    """The root's axes. An axis of length 1 counts as normalized or not, as it suits.

    Attributes:
        lengths: Of the root.
        over: What the statistic is over.
    """

    lengths: Lengths
    over: Atoms

    @property
    def rank(self) -> int:
        """Of the root."""
        return len(self.lengths)

    @property
    def frame(self) -> Frame:
        """Of the root."""
        return whole(self.lengths)

    def is_over(self, axes: Iterable[int]) -> bool:
        """Whether the statistic is over just these axes."""
        wanted = atoms_of(self.frame, axes)
        return bool(wanted) and wanted == self.over

    @property
    def axes(self) -> tuple[int, ...] | None:
        """The axes that the statistic is over; None where it is over part of one."""
        found = tuple(axis for axis, dim in enumerate(self.frame) if set(dim) & self.over)
        return found if self.is_over(found) else None

    @property
    def trailing(self) -> int | None:
        """The first axis, where the statistic is over that axis and all behind it."""
        for axis in reversed(range(self.rank)):
            if self.is_over(range(axis, self.rank)):
                return axis
        return None

    @property
    def groups(self) -> int | None:
        """How many groups of channels, where it is over each group and all axes behind."""
        behind = atoms_of(self.frame, range(2, self.rank))
        channels = self.lengths[1] if self.rank > 1 else None
        if not isinstance(channels, int):
            return None
        inner = tuple(atom for atom in merged(self.over) if atom.axis == 1)
        rest = frozenset(atom for atom in self.over if atom.axis != 1)
        if rest != behind or len(inner) > 1 or not (rest or inner):
            return None
        if not inner:
            return channels
        size = inner[0].size
        if inner[0].stride != 1 or not isinstance(size, int):
            return None
        return channels // size

    def stands(self, field: Field | Runtime | None, axes: Sequence[int]) -> bool:
        """Whether a parameter runs along these axes only."""
        if field is None:
            return True
        allowed = [atom for axis in axes for atom in self.frame[axis]]
        return within(_atoms(field), allowed)

    def array(self, field: Field, axes: Sequence[int]) -> Array:
        """A parameter with one dimension for each of some axes, 1 or the axis' length."""
        full = field.spread_over(self.frame)
        return np.ascontiguousarray(full.reshape([full.shape[axis] for axis in axes]))


def _atoms(field: Field | Runtime) -> tuple[Atom, ...]:
    if isinstance(field, Field):
        return field.atoms
    return tuple(atom for dim in field.frame for atom in dim)
