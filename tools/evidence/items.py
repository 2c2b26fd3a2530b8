"""What there is to do: items, each a result of its own, in stages that share the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tools.evidence.manifest import Manifest
from tools.evidence.subjects import Context

RESTART: Final = "restart"
"""Key of a result after which the worker is of no use any more."""
Work = Callable[[Context, Mapping[str, Any], float], dict[str, Any]]
"""Context, arguments and seconds allowed, to a result with "status"."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to find out.

    Attributes:
        key: Unique, the stage's name first.
        work: MODULE:FUNCTION of a `Work`.
        arguments: What it is told; plain JSON.
        backend: What to run on.
        seconds: The longest that it may take.
    """

    key: str
    work: str
    backend: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Items that belong together.

    Attributes:
        name: For example "models".
        weight: Share of the time, relative to the other stages.
        items: Makes the items for what was prepared and a backend, the most telling first.
    """

    name: str
    weight: float
    items: Callable[[Manifest, str], Sequence[Item]]


def skipped(reason: str) -> dict[str, Any]:
    """The result of an item that makes no sense here."""
    return {"status": "skipped", "reason": reason}


def with_option(backend: str, option: str) -> str:
    """A backend's name with one more option."""
    return f"{backend},{option}"
