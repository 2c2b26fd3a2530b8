"""Tables in Markdown, and results as they are looked up for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
"""The line that counts, by key."""


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a table."""
    found = [_line(head), "|" + " --- |" * len(head)]
    return found + [_line(row) for row in rows]


def of_stage(results: Results, stage: str) -> list[Mapping[str, Any]]:
    """Results of a stage, its summary left out."""
    return [one for one in results.values() if one["stage"] == stage and one["status"] != "summary"]


def short(value: Any, digits: int = 3) -> str:  # noqa: ANN401  # a number, text, or nothing
    """A number in three digits; a dash where there is none."""
    if value is None:
        return "–"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.{digits}g}" if math.isfinite(number) else str(number)


def interval(ratio: Mapping[str, Any] | None) -> str:
    """A ratio with its interval."""
    if not ratio:
        return "–"
    return f"{short(ratio['median'])} [{short(ratio['low'])}, {short(ratio['high'])}]"


def _line(cells: Sequence[Any]) -> str:
    return (
        "| " + " | ".join(str(cell).replace("|", "/").replace("\n", " ") for cell in cells) + " |"
    )
