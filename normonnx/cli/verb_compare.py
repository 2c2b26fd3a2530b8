"""`normonnx compare`: judge what was recorded elsewhere, and backends here on the same inputs."""

from __future__ import annotations

from pathlib import Path

import click

from normonnx.cli.judging import backend_option, limit_options
from normonnx.cli.options import (
    check_json,
    check_junit,
    examples,
    json_option,
    junit_option,
    report,
    write_junit,
)
from normonnx.core.errors import ExitCode


@click.command(
    "compare",
    epilog=examples(
        ("what was recorded elsewhere, judged here", "compare run.bundle"),
        ("the CPU beside it, on the same inputs", "compare run.bundle --backend ort:cpu"),
    ),
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="The recorded model, where it is neither in nor beside the bundle.",
)
@backend_option(default=())
@limit_options
@click.option("--all", "every_comparison", is_flag=True, help="List every output of every case.")
@junit_option
@json_option
def compare(  # noqa: PLR0913  # one parameter for each option
    bundle: Path,
    *,
    model: Path | None,
    backends: tuple[str, ...],
    timeout: float,
    memory: int | None,
    require_coverage: float,
    every_comparison: bool,
    junit_to: str | None,
    json_to: str | None,
) -> ExitCode:
    """Judge BUNDLE, which `normonnx record` wrote, perhaps on another machine.

    The recorded outputs are compared with the model evaluated in float64, as if the backend had
    run here. With --backend the model runs here as well, on the recorded inputs.
    """
    import normonnx
    from normonnx.graph.reading import files_of
    from normonnx.reporting import terminal
    from normonnx.reporting.verdict_view import validation

    read = (bundle,) if model is None else (bundle, *files_of(model))
    check_json(json_to, inputs=read)
    check_junit(junit_to, json_to, inputs=read)
    with terminal.progress(f"comparing {bundle.name}"):
        found = normonnx.compare(
            bundle,
            model=model,
            backends=backends,
            timeout=timeout,
            memory=memory,
            require_coverage=require_coverage / 100,
        )
    write_junit(found, str(bundle), junit_to)
    return report(
        "compare",
        found.verdict.exit_code,
        {"bundle": bundle, "model": model, "report": found},
        terminal.heading(str(bundle)),
        validation(found, every_comparison=every_comparison),
        json_to=json_to,
    )
