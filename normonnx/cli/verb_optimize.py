"""`normonnx optimize`: rewrite a model, check the result, and only then write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from normonnx.cli.options import check_json, json_option, model_argument, report
from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.verdicts import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from normonnx.core.verdicts import ValidationReport

_VERIFY: Final[Mapping[str, Literal["final", "each"] | None]] = {
    "final": "final",
    "each": "each",
    "none": None,
}
_WORTH_WRITING: Final = (Verdict.PASS, Verdict.INCONCLUSIVE)


@click.command("optimize")
@model_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the result.")
@click.option(
    "--target",
    default="portable",
    show_default=True,
    help="Where the model will run; `normonnx list targets` names them.",
)
@click.option(
    "--style",
    type=click.Choice(["function", "native", "primitive"]),
    help="function: each normalization, however spelled, as one call of its ONNX function.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="NAME",
    help="Leave this node, or the node that makes this value, as it is; '*' matches. Repeatable.",
)
@click.option(
    "--keep-input",
    "keep_inputs",
    multiple=True,
    metavar="NAME",
    help="Keep this initializer overridable where an IR 3 file lists it as an input. Repeatable.",
)
@click.option(
    "--verify",
    type=click.Choice(list(_VERIFY)),
    default="final",
    show_default=True,
    help="Check the result, or also each rewrite by itself, in float64; or don't check.",
)
@click.option("--explain", is_flag=True, help="Print every rewrite and every refusal.")
@click.option("--dry-run", is_flag=True, help="Do everything but write the result.")
@click.option("--force", is_flag=True, help="Allow OUTPUT to replace MODEL.")
@json_option
def optimize(  # noqa: PLR0913  # one parameter for each option
    model: Path,
    *,
    output: Path | None,
    target: str,
    style: Literal["function", "native", "primitive"] | None,
    keep: tuple[str, ...],
    keep_inputs: tuple[str, ...],
    verify: str,
    explain: bool,
    dry_run: bool,
    force: bool,
    json_to: str | None,
) -> ExitCode:
    """Fold BatchNorms and check the result.

    Other per-channel scales and shifts fold as well. The result is compared with MODEL in
    float64. On a mismatch nothing is written (exit code 1); where nothing can be compared, it is
    written, unverified (exit code 4).
    """
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.reporting import rewrite_view, terminal

    _check_places(model, output, json_to, force=force, dry_run=dry_run)
    with terminal.progress(f"optimizing {model.name}"):
        result = normonnx.optimize(
            model,
            target=target,
            style=style,
            keep=keep,
            keep_inputs=keep_inputs,
            verify=_VERIFY[verify],
        )
    verification = result.report.verification
    before = size_on_disk(model)
    written = output if _is_sound(verification) and not dry_run else None
    if written is not None:
        normonnx.save(result.model, written, force=force)
    after = size_on_disk(written) if written is not None else None
    content = {
        "model": model,
        "output": written,
        "bytes_before": before,
        "bytes_after": after,
        "report": result.report,
    }
    return report(
        "optimize",
        ExitCode.OK if verification is None else verification.verdict.exit_code,
        content,
        terminal.heading(str(model) if written is None else f"{model} -> {written}"),
        rewrite_view.rewrites(result.report, sizes=(before, after), explain=explain),
        *_outcome(verification, written, dry_run=dry_run),
        json_to=json_to,
    )


def _check_places(
    model: Path, output: Path | None, json_to: str | None, *, force: bool, dry_run: bool
) -> None:
    """Fail before the work, not after it, where the result could not be written.

    Raises:
        UsageError: There is no model, or a place to write to is missing or can't be used.
    """
    from normonnx.graph.paths import writable_output
    from normonnx.graph.reading import files_of

    read = files_of(model)
    if output is None and not dry_run:
        message = "no place for the result; give -o OUTPUT, or --dry-run to write nothing"
        raise UsageError(message)
    if output is not None:
        writable_output(output, inputs=read, force=force)
    check_json(json_to, inputs=read if output is None else (*read, output))


def _is_sound(verification: ValidationReport | None) -> bool:
    return verification is None or verification.verdict in _WORTH_WRITING


def _outcome(
    verification: ValidationReport | None, written: Path | None, *, dry_run: bool
) -> list[RenderableType]:
    """What the check said, and what became of the file."""
    from normonnx.reporting import terminal, verdict_view

    said: list[RenderableType] = [terminal.heading("checked against the original")]
    if verification is None:
        said = [terminal.line("not checked against the original, as asked for")]
    else:
        said.append(verdict_view.validation(verification))
    if written is not None:
        unverified = verification is None or verification.verdict is not Verdict.PASS
        place = f"{written} written{', unverified' if unverified else ''}"
    elif dry_run:
        place = "nothing written: dry run"
    else:
        place = "nothing written: the result did not pass its check; this is a bug of normonnx"
    return [*said, terminal.line(place)]
