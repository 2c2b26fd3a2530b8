"""From a fact to the normalization that it is, or the reason why it is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from normonnx.graph.lengths import Length, Unknown
from normonnx.recognize import frames
from normonnx.recognize.completing import complete
from normonnx.recognize.facts import (
    ONE,
    ZERO,
    Average,
    Combination,
    Count,
    Damping,
    Fact,
    Response,
    Spread,
    Statistic,
    Window,
)
from normonnx.recognize.fields import Field, field, number
from normonnx.recognize.readings import Missing, Reading

N = Unknown()
LENGTHS: tuple[Length, ...] = (N, 6, 4, 4)
WHOLE = frames.whole(LENGTHS)


def _along(axis: int) -> Field:
    length = LENGTHS[axis]
    assert isinstance(length, int)
    shape = [length if each == axis else 1 for each in range(4)]
    found = field(np.arange(1.0, length + 1).reshape(shape), WHOLE)
    assert found is not None
    return found


def _spread(axes: tuple[int, ...], centered: bool = True, **more: object) -> Spread:  # noqa: FBT001, FBT002
    kept = frames.reduced(WHOLE, axes, keep=True)
    over = frames.atoms_of(WHOLE, axes)
    statistic = Statistic(kept, over, 2.0, 1.0, -1.0 if centered else 0.0, epsilon=1e-5)
    return Spread(kept, replace(statistic, **more))  # type: ignore[arg-type]


def _layer(axes: tuple[int, ...], **more: object) -> Combination:
    spread = _spread(axes)
    whole = Combination(WHOLE, ONE, number(-1.0), spread.statistic.over, spread=spread)
    if "scale" in more:
        scale = more.pop("scale")
        assert isinstance(scale, Field)
        whole = replace(whole, cx=scale, cm=-scale)
    return replace(whole, **more)  # type: ignore[arg-type]


def _rms(axes: tuple[int, ...], **more: object) -> Combination:
    return replace(Combination(WHOLE, spread=_spread(axes, centered=False)), **more)  # type: ignore[arg-type]


def _length(axes: tuple[int, ...], count: float = 4.0, **more: object) -> Combination:
    spread = _spread(axes, centered=False, epsilon=0.0, square=count)
    return Combination(WHOLE, spread=replace(spread, **{"floor": 1e-12, **more}))  # type: ignore[arg-type]


LENGTH = replace(_spread((2, 3), centered=False, epsilon=0.0, square=16.0))
AVERAGE = Average(frames.reduced(WHOLE, [1, 2, 3], keep=True), LENGTH, frames.atoms_of(WHOLE, [1]))
RESPONSE = Response(LENGTH.frame, replace(AVERAGE, epsilon=1e-6))
GROUPS = frames.joined(frozenset([frames.Atom(1, 1, 3)]), frames.atoms_of(WHOLE, [2, 3]))
GROUPED = replace(_spread((2, 3)), statistic=replace(_spread((2, 3)).statistic, over=GROUPS))
WINDOW = Window(WHOLE, WHOLE[1][0], 2, 2, 0.1, 1.0)
READINGS: dict[str, tuple[Fact, str, dict[str, object]]] = {
    "last axis": (_layer((3,), scale=_along(3)), "LayerNorm", {"axis": -1, "epsilon": 1e-5}),
    "all but the batch": (_layer((1, 2, 3), scale=_along(3)), "LayerNorm", {"axis": -3}),
    "all but the batch, by channel": (
        _layer((1, 2, 3), scale=_along(1)), "GroupNorm", {"num_groups": 1},
    ),
    "positions by channel": (_layer((2, 3), scale=_along(1)), "InstanceNorm", {}),
    "channels": (_layer((1,), scale=_along(1)), "LayerNorm2d", {}),
    "batch and positions": (_layer((0, 2, 3), scale=_along(1)), "BatchNormTraining", {}),
    "groups": (
        Combination(WHOLE, _along(1), -_along(1), GROUPS, spread=GROUPED), "GroupNorm", {"num_groups": 2},
    ),
    "epsilon outside": (
        _layer((0, 2), spread=replace(_spread((0, 2), epsilon=0.0), outer=1e-9)),
        "MeanVarianceNorm", {"axes": (0, 2), "epsilon": 1e-9},
    ),
    "root mean square": (_rms((3,), cx=_along(3)), "RMSNorm", {"axis": -1}),
    "mean square by channel": (_rms((2, 3), cx=_along(1), c1=_along(1)), "FilterResponseNorm", {}),
    "length": (_length((3,)), "LpNorm", {"axis": -1, "p": 2.0, "epsilon": 1e-12}),
    "length of channels": (_length((1,), 6.0), "LpNorm", {"axis": -3}),
    "length, guarded": (_length((3,), floor=None, guarded=True), "LpNorm", {"epsilon": 0.0}),
    "scaled length": (replace(_length((3,)), cx=number(8.0)), "ScaleNorm", {"epsilon": 1e-12}),
    "response": (
        Combination(WHOLE, _along(1), c1=_along(1), spread=RESPONSE, skip=True),
        "GlobalResponseNorm", {"axis": -3, "epsilon": 1e-6},
    ),
    "window": (
        Combination(WHOLE, spread=Damping(WHOLE, WINDOW, 0.75)),
        "LocalResponseNorm", {"size": 5, "alpha": 0.5, "beta": 0.75, "bias": 1.0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READINGS)
def test_readings(name: str) -> None:
    """The name and attributes of what is complete."""
    fact, norm, attributes = READINGS[name]
    found = complete(fact, LENGTHS)
    assert isinstance(found, Reading), found
    assert found.norm == norm
    for key, value in attributes.items():
        assert np.allclose(found.attributes[key], value), key  # type: ignore[arg-type]


MISSING: dict[str, tuple[Fact, str]] = {
    "no variance": (
        _layer((3,), spread=_spread((3,), mean_square=-0.5)), "its statistic is no variance",
    ),
    "a sum": (
        _layer((3,), spread=_spread((3,), square=4.0, mean_square=-4.0)), "a sum in place of a mean",
    ),
    "a sum over an unknown length": (
        _layer((3,), spread=_spread((3,), count=Count((N,), (N,)))), "a sum in place of a mean",
    ),
    "mean over other axes": (
        replace(_layer((3,)), over=frames.atoms_of(WHOLE, [2])), "mean and variance are over different axes",
    ),
    "half the mean": (_layer((3,), cm=number(-0.5)), "what is subtracted is not the mean itself"),
    "not centered": (_layer((3,), cm=ZERO), "what is divided by the deviation is not centered"),
    "only centered above": (
        replace(_rms((3,)), cm=number(-1.0), over=frames.atoms_of(WHOLE, [3])),
        "what is divided is centered, and the statistic is not",
    ),
    "a floor": (
        _layer((3,), spread=replace(_spread((3,)), floor=1e-3)), "a lower bound in place of an epsilon",
    ),
    "a factor": (_layer((3,), spread=replace(_spread((3,)), gain=2.0)), "multiplied by a number"),
    "negative epsilon": (_layer((3,), spread=_spread((3,), epsilon=-1.0)), "its epsilon is negative"),
    "two epsilons": (
        _layer((3,), spread=replace(_spread((3,)), outer=1e-5)),
        "an epsilon inside the root and another outside",
    ),
    "epsilon outside and a scale": (
        _layer((3,), spread=replace(_spread((3,), epsilon=0.0), outer=1e-5), scale=_along(3)),
        "MeanVarianceNorm has not",
    ),
    "the first axis": (_layer((0,)), "statistics over axes [0] of 4"),
    "a scale along another axis": (_layer((1,), scale=_along(2)), "such a scale and bias"),
    "the mean alone": (_layer((3,), cx=ZERO), "the mean alone is divided"),
    "a constant before": (_layer((3,), c0=ONE), "not to its statistic"),
    "a flaw": (_layer((3,), spread=_spread((3,), flaw="it is flawed")), "it is flawed"),
    "a flawed response": (
        Combination(
            WHOLE,
            spread=replace(RESPONSE, average=replace(
                RESPONSE.average, spread=_spread((2, 3), flaw="it is flawed"))),
            skip=True,
        ),
        "it is flawed",
    ),
    "mean square outside": (
        _rms((3,), spread=replace(_spread((3,), centered=False), outer=1e-5)), "outside the root",
    ),
    "sum of squares": (
        _rms((3,), spread=_spread((3,), centered=False, square=4.0)), "a sum in its place",
    ),
    "mean square with a bias": (_rms((3,), c1=_along(3)), "which RMSNorm has not"),
    "no guard": (_length((3,), floor=None), "a row of zeros would be divided by zero"),
    "large guard": (_length((3,), floor=0.1), "limits lengths"),
    "length over two axes": (_length((2, 3), 16.0), "its norm is over several axes"),
    "length of a mean": (_length((3,), 1.0), "a mean in place of a sum"),
    "length by feature": (replace(_length((3,)), cx=_along(3)), "a scale for each feature"),
    "another frame": (replace(_layer((3,)), frame=WHOLE[:3]), "other axes than what is normalized"),
    "response without its input": (
        Combination(WHOLE, spread=RESPONSE), "its input is not added to its result",
    ),
    "a window on one side": (
        Combination(WHOLE, spread=Damping(WHOLE, replace(WINDOW, below=4, above=0), 0.75)),
        "its window reaches 4 below and 0 above",
    ),
    "a window along positions": (
        Combination(WHOLE, spread=Damping(WHOLE, replace(WINDOW, atom=WHOLE[2][0]), 0.75)),
        "its window is not along the channels",
    ),
    "a scaled window": (
        Combination(WHOLE, number(2.0), spread=Damping(WHOLE, WINDOW, 0.75)), "scaled or shifted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISSING)
def test_what_is_missing(name: str) -> None:
    """The reason's words."""
    fact, words = MISSING[name]
    found = complete(fact, LENGTHS)
    assert isinstance(found, Missing), found
    assert words in found.reason


@pytest.mark.parametrize(
    "fact", [Combination(WHOLE), _spread((3,)), Combination(WHOLE, ZERO, c0=ONE, spread=_spread((3,)))],
    ids=["x", "deviation", "inverse"],
)  # fmt: skip
def test_what_is_not_about_normalizing_at_all(fact: Fact) -> None:
    """Neither a reading nor a reason."""
    assert complete(fact, LENGTHS) is None
