"""`normonnx optimize`: rewrite a model, check the result, and only then write it."""

from __future__ import annotations

from typing import Any

import click

from normonnx.cli.options import examples
from normonnx.cli.rewriting import rewrite, rewriting_options
from normonnx.core.errors import ExitCode


@click.command(
    "optimize",
    epilog=examples(
        ("standard operators, checked in float64", "optimize model.onnx -o optimized.onnx"),
        (
            "for ONNX Runtime on CPU, told in full",
            "optimize model.onnx -o optimized.onnx --target ort-cpu --explain",
        ),
        ("what would be done, but for the head", "optimize model.onnx --dry-run --keep '/head/*'"),
    ),
)
@rewriting_options
@click.option(
    "--style",
    type=click.Choice(["function", "native", "primitive"]),
    help=(
        "function: each normalization, however spelled, as one call of its ONNX function. "
        "native: ONNX's own operator wherever there is one. primitive: no normalization operator. "
        "The target chooses unless given."
    ),
)
def optimize(**options: Any) -> ExitCode:  # noqa: ANN401  # as many types as options
    """Fold BatchNorms, choose each normalization's form, and check the result.

    Other per-channel scales and shifts fold as well. Normalizations are recognised however they
    were spelled, and written in the form that the target runs best. The result is compared with
    MODEL in float64. On a mismatch nothing is written (exit code 1); where nothing can be compared,
    it is written, unverified (exit code 4).
    """
    return rewrite("optimize", options)
