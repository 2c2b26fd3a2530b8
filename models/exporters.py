"""torch's ONNX exporters in the three styles that differ in what they do to BatchNorm.

- "dynamo": `torch.onnx.export(dynamo=True)`. Folds BatchNorm into Conv, ConvTranspose and Gemm
  where it follows directly, and keeps the others.
- "dynamo-raw": the same with `optimize=False`. Keeps every BatchNorm; a Conv without bias gets a
  computed one, Expand(CastLike(0, x), Shape).
- "legacy": `dynamo=False` with `TrainingMode.PRESERVE`. In the default mode, EVAL, torch folds
  Conv followed by BatchNorm while tracing; PRESERVE leaves that out, and since the module is in
  eval mode each BatchNorm is still exported as inference.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import torch

from models import NETWORKS
from models.network import Network

Exporter = Literal["dynamo", "dynamo-raw", "legacy"]
EXPORTERS: tuple[Exporter, ...] = get_args(Exporter)
_OPSET = {"dynamo": 18, "dynamo-raw": 18, "legacy": 13}


def export(
    network: str | Network, path: Path, exporter: Exporter, *, opset: int | None = None
) -> None:
    """Write a network as one ONNX file, weights embedded.

    Args:
        network: A network, or a name from `NETWORKS`, which is built at full size with seed 0.
        path: File to write; replaced if it exists.
        exporter: One of `EXPORTERS`.
        opset: Version of the default domain; 18 for the dynamo styles, 13 for legacy if None.

    Raises:
        ValueError: `exporter` is none of `EXPORTERS`.
    """
    if exporter not in EXPORTERS:
        message = f"exporter {exporter!r} is unknown; choose one of {', '.join(EXPORTERS)}"
        raise ValueError(message)
    built = NETWORKS[network]() if isinstance(network, str) else network
    version = _OPSET[exporter] if opset is None else opset
    with _quiet():
        if exporter == "legacy":
            _export_legacy(built, path, version)
        else:
            _export_dynamo(built, path, version, optimize=exporter == "dynamo")


def _export_legacy(network: Network, path: Path, opset: int) -> None:
    torch.onnx.export(
        network.module,
        tuple(network.inputs.values()),
        path,
        input_names=list(network.inputs),
        output_names=list(network.outputs),
        dynamic_axes={name: dict(axes) for name, axes in network.dynamic.items()},
        opset_version=opset,
        training=torch.onnx.TrainingMode.PRESERVE,
        dynamo=False,
    )


def _export_dynamo(network: Network, path: Path, opset: int, *, optimize: bool) -> None:
    torch.onnx.export(
        network.module,
        tuple(network.inputs.values()),
        path,
        input_names=list(network.inputs),
        output_names=list(network.outputs),
        dynamic_shapes=tuple(dict(network.dynamic.get(name, {})) for name in network.inputs),
        opset_version=opset,
        external_data=False,
        optimize=optimize,
        dynamo=True,
        verbose=False,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's advice about its own exporters off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
