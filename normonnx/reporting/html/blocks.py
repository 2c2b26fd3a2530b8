"""What a report is made of, as data. Every text is plain text; it is escaped where it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from normonnx.core.verdicts import Verdict

Cell = str | int | float | Verdict | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading.
        numeric: Whether it is set to the right; numbers are then written as `figures.multiple`.
        meaning: What the heading means, where a reader may ask.
        folded: Whether it is shown only where a row is opened; of a `Listing` alone.
        choice: Whether rows can be filtered by its values; of a `Listing` alone.
    """

    title: str
    numeric: bool = False
    meaning: str = ""
    folded: bool = False
    choice: bool = False


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that stands out.

    Attributes:
        label: What it is.
        value: The figure.
        note: What to say below it.
        verdict: What it is colored by, if at all.
    """

    label: str
    value: str
    note: str = ""
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Tiles:
    """A row of figures that stand out."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values.

    Attributes:
        rows: Of both.
        copied: Whether values are shown as code, to be copied.
    """

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A sentence or two.

    Attributes:
        text: What it says.
        tone: "plain", "quiet", "warning", "fault" or "code".
    """

    kind: ClassVar[str] = "paragraph"
    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a few rows, all shown.

    Attributes:
        columns: Their headings.
        rows: Their cells.
        caption: What it shows.
        emphasized: Numbers of rows, from 0, that stand out.
        small: Whether it is as narrow as its cells, not as wide as the page.
    """

    kind: ClassVar[str] = "table"
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    emphasized: frozenset[int] = frozenset()
    small: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of any number of rows, searched, filtered and sorted in the browser.

    Attributes:
        identifier: Unique in the page, of letters and hyphens.
        columns: Their headings.
        rows: Their cells.
        noun: What a row is, for example "node".
    """

    kind: ClassVar[str] = "listing"
    identifier: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    noun: str = "row"


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing.

    Attributes:
        svg: One SVG element, made by this package: it is not escaped, so every name in it must be.
        caption: What stands below it.
        wide: Whether it takes the whole width.
    """

    kind: ClassVar[str] = "picture"
    svg: str
    caption: str = ""
    wide: bool = True


@dataclass(frozen=True, slots=True)
class Gallery:
    """Drawings beside one another."""

    kind: ClassVar[str] = "gallery"
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Legend:
    """What the colors of a drawing mean.

    Attributes:
        entries: Class of the swatch and what it means.
    """

    kind: ClassVar[str] = "legend"
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are shown when a reader asks.

    Attributes:
        summary: What is shown before.
        blocks: What is shown then.
        note: What stands to the right of the summary.
        opened: Whether they are shown at once.
    """

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]
    note: str = ""
    opened: bool = False


Block = Tiles | Facts | Paragraph | Table | Listing | Picture | Gallery | Legend | Details


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report.

    Attributes:
        identifier: Unique in the page, of letters and hyphens.
        title: Its heading.
        blocks: What it holds.
        intro: What it is about, in a sentence.
    """

    identifier: str
    title: str
    blocks: tuple[Block, ...]
    intro: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A report.

    Attributes:
        verb: What was run, for example "optimize".
        title: What it is about, the model's name say.
        summary: What was found, in a sentence.
        sections: What it holds, in order.
        verdict: The verdict, where there is one.
    """

    verb: str
    title: str
    summary: str
    sections: tuple[Section, ...] = ()
    verdict: Verdict | None = None
    subtitle: str = field(default="")
