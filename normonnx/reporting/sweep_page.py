"""A sweep as one HTML file, to look at: counts, and a table to sort and search.

The file asks for nothing: its policy allows the style sheet and the script in it, by their hashes,
and nothing else, should a name ever get through unescaped. It says nothing about when and where it
was made, so the same sweep gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from normonnx.core.errors import ExitCode
from normonnx.core.sweeps import ModelResult, Outcome, SweepReport
from normonnx.core.version import VERSION
from normonnx.reporting.figures import count, printable
from normonnx.reporting.sweep_figures import TITLES, cells

_NOT_RUN = "not run"


def document(report: SweepReport) -> str:
    """The report as an HTML document, UTF-8."""
    style, script = _asset("sweep_page.css"), _asset("sweep_page.js")
    policy = f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    total = len(report.results) + len(report.not_run)
    title = f"normonnx sweep {report.verb}"
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            f"<title>{_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n",
            f'<h1>{_text(title)}</h1>\n<p class="sub">{count(total, "model")}</p>\n',
            _counts(report),
            _bar(report, total),
            '<label>Search <input type="search" placeholder="name, outcome or reason"></label>\n',
            _table(report),
            f"<footer>normonnx {_text(VERSION)}</footer>\n",
            f"<script>{script}</script>\n</body>\n</html>\n",
        )
    )


def _counted(report: SweepReport) -> list[tuple[str, str, int]]:
    """Outcomes with their classes and how many models have them."""
    found = [(one.value, _class(one), number) for one, number in report.counts.items()]
    return [*found, (_NOT_RUN, "none", len(report.not_run))] if report.not_run else found


def _counts(report: SweepReport) -> str:
    buttons = (
        f'<button type="button" class="{kind}" data-outcome="{_text(name)}" aria-pressed="false">'
        f"<b>{number}</b> {_text(name)}</button>\n"
        for name, kind, number in _counted(report)
    )
    return f'<div class="counts" role="group" aria-label="Outcomes">\n{"".join(buttons)}</div>\n'


def _bar(report: SweepReport, total: int) -> str:
    def rects() -> Iterator[str]:
        start = 0
        for name, kind, number in _counted(report):
            yield (
                f'<rect class="{kind}" x="{start}" y="0" width="{number}" height="1">'
                f"<title>{number} {_text(name)}</title></rect>"
            )
            start += number

    size = f'viewBox="0 0 {max(total, 1)} 1" preserveAspectRatio="none"'
    picture = f'<svg {size} role="img" aria-label="Shares">{"".join(rects())}</svg>'
    return f'<div class="bar">{picture}</div>\n'


def _table(report: SweepReport) -> str:
    titles = ("model", "outcome", *TITLES.get(report.verb, ()), "why")
    heads = "".join(
        f'<th scope="col"{_number(title)}><button type="button">{_text(title.removeprefix(">"))}'
        "</button></th>"
        for title in titles
    )
    rows = [_row(result, titles) for result in report.results]
    rows += [_missing(name, len(titles)) for name in report.not_run]
    return (
        f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n'
        f"{''.join(rows)}</tbody>\n</table></div>\n"
    )


def _row(result: ModelResult, titles: tuple[str, ...]) -> str:
    figures = "".join(
        f"<td{_number(title)}>{_text(cell)}</td>"
        for title, cell in zip(titles[2:-1], cells(result), strict=True)
    )
    name = result.outcome.value
    return (
        f'<tr data-outcome="{_text(name)}"><td class="name">{_text(result.model)}</td>'
        f'<td class="outcome {_class(result.outcome)}">{_text(name)}</td>{figures}'
        f'<td class="why">{_text(result.reason)}</td></tr>\n'
    )


def _missing(name: str, columns: int) -> str:
    empty = "<td></td>" * (columns - 2)
    return (
        f'<tr data-outcome="{_NOT_RUN}"><td class="name">{_text(name)}</td>'
        f'<td class="outcome">{_NOT_RUN}</td>{empty}</tr>\n'
    )


def _class(outcome: Outcome) -> str:
    if outcome.exit_code is ExitCode.OK:
        return "good"
    return "bad" if outcome.exit_code in (ExitCode.MISMATCH, ExitCode.INVALID) else "odd"


def _number(title: str) -> str:
    return ' class="number"' if title.startswith(">") else ""


def _text(text: str) -> str:
    """Text as HTML, control characters spelled out."""
    return escape(printable(text))


def _asset(name: str) -> str:
    return (files("normonnx.reporting") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy calls a style sheet or a script by."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
