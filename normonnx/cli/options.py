"""Arguments and options that several verbs share, and how a verb reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from normonnx.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

Command = TypeVar("Command", bound=Callable[..., Any])


def model_argument(command: Command) -> Command:
    """The model to work on."""
    return click.argument("model", type=click.Path(path_type=Path))(command)


def json_option(command: Command) -> Command:
    """Where to write the result as JSON."""
    return click.option(
        "--json",
        "json_to",
        metavar="FILE|-",
        help="Also write the result as JSON to FILE; to stdout, instead of the text, for -.",
    )(command)


def check_json(json_to: str | None, *, inputs: Iterable[Path] = ()) -> None:
    """Check where JSON is to go, before any work is done.

    Raises:
        UsageError: It can't be written, or is one of `inputs`.
    """
    from normonnx.reporting import documents

    if json_to is None:
        return
    documents.check_destination(json_to)
    if json_to == "-":
        return
    for found in inputs:
        if _same_file(Path(json_to), found):
            message = f"--json {json_to} would replace {found}; choose another name"
            raise UsageError(message)


def _same_file(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


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

    if json_to != "-":
        terminal.show(*blocks)
    if json_to is not None:
        documents.write(documents.document(verb, code, content), json_to)
    return code
