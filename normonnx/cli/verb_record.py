"""`normonnx record`: keep what a backend computes here, to be judged elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from normonnx.cli.judging import backend_option, input_files, input_options, limit_options
from normonnx.cli.options import check_json, examples, json_option, model_argument, report
from normonnx.core.errors import ExitCode
from normonnx.core.verdicts import ValidationReport, Verdict


@click.command(
    "record",
    epilog=examples(
        ("run it here, judge it elsewhere", "record model.onnx --backend ort:cpu -o run.bundle"),
        ("digests alone, a few kilobytes", "record model.onnx -o small.bundle --digests"),
    ),
)
@model_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="BUNDLE",
    help="Where to write the bundle.",
)
@backend_option(default=("ort:cpu",), repeatable=False)
@input_options
@limit_options
@click.option("--digests", is_flag=True, help="Keep digests and a few figures, not the tensors.")
@click.option("--include-model", is_flag=True, help="Keep MODEL in the bundle as well.")
@click.option("--no-judge", is_flag=True, help="Leave the comparison with the truth to `compare`.")
@json_option
def record(  # noqa: PLR0913  # one parameter for each option
    model: Path,
    *,
    output: Path,
    backend: str,
    inputs: tuple[str, ...],
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    seed: int,
    timeout: float,
    memory: int | None,
    require_coverage: float,
    digests: bool,
    include_model: bool,
    no_judge: bool,
    json_to: str | None,
) -> ExitCode:
    """Run MODEL on a backend and keep what it answered.

    The golden bundle holds inputs and outputs, versions, device, settings and where each node ran;
    `normonnx compare` judges it on any machine, with or without that backend.
    """
    import normonnx
    from normonnx.graph.paths import writable_output
    from normonnx.graph.reading import files_of
    from normonnx.reporting import terminal

    read = (*files_of(model), *input_files(inputs))
    writable_output(output, inputs=read)
    check_json(json_to, inputs=(*read, output))
    with terminal.progress(f"recording {model.name} on {backend}"):
        found = normonnx.record(
            model,
            output,
            backend=backend,
            inputs=inputs or None,
            shapes=dict(shapes) or None,
            seed=seed,
            tensors=not digests,
            include_model=include_model,
            judge=not no_judge,
            timeout=timeout,
            memory=memory,
            require_coverage=require_coverage / 100,
        )
    return _reported(model, output, found, json_to)


def _reported(model: Path, output: Path, found: ValidationReport, json_to: str | None) -> ExitCode:
    """Say how it was judged and what was written; nothing is where there was nothing to record."""
    from normonnx.cli.disk import size_on_disk
    from normonnx.reporting import terminal
    from normonnx.reporting.figures import size
    from normonnx.reporting.verdict_view import validation

    kept = found.verdict not in (Verdict.UNAVAILABLE, Verdict.INVALID)
    unjudged = kept and not found.comparisons  # as asked for, or of the truth itself
    nbytes = output.stat().st_size if kept else None
    written = "nothing written" if nbytes is None else f"{output} written, {size(nbytes)}"
    return report(
        "record",
        ExitCode.OK if unjudged else found.verdict.exit_code,
        {
            "model": model,
            "model_bytes": size_on_disk(model),
            "output": output if kept else None,
            "bytes": nbytes,
            "report": found,
        },
        terminal.heading(str(model)),
        validation(found),
        terminal.line(f"{written}{', not judged' if unjudged else ''}"),
        json_to=json_to,
    )
