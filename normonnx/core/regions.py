"""What enters the statistic of one output: a region of the cube of samples, channels and positions.

Positions stand for all spatial axes as one. A region is data, so that it can be drawn, printed
and held against what a normalization really computes; the tests do that for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from typing import Final, cast

Element = tuple[int, int, int]
_LEAST_CHANNELS: Final = 6  # of the cube that is drawn
_GROUPS: Final = "num_groups"  # the attribute that says into how many groups channels fall
_SIZE: Final = "size"  # the attribute that says how many channels a window has
_AXES: Final = ("sample", "channel", "position")


class Share(Enum):
    """How much of an axis enters the statistic of one output."""

    ONE = "one"
    WINDOW = "a window"
    GROUP = "a group"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Cube:
    """Sizes of an input, its positions counted through.

    Attributes:
        samples: N.
        channels: C.
        positions: H times W; 1 where there are none.
    """

    samples: int
    channels: int
    positions: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.samples * self.channels * self.positions


@dataclass(frozen=True, slots=True)
class Region:
    """What enters the statistic of one output, on the cube of samples, channels and positions.

    Attributes:
        samples: How much of the batch.
        channels: How much of the channels, or features.
        positions: How much of the spatial axes.
        layout: "NC*" for channels first, "N*C" for channels last, "NC" for rows of features.
        attributes: Attributes with which the normalization does that, where not by default.
        fixed: Whether the statistic is a constant by the time of inference, taken over the
            region when the model was trained or fitted.
    """

    samples: Share
    channels: Share
    positions: Share
    layout: str = "NC*"
    attributes: Mapping[str, int | float | tuple[int, ...]] = field(default_factory=dict)
    fixed: bool = False

    @property
    def measures(self) -> bool:
        """Whether there is a statistic at all, over more than the element itself."""
        return any(share is not Share.ONE for share, _ in self._shares())

    @property
    def over(self) -> str:
        """What the statistic is taken over, for example "all channels and all positions"."""
        words = {
            Share.ALL: "all {}s",
            Share.GROUP: "a group of {}s",
            Share.WINDOW: "a window of {}s",
        }
        said = [words[share].format(axis) for share, axis in self._shares() if share in words]
        return _joined(said) or "nothing but the element itself"

    @property
    def each(self) -> str:
        """What has a statistic of its own, for example "sample and group of channels"."""
        words = {Share.ONE: "{}", Share.GROUP: "group of {}s", Share.WINDOW: "{}"}
        said = [words[share].format(axis) for share, axis in self._shares() if share in words]
        return _joined(said) or "input as a whole"

    @property
    def statistics(self) -> tuple[str, ...]:
        """Over what, how many, how set up, and when they are taken, in clauses for users."""
        if not self.measures:
            return ("no statistics: each output depends on its own element alone",)
        said = [f"statistics over {self.over}", f"one for each {self.each}"]
        if self.attributes:
            given = " and ".join(f"{name} = {value}" for name, value in self.attributes.items())
            said.append(f"drawn with {given}")
        if self.fixed:
            said.append(
                "taken in training: at inference they are constants, and each output depends on "
                "its own element alone"
            )
        return tuple(said)

    @property
    def channel(self) -> str:
        """What one entry of axis C is called."""
        return self._shares()[1][1]

    @property
    def shape(self) -> str:
        """The axes of X, for example "(N, C, H, W)"."""
        return {"NC*": "(N, C, H, W)", "N*C": "(N, H, W, C)", "NC": "(N, C)"}[self.layout]

    @property
    def cube(self) -> Cube:
        """The cube that it is drawn on."""
        groups = self._number(_GROUPS, 2) if Share.GROUP is self.channels else 1
        channels = -(-_LEAST_CHANNELS // groups) * groups
        return Cube(4, channels, 1 if self.layout == "NC" else 4)

    @property
    def example(self) -> Element:
        """The output that is looked at where it is drawn: one whose region is seen from outside."""
        samples, channels, positions = self.samples, self.channels, self.positions
        sizes, deep = self.cube, samples is not Share.ONE
        channel = (sizes.channels - 1) // 2 if channels is Share.WINDOW else 0
        if deep and channels is Share.ONE and self.layout == "N*C":
            channel = sizes.channels - 1
        last = deep and positions is Share.ONE and self.layout == "NC*"
        return (0, channel, sizes.positions - 1 if last else 0)

    def around(self, at: Element, sizes: Cube) -> frozenset[Element]:
        """The elements that enter the statistic of one output.

        Args:
            at: Sample, channel and position of the output.
            sizes: Of the input.
        """
        lengths = (sizes.samples, sizes.channels, sizes.positions)
        shares = (self.samples, self.channels, self.positions)
        spans = [
            self._span(share, place, length)
            for share, place, length in zip(shares, at, lengths, strict=True)
        ]
        return frozenset(cast("Element", each) for each in product(*spans))

    def _span(self, share: Share, place: int, length: int) -> range:
        if share is Share.ALL:
            return range(length)
        if share is Share.GROUP:
            width = length // self._number(_GROUPS, 2)
            first = place // width * width
            return range(first, first + width)
        if share is Share.WINDOW:  # as ONNX's LRN: an even size reaches further to the end
            size = self._number(_SIZE, 3)
            return range(max(0, place - (size - 1) // 2), min(length, place + size // 2 + 1))
        return range(place, place + 1)

    def _number(self, name: str, default: int) -> int:
        return int(cast("int", self.attributes.get(name, default)))

    def _shares(self) -> tuple[tuple[Share, str], ...]:
        """How much of each axis that there is."""
        shares = tuple(zip((self.samples, self.channels, self.positions), _AXES, strict=True))
        return (shares[0], (shares[1][0], "feature")) if self.layout == "NC" else shares


def _joined(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
