"""Arguments and options that several verbs share, and how a verb reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.files import real

if TYPE_CHECKING:
    from rich.console import RenderableType

    from normonnx.core.verdicts import ValidationReport

Command = TypeVar("Command", bound=Callable[..., Any])


def examples(*found: tuple[str, str]) -> str:
    """Examples for the end of a verb's help.

    Args:
        found: What each is about, and the command line without `normonnx`.
    """
    lines = [f"  # {about}\n  normonnx {line}" for about, line in found]
    return "\b\nExamples:\n" + "\n".join(lines)


def model_argument(command: Command) -> Command:
    """The model to work on."""
    return click.argument("model", type=click.Path(path_type=Path))(command)


def threads_option(command: Command) -> Command:
    """How many threads a run may take."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="Threads that a run may take.",
    )(command)


def json_option(command: Command) -> Command:
    """Where to write the result as JSON."""
    return click.option(
        "--json",
        "json_to",
        metavar="FILE|-",
        help="Also write the result as JSON to FILE; to stdout, instead of the text, for -.",
    )(command)


def junit_option(command: Command) -> Command:
    """Where to write the result as JUnit XML."""
    return click.option(
        "--junit",
        "junit_to",
        metavar="FILE",
        help="Also write the result as JUnit XML, for CI: a suite for each backend and question.",
    )(command)


def check_json(json_to: str | None, *, inputs: Iterable[Path] = ()) -> None:
    """Check where JSON is to go, before any work is done.

    Raises:
        UsageError: It can't be written, or is one of `inputs`.
    """
    check_written("--json", json_to, inputs)


def check_junit(junit_to: str | None, json_to: str | None, *, inputs: Iterable[Path] = ()) -> None:
    """Check where JUnit XML is to go, before any work is done.

    Raises:
        UsageError: It can't be written, is one of `inputs`, or is where the JSON goes.
    """
    if junit_to == "-":
        message = "--junit - is no file; name one, such as report.xml"
        raise UsageError(message)
    other = () if json_to in (None, "-") else (Path(json_to or ""),)
    check_written("--junit", junit_to, (*inputs, *other))


def check_written(option: str, destination: str | None, inputs: Iterable[Path]) -> None:
    """Check where something is to go, before any work is done.

    Raises:
        UsageError: It can't be written, or is one of `inputs`.
    """
    from normonnx.reporting import documents

    if destination is None:
        return
    documents.check_destination(destination, option)
    if destination == "-":
        return
    for found in inputs:
        if _same_file(Path(destination), found):
            message = f"{option} {destination} would replace {found}; choose another name"
            raise UsageError(message)


def write_junit(found: ValidationReport, subject: str, junit_to: str | None) -> None:
    """Write a validation as JUnit XML where that is asked for.

    Raises:
        UsageError: It can't be written.
    """
    from normonnx.reporting import documents, junit

    if junit_to is not None:
        documents.write_text(junit.document(found, subject), junit_to, "--junit")


def _same_file(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return real(one) == real(other)


def report(
    verb: str,
    code: ExitCode,
    content: Mapping[str, object],
    *blocks: RenderableType,
    json_to: str | None,
) -> ExitCode:
    """Print what a verb found, as text or as JSON, and return its exit code.

    Args:
        verb: Name of the verb.
        code: What to exit with.
        content: The result as JSON is to show it.
        blocks: The result as text.
        json_to: A file for the JSON, "-" for JSON on stdout instead of text, None for text alone.
    """
    from normonnx.reporting import documents, terminal
    from normonnx.reporting.loudness import Loudness, loudness

    if json_to != "-" and loudness() is not Loudness.QUIET:
        terminal.show(*blocks)
    if json_to is not None:
        documents.write(documents.document(verb, code, content), json_to)
    return code
