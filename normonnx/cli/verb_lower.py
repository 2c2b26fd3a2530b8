"""`normonnx lower`: take normalizations apart, for old opsets and small runtimes."""

from __future__ import annotations

from typing import Any

import click

from normonnx.cli.options import examples
from normonnx.cli.rewriting import rewrite, rewriting_options
from normonnx.core.errors import ExitCode, UsageError


@click.command(
    "lower",
    epilog=examples(
        ("for a runtime that knows opset 11", "lower model.onnx -o old.onnx --opset 11"),
        (
            "no normalization operators at all",
            "lower model.onnx -o primitive.onnx --style primitive",
        ),
    ),
)
@rewriting_options
@click.option(
    "--style",
    type=click.Choice(["native", "primitive"]),
    help=(
        "primitive: no normalization operator at all. native: ONNX's own operator wherever there "
        "is one. The target chooses unless given."
    ),
)
def lower(**options: Any) -> ExitCode:  # noqa: ANN401  # as many types as options
    """Write normalizations in other forms, or move a model to another opset; fold nothing.

    Give --opset for the version of ONNX's operators that a runtime knows, --style primitive for one
    without normalization operators, or both. The result is compared with MODEL in float64. On a
    mismatch nothing is written (exit code 1); where nothing can be compared, it is written,
    unverified (exit code 4).
    """
    if options["style"] is None and options["opset"] is None and options["target"] == "portable":
        message = "nothing to lower to; give --opset N, --style primitive or --target TARGET"
        raise UsageError(message)
    return rewrite("lower", {**options, "passes": ("lower",)})
