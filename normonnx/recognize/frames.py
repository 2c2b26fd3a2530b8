"""Which part of the root each dimension of a value runs over.

A value that is computed from one tensor, the root, may be transposed, split into groups, flattened
or reduced. Each of its dimensions is a tuple of atoms: digits of the root's axes. An axis of C
channels is the one atom (axis, stride 1, size C); in G groups it is (axis, C/G, G) and (axis, 1,
C/G). A dimension of size 1 has no atom. Reshape joins and splits atoms, Transpose permutes them,
a reduction drops them. So "over channels" means the same in every view, and two values may be
added only where their dimensions run over the same atoms: lengths that happen to be equal don't
count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from normonnx.graph.lengths import Length, Lengths


class Atom(NamedTuple):
    """A digit of an axis of the root: it counts `size` steps of `stride` elements."""

    axis: int
    stride: int
    size: Length


Dim = tuple[Atom, ...]
Frame = tuple[Dim, ...]
Atoms = frozenset[Atom]


def whole(lengths: Lengths) -> Frame:
    """The frame of the root itself."""
    return tuple(_digit(axis, 1, length) for axis, length in enumerate(lengths))


def _digit(axis: int, stride: int, size: Length) -> Dim:
    return () if size == 1 else (Atom(axis, stride, size),)


def merged(atoms: Iterable[Atom]) -> Dim:
    """Digits that follow one another joined into one, in the order of the root's axes."""
    return merged_in_order(sorted(atoms, key=lambda each: (each.axis, -each.stride)))


def _follows(first: Atom, second: Atom) -> bool:
    return isinstance(second.size, int) and first.stride == second.stride * second.size


def _times(one: Length, other: Length) -> Length:
    if not isinstance(one, int) or not isinstance(other, int):
        message = "only axes of known length are split into digits"
        raise TypeError(message)
    return one * other


def atoms_of(frame: Frame, axes: Iterable[int] | None = None) -> Atoms:
    """What dimensions run over, all of them unless some are named."""
    chosen = range(len(frame)) if axes is None else axes
    return frozenset(merged(atom for axis in chosen for atom in frame[axis]))


def joined(one: Atoms, other: Atoms) -> Atoms:
    """What one or the other runs over."""
    points = cuts((one, other))
    return frozenset(merged({*split(one, points), *split(other, points)}))


def overlap(one: Iterable[Atom], other: Iterable[Atom]) -> bool:
    """Whether two sets of atoms have a digit in common."""
    first, second = tuple(one), tuple(other)
    points = cuts((first, second))
    return not set(split(first, points)).isdisjoint(split(second, points))


def within(one: Iterable[Atom], other: Iterable[Atom]) -> bool:
    """Whether every digit of the first is one of the second."""
    first, second = tuple(one), tuple(other)
    points = cuts((first, second))
    return set(split(first, points)) <= set(split(second, points))


def cuts(groups: Iterable[Iterable[Atom]]) -> dict[int, set[int]]:
    """Where digits begin and end on each axis of the root."""
    found: dict[int, set[int]] = {}
    for atom in (atom for group in groups for atom in group):
        points = found.setdefault(atom.axis, set())
        points.add(atom.stride)
        if isinstance(atom.size, int):
            points.add(atom.stride * atom.size)
    return found


