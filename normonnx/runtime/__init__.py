"""What runs a model: the float64 oracle, and the backends that are judged against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from normonnx.runtime.backends import BACKENDS

if TYPE_CHECKING:
    from normonnx.runtime.hinted import session

__all__ = ["BACKENDS", "session"]


def __getattr__(name: str) -> Any:  # noqa: ANN401  # `session`, loaded when it is asked for
    if name == "session":
        from normonnx.runtime.hinted import session

        return session
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
