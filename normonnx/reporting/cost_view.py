"""What forms cost, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from normonnx.core.costs import CostTable, Entry, FormCost
from normonnx.reporting import terminal
from normonnx.reporting.figures import multiple

_RANDOM = "random"
_TITLES = ("", "form", ">ms", ">ratio", "95 % interval", ">error (u)", ">worst (u)", "on")


def costs(table: CostTable) -> RenderableType:
    """Each use with its forms; the fastest is marked: the first where none is surely faster."""
    return terminal.stacked(_blocks(table))


def _blocks(table: CostTable) -> Iterator[RenderableType]:
    facts = {**table.machine, **table.versions}
    said = ", ".join(f"{name} {value}" for name, value in facts.items())
    yield terminal.line(f"target {table.target}: {said}")
    for entry in table.entries:
        yield terminal.heading(_use(entry))
        fastest = entry.fastest
        rows = [_row(form, fastest=form is fastest) for form in entry.forms]
        yield terminal.indented(terminal.table(_TITLES, rows))


def _use(entry: Entry) -> str:
    attributes = ", ".join(f"{name} {value}" for name, value in entry.attributes.items())
    shape = ", ".join(map(str, entry.shape))
    given = f"with {', '.join(sorted(entry.given))}" if entry.given else "without parameters"
    return f"{entry.norm} of ({shape}) {entry.dtype}, opset {entry.opset}, {attributes}, {given}"


def _row(form: FormCost, *, fastest: bool) -> tuple[str, ...]:
    worst = max(form.errors, key=lambda name: form.errors[name], default="")
    return (
        "*" if fastest else "",
        form.form,
        f"{form.milliseconds:.3g}",
        f"{form.ratio:.2f}",
        f"{form.low:.2f} to {form.high:.2f}",
        multiple(form.errors.get(_RANDOM, float("nan"))),
        multiple(form.errors.get(worst, float("nan"))),
        worst,
    )
