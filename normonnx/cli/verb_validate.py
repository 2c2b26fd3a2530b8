"""`normonnx validate`: is what backends compute right, and are two models the same function?"""

from __future__ import annotations

from pathlib import Path

import click

from normonnx.cli.html import check_html, html_options, write_html
from normonnx.cli.judging import (
    backend_option,
    input_files,
    input_options,
    limit_options,
    profile_option,
    tolerance_options,
)
from normonnx.cli.options import (
    check_json,
    check_junit,
    examples,
    json_option,
    junit_option,
    model_argument,
    report,
    write_junit,
)
from normonnx.core.errors import ExitCode


@click.command(
    "validate",
    epilog=examples(
        ("is what ONNX Runtime computes right?", "validate model.onnx"),
        ("and are they the same function?", "validate optimized.onnx --against model.onnx"),
        (
            "another runtime, inputs at the edge",
            "validate model.onnx --backend openvino --profiles all --junit report.xml",
        ),
    ),
)
@model_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="REFERENCE",
    help="Also ask whether MODEL is the same function as this model.",
)
@backend_option(default=("ort:cpu",))
@input_options
@profile_option
@limit_options
@tolerance_options
@click.option(
    "--all", "every_comparison", is_flag=True, help="List every output of every case, and nodes."
)
@click.option("--no-locate", is_flag=True, help="Don't look for the node where a mismatch begins.")
@click.option(
    "--repro",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write that node to DIR, as a model of its own with inputs that show the fault.",
)
@html_options
@junit_option
@json_option
def validate(  # noqa: PLR0913  # one parameter for each option
    model: Path,
    *,
    against: Path | None,
    backends: tuple[str, ...],
    inputs: tuple[str, ...],
    profiles: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    seed: int,
    factor: float | None,
    rtol: float | None,
    atol: float | None,
    timeout: float,
    memory: int | None,
    require_coverage: float,
    every_comparison: bool,
    no_locate: bool,
    repro: Path | None,
    html_to: str | None,
    no_measure: bool,
    junit_to: str | None,
    json_to: str | None,
) -> ExitCode:
    """Judge what backends compute for MODEL.

    The truth is MODEL evaluated in float64. The yardstick is its own noise floor: how far the
    truth moves when inputs and weights are perturbed by one roundoff. A backend that is missing
    is never a pass (exit code 3).
    """
    import normonnx
    from normonnx.cli.pages import of_validation
    from normonnx.graph.reading import files_of
    from normonnx.reporting import terminal
    from normonnx.reporting.verdict_view import validation

    read = files_of(model) + (files_of(against) if against is not None else ())
    read = (*read, *input_files(inputs))
    check_json(json_to, inputs=read)
    check_junit(junit_to, json_to, inputs=read)
    check_html(html_to, json_to, junit_to, inputs=read, no_measure=no_measure)
    with terminal.progress(f"validating {model.name}"):
        found = normonnx.validate(
            model,
            against=against,
            backends=backends,
            inputs=inputs or None,
            profiles=profiles,
            shapes=dict(shapes) or None,
            seed=seed,
            factor=factor,
            rtol=rtol,
            atol=atol,
            timeout=timeout,
            memory=memory,
            require_coverage=require_coverage / 100,
            locate=not no_locate,
            repro=repro,
            each_node=html_to is not None and not no_measure,
        )
    if html_to is not None:
        write_html(of_validation(model, against, found), html_to)
    write_junit(found, str(model), junit_to)
    return report(
        "validate",
        found.verdict.exit_code,
        {"model": model, "against": against, "report": found},
        terminal.heading(str(model) if against is None else f"{model} against {against}"),
        validation(found, every_comparison=every_comparison),
        json_to=json_to,
    )
