"""The entries of a cost table that are nearest to a use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.costs import CostTable, Entry, FormCost
from normonnx.lower.lookup import nearest

ONE = (FormCost("native", 1.0, 1.0, 1.0, 1.0),)


def entry(call: NormCall, opset: int = 17) -> Entry:
    """An entry for a use."""
    shape = tuple(int(str(dim)) for dim in call.shape)
    name, kind = call.norm.name, call.dtype.name
    return Entry(name, kind, opset, shape, call.stored, call.given, ONE)


def table(*entries: Entry) -> CostTable:
    """A table of them."""
    return CostTable("ort-cpu", {}, {}, entries)


def layer_norm(*shape: int | None, affine: bool = True, **more: Any) -> NormCall:  # noqa: ANN401
    """A LayerNorm over the last axis."""
    size = int(shape[-1] or 1)
    given = {"scale": np.full(size, 2.0, np.float32)} if affine else {}
    return CATALOGUE["LayerNorm"].define(shape, **given, **more)


def test_the_nearest_size() -> None:
    """By the ratio of sizes: 100 is nearer to 64 than to 384."""
    near, far = entry(layer_norm(1, 64, 64)), entry(layer_norm(1, 64, 384))
    assert nearest(table(far, near), layer_norm(1, 64, 100), 17) == (near,)
    assert nearest(table(near, far), layer_norm(1, 64, 500), 17) == (far,)


def test_what_is_outside_of_the_axis_counts_together() -> None:
    """8 x 16 rows are 128 rows."""
    rows, other = entry(layer_norm(128, 64)), entry(layer_norm(8, 64))
    assert nearest(table(other, rows), layer_norm(8, 16, 64), 17) == (rows,)


def test_sizes_that_are_not_known_leave_several() -> None:
    """All batches fit one that isn't known; the features still tell."""
    one, eight = entry(layer_norm(1, 64)), entry(layer_norm(8, 64))
    wide = entry(layer_norm(8, 4096))
    assert nearest(table(one, wide, eight), layer_norm(None, 64), 17) == (one, eight)


@pytest.mark.parametrize(
    ("opset", "expected"), [(9, 13), (13, 13), (16, 13), (17, 17), (20, 17), (30, 21)]
)
def test_the_opset_below(opset: int, expected: int) -> None:
    """The highest that isn't above; below all of them the lowest."""
    entries = [entry(layer_norm(1, 64), at) for at in (21, 13, 17)]
    (found,) = nearest(table(*entries), layer_norm(1, 64), opset)
    assert found.opset == expected


def test_each_use_has_its_own_opsets() -> None:
    """An opset that changed nothing for one use has no entry there."""
    other = [entry(layer_norm(1, 4096), at) for at in (13, 17)]
    only = entry(layer_norm(1, 64), 13)
    assert nearest(table(*other, only), layer_norm(1, 64), 17) == (only,)


def test_an_affine_or_none() -> None:
    """With parameters and without are different uses of one size."""
    plain, affine = entry(layer_norm(1, 64, affine=False)), entry(layer_norm(1, 64))
    assert nearest(table(plain, affine), layer_norm(1, 64), 17) == (affine,)
    assert nearest(table(affine, plain), layer_norm(1, 64, affine=False), 17) == (plain,)


def test_another_exponent_is_another_formula() -> None:
    """Rather another size than another formula."""
    norm = CATALOGUE["LocalResponseNorm"]
    same = entry(norm.define((1, 64, 8, 8), size=5, beta=0.75))
    other = entry(norm.define((1, 64, 27, 27), size=5, beta=0.5))
    wanted = norm.define((1, 64, 27, 27), size=5, beta=0.75)
    assert nearest(table(other, same), wanted, 13) == (same,)


@pytest.mark.parametrize(
    "more",
    [{"epsilon": 1e-3}, {"axis": 1}, {"stash_type": 1}],
    ids=["epsilon", "the same axis", "stash_type"],
)
def test_what_does_not_count(more: Mapping[str, Any]) -> None:
    """Epsilon changes no time, and an axis is a place."""
    found = entry(layer_norm(8, 64))
    assert nearest(table(found), layer_norm(8, 64, **more), 17) == (found,)


def test_another_norm_or_type_is_not_near() -> None:
    """Nothing was measured for it."""
    found = table(entry(layer_norm(8, 64)))
    assert not nearest(found, CATALOGUE["RMSNorm"].define((8, 64)), 17)
    assert not nearest(found, CATALOGUE["LayerNorm"].define((8, 64), np.float16), 17)
