"""What there is to say about normalizations, as a person reads it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from normonnx.core.explanations import FormExplained, NormExplained, Number
from normonnx.reporting import terminal
from normonnx.reporting.cube import ASCII, LINES, Marks, drawing

_GAP: Final = 4  # columns between pictures
_PIPE: Final = 100  # columns that pictures take where there is no terminal
_OWN, _SHARED = "bold yellow", "bold blue"
_ABSENT: Final = "-"


def explanations(norms: Sequence[NormExplained]) -> RenderableType:
    """Formula, picture, use, inputs, attributes, forms and counterparts of each normalization."""
    blocks: list[RenderableType] = []
    for norm in norms:
        blocks += [terminal.line("")] if blocks else []
        blocks += _blocks(norm)
    return terminal.stacked(blocks)


def comparison(norms: Sequence[NormExplained]) -> RenderableType:
    """Pictures of normalizations side by side, and a table of what sets them apart."""
    marks = _marks()
    rows = [
        (norm.name, norm.region.over, norm.region.each, _at_inference(norm), _drawn_with(norm))
        for norm in norms
    ]
    titles = ("", "statistics over", "one for each", "at inference", "drawn with")
    used = [k for k, title in enumerate(titles) if not title or any(row[k] for row in rows)]
    table = terminal.table([titles[k] for k in used], [[row[k] for k in used] for row in rows])
    return terminal.stacked(
        (
            _Beside(tuple((norm.name, drawing(norm.region, marks)) for norm in norms), marks),
            _legend(marks),
            terminal.line(""),
            table,
            terminal.line(""),
            terminal.pairs((norm.name, norm.equation) for norm in norms),
        )
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """Drawings beside one another, as many as the terminal has room for."""

    drawings: tuple[tuple[str, tuple[str, ...]], ...]
    marks: Marks

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        width = _GAP + max(max(len(name), len(rows[0])) for name, rows in self.drawings)
        a_row = max(1, (min(options.max_width, _PIPE) + _GAP) // width)
        for start in range(0, len(self.drawings), a_row):
            yield from self._row(self.drawings[start : start + a_row], width)

    def _row(
        self, drawings: Sequence[tuple[str, tuple[str, ...]]], width: int
    ) -> Iterator[RenderableType]:
        names = "".join(name.ljust(width) for name, _ in drawings)
        yield Text(names.rstrip(), style="bold", no_wrap=True)
        height = max(len(rows) for _, rows in drawings)
        for line in range(-height, 0):
            cells = (rows[line] if -line <= len(rows) else "" for _, rows in drawings)
            yield _coloured("".join(cell.ljust(width) for cell in cells).rstrip(), self.marks)


def _blocks(norm: NormExplained) -> Iterator[RenderableType]:
    marks = _marks()
    yield terminal.heading(norm.name)
    yield terminal.indented(terminal.line(norm.equation))
    yield _picture(norm, marks)
    yield terminal.indented(terminal.pairs(_facts(norm)))
    if norm.inputs:
        rows = [
            (each.name, _default(each.default), each.extent, each.meaning) for each in norm.inputs
        ]
        yield terminal.heading(f"inputs besides X, of shape {norm.region.shape}")
        yield terminal.indented(terminal.table(("input", "default", "along", "meaning"), rows))
    if norm.attributes:
        rows = [
            (each.name, _default(each.default), each.kind.lower(), each.meaning)
            for each in norm.attributes
        ]
        yield terminal.heading("attributes")
        yield terminal.indented(terminal.table(("attribute", "default", "type", "meaning"), rows))
    yield terminal.heading("forms")
    yield terminal.indented(_forms(norm))
    for caveat, names in _caveats(norm).items():
        yield terminal.indented(terminal.line(f"{' and '.join(names)}: {caveat}"))


def _picture(norm: NormExplained, marks: Marks) -> RenderableType:
    """The cube, and what it says beside it."""
    rows = drawing(norm.region, marks)
    said = [_legend(marks, measured=norm.region.measures), terminal.line("")]
    said += [terminal.line(clause) for clause in norm.region.statistics]
    space = max(0, len(rows) - len(said)) // 2
    beside = Table.grid(padding=(0, _GAP, 0, 0))
    beside.add_column(no_wrap=True)
    beside.add_column(overflow="fold")
    cube = terminal.stacked(_coloured(row, marks) for row in rows)
    beside.add_row(cube, terminal.stacked([terminal.line("")] * space + said))
    return terminal.indented(beside)


def _facts(norm: NormExplained) -> Iterator[tuple[str, str]]:
    yield "use", norm.use
    yield "source", norm.source
    yield "ONNX operators", ", ".join(norm.operators) or _ABSENT
    yield "ONNX function", f"normonnx::{norm.name} -> {', '.join(norm.outputs)}"
    yield "layers", ", ".join(norm.layers) or _ABSENT
    if norm.aliases:
        yield "also called", ", ".join(norm.aliases)


def _forms(norm: NormExplained) -> RenderableType:
    """The forms; a norm that subtracts no mean has nothing to lose at a large one."""
    titles = ["form", "opset", "what"]
    rows = [[form.name, _opsets(form), _what(form)] for form in norm.forms]
    if norm.centered:
        titles.append("right at any mean")
        for row, form in zip(rows, norm.forms, strict=True):
            row.append("yes" if form.centered else "no")
    return terminal.table(titles, rows)


def _caveats(norm: NormExplained) -> dict[str, list[str]]:
    """What is wrong with forms on well-known runtimes, and the names of the forms."""
    found: dict[str, list[str]] = {}
    for form in norm.forms:
        if form.caveat:
            found.setdefault(form.caveat, []).append(f"{form.name!r}")
    return found


def _opsets(form: FormExplained) -> str:
    return f"{form.since} to {form.until}" if form.until else f"{form.since} or later"


def _what(form: FormExplained) -> str:
    native = ["one operator"] if form.native else []
    return ", ".join([*native, *(["body of the function"] if form.body else [])])


def _default(value: Number | None) -> str:
    if value is None:
        return "required"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _at_inference(norm: NormExplained) -> str:
    if not norm.region.measures:
        return "nothing to take"
    return "constants" if norm.region.fixed else "taken from X"


def _drawn_with(norm: NormExplained) -> str:
    return ", ".join(f"{name} = {value}" for name, value in norm.region.attributes.items())


def _legend(marks: Marks, *, measured: bool = True) -> Text:
    shares = f"   {marks.shared} what shares its statistic" if measured else ""
    return _coloured(f"{marks.own} one output{shares}", marks, no_wrap=False)


def _coloured(text: str, marks: Marks, *, no_wrap: bool = True) -> Text:
    made = Text(text, no_wrap=no_wrap)
    for mark, style in ((marks.own, _OWN), (marks.shared, _SHARED)):
        for place, char in enumerate(text):
            if char == mark:
                made.stylize(style, place, place + 1)
    return made


def _marks() -> Marks:
    """Lines and squares where stdout can show them."""
    try:
        "".join((LINES.own, LINES.shared, *LINES.corners)).encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return LINES
