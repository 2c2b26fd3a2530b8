"""`--html FILE`: the option, the check before any work, and the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from normonnx.cli.options import check_written
from normonnx.core.errors import UsageError

if TYPE_CHECKING:
    from normonnx.reporting.html.blocks import Page

Command = TypeVar("Command", bound=Callable[..., Any])


def html_option(command: Command) -> Command:
    """Where to write the report."""
    return click.option(
        "--html",
        "html_to",
        metavar="FILE",
        help="Also write a report with charts as one HTML file that needs no network.",
    )(command)


def html_options(command: Command) -> Command:
    """Where to write the report, and whether it may take the time to measure."""
    measure = click.option(
        "--no-measure",
        is_flag=True,
        help="With --html: leave out what takes time, latency and the error of each node.",
    )
    return html_option(measure(command))


def check_html(
    html_to: str | None, *others: str | None, inputs: Iterable[Path] = (), no_measure: bool = False
) -> None:
    """Check where the report is to go and that it can be made, before any work is done.

    Args:
        html_to: The file; None for no report.
        others: Where else something is written; "-" for stdout.
        inputs: What must not be overwritten.
        no_measure: Whether nothing is to be measured, which makes sense with a report alone.

    Raises:
        UsageError: It can't be written, is one of `inputs`, or is where something else goes.
        UnavailableError: What makes reports is not installed.
    """
    if html_to is None:
        if no_measure:
            message = "--no-measure is about the report; give --html FILE as well"
            raise UsageError(message)
        return
    if html_to == "-":
        message = "--html - is no file; name one, such as report.html"
        raise UsageError(message)
    taken = [Path(other) for other in others if other not in (None, "-") and other is not None]
    check_written("--html", html_to, (*inputs, *taken))
    from normonnx.reporting.html.canvas import check_installed

    check_installed()


def write_html(page: Page, html_to: str) -> None:
    """Write a report, whole or not at all.

    Raises:
        UsageError: It can't be written.
    """
    from normonnx.reporting import documents
    from normonnx.reporting.html.page import render

    documents.write_text(render(page), html_to, "--html")
