"""A fitted scaler as data: what is applied to rows of features, one after the other.

A stage is one normalization of all features, or branches: each takes some of the features through
stages of its own, and the results stand side by side, as in scikit-learn's ColumnTransformer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.norm import Norm


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """A normalization of rows of features.

    Attributes:
        name: What its nodes are called.
        norm: Which one.
        given: Parameters and attributes by name, as `Norm.define` takes them.
        width: Number of features; None where any will do.
        image: Where a MinMaxScaler takes the range of its training data.
    """

    name: str
    norm: Norm
    given: Mapping[str, Any]
    width: int | None
    image: tuple[float, float] = (0.0, 1.0)

    def call(self, dtype: str, stash_type: str) -> NormCall:
        """The use of the normalization for rows of that type.

        Statistics stay as they were fitted, unless it is computed in float32 throughout.

        Raises:
            UsageError: Its numbers are no legal use.
        """
        given = dict(self.given)
        if stash_type == "float32":
            for name, found in given.items():
                if isinstance(found, np.ndarray):
                    with np.errstate(over="ignore"):  # `define` refuses what is infinite
                        given[name] = found.astype(np.float32)
        return self.norm.define(("N", self.width), dtype, **{**given, "stash_type": stash_type})


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """Some of the features, in that order, and what is applied to them."""

    columns: tuple[int, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Branches:
    """Several branches, side by side.

    Attributes:
        name: What its nodes are called.
        branches: In order.
        width: Number of features that come in.
    """

    name: str
    branches: tuple[Branch, ...]
    width: int


Stage = Scaled | Branches


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """All of a fitted scaler.

    Attributes:
        title: What it is, for people: "StandardScaler".
        stages: In order.
        width: Number of features that come in; None where any will do.
        features: Names of the features; empty where they have none.
    """

    title: str
    stages: tuple[Stage, ...]
    width: int | None
    features: tuple[str, ...] = field(default=())

    @property
    def outgoing(self) -> int | None:
        """Number of features that come out."""
        return width_after(self.stages, self.width)

    @property
    def depth(self) -> int:
        """How many normalizations are applied to a feature, one after the other, at most."""
        return _depth(self.stages)


def width_after(stages: Sequence[Stage], width: int | None) -> int | None:
    """Number of features after stages; None where it is not known."""
    for stage in stages:
        if isinstance(stage, Branches):
            found = [width_after(each.stages, len(each.columns)) for each in stage.branches]
            width = sum(each or 0 for each in found)
        elif width is None:
            width = stage.width
    return width


def _depth(stages: Sequence[Stage]) -> int:
    below = (
        max((_depth(each.stages) for each in stage.branches), default=0)
        if isinstance(stage, Branches)
        else 1
        for stage in stages
    )
    return sum(below)
