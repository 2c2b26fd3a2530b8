"""What runs a model: the float64 oracle, and the backends that are judged against it."""

from __future__ import annotations

from normonnx.runtime.backends import BACKENDS

__all__ = ["BACKENDS"]
