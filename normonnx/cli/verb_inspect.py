"""`normonnx inspect`: which normalizations a model holds, and what would become of them."""

from __future__ import annotations

from pathlib import Path

import click

from normonnx.cli.options import check_json, examples, json_option, model_argument, report
from normonnx.core.errors import ExitCode


@click.command(
    "inspect",
    epilog=examples(
        ("what is in it, and what would fold", "inspect model.onnx"),
        ("every node, as JSON", "inspect model.onnx --all --json found.json"),
    ),
)
@model_argument
@click.option("--all", "every_node", is_flag=True, help="List every node, not only groups of them.")
@json_option
def inspect(model: Path, *, every_node: bool, json_to: str | None) -> ExitCode:
    """List normalizations, and what would fold.

    Says what would fold, what not, and why. Nothing is changed and nothing is run.
    """
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.graph.reading import files_of
    from normonnx.reporting import terminal
    from normonnx.reporting.inspection_view import inspection

    check_json(json_to, inputs=files_of(model))
    with terminal.progress(f"reading {model.name}"):
        found = normonnx.inspect(model)
    return report(
        "inspect",
        ExitCode.OK,
        {"model": model, "bytes": size_on_disk(model), "inspection": found},
        inspection(found, name=str(model), nbytes=size_on_disk(model), every_node=every_node),
        json_to=json_to,
    )
