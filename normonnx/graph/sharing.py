"""Weights that stay where they are: a model that refers to the data of the one that it came from.

A rewritten model changes few of its weights. The others needn't be written again where the result
comes to stand beside its source: ONNX lets a tensor lie at any offset of any file in the model's
folder, be it a data file or another model. What two models share neither may replace: `check_free`
asks before a file is replaced, and a data file that a model in its folder names is never removed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from normonnx.core.errors import NormonnxError, UsageError
from normonnx.core.files import real
from normonnx.graph import reading, tensors


@dataclass(frozen=True, slots=True)
class Shared:
    """Where the bytes of a tensor lie, as seen from the folder of the model that refers to them.

    Attributes:
        location: Name of the file.
        offset: In bytes.
    """

    location: str
    offset: int


def check_sources(sources: Sequence[Path], out: Path) -> None:
    """Refuse an output that can't share the weights of its source.

    Args:
        sources: The model file, then its data files.
        out: Where the output is to be.

    Raises:
        UsageError: There is no source, or it lies in another folder.
    """
    if not sources:
        message = (
            "no weights can be shared: the model was read from no file; load it from one, "
            "or write it whole, without sharing data"
        )
        raise UsageError(message)
    folder = real(out.parent)
    if folder not in (real(sources[0].parent), real(sources[0]).parent):
        message = (
            f"{out} can't share the weights of {sources[0]}: ONNX looks for them in the model's "
            f"own folder; write it into {sources[0].parent}, or leave out --share-data"
        )
        raise UsageError(message)


def places(
    collected: Sequence[tensors.StreamedTensor], sources: Sequence[Path], out: Path
) -> list[Shared | None]:
    """Where each tensor lies already; None for one that has to be written.

    Raises:
        UsageError: As `check_sources`; a file was changed while it was in use; or the output would
            replace the file that its weights lie in.
    """
    check_sources(sources, out)
    folder = real(out.parent)
    checked: dict[Path, str | None] = {}
    found: list[Shared | None] = []
    for tensor in collected:
        place = tensor.place
        if place is None:
            found.append(None)
            continue
        if place.path not in checked:
            checked[place.path] = _location(place, folder, out)
        location = checked[place.path]
        found.append(None if location is None else Shared(location, place.offset))
    return found


def _location(place: tensors.Place, folder: Path, out: Path) -> str | None:
    """The name that a file has in the folder; None for one that lies elsewhere."""
    path = real(place.path)
    if not path.is_relative_to(folder):
        return None
    if not place.is_current():
        message = f"{path} was changed while it was in use; load the model again"
        raise UsageError(message)
    if out.exists() and out.samefile(path):
        message = f"{out} holds the weights to share and would be replaced; choose another name"
        raise UsageError(message)
    return path.relative_to(folder).as_posix()


def check_free(out: Path, sources: Collection[Path]) -> None:
    """Refuse to replace a model file that holds weights of other models in its folder.

    Raises:
        UsageError: Naming one of these.
    """
    if not out.is_file():
        return
    for other in sorted(out.parent.glob("*.onnx")):
        if other.name == out.name or not other.is_file():
            continue
        try:
            locations = reading.data_locations(other, naming=out.name)
        except (NormonnxError, OSError):
            continue
        if any(os.path.normpath(location) == out.name for location in locations):
            itself = "; it was loaded from there" if other in sources else ""
            message = (
                f"{out} can't be replaced: {other} shares its weights{itself}; choose another "
                f"name, or write {other.name} whole first, under another name"
            )
            raise UsageError(message)
