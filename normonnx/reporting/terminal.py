"""The terminal: consoles and tables, the same look for every verb; `progress` is beside it.

Names are shown as they are, never as markup. On a terminal tables fit its width, in colour unless
NO_COLOR is set; in a pipe nothing is wrapped, each row is one line, and there is no colour unless
FORCE_COLOR is set.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from normonnx.core.verdicts import Verdict
from normonnx.reporting.figures import printable
from normonnx.reporting.loudness import Loudness, loudness
from normonnx.reporting.progress import progress

__all__ = [
    "heading",
    "indented",
    "line",
    "note",
    "pairs",
    "progress",
    "show",
    "stacked",
    "table",
    "verdict",
]

_UNWRAPPED: Final = 100_000  # columns; no row is that long
_STYLES: Final = {
    Verdict.PASS: "bold green",
    Verdict.MISMATCH: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.UNAVAILABLE: "bold yellow",
    Verdict.INVALID: "bold red",
}


def show(*blocks: RenderableType) -> None:
    """Print blocks to stdout, one below the other."""
    on_terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        markup=False,
        emoji=False,
        highlight=False,
        width=None if on_terminal else _UNWRAPPED,
    )
    if on_terminal:
        console.print(*blocks, sep="\n")
        return
    with console.capture() as captured:
        console.print(*blocks, sep="\n")
    sys.stdout.writelines(f"{row.rstrip()}\n" for row in captured.get().splitlines())


def note(message: str) -> None:
    """Say something on stderr, where logs go, unless silence is asked for."""
    if loudness() is not Loudness.QUIET:
        sys.stderr.write(f"normonnx: {printable(message)}\n")
        sys.stderr.flush()


def heading(text: str) -> Text:
    """The first line of a block."""
    return Text(printable(text), style="bold")


def line(text: str) -> Text:
    """One line of plain text."""
    return Text(printable(text))


def indented(block: RenderableType) -> Padding:
    """A block, two columns to the right."""
    return Padding(block, (0, 0, 0, 2), expand=False)


def stacked(blocks: Iterable[RenderableType]) -> Group:
    """Several blocks as one."""
    return Group(*blocks)


def verdict(found: Verdict) -> Text:
    """A verdict in its colour."""
    return Text(found.value, style=_STYLES[found])


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table without lines; a column whose title starts with ">" is set to the right.

    Long cells are folded, never cut off.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else line(cell) for cell in row))
    return made


def pairs(rows: Iterable[tuple[str, str | Text]]) -> Table:
    """A table of names and values, without titles."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(line(name), value if isinstance(value, Text) else line(value))
    return made
