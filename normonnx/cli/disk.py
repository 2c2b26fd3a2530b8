"""What a model takes on the disk."""

from __future__ import annotations

from pathlib import Path

from normonnx.graph.reading import files_of


def size_on_disk(model: Path) -> int:
    """Bytes of a model file and of its external data files.

    Raises:
        UsageError: There is no such file, or it can't be read.
    """
    return sum(file.stat().st_size for file in files_of(model))