def split(atoms: Iterable[Atom], points: dict[int, set[int]]) -> list[Atom]:
    """Atoms cut at these points, in order; points that are no divisors are left out."""
    found: list[Atom] = []
    for atom in atoms:
        if not isinstance(atom.size, int):
            found.append(atom)
            continue
        end, digits = atom.stride * atom.size, []
        low = atom.stride
        for point in sorted(p for p in points.get(atom.axis, ()) if atom.stride < p < end):
            if point % low == 0 and end % point == 0:
                digits.append(Atom(atom.axis, low, point // low))
                low = point
        digits.append(Atom(atom.axis, low, end // low))
        found += reversed(digits)
    return found


def broadcast(one: Frame, other: Frame) -> Frame | None:
    """The frame of a sum or product; None where dimensions run over different things.

    Nor may two dimensions run over the same: x_i x_j for every pair is no square of x.
    """
    rank = max(len(one), len(other))
    full = [((),) * (rank - len(frame)) + frame for frame in (one, other)]
    found: list[Dim] = []
    for left, right in zip(*full, strict=True):
        if left and right and left != right and merged_in_order(left) != merged_in_order(right):
            return None
        found.append(left or right)
    return tuple(found) if _runs_once(found) else None


def _runs_once(frame: Sequence[Dim]) -> bool:
    """Whether no digit stands in two places."""
    atoms = [atom for dim in frame for atom in dim]
    if len({atom.axis for atom in atoms}) == len(atoms):
        return True
    fine = split(atoms, cuts((atoms,)))
    return len(set(fine)) == len(fine)


def merged_in_order(dim: Iterable[Atom]) -> Dim:
    """A dimension with neighbours joined that count on."""
    found: list[Atom] = []
    for atom in dim:
        last = found[-1] if found else None
        if last is not None and last.axis == atom.axis and _follows(last, atom):
            found[-1] = Atom(atom.axis, atom.stride, _times(last.size, atom.size))
        else:
            found.append(atom)
    return tuple(found)


def same(one: Frame, other: Frame) -> bool:
    """Whether two values run over the same things in every dimension."""
    return len(one) == len(other) and all(
        merged_in_order(left) == merged_in_order(right)
        for left, right in zip(one, other, strict=True)
    )


def reduced(frame: Frame, axes: Sequence[int], *, keep: bool) -> Frame:
    """The frame after a reduction over some dimensions."""
    gone = set(axes)
    if keep:
        return tuple(() if axis in gone else dim for axis, dim in enumerate(frame))
    return tuple(dim for axis, dim in enumerate(frame) if axis not in gone)


def reshaped(frame: Frame, before: Lengths, after: Lengths) -> Frame | None:
    """The frame after a Reshape from some lengths to others; None where that is not certain.

    Lengths are used up from both ends, so that one dimension in the middle may have any length.
    """
    left = [(length, list(dim)) for length, dim in zip(before, frame, strict=True) if dim]
    if len(left) != sum(length != 1 for length in before):
        return _view_of_part(frame, before, after)
    source = _Digits([atom for _, dim in left for atom in dim], left)
    front: list[Dim] = []
    targets = list(after)
    while targets:
        taken = source.first(targets[0])
        if taken is None:
            break
        front.append(taken)
        targets.pop(0)
    back: list[Dim] = []
    while targets:
        taken = source.last(targets[-1])
        if taken is None:
            break
        back.insert(0, taken)
        targets.pop()
    if len(targets) > 1:
        return None
    if targets:
        front.append(merged_in_order(tuple(source.atoms)))
        source.atoms.clear()
    return (*front, *back) if not source.atoms else None


def _view_of_part(frame: Frame, before: Lengths, after: Lengths) -> Frame | None:
    """A value that is the same along some dimensions: only sizes of 1 come and go."""
    old = [dim for dim, length in zip(frame, before, strict=True) if length != 1]
    kept = [length for length in before if length != 1]
    if [length for length in after if length != 1] != kept:
        return None
    remaining = iter(old)
    return tuple(() if length == 1 else next(remaining) for length in after)


class _Digits:
    """The atoms of a value in order, to be taken from either end."""

    def __init__(self, atoms: list[Atom], dims: list[tuple[Length, list[Atom]]]) -> None:
        self.atoms = atoms
        self._dims = {id(length): dim for length, dim in dims if not isinstance(length, int)}

    def first(self, length: Length) -> Dim | None:
        """The leading digits that make a length."""
        if not isinstance(length, int):
            known = self._dims.get(id(length), [])
            if known and self.atoms[: len(known)] == known:
                del self.atoms[: len(known)]
                return tuple(known)
            if self.atoms and self.atoms[0].size is length:
                return (self.atoms.pop(0),)
            return None
        return self._counted(length, front=True)

    def last(self, length: Length) -> Dim | None:
        """The trailing digits that make a length."""
        if not isinstance(length, int):
            known = self._dims.get(id(length), [])
            if known and self.atoms[-len(known) :] == known:
                del self.atoms[-len(known) :]
                return tuple(known)
            if self.atoms and self.atoms[-1].size is length:
                return (self.atoms.pop(),)
            return None
        return self._counted(length, front=False)

    def _counted(self, length: int, *, front: bool) -> Dim | None:
        if length < 1:
            return None
        missing, taken = length, list[Atom]()
        atoms = list(self.atoms)
        while missing > 1:
            if not atoms:
                return None
            atom = atoms.pop(0 if front else -1)
            if not isinstance(atom.size, int):
                return None
            if missing % atom.size == 0:
                missing //= atom.size
                taken.append(atom)
            elif atom.size % missing == 0:
                rest = atom.size // missing
                if front:
                    taken.append(Atom(atom.axis, atom.stride * rest, missing))
                    atoms.insert(0, Atom(atom.axis, atom.stride, rest))
                else:
                    taken.append(Atom(atom.axis, atom.stride, missing))
                    atoms.append(Atom(atom.axis, atom.stride * missing, rest))
                missing = 1
            else:
                return None
        self.atoms = atoms
        return merged_in_order(tuple(taken if front else reversed(taken)))
