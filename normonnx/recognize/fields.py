"""Constants in the layout of the root: one array axis for each atom that they run along.

The same gamma may be applied to (N, C, H, W) as (C, 1, 1), to (N, G, C/G, H, W) as (G, C/G, 1, 1)
and to (N, H, W, C) as (C). As fields of the root these are equal, whatever view they met it in. A
constant that is one number everywhere runs along nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.recognize.frames import Atom, Atoms, Frame, cuts, overlap, split
from normonnx.recognize.rounding import DOUBLE

Array = npt.NDArray[np.float64]
_LARGEST: Final = 1 << 24  # elements


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A constant over the root.

    Attributes:
        atoms: What it runs along, in the order of the array's axes.
        array: float64; one axis for each atom.
        source: The model's own value that holds just these numbers, where there is one.
    """

    atoms: tuple[Atom, ...]
    array: Array
    source: ir.Value | None = None

    @property
    def number(self) -> float | None:
        """The one number that it is everywhere; None where it varies."""
        return None if self.atoms else float(self.array)

    def is_number(self, number: float) -> bool:
        """Whether it is that number everywhere."""
        return not self.atoms and float(self.array) == number

    def equals(self, other: Field) -> bool:
        """Whether both are the same numbers, up to the rounding of float64."""
        if not self.atoms and not other.atoms:
            return math.isclose(float(self.array), float(other.array), rel_tol=DOUBLE)
        first, second, _ = _aligned(self, other)
        try:
            return bool(np.allclose(first, second, rtol=DOUBLE, atol=0.0))
        except ValueError:
            return False

    def varies_along(self, atoms: Atoms) -> bool:
        """Whether it runs along any of these digits."""
        return bool(self.atoms) and overlap(self.atoms, atoms)

    def __neg__(self) -> Field:
        return Field(self.atoms, -self.array)

    def __add__(self, other: Field) -> Field:
        if other.is_number(0.0):
            return self
        return other if self.is_number(0.0) else _combined(self, other, np.add)

    def __sub__(self, other: Field) -> Field:
        return self + -other

    def __mul__(self, other: Field) -> Field:
        if other.is_number(1.0):
            return self
        return other if self.is_number(1.0) else _combined(self, other, np.multiply)

    def inverse(self) -> Field:
        """One over it."""
        return Field(self.atoms, np.divide(1.0, self.array))

    def mean(self, atoms: Atoms) -> Field:
        """Its mean over some digits."""
        points = cuts((self.atoms, atoms))
        fine, gone = split(self.atoms, points), set(split(atoms, points))
        array = self.array.reshape([_size(atom) for atom in fine])
        axes = tuple(axis for axis, atom in enumerate(fine) if atom in gone)
        kept = tuple(atom for atom in fine if atom not in gone)
        return _simplified(kept, np.asarray(array.mean(axis=axes)))

    def spread_over(self, frame: Frame) -> Array:
        """As an array that broadcasts to a view of the root.

        Raises:
            ValueError: It runs along something that the view doesn't.
        """
        points = cuts((self.atoms, [atom for dim in frame for atom in dim]))
        fine = split(self.atoms, points)
        array = self.array.reshape([_size(atom) for atom in fine])
        order, shape = list[int](), list[int]()
        for dim in frame:
            digits = split(dim, points)
            used = [atom for atom in digits if atom in fine]
            order += [fine.index(atom) for atom in used]
            shape += [_size(atom) if atom in fine else 1 for atom in digits] or [1]
        if len(order) != len(fine):
            message = f"a constant along {self.atoms} does not stand along {frame}"
            raise ValueError(message)
        full = array.transpose(order).reshape(shape)
        return _per_dimension(full, frame, points)


def _per_dimension(full: Array, frame: Frame, points: dict[int, set[int]]) -> Array:
    """Digits joined into dimensions: each is 1 or the whole length."""
    shape, position, target = list[int](), 0, list[int]()
    for dim in frame:
        count = max(len(split(dim, points)), 1)
        have = full.shape[position : position + count]
        if all(size == 1 for size in have):
            target += [1] * count
            shape.append(1)
        else:
            sizes = [_size(atom) for atom in split(dim, points)]
            target += sizes
            shape.append(math.prod(sizes))
        position += count
    return np.broadcast_to(full, target).reshape(shape)


def number(value: float) -> Field:
    """One number everywhere."""
    return Field((), np.float64(value))  # type: ignore[arg-type]  # a scalar is an array, here


def field(array: npt.NDArray[Any], frame: Frame, source: ir.Value | None = None) -> Field | None:
    """A constant as it meets a view of the root.

    Returns:
        None where it doesn't broadcast to the view: it would make it larger, or lengths that it
        needs are not known.
    """
    if array.size == 0 or array.size > _LARGEST:
        return None
    if array.size == 1:
        return number(float(array.reshape(-1)[0]))
    numbers = array.astype(np.float64)
    if numbers.min() == numbers.max():  # False with NaN
        return number(float(numbers.reshape(-1)[0])) if _fits(array.shape, frame) else None
    if not _fits(array.shape, frame):
        return None
    atoms = list[Atom]()
    for size, dim in zip(array.shape[::-1], frame[::-1], strict=False):
        if size > 1:
            atoms[:0] = dim
    order = sorted(range(len(atoms)), key=lambda i: (atoms[i].axis, -atoms[i].stride))
    shaped = numbers.reshape([_size(atom) for atom in atoms]).transpose(order)
    return Field(tuple(atoms[i] for i in order), shaped, source)


def _fits(shape: Sequence[int], frame: Frame) -> bool:
    """Whether an array broadcasts to a frame whose lengths along it are known."""
    if any(size != 1 for size in shape[: max(len(shape) - len(frame), 0)]):
        return False
    for size, dim in zip(shape[::-1], frame[::-1], strict=False):
        if size == 1:
            continue
        sizes = [atom.size for atom in dim]
        known = [length for length in sizes if isinstance(length, int)]
        if not sizes or len(known) != len(sizes) or math.prod(known) != size:
            return False
    return True


def _size(atom: Atom) -> int:
    if not isinstance(atom.size, int):
        message = "a constant runs along known lengths only"
        raise TypeError(message)
    return atom.size


def _aligned(one: Field, other: Field) -> tuple[Array, Array, tuple[Atom, ...]]:
    """Both arrays with an axis for every digit that either has."""
    points = cuts((one.atoms, other.atoms))
    parts = [split(each.atoms, points) for each in (one, other)]
    union = sorted({*parts[0], *parts[1]}, key=lambda atom: (atom.axis, -atom.stride))
    arrays = []
    for each, fine in zip((one, other), parts, strict=True):
        array = each.array.reshape([_size(atom) for atom in fine])
        order = sorted(range(len(fine)), key=lambda i: (fine[i].axis, -fine[i].stride))
        shape = [_size(atom) if atom in fine else 1 for atom in union]
        arrays.append(array.transpose(order).reshape(shape))
    return arrays[0], arrays[1], tuple(union)


def _combined(one: Field, other: Field, function: Callable[[Any, Any], Any]) -> Field:
    if not one.atoms and not other.atoms:
        return number(float(function(one.array, other.array)))
    first, second, union = _aligned(one, other)
    return _simplified(union, np.asarray(function(first, second), np.float64))


def _simplified(atoms: tuple[Atom, ...], array: Array) -> Field:
    """Equal numbers everywhere are one number."""
    if not atoms or array.min() == array.max():
        return number(float(array.reshape(-1)[0]))
    return Field(atoms, array)
