"""Whatever Convs are drawn, beside one another or in a row, a merged model computes the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import FLOATS, UNTIMED, DrawnGraph, affine, checked, sum_of


@dataclass(frozen=True)
class _Geometry:
    """What the branches of one sum have in common: channels, strides, sizes of input and output."""

    channels: int
    outputs: int
    strides: tuple[int, ...]
    sizes: tuple[int, ...]

    def fits(self, kernel: Sequence[int], dilations: Sequence[int], pads: Sequence[int]) -> bool:
        """Whether a Conv has as many outputs as one of one tap."""
        axes = len(self.sizes)
        for axis, (length, stride) in enumerate(zip(self.sizes, self.strides, strict=True)):
            reach = (kernel[axis] - 1) * dilations[axis]
            excess = pads[axis] + pads[axis + axes] - reach
            if (length - 1 + excess) // stride != (length - 1) // stride:
                return False
        return True


@st.composite
def _pads(
    draw: st.DrawFn, geometry: _Geometry, kernel: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Pads that keep the number of outputs, if only for this size of the input."""
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    if draw(st.integers(0, 3)) == 0:
        pads = [draw(st.integers(0, 2)) for _ in range(2 * len(reach))]
        if geometry.fits(kernel, dilations, pads):
            return pads
    begins = [length // 2 for length in reach]
    if draw(st.booleans()):
        begins = [draw(st.integers(0, length)) for length in reach]
    return [*begins, *(length - begin for length, begin in zip(reach, begins, strict=True))]


@st.composite
def _conv(draw: st.DrawFn, graph: DrawnGraph, data: str, geometry: _Geometry) -> str:
    """One Conv."""
    axes = len(geometry.strides)
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilations = [draw(st.sampled_from([1, 1, 2])) for _ in range(axes)]
    common = math.gcd(geometry.channels, geometry.outputs)
    group = draw(st.sampled_from([g for g in range(1, common + 1) if common % g == 0]))
    attributes = [f"group={group}", f"strides={list(geometry.strides)}"]
    automatic = draw(st.sampled_from(["", "", "", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if automatic == "VALID":
        kernel = [1] * axes
    if automatic:
        attributes.append(f'auto_pad="{automatic}"')
    else:
        pads = draw(_pads(geometry, kernel, dilations))
        attributes += [f"dilations={dilations}", f"pads={pads}"]
    weight = graph.weight(geometry.outputs, geometry.channels // group, *kernel)
    bias = f", {graph.weight(geometry.outputs)}" if draw(st.booleans()) else ""
    found = graph.node(f"Conv<{', '.join(attributes)}>({data}, {weight}{bias})")
    return graph.norm(found, geometry.outputs) if draw(st.integers(0, 3)) == 0 else found


@st.composite
def _convolutions(draw: st.DrawFn) -> str:
    """A sum of Convs and affines of one input or two; now and then read elsewhere, or captured."""
    graph = DrawnGraph(draw(FLOATS), draw(st.booleans()))
    axes, channels = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    outputs = draw(st.sampled_from([channels, channels, 4]))
    moving = draw(st.integers(0, 2)) == 0
    strides = tuple(draw(st.integers(1, 2)) if moving else 1 for _ in range(axes))
    geometry = _Geometry(
        channels, outputs, strides, tuple(draw(st.integers(3, 5)) for _ in strides)
    )
    inputs = ["x"] if draw(st.integers(0, 2)) else ["x", graph.node("Relu(x)")]
    pick = st.sampled_from(inputs)
    leaves = [draw(_conv(graph, draw(pick), geometry)) for _ in range(draw(st.integers(1, 4)))]
    if channels in (1, outputs) and not moving:
        shape = (channels, *(1,) * axes)
        leaves += [
            draw(affine(graph, draw(pick), shape, channels)) for _ in range(draw(st.integers(0, 2)))
        ]
    if draw(st.integers(0, 5)) == 0:  # broadcast along channels
        leaves.append(draw(_conv(graph, "x", _Geometry(channels, 1, strides, geometry.sizes))))
    watched = draw(st.sampled_from([[], [], [], leaves[:1]]))
    read = [draw(sum_of(graph, leaves)), *watched, *inputs[1:]]
    inside = draw(st.integers(0, 3)) == 0
    return graph.model((2, channels, *geometry.sizes), axes + 2, read, inside=inside)


@st.composite
def _chain(draw: st.DrawFn) -> str:
    """Convs in a row, most of them of one tap."""
    graph = DrawnGraph(draw(FLOATS), draw(st.booleans()))
    axes = draw(st.integers(1, 3))
    sizes = tuple(draw(st.integers(5, 7)) for _ in range(axes))
    channels = width = draw(st.sampled_from([1, 2, 4, 6]))
    data, watched = "x", []
    for _ in range(draw(st.integers(2, 3))):
        outputs = draw(st.sampled_from([1, 2, 4, 6]))
        common = math.gcd(width, outputs)
        group = draw(st.sampled_from([g for g in range(1, common + 1) if common % g == 0]))
        kernel = [draw(st.sampled_from([1, 1, 2])) for _ in range(axes)]
        pads = [draw(st.sampled_from([0, 0, 0, 1])) for _ in range(2 * axes)]
        if draw(st.booleans()):
            kernel, pads = [1] * axes, [0] * (2 * axes)
        strides = [draw(st.sampled_from([1, 1, 2])) for _ in range(axes)]
        weight = graph.weight(outputs, width // group, *kernel)
        bias = f", {graph.weight(outputs)}" if draw(st.booleans()) else ""
        attributes = f"group={group}, strides={strides}, pads={pads}"
        data = graph.node(f"Conv<{attributes}>({data}, {weight}{bias})")
        width = outputs
        if draw(st.integers(0, 9)) == 0:
            watched = [data]
    inside = draw(st.integers(0, 3)) == 0
    return graph.model((2, channels, *sizes), axes + 2, [data, *watched], inside=inside)


@UNTIMED
@given(_convolutions(), st.integers(0, 99))
def test_parallel_convolutions(text: str, seed: int) -> None:
    """Branches of any kernel, padding, stride, dilation, group and type."""
    checked(text, seed)


@UNTIMED
@given(_chain(), st.integers(0, 99))
def test_convolutions_in_a_row(text: str, seed: int) -> None:
    """Kernels, strides, padding and groups in any order."""
    checked(text, seed)
