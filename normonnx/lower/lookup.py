"""What a cost table says of a use that was not measured itself: the nearest that was.

Sizes count by their logarithm, as three numbers: what lies outside of the axis that is normalized,
that axis, and what lies inside. Of the opsets that were measured the highest that is not above the
model's counts, since operators and what runtimes fuse change with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, cast

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Dim, Extent, Norm
from normonnx.core.costs import CostTable, Entry, Number

_EPSILON: Final = "epsilon"
_NOT_COUNTED: Final = frozenset({_EPSILON, "stash_type", "axis", "momentum"})
_ANOTHER_FORMULA: Final = 8.0  # as far as sizes that differ by 2^8
_ANOTHER_AFFINE: Final = 2.0
_SAME: Final = 1e-9
# Logarithms of what is outside of the axis that is normalized, of that axis, and of what is inside.
_Sizes = tuple[float | None, float | None, float | None]


def nearest(table: CostTable, call: NormCall, opset: int) -> tuple[Entry, ...]:
    """The entries that are nearest to a use; several where sizes that tell are not known.

    Args:
        table: What was measured.
        call: The use.
        opset: Version of the default operator set.
    """
    dtype = call.dtype.name
    found = [each for each in table.entries if (each.norm, each.dtype) == (call.norm.name, dtype)]
    if not found:
        return ()
    opsets = {each.opset for each in found}
    usable = [each for each in opsets if each <= opset] or [min(opsets)]
    found = _at_opsets(found, max(usable))
    sizes = _sizes(call.norm, call.shape, call.stored)
    far = [_distance(each, call, sizes) for each in found]
    least = min(far)
    return tuple(entry for entry, away in zip(found, far, strict=True) if away <= least + _SAME)


def _at_opsets(entries: Sequence[Entry], opset: int) -> list[Entry]:
    """For each use the entry of the highest opset that is not above one; else the lowest."""
    best: dict[tuple[object, ...], Entry] = {}
    for entry in entries:
        key = (entry.shape, tuple(sorted(entry.attributes.items())), entry.given)
        other = best.get(key)
        if other is None or _fits_better(entry.opset, other.opset, opset):
            best[key] = entry
    return list(best.values())


def _fits_better(one: int, other: int, opset: int) -> bool:
    if (one <= opset) != (other <= opset):
        return one <= opset
    return one > other if one <= opset else one < other


def _distance(entry: Entry, call: NormCall, sizes: _Sizes) -> float:
    measured = _sizes(call.norm, entry.shape, entry.attributes)
    away = sum(
        abs(one - other)
        for one, other in zip(sizes, measured, strict=True)
        if one is not None and other is not None
    )
    for name, value in call.stored.items():
        other = entry.attributes.get(name, value)
        if name not in _NOT_COUNTED and not _same(value, other):
            away += _attribute_distance(value, other)
        if name == _EPSILON and bool(value) != bool(other):
            away += _ANOTHER_AFFINE  # some forms need one, some none
    return away + _ANOTHER_AFFINE * (bool(call.given) != bool(entry.given))


def _same(one: Number, other: Number) -> bool:
    if isinstance(one, tuple) or isinstance(other, tuple):
        return one == other
    return math.isclose(one, other, rel_tol=1e-5)


def _attribute_distance(one: Number, other: Number) -> float:
    """Whole numbers, such as groups and windows, count like sizes; others change the formula."""
    if isinstance(one, int) and isinstance(other, int) and one > 0 and other > 0:
        return abs(math.log2(one) - math.log2(other))
    return _ANOTHER_FORMULA


def _sizes(norm: Norm, shape: Sequence[Dim], attributes: Mapping[str, Number]) -> _Sizes:
    rank = len(shape)
    last = norm.region.layout.endswith("C")
    axis = int(cast("int", attributes.get("axis", -1 if last else 1))) % rank
    end = axis + 1
    if any(each.extent is Extent.TRAILING for each in norm.parameters):
        end = rank
    return (_logarithm(shape[:axis]), _logarithm(shape[axis:end]), _logarithm(shape[end:]))


def _logarithm(dims: Sequence[Dim]) -> float | None:
    total = 0.0
    for dim in dims:
        if not isinstance(dim, int):
            return None
        total += math.log2(max(dim, 1))
    return total
