"""The cube of samples, channels and positions as text: one sheet for each sample, set back.

   N  ┌───────┐      a full mark shares the statistic of the output that is looked at,
    ┌───────┐·│      which has a mark of its own; all others are dots
  ┌───────┐·│·│
  │● ■ ■ ■│·│·│
C │■ ■ ■ ■│·│─┘
  │■ ■ ■ ■│─┘
  └───────┘
    H, W
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from normonnx.core.regions import Element, Region

_STEP: Final = 2  # columns that a sheet is set to the right of the one before it
_MARGIN: Final = 3  # columns for the label on the left


@dataclass(frozen=True, slots=True)
class Marks:
    """The characters that a cube is drawn with.

    Attributes:
        own: The output that is looked at.
        shared: What shares its statistic.
        other: What does not.
        corners: Top left, top right, bottom left, bottom right.
        level: A horizontal line.
        upright: A vertical line.
    """

    own: str
    shared: str
    other: str
    corners: tuple[str, str, str, str]
    level: str
    upright: str


LINES: Final = Marks("●", "■", "·", ("┌", "┐", "└", "┘"), "─", "│")
ASCII: Final = Marks("@", "#", ".", ("+", "+", "+", "+"), "-", "|")
_Canvas = dict[tuple[int, int], str]


def drawing(region: Region, marks: Marks = LINES) -> tuple[str, ...]:
    """The region on its cube, line by line, all of one length."""
    sizes, own = region.cube, region.example
    shared = region.around(own, sizes)

    def mark(*at: int) -> str:
        element: Element = (at[0], at[1], at[2])
        if element == own:
            return marks.own
        return marks.shared if element in shared else marks.other

    samples, channels, positions = (
        range(n) for n in (sizes.samples, sizes.channels, sizes.positions)
    )
    if region.layout == "NC":
        rows = [[mark(n, c, 0) for c in channels] for n in samples]
        return _lines([rows], marks, left="N", below="C", behind="")
    if region.layout == "N*C":
        sheets = [[[mark(n, c, p) for c in channels] for p in positions] for n in samples]
        return _lines(sheets, marks, left="HW", below="C", behind="N")
    sheets = [[[mark(n, c, p) for p in positions] for c in channels] for n in samples]
    return _lines(sheets, marks, left="C", below="H, W", behind="N")


def _lines(
    sheets: list[list[list[str]]], marks: Marks, *, left: str, below: str, behind: str
) -> tuple[str, ...]:
    canvas: _Canvas = {}
    for depth in reversed(range(len(sheets))):
        _sheet(canvas, sheets[depth], marks, row=-depth, column=_MARGIN + _STEP * depth)
    height, width = len(sheets[0]), 2 * len(sheets[0][0]) + 1
    _write(canvas, left, row=(height + 1) // 2, column=0)
    _write(canvas, below, row=height + 2, column=_MARGIN + (width - len(below)) // 2)
    middle = (len(sheets) - 1) // 2
    _write(canvas, behind, row=height + 1 - middle, column=_MARGIN + width + _STEP * middle + 1)
    rows, columns = [row for row, _ in canvas], [column for _, column in canvas]
    return tuple(
        "".join(canvas.get((row, column), " ") for column in range(max(columns) + 1))
        for row in range(min(rows), max(rows) + 1)
    )


def _sheet(canvas: _Canvas, rows: list[list[str]], marks: Marks, *, row: int, column: int) -> None:
    """One sheet in its frame, over whatever is behind it."""
    level = marks.level * (2 * len(rows[0]) - 1)
    top_left, top_right, bottom_left, bottom_right = marks.corners
    framed = [
        f"{top_left}{level}{top_right}",
        *(f"{marks.upright}{' '.join(cells)}{marks.upright}" for cells in rows),
        f"{bottom_left}{level}{bottom_right}",
    ]
    for down, text in enumerate(framed):
        _write(canvas, text, row=row + down, column=column)


def _write(canvas: _Canvas, text: str, *, row: int, column: int) -> None:
    for right, char in enumerate(text):
        canvas[row, column + right] = char
