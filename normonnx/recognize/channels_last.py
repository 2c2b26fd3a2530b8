"""Normalizations of tensors whose channels are the last axis, as TensorFlow and Keras have them.

The layers of the catalogue have channels on axis 1. What is known relative to X (N, ..., C) is
turned into what is known relative to X (N, C, ...), and read there; a call stands between two
Transposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from normonnx.graph.lengths import Lengths
from normonnx.recognize.completing import complete
from normonnx.recognize.facts import Combination, Spread
from normonnx.recognize.fields import Field
from normonnx.recognize.frames import Atom, Atoms, Frame
from normonnx.recognize.readings import Outcome, Reading

_LAYERS = ("BatchNormTraining", "FilterResponseNorm", "GroupNorm", "InstanceNorm")
_LEAST_RANK = 3


def complete_channels_last(fact: Combination, lengths: Lengths) -> Outcome:
    """What a value is, relative to a root with channels last; None where it is no such layer."""
    rank = len(lengths)
    spread = fact.spread
    if rank < _LEAST_RANK or not isinstance(spread, Spread) or len(fact.frame) != rank:
        return None
    if not fact.is_fixed and fact.least is None:
        return None
    order = (0, rank - 1, *range(1, rank - 1))
    places = {axis: place for place, axis in enumerate(order)}
    found = complete(_turned(fact, spread, places, order), tuple(lengths[axis] for axis in order))
    return found if isinstance(found, Reading) and found.norm in _LAYERS else None


def _turned(
    fact: Combination, spread: Spread, places: Mapping[int, int], order: tuple[int, ...]
) -> Combination:
    statistic = spread.statistic
    statistic = replace(statistic, frame=(), over=_atoms(statistic.over, places))
    return replace(
        fact,
        frame=_frame(tuple(fact.frame[axis] for axis in order), places),
        cx=_field(fact.cx, places),
        cm=_field(fact.cm, places),
        c0=_field(fact.c0, places),
        c1=_field(fact.c1, places),
        least=None if fact.least is None else _field(fact.least, places),
        over=_atoms(fact.over, places),
        spread=replace(spread, frame=(), statistic=statistic),
    )


def _frame(frame: Frame, places: Mapping[int, int]) -> Frame:
    return tuple(tuple(_atom(atom, places) for atom in dim) for dim in frame)


def _atoms(atoms: Atoms, places: Mapping[int, int]) -> Atoms:
    return frozenset(_atom(atom, places) for atom in atoms)


def _atom(atom: Atom, places: Mapping[int, int]) -> Atom:
    return atom._replace(axis=places[atom.axis])


def _field(field: Field, places: Mapping[int, int]) -> Field:
    """A constant keeps its numbers; its axes come in the order of the new root's."""
    atoms = [_atom(atom, places) for atom in field.atoms]
    order = sorted(range(len(atoms)), key=lambda at: (atoms[at].axis, -atoms[at].stride))
    array = np.transpose(field.array, order) if order else field.array
    return replace(field, atoms=tuple(atoms[at] for at in order), array=array)
