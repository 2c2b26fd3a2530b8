"""Which backends this machine has, asked of the runtimes themselves, each in its own process."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from normonnx.runtime import workers
from normonnx.runtime.naming import BACKENDS, INSTALL

_PATIENCE: Final = 60.0  # seconds; a runtime that takes longer to import is broken
_ORT: Final = "ort"
_ANY: Final = f"{_ORT}:PROVIDER"


@dataclass(frozen=True, slots=True)
class Probed:
    """One backend.

    Attributes:
        name: What `--backend` takes.
        description: What it is.
        here: Name and version of what runs it here; empty where it is not installed.
        missing: Why it is not here, and how to get it.
    """

    name: str
    description: str
    here: str = ""
    missing: str = ""


def probe() -> tuple[Probed, ...]:
    """Every known backend, and each further execution provider that is installed."""
    found: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for family in dict.fromkeys(name.partition(":")[0] for name in BACKENDS):
        answer = _ask(family)
        if isinstance(answer, str):
            reasons[family] = answer
        else:
            found |= answer
    rows = [
        Probed(
            name, said, found.pop(name, ""), reasons.get(name.partition(":")[0]) or _way_to(name)
        )
        for name, said in BACKENDS.items()
        if name != _ANY
    ]
    rows += [Probed(name, "ONNX Runtime", here) for name, here in found.items()]
    return tuple(rows)


def _way_to(name: str) -> str:
    return "; ".join(filter(None, ["not installed", INSTALL.get(name, "")]))


def _ask(family: str) -> Mapping[str, str] | str:
    with tempfile.TemporaryDirectory(prefix="normonnx-") as folder:
        answer = workers.run(Path(folder), {"probe": family}, workers.Limits(_PATIENCE))
    if isinstance(answer, str):
        return answer
    found: Mapping[str, str] | str = answer.get("found") or answer["reason"]
    return found
