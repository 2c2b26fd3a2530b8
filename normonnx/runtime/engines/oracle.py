"""The float64 oracle as a backend: the truth itself, in a process of its own."""

from __future__ import annotations

import numpy as np

from normonnx.core.errors import InvalidModelError, NormonnxError
from normonnx.core.version import VERSION
from normonnx.graph import files
from normonnx.runtime.engines.contract import GivenUpError, Job, Loaded, first_line, unavailable
from normonnx.runtime.oracle import evaluate


def load(job: Job) -> Loaded:
    """Load a model for evaluation in float64.

    Raises:
        GivenUpError: The model is damaged.
    """
    try:
        model = files.load(job.model)
    except NormonnxError as error:
        raise _given_up(error) from None

    def run(feeds: object) -> dict[str, object]:
        try:
            found = evaluate(model, feeds)  # type: ignore[arg-type]
        except NormonnxError as error:
            raise _given_up(error) from None
        return {name: one if isinstance(one, np.ndarray) else None for name, one in found.items()}

    settings = {"normonnx": VERSION, "numpy": np.__version__, "precision": "float64"}
    return Loaded(run, asked="CPU", settings=settings, wide=True)


def probe() -> dict[str, str]:
    """It is always here."""
    return {"oracle": f"normonnx {VERSION}"}


def _given_up(error: NormonnxError) -> GivenUpError:
    if isinstance(error, InvalidModelError):
        return GivenUpError("invalid", first_line(error))
    return unavailable(first_line(error))
