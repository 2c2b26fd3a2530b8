"""What a model's file advises on its session of ONNX Runtime: read from it, and followed."""

from __future__ import annotations

import os
import warnings
from typing import Any

from normonnx.core.hints import DISABLED, KEY, SessionHints, UnknownHintsError


def hints_of(path: str | os.PathLike[str]) -> SessionHints | None:
    """The hints that a file holds; None where it holds none, or none that can be read.

    Raises:
        UsageError: There is no such file, or it can't be read.
        InvalidModelError: The file is damaged, or is no ONNX model.
    """
    from normonnx.graph import reading  # a second of imports that most workers never need

    text = reading.metadata_of(path).get(KEY)
    if text is None:
        return None
    try:
        return SessionHints.of_text(text)
    except UnknownHintsError as error:
        message = f"{os.fspath(path)}: its session hints are ignored, since {error}"
        warnings.warn(message, stacklevel=2)
        return None


def add(options: Any, hints: SessionHints) -> None:  # noqa: ANN401
    """Add the entries that the options don't have yet; optimizers are an argument by themselves."""
    for name, value in hints.entries.items():
        if name == DISABLED:
            continue
        try:
            options.get_session_config_entry(name)
        except Exception:  # noqa: BLE001  # what it raises where there is none
            options.add_session_config_entry(name, value)
