"""`normonnx prepend`: put a fitted scaler in front of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from normonnx.cli.options import json_option, model_argument, report
from normonnx.cli.rewriting import check_places, is_sound, outcome
from normonnx.core.errors import ExitCode

_EPILOG = """\b
Examples:
  normonnx prepend scaler.onnx model.onnx -o deployed.onnx
  normonnx prepend train.py:scaler model.onnx -o deployed.onnx
  normonnx prepend scaler.joblib model.onnx -o deployed.onnx --trust-pickle"""


@click.command("prepend", epilog=_EPILOG)
@click.argument("scaler")
@model_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the result.")
@click.option(
    "--input", "input_name", metavar="NAME", help="The input to scale, where MODEL has several."
)
@click.option("--no-fold", is_flag=True, help="Keep the scaler in front of the first layer.")
@click.option(
    "--style",
    type=click.Choice(["function", "native", "primitive"]),
    default="function",
    show_default=True,
    help="How the scaler is written where it stays in front; function needs opset 13.",
)
@click.option(
    "--stash-type",
    type=click.Choice(["float32", "float64"]),
    default="float64",
    show_default=True,
    help="What it is computed in where it stays; float32 for runtimes without float64.",
)
@click.option(
    "--trust-pickle", is_flag=True, help="Read SCALER from a pickle, which runs code that it holds."
)
@click.option(
    "--verify",
    type=click.Choice(["final", "none"]),
    default="final",
    show_default=True,
    help="Check the result in float64; or don't check.",
)
@click.option("--dry-run", is_flag=True, help="Do everything but write the result.")
@click.option("--force", is_flag=True, help="Allow OUTPUT to replace MODEL.")
@json_option
def prepend(  # noqa: PLR0913  # one parameter for each option
    scaler: str,
    model: Path,
    *,
    output: Path | None,
    input_name: str | None,
    no_fold: bool,
    style: Literal["function", "native", "primitive"],
    stash_type: Literal["float32", "float64"],
    trust_pickle: bool,
    verify: str,
    dry_run: bool,
    force: bool,
    json_to: str | None,
) -> ExitCode:
    """Put a fitted scaler of scikit-learn in front of MODEL.

    SCALER is a model made by normonnx.export_scaler, FILE.py:NAME or MODULE:NAME for a fitted
    scaler or a function that returns one, or a .joblib or .pkl file. A linear scaler is folded into
    the first layers where that is the same function; any other stays in front. The result is
    compared with the scaler, then MODEL, in float64. On a mismatch nothing is written (exit code
    1); where nothing can be compared, it is written, unverified (exit code 4).
    """
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.cli.scaler_source import file_of, scaler_named
    from normonnx.reporting import rewrite_view, terminal

    source = file_of(scaler)
    others = () if source is None else (source,)
    check_places(model, output, json_to, force=force, dry_run=dry_run, others=others)
    named = scaler_named(scaler, trust_pickle=trust_pickle)
    with terminal.progress(f"putting {scaler} in front of {model.name}"):
        result = normonnx.prepend(
            named,
            model,
            input=input_name,
            fold=not no_fold,
            style=style,
            stash_type=stash_type,
            verify="final" if verify == "final" else None,
        )
    verification = result.report.verification
    before = size_on_disk(model)
    written = output if is_sound(verification) and not dry_run else None
    if written is not None:
        normonnx.save(result.model, written, force=force)
    after = size_on_disk(written) if written is not None else None
    content = {
        "scaler": scaler,
        "model": model,
        "output": written,
        "folded": result.folded,
        "bytes_before": before,
        "bytes_after": after,
        "report": result.report,
    }
    return report(
        "prepend",
        ExitCode.OK if verification is None else verification.verdict.exit_code,
        content,
        terminal.heading(f"{scaler}, {model}" + ("" if written is None else f" -> {written}")),
        rewrite_view.rewrites(result.report, sizes=(before, after)),
        *outcome(verification, written, dry_run=dry_run),
        json_to=json_to,
    )
