"""The engine of each family of backends, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from normonnx.runtime.engines.contract import Job, Load, Loaded, Probe

_ENGINES: Final[Mapping[str, str]] = {  # by what comes before the colon of a backend's name
    "ort": "normonnx.runtime.engines.ort",
    "openvino": "normonnx.runtime.engines.openvino",
    "torch": "normonnx.runtime.engines.torch",
    "oracle": "normonnx.runtime.engines.oracle",
}


def load(job: Job) -> Loaded:
    """Load a model on the backend that is asked for.

    Raises:
        GivenUpError: The backend is not here, or can't run the model.
    """
    engine: Load = import_module(_ENGINES[job.backend.family]).load
    return engine(job)


def probe(family: str) -> Mapping[str, str]:
    """Name of each backend of a family that is here, to its version.

    Raises:
        GivenUpError: What runs the family is not installed.
    """
    engine: Probe = import_module(_ENGINES[family]).probe
    return engine()
