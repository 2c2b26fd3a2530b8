"""`normonnx validate`: is what backends compute right, and are two models the same function?"""

from __future__ import annotations

from pathlib import Path

import click

from normonnx.cli.options import check_json, json_option, model_argument, report
from normonnx.core.errors import ExitCode


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read NAME=2,3,224,224, the shape of one input; a name may itself hold an equals sign."""
    name, equals, dims = text.rpartition("=")
    parts = [part.strip() for part in dims.split(",")] if dims.strip() else []
    if not name or not equals or not all(part.isdecimal() for part in parts):
        message = f"{text!r} is no shape, expected NAME=D,D,... such as input=2,3,224,224"
        raise click.BadParameter(message)
    return name, tuple(int(part) for part in parts)


@click.command("validate")
@model_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="REFERENCE",
    help="Also ask whether MODEL is the same function as this model.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    default=("ort:cpu",),
    show_default=True,
    help="What to run MODEL on; `normonnx list backends` names them. Repeatable.",
)
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Inputs by name, instead of drawn ones.",
)
@click.option(
    "--shape",
    "shapes",
    type=_shape,
    multiple=True,
    metavar="NAME=D,D,...",
    help="Shape of an input with dynamic dimensions. Repeatable.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of drawn inputs.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a backend may take.",
)
@click.option("--all", "every_comparison", is_flag=True, help="List every output of every case.")
@json_option
def validate(  # noqa: PLR0913  # one parameter for each option
    model: Path,
    *,
    against: Path | None,
    backends: tuple[str, ...],
    inputs: Path | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    seed: int,
    timeout: float,
    every_comparison: bool,
    json_to: str | None,
) -> ExitCode:
    """Judge what backends compute for MODEL.

    The truth is MODEL evaluated in float64. The yardstick is its own noise floor: how far the
    truth moves when inputs and weights are perturbed by one roundoff. A backend that is missing
    is never a pass (exit code 3).
    """
    import normonnx
    from normonnx.cli.disk import files_of
    from normonnx.reporting import terminal
    from normonnx.reporting.verdict_view import validation

    read = files_of(model) + (files_of(against) if against is not None else ())
    check_json(json_to, inputs=read if inputs is None else (*read, inputs))
    with terminal.progress(f"validating {model.name}"):
        found = normonnx.validate(
            model,
            against=against,
            backends=backends,
            inputs=inputs,
            shapes=dict(shapes) or None,
            seed=seed,
            timeout=timeout,
        )
    return report(
        "validate",
        found.verdict.exit_code,
        {"model": model, "against": against, "report": found},
        terminal.heading(str(model) if against is None else f"{model} against {against}"),
        validation(found, every_comparison=every_comparison),
        json_to=json_to,
    )
