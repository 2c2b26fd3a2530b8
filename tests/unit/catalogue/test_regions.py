"""What a normalization's picture claims, held against what its reference computes.

Each element of a small input is changed, one after the other, and it is noted which outputs move:
for each output these must be exactly the elements of its region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Norm
from normonnx.core.regions import Cube, Element, Region, Share
from tests.unit.catalogue.small_calls import SmallCall, cubes, small_call

# Small and large, up and down, on an input and its negative: a maximum moves only when it is passed,
# and what is cut off at a threshold does not move at all.
_CHANGES: Final = (1e-2, -1e-2, 30.0, -30.0)
_NOTHING: Final = 1e-12  # far below what any of these changes does, far above a reordered sum

Influence = npt.NDArray[np.bool_]


def _elements(sizes: Cube) -> Iterator[Element]:
    yield from product(range(sizes.samples), range(sizes.channels), range(sizes.positions))


def _influence(call: SmallCall) -> Influence:
    """Whether the element at the first three indices moves the output at the last three."""
    found = np.zeros((call.sizes.samples, call.sizes.channels, call.sizes.positions) * 2, bool)
    drawn = cubes(call.sizes)
    for x in [x for x in (drawn, -drawn) if call.takes(x)] or [np.abs(drawn)]:
        y = call.reference(x)
        for at, change in product(_elements(call.sizes), _CHANGES):
            moved = x.copy()
            moved[at] += change
            if not call.takes(moved):
                continue
            found[at] |= np.abs(call.reference(moved) - y) > _NOTHING * np.abs(y).max()
    return found


def _claimed(region: Region, sizes: Cube) -> Influence:
    """What the region says of the same."""
    found = np.zeros((sizes.samples, sizes.channels, sizes.positions) * 2, bool)
    alone = Region(Share.ONE, Share.ONE, Share.ONE)
    used = alone if region.fixed else region
    for at in _elements(sizes):
        for element in used.around(at, sizes):
            found[(*element, *at)] = True
    return found


@pytest.mark.parametrize("norm", CATALOGUE.values(), ids=lambda norm: norm.name)
def test_exactly_the_region_influences_an_output(norm: Norm) -> None:
    """For every element and every output; a statistic that is fixed leaves the element alone."""
    call = small_call(norm)
    influence, claimed = _influence(call), _claimed(norm.region, call.sizes)
    wrong = np.argwhere(influence != claimed)
    assert not len(wrong), (
        f"{len(wrong)} pairs differ, for example input {wrong[0, :3]} and output {wrong[0, 3:]}: "
        f"influence {influence[tuple(wrong[0])]}, region {claimed[tuple(wrong[0])]}"
    )


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        ("BatchNorm", {"fixed": False}),
        ("BatchNormTraining", {"fixed": True}),
        ("BatchNormTraining", {"samples": Share.ONE}),
        ("LayerNorm", {"channels": Share.GROUP}),
        ("GroupNorm", {"channels": Share.ALL}),
        ("GroupNorm", {"attributes": {"num_groups": 3}}),
        ("InstanceNorm", {"channels": Share.ALL}),
        ("LocalResponseNorm", {"channels": Share.ALL}),
        ("LocalResponseNorm", {"attributes": {"size": 5}}),
        ("RMSNorm", {"positions": Share.ALL}),
    ],
)
def test_a_wrong_region_would_be_noticed(name: str, lie: dict[str, object]) -> None:
    """The check above can fail: too large, too small, other groups, another window."""
    call = small_call(CATALOGUE[name])
    wrong = replace(CATALOGUE[name].region, **lie)  # type: ignore[arg-type]
    assert (_influence(call) != _claimed(wrong, call.sizes)).any()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_a_window_reaches_as_far_as_its_size_says(size: int) -> None:
    """Inside, all channels count; outside, none; an even size reaches further to the end."""
    norm = CATALOGUE["LocalResponseNorm"]
    told = replace(norm, region=replace(norm.region, attributes={"size": size}))
    call = small_call(told)
    assert call.given["size"] == size
    assert (_influence(call) == _claimed(told.region, call.sizes)).all()


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_are_as_many_as_the_attribute_says(groups: int) -> None:
    """From one group, which is all channels, to one for each."""
    norm = CATALOGUE["GroupNorm"]
    told = replace(norm, region=replace(norm.region, attributes={"num_groups": groups}))
    call = small_call(told)
    assert (_influence(call) == _claimed(told.region, call.sizes)).all()
