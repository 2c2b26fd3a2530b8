"""What the verbs that rewrite a model share: their options, the check, and the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from normonnx.cli.completion import completing, target_names
from normonnx.cli.html import check_html, html_options, write_html
from normonnx.cli.options import check_json, json_option, model_argument, report
from normonnx.cli.tracing import (
    check_provenance,
    provenance_of,
    provenance_option,
    put_beside,
    put_inside,
)
from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.verdicts import Verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from normonnx.core.verdicts import ValidationReport

Command = TypeVar("Command", bound=Callable[..., Any])
_VERIFY: Final[Mapping[str, Literal["final", "each"] | None]] = {
    "final": "final",
    "each": "each",
    "none": None,
}
_WORTH_WRITING: Final = (Verdict.PASS, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class _Work:
    """What to do with the result of a rewrite, as asked on the command line."""

    model: Path
    output: Path | None
    verify: str
    explain: bool
    dry_run: bool
    force: bool
    share_data: bool
    provenance: str | None
    json_to: str | None
    html_to: str | None
    no_measure: bool


def rewriting_options(command: Command) -> Command:
    """The options of every verb that rewrites a model, the model and --json among them."""
    options = (
        model_argument,
        click.option(
            "-o", "--output", type=click.Path(path_type=Path), help="Where to write the result."
        ),
        click.option(
            "--target",
            default="portable",
            show_default=True,
            help="Where the model will run; `normonnx list targets` names them.",
            shell_complete=completing(target_names),
        ),
        click.option(
            "--prefer",
            type=click.Choice(["speed", "accuracy"]),
            default="speed",
            show_default=True,
            help="accuracy: forms that are right at any mean of what they normalize.",
        ),
        click.option(
            "--opset",
            type=int,
            metavar="N",
            help="Opset of the result, 7 or later; the model's own unless given.",
        ),
        click.option(
            "--keep",
            multiple=True,
            metavar="NAME",
            help=(
                "Leave this node, or the node that makes this value, as it is; '*' matches. "
                "Repeatable."
            ),
        ),
        click.option(
            "--keep-input",
            "keep_inputs",
            multiple=True,
            metavar="NAME",
            help=(
                "Keep this initializer overridable where an IR 3 file lists it as an input. "
                "Repeatable."
            ),
        ),
        click.option(
            "--verify",
            type=click.Choice(list(_VERIFY)),
            default="final",
            show_default=True,
            help="Check the result, or also each rewrite by itself, in float64; or don't check.",
        ),
        click.option("--explain", is_flag=True, help="Print every rewrite and every refusal."),
        click.option("--dry-run", is_flag=True, help="Do everything but write the result."),
        click.option(
            "--share-data",
            is_flag=True,
            help=(
                "Leave unchanged weights in the files of MODEL; OUTPUT then needs them, and has to "
                "stand beside them."
            ),
        ),
        click.option("--force", is_flag=True, help="Allow OUTPUT to replace MODEL."),
        provenance_option,
        json_option,
    )
    command = html_options(command)
    for option in reversed(options):
        command = option(command)
    return command


def rewrite(verb: str, options: Mapping[str, Any]) -> ExitCode:
    """Rewrite a model, check the result, write it and report.

    Args:
        verb: Its name.
        options: Those of `rewriting_options`, and further ones of `normonnx.optimize`.
    """
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.cli.pages import Optimized, of_optimization
    from normonnx.reporting import rewrite_view, terminal

    own = {field.name for field in fields(_Work)}
    work = _Work(**{name: value for name, value in options.items() if name in own})
    asked = {name: value for name, value in options.items() if name not in own}
    model, output = work.model, work.output
    _check(work)
    with terminal.progress(f"optimizing {model.name}"):
        result = normonnx.optimize(model, verify=_VERIFY[work.verify], **asked)
    verification = result.report.verification
    before = size_on_disk(model)
    written = output if is_sound(verification) and not work.dry_run else None
    if written is not None:
        made = provenance_of(verb, model, {**asked, "verify": work.verify}, result)
        put_inside(work.provenance, made, result)
        normonnx.save(result.model, written, force=work.force, share_data=work.share_data)
        put_beside(work.provenance, made, written)
    after = size_on_disk(written) if written is not None else None
    if work.html_to is not None:
        done = Optimized(verb, model, written, result, (before, after), no_measure=work.no_measure)
        with terminal.progress(f"measuring for {work.html_to}"):
            write_html(of_optimization(done), work.html_to)
    content = {
        "model": model,
        "output": written,
        "bytes_before": before,
        "bytes_after": after,
        "report": result.report,
    }
    return report(
        verb,
        ExitCode.OK if verification is None else verification.verdict.exit_code,
        content,
        terminal.heading(str(model) if written is None else f"{model} -> {written}"),
        rewrite_view.rewrites(result.report, sizes=(before, after), explain=work.explain),
        *outcome(verification, written, dry_run=work.dry_run),
        json_to=work.json_to,
    )


def _check(work: _Work) -> None:
    """Fail before the work where anything that is asked for could not be written."""
    from normonnx.graph.sharing import check_sources

    model, output = work.model, work.output
    places = check_places(model, output, work.json_to, force=work.force, dry_run=work.dry_run)
    if work.share_data and output is not None:
        check_sources([path for path in places if path != output], output)
    check_html(work.html_to, work.json_to, inputs=places, no_measure=work.no_measure)
    check_provenance(work.provenance, work.json_to, inputs=places)


def check_places(  # noqa: PLR0913
    model: Path,
    output: Path | None,
    json_to: str | None,
    *,
    force: bool,
    dry_run: bool,
    others: Sequence[Path] = (),
) -> tuple[Path, ...]:
    """Fail before the work, not after it, where the result could not be written.

    Args:
        model: What is rewritten.
        output: Where the result goes.
        json_to: Where the JSON goes.
        force: Whether the result may replace the model.
        dry_run: Whether nothing is written.
        others: Further files that are read, which nothing may replace.

    Returns:
        All that is read, and where the result goes.

    Raises:
        UsageError: There is no model, or a place to write to is missing or can't be used.
    """
    from normonnx.graph.paths import writable_output
    from normonnx.graph.reading import files_of

    read = (*files_of(model), *others)
    if output is None and not dry_run:
        message = "no place for the result; give -o OUTPUT, or --dry-run to write nothing"
        raise UsageError(message)
    if output is not None:
        writable_output(output, inputs=read, force=force)
    places = read if output is None else (*read, output)
    check_json(json_to, inputs=places)
    return places


def is_sound(verification: ValidationReport | None) -> bool:
    """Whether a result may be written: nothing speaks against it."""
    return verification is None or verification.verdict in _WORTH_WRITING


def outcome(
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
