"""`normonnx tune`: measure on this machine which form of each normalization is quickest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from normonnx.cli.completion import completing, target_names
from normonnx.cli.judging import shape_option
from normonnx.cli.options import (
    check_json,
    examples,
    json_option,
    model_argument,
    report,
    threads_option,
)
from normonnx.core.errors import ExitCode

if TYPE_CHECKING:
    from normonnx.tuning import Tuned


@click.command(
    "tune",
    epilog=examples(
        ("measure the forms of its normalizations", "tune model.onnx --seconds 0.5"),
        (
            "on OpenVINO, into a file",
            "tune model.onnx --target openvino --seconds 0.5 -o costs.json",
        ),
    ),
)
@model_argument
@click.option(
    "--target",
    default="ort-cpu",
    show_default=True,
    help="What to measure; `normonnx list targets` says which can run here.",
    shell_complete=completing(target_names),
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="How long to time all forms of one use.",
)
@threads_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the table to FILE, not to where `optimize` looks for it.",
)
@shape_option
@json_option
def tune(  # noqa: PLR0913  # one parameter for each option
    model: Path,
    *,
    target: str,
    seconds: float,
    threads: int,
    output: Path | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    json_to: str | None,
) -> ExitCode:
    """Measure what each form of MODEL's normalizations costs here.

    All forms of a normalization take turns on the runtime, at the shape that it has in MODEL, and
    each is held against the truth in float64 on inputs at the edge. The table is kept for
    `optimize`, entry by entry.
    """
    from normonnx.graph.paths import writable_output
    from normonnx.graph.reading import files_of
    from normonnx.lower import stored
    from normonnx.reporting import terminal
    from normonnx.reporting.cost_view import costs
    from normonnx.timing.tuning import backend_of
    from normonnx.tuning import tune_model

    read = files_of(model)
    backend_of(target)
    if output is not None:
        writable_output(output, inputs=read, example="costs.json")
    place = output or stored.place(target)
    check_json(json_to, inputs=(*read, place))
    with terminal.progress(f"measuring {model.name} on {target}") as bar:
        found = tune_model(
            model,
            target=target,
            shapes=dict(shapes),
            seconds=seconds,
            threads=threads,
            told=bar.tell,
        )
    written = place if found.table.entries else None
    if output is not None and written is not None:
        stored.write_file(found.table, output)
    elif written is not None:
        stored.write(found.table)
    missing = [terminal.line(f"{one.norm} {one.node}: {one.reason}") for one in found.left_out]
    said = "nothing written" if written is None else f"{written} written"
    return report(
        "tune",
        _outcome(found),
        {
            "model": model,
            "output": written,
            "table": found.table.plain,
            "left_out": found.left_out,
        },
        terminal.heading(str(model)),
        *([] if written is None else [costs(found.table)]),
        *([terminal.heading(f"not measured: {len(missing)}")] if missing else []),
        *missing,
        terminal.line(said if found.table.entries or missing else f"no normalization; {said}"),
        json_to=json_to,
    )


def _outcome(found: Tuned) -> ExitCode:
    """Inconclusive where there was something to measure, and nothing could be."""
    return ExitCode.INCONCLUSIVE if found.left_out and not found.table.entries else ExitCode.OK
