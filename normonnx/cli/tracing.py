"""`--provenance`: what a written model says about its source, inside or beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from normonnx.cli.options import check_written

if TYPE_CHECKING:
    from normonnx.graph.provenance import Provenance
    from normonnx.pipeline import OptimizeResult

Command = TypeVar("Command", bound=Callable[..., Any])
INSIDE: Final = "inside"


def provenance_option(command: Command) -> Command:
    """Where to say what a model was made from."""
    return click.option(
        "--provenance",
        metavar="FILE|inside",
        help="Say what the result was made from (SHA-256 of the source, version, options, "
        "verdict): in its metadata, or as JSON in FILE.",
    )(command)


def check_provenance(asked: str | None, *others: str | None, inputs: Iterable[Path]) -> None:
    """Check where it is to go, before any work is done.

    Args:
        asked: What the option says.
        others: Where other things go.
        inputs: Files that must stay.

    Raises:
        UsageError: It can't be written, or would replace one of these.
    """
    if asked not in (None, INSIDE):
        taken = [Path(name) for name in others if name not in (None, "-")]
        check_written("--provenance", asked, (*inputs, *taken))


def provenance_of(
    verb: str, model: Path, options: Mapping[str, Any], result: OptimizeResult
) -> Provenance:
    """How a result came about.

    Args:
        verb: What made it.
        model: Its source.
        options: With what options.
        result: What was made.
    """
    from normonnx.graph.provenance import Provenance, of_files
    from normonnx.reporting.documents import plain

    judged = result.report.verification
    source, weights = of_files(model)
    said = {name: plain(value) for name, value in sorted(options.items())}
    return Provenance(source, weights, verb, said, None if judged is None else judged.verdict.value)


def put_inside(asked: str | None, found: Provenance, result: OptimizeResult) -> None:
    """Write it into the model, where that is asked for."""
    from normonnx.graph import provenance

    if asked == INSIDE:
        provenance.put(result.model, found, changed=result.report.modified)


def put_beside(asked: str | None, found: Provenance, written: Path) -> None:
    """Write it to a file of its own, with digests of what was written, where that is asked for.

    Raises:
        UsageError: It can't be written.
    """
    from normonnx.graph.provenance import of_files
    from normonnx.reporting import documents

    if asked in (None, INSIDE):
        return
    model, weights = of_files(written)
    content = found.document | {
        "output": {"sha256": model.sha256, "bytes": model.nbytes},
        "output_weights": [{"sha256": one.sha256, "bytes": one.nbytes} for one in weights],
    }
    documents.write_text(documents.text(content), str(asked), "--provenance")
