"""`normonnx inspect`: which normalizations a model holds, and what would become of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from normonnx.cli.options import check_json, examples, json_option, model_argument, report
from normonnx.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from normonnx.core.inspection import Inspection
    from normonnx.core.listing import Neighborhood


@click.command(
    "inspect",
    epilog=examples(
        ("what is in it, and what would fold", "inspect model.onnx"),
        ("every node, as JSON", "inspect model.onnx --all --json found.json"),
    ),
)
@model_argument
@click.option("--all", "every_node", is_flag=True, help="List every node, not only groups of them.")
@click.option(
    "--svg",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also draw a normalization with its neighbors, before and after `optimize`.",
)
@click.option(
    "--node",
    metavar="NAME",
    help="Which one --svg draws: a node of it; by default the first that folds.",
)
@json_option
def inspect(
    model: Path, *, every_node: bool, svg: Path | None, node: str | None, json_to: str | None
) -> ExitCode:
    """List normalizations, and what would fold.

    Says what would fold, what not, and why. Nothing is changed and nothing is run.
    """
    import normonnx
    from normonnx.cli.disk import size_on_disk
    from normonnx.graph.reading import files_of
    from normonnx.reporting import terminal
    from normonnx.reporting.inspection_view import inspection

    read = files_of(model)
    _check_picture(svg, node, read)
    check_json(json_to, inputs=read if svg is None else (*read, svg))
    with terminal.progress(f"reading {model.name}"):
        found = normonnx.inspect(model)
    drawn = None if svg is None else _drawn(model, found, svg, node)
    return report(
        "inspect",
        ExitCode.OK,
        {
            "model": model,
            "bytes": size_on_disk(model),
            "inspection": found,
            "picture": svg,
            "place": drawn,
        },
        inspection(found, name=str(model), nbytes=size_on_disk(model), every_node=every_node),
        *([] if svg is None else [terminal.line(f"{svg} written")]),
        json_to=json_to,
    )


def _check_picture(svg: Path | None, node: str | None, read: tuple[Path, ...]) -> None:
    """Fail before anything is read where the picture could not be written.

    Raises:
        UsageError: It can't be written or is no SVG, or there is none to choose a node for.
    """
    from normonnx.graph.paths import writable_output

    if svg is None:
        if node is not None:
            message = "--node chooses what --svg draws; give --svg FILE as well"
            raise UsageError(message)
        return
    if svg.suffix.lower() != ".svg":
        message = f"--svg {svg} does not end in .svg; name a file such as place.svg"
        raise UsageError(message)
    writable_output(svg, inputs=read, example="place.svg")


def _drawn(model: Path, found: Inspection, svg: Path, node: str | None) -> Neighborhood | None:
    """Draw a normalization, or an affine, with its neighbors."""
    import normonnx
    from normonnx.cli import places
    from normonnx.reporting import documents, graph_picture

    one = places.chosen(found, node)
    place = places.of_found(normonnx.load(model), one)
    if place is not None:
        documents.write_text(graph_picture.document(place), str(svg), "--svg")
    return place
