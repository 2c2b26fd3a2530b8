"""Small uses of each normalization of the catalogue, with the attributes of its picture.

Whatever is added to the catalogue gets one, without a row here: parameters are drawn to fit, and
attributes that must be given are guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.norm import Extent, Norm, Number, Parameter
from normonnx.core.errors import UsageError
from normonnx.core.regions import Cube, Region

Array = npt.NDArray[np.float64]
SIZES: Final = Cube(samples=3, channels=6, positions=6)
_HEIGHT, _WIDTH = 2, 3
_GUESSES: Final[Mapping[str, Number]] = {"num_groups": 2, "size": 3}


@dataclass(frozen=True, slots=True)
class SmallCall:
    """One use of a normalization on a small input.

    Attributes:
        norm: The normalization.
        given: Its parameters and attributes.
        sizes: Of the input.
    """

    norm: Norm
    given: Mapping[str, Any]
    sizes: Cube

    @property
    def region(self) -> Region:
        """The region with these attributes."""
        return self.norm.region

    def takes(self, cube: Array) -> bool:
        """Whether such data is legal."""
        try:
            self.reference(cube)
        except UsageError:
            return False
        return True

    def reference(self, cube: Array) -> Array:
        """The normalization of a cube (N, C, positions), as such a cube."""
        found = self.norm.reference(_laid_out(cube, self.region.layout), **self.given)
        return _cube(np.asarray(found), self.region.layout)


def small_call(norm: Norm, seed: int = 0) -> SmallCall:
    """A use of `norm` with the attributes of its picture."""
    rng = np.random.default_rng(seed)
    sizes = replace(SIZES, positions=1) if norm.region.layout == "NC" else SIZES
    attributes: dict[str, Any] = {
        each.name: _GUESSES.get(each.name, _least(each.kind, each.least))
        for each in norm.attributes
        if each.default is None
    }
    attributes |= norm.region.attributes
    shape = _laid_out(
        np.zeros((sizes.samples, sizes.channels, sizes.positions)), norm.region.layout
    ).shape
    axes = {each.name: each.default for each in norm.attributes} | attributes
    drawn = {
        each.name: _drawn(each, 1.0 + place, shape, int(axes.get("axis", -1) or 0), rng)
        for place, each in enumerate(norm.parameters)
    }
    return SmallCall(norm, {**drawn, **attributes}, sizes)


def cubes(sizes: Cube, seed: int = 1) -> Array:
    """A random input (N, C, positions) of either sign, no element near 0."""
    rng = np.random.default_rng(seed)
    shape = (sizes.samples, sizes.channels, sizes.positions)
    return rng.choice((-1.0, 1.0), shape) * rng.uniform(1.0, 1.5, shape)


def _least(kind: ir.AttributeType, least: float | None) -> Number:
    number = max(1.0, least or 0.0)
    return number if kind == ir.AttributeType.FLOAT else int(number)


def _drawn(
    parameter: Parameter,
    middle: float,
    shape: tuple[int, ...],
    axis: int,
    rng: np.random.Generator,
) -> Array:
    """Numbers near the default; without one near `middle`, so that a maximum exceeds a minimum."""
    length = {
        Extent.CHANNELS: (shape[min(1, len(shape) - 1)],),
        Extent.FEATURES: (shape[-1],),
        Extent.TRAILING: shape[axis % len(shape) :],
        Extent.ALONG_AXIS: (shape[axis],),
        Extent.SAMPLE_CHANNELS: shape[:2],
        Extent.SAMPLE_FEATURES: (shape[0], shape[-1]),
        Extent.ONE: (1,),
    }[parameter.extent]
    near = middle if parameter.default is None else parameter.default
    return near + rng.uniform(-0.25, 0.25, length)


def _laid_out(cube: Array, layout: str) -> Array:
    if layout == "NC":
        return cube[:, :, 0]
    shaped = cube.reshape(*cube.shape[:2], _HEIGHT, _WIDTH)
    return shaped.transpose(0, 2, 3, 1) if layout == "N*C" else shaped


def _cube(found: Array, layout: str) -> Array:
    if layout == "N*C":
        found = found.transpose(0, 3, 1, 2)
    return found.reshape(*found.shape[:2], -1)
