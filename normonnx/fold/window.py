"""Where a convolution reads its input, axis by axis, and the window that holds two of them.

Along one axis output o reads inputs o * stride + start + i * step for i < count, zeros outside the
input (ONNX operator specification, Conv: start is minus the first pad, step the dilation). Of an
input of length L there are floor((L - 1 + excess) / stride) + 1 outputs, where excess is both pads
less the reach step * (count - 1). Two windows of one stride and one excess lie on one lattice whose
step is the greatest common divisor of their steps and of the distance of their starts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from normonnx.fold.moving import refuse_parameters
from normonnx.fold.plan import Edit, Refusal, SetAttribute
from normonnx.graph.attributes import int_of, ints_of, text_of

_ATTRIBUTES: Final = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


@dataclass(frozen=True, slots=True)
class Taps:
    """What a kernel reads along one axis; see the module."""

    start: int
    step: int
    count: int
    stride: int
    excess: int

    @property
    def last(self) -> int:
        """Where the last tap of the first output lies."""
        return self.start + self.step * (self.count - 1)

    @property
    def pads(self) -> tuple[int, int]:
        """Padding before and after."""
        return -self.start, self.excess + self.last

    @property
    def is_padded(self) -> bool:
        """Whether some output reads outside the input."""
        return self.pads != (0, 0)

    def within(self, whole: Taps) -> slice:
        """Which taps of a window that holds this one it has."""
        first = (self.start - whole.start) // whole.step
        step = self.step // whole.step if self.count > 1 else 1
        return slice(first, first + step * (self.count - 1) + 1, step)


Window = tuple[Taps, ...]


def identity(axes: int) -> Window:
    """The window of what reads each place and nothing else, over so many spatial axes."""
    return (Taps(0, 1, 1, 1, 0),) * axes


def size(window: Window) -> int:
    """Number of taps."""
    return math.prod(taps.count for taps in window)


def joined(first: Window, second: Window) -> Window | Refusal:
    """The smallest window that holds two; a Refusal where their outputs don't lie alike."""
    found = []
    for one, other in zip(first, second, strict=True):
        if one.stride != other.stride:
            return Refusal(f"their strides differ ({one.stride} and {other.stride})")
        if one.excess != other.excess:
            return Refusal(
                "their padding makes outputs of different size "
                f"(pads {one.pads} for {one.count} taps, {other.pads} for {other.count})"
            )
        found.append(_joined(one, other))
    return tuple(found)


def _joined(one: Taps, other: Taps) -> Taps:
    steps = [taps.step for taps in (one, other) if taps.count > 1]
    step = math.gcd(one.start - other.start, *steps) or 1
    start, last = min(one.start, other.start), max(one.last, other.last)
    return Taps(start, step, (last - start) // step + 1, one.stride, one.excess)


def window_of(node: ir.Node, kernel: Sequence[int]) -> Window | Refusal:
    """The window of a Conv whose weight has these spatial dimensions.

    A Refusal where it depends on the size of the input, as auto_pad may, or is illegal.
    """
    unknown = refuse_parameters(node, *_ATTRIBUTES)
    if unknown is not None:
        return unknown
    axes = len(kernel)
    kernel_shape = tuple(ints_of(node, "kernel_shape") or tuple(kernel))
    strides = tuple(ints_of(node, "strides") or (1,) * axes)
    dilations = tuple(ints_of(node, "dilations") or (1,) * axes)
    pads = _pads(node, kernel, strides, dilations)
    if isinstance(pads, Refusal):
        return pads
    legal = len(strides) == len(dilations) == axes and len(pads) == 2 * axes
    if kernel_shape != tuple(kernel) or not legal or min((*strides, *dilations, *kernel)) < 1:
        return Refusal("Conv: its attributes don't fit its weight")
    if min(pads) < 0:
        return Refusal("Conv: it has negative pads")
    window = []
    for axis, count in enumerate(kernel):
        step = dilations[axis] if count > 1 else 1
        excess = pads[axis] + pads[axis + axes] - step * (count - 1)
        window.append(Taps(-pads[axis], step, count, strides[axis], excess))
    return tuple(window)


def _pads(
    node: ir.Node, kernel: Sequence[int], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> tuple[int, ...] | Refusal:
    """The pads, those of auto_pad worked out where they don't depend on the input."""
    mode = text_of(node, "auto_pad", "NOTSET")
    if mode == "NOTSET":
        return tuple(ints_of(node, "pads") or (0,) * (2 * len(kernel)))
    if mode == "VALID":
        return (0,) * (2 * len(kernel))
    moving = any(k > 1 and s > 1 for k, s in zip(kernel, strides, strict=False))
    dilated = any(k > 1 and d > 1 for k, d in zip(kernel, dilations, strict=False))
    if moving or dilated or mode not in ("SAME_UPPER", "SAME_LOWER"):
        return Refusal(f"Conv: its padding (auto_pad {mode}) depends on the size of its input")
    less = tuple((k - 1) // 2 for k in kernel)
    more = tuple(k // 2 for k in kernel)
    return (*less, *more) if mode == "SAME_UPPER" else (*more, *less)


def attribute_edits(node: ir.Node, window: Window, group: int) -> tuple[Edit, ...]:
    """What to change of a Conv so that it has this window and so many groups."""
    axes = len(window)
    ones, zeros = (1,) * axes, (0,) * (2 * axes)
    begins, ends = zip(*(taps.pads for taps in window), strict=True)
    counts = tuple(taps.count for taps in window)
    wanted: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "kernel_shape": (counts, counts),
        "strides": (tuple(taps.stride for taps in window), ones),
        "dilations": (tuple(taps.step for taps in window), ones),
        "pads": ((*begins, *ends), zeros),
    }
    edits: list[Edit] = [
        SetAttribute(node, name, value)
        for name, (value, default) in wanted.items()
        if tuple(ints_of(node, name) or default) != value
    ]
    if text_of(node, "auto_pad", "NOTSET") != "NOTSET":
        edits.append(SetAttribute(node, "auto_pad", None))
    if int_of(node, "group", 1) != group:
        edits.append(SetAttribute(node, "group", group))
    return tuple(edits)
