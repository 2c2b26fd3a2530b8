"""Load and save: the public entrances of `reading` and `writing`."""

from __future__ import annotations

from normonnx.graph.reading import load, source_of
from normonnx.graph.writing import save

__all__ = ["load", "save", "source_of"]
