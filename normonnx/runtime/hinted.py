"""A session of ONNX Runtime as the model's own file advises.

`normonnx.optimize(..., target="ort-cpu")` leaves hints in the file's metadata, which ONNX Runtime
does not read. `session` reads them, without the weights, and makes the session accordingly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from normonnx.core.errors import UnavailableError
from normonnx.runtime.engines import ort
from normonnx.runtime.engines.contract import GivenUpError
from normonnx.runtime.engines.ort_hints import add, hints_of

__all__ = ["hints_of", "session"]

_CPU: Final = "CPUExecutionProvider"
_OPTIMIZERS: Final = "disabled_optimizers"

Provider = str | tuple[str, Mapping[str, Any]]


def session(
    path: str | os.PathLike[str],
    *,
    sess_options: Any = None,  # noqa: ANN401  # an onnxruntime.SessionOptions
    providers: Sequence[Provider] | None = None,
    provider_options: Sequence[Mapping[str, Any]] | None = None,
    **more: Any,  # noqa: ANN401  # whatever InferenceSession takes besides
) -> Any:  # noqa: ANN401  # an onnxruntime.InferenceSession
    """Make an `onnxruntime.InferenceSession` of a file, following the hints that the file holds.

    What the caller gives counts more than a hint: entries that `sess_options` already has stay,
    `disabled_optimizers` replaces those of the file, and where `providers` begin with another
    provider than the hints are for, there are no hints. A file without hints gives a plain session.

    Args:
        path: The .onnx file.
        sess_options: Options to start from; entries that the file advises are added to it.
        providers: As `InferenceSession` takes them; None for the one that the hints are for.
        provider_options: As `InferenceSession` takes them.
        more: As `InferenceSession` takes them.

    Returns:
        The session.

    Raises:
        UnavailableError: onnxruntime is not installed.
        UsageError: There is no such file, or it can't be read.
        InvalidModelError: The file is damaged, or is no ONNX model.
    """
    found = hints_of(path)
    try:
        runtime = ort.installed_runtime()
    except GivenUpError as error:
        raise UnavailableError(str(error)) from None
    if found is not None and providers and _name(providers[0]) != found.provider:
        found = None
    options = runtime.SessionOptions() if sess_options is None else sess_options
    if found is not None:
        providers = providers or list(dict.fromkeys([found.provider, _CPU]))
        more.setdefault(_OPTIMIZERS, list(found.disabled))
        add(options, found)
    return runtime.InferenceSession(
        os.fspath(path),
        options,
        providers=providers,
        provider_options=provider_options,
        **more,
    )


def _name(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]
