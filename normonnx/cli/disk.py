"""The files of a model on the disk."""

from __future__ import annotations

from pathlib import Path

from normonnx.core.errors import InvalidModelError
from normonnx.graph.paths import external_file, readable_model
from normonnx.graph.reading import data_locations


def files_of(model: Path) -> tuple[Path, ...]:
    """A model file and its external data files; of a damaged model the file alone.

    Raises:
        UsageError: There is no such file, or it can't be read.
    """
    found = readable_model(model)
    if not found.stat().st_size:
        return (found,)
    try:
        data = {external_file(found, location) for location in data_locations(found)}
    except InvalidModelError:
        return (found,)  # loading it says what is wrong, and better
    return (found, *sorted(data))


def size_on_disk(model: Path) -> int:
    """Bytes of a model file and of its external data files.

    Raises:
        UsageError: There is no such file, or it can't be read.
    """
    return sum(file.stat().st_size for file in files_of(model))
