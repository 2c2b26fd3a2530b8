"""From a module to an ONNX model as torch writes it, with calls of the catalogue's functions."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Final

import onnx_ir as ir
import torch
from torch import nn

from normonnx.exporting.blaming import in_words
from normonnx.exporting.capturing import Capture

WRITTEN_IN: Final = 18  # the lowest opset that torch writes
_LOGGERS: Final = ("torch.onnx", "torch.export", "torch._export", "onnxscript", "torch.fx")


def traced(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    dynamic_shapes: Any,  # noqa: ANN401  # torch's nested structure
    capture: Capture | None,
) -> torch.export.ExportedProgram:
    """Trace a module.

    Raises:
        UsageError: torch can't; with the place in the user's code.
    """
    try:
        with quiet(), torch.no_grad(), capture or _nothing():
            return torch.export.export(
                module,
                args,
                dict(kwargs) or None,
                dynamic_shapes=dynamic_shapes,
                strict=False,
            )
    except Exception as error:  # torch raises many kinds
        raise in_words(error, "export", module) from error


def written(
    program: torch.export.ExportedProgram,
    module: nn.Module,
    table: Mapping[Any, Any] | None = None,
    opset: int = WRITTEN_IN,
) -> torch.onnx.ONNXProgram:
    """Write what was traced, without any optimization.

    Raises:
        UsageError: It has an operator that torch can't write.
    """
    try:
        with quiet(), torch.no_grad():
            found = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                optimize=False,
                verify=False,
                verbose=False,
                custom_translation_table=dict(table) if table else None,
            )
    except Exception as error:  # torch raises many kinds
        raise in_words(error, "export", module) from error
    if found is None:
        message = "torch.onnx.export returned nothing"
        raise RuntimeError(message)
    return found


def optimized(program: torch.onnx.ONNXProgram, weights: Collection[str] = ()) -> ir.Model:
    """What torch's exporter makes of what it wrote: constants folded, dead nodes gone.

    Args:
        program: Changed in place.
        weights: Names of initializers that keep their names and numbers: while the model is
            optimized they are inputs with a default, so neither folded nor merged with others.
    """
    graph = program.model.graph
    inputs = list(graph.inputs)
    graph.inputs.extend(graph.initializers[name] for name in weights)
    with quiet():
        program.optimize()
    graph = program.model.graph
    own = {value.name for value in inputs}
    kept = [value for value in graph.inputs if value.name in own]
    graph.inputs.clear()
    graph.inputs.extend(kept)
    for name in weights:
        value = graph.initializers.get(name)
        if value is not None and not value.uses():
            del graph.initializers[name]
    return program.model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's advice about its own exporters off the terminal."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    unseen = io.StringIO()  # torch prints the graph that it can't trace
    try:
        with warnings.catch_warnings(), redirect_stdout(unseen), redirect_stderr(unseen):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
