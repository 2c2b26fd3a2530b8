"""Stage "placement": does every node of a model run on the provider, and if not, which don't."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.evidence import sessions
from tools.evidence.items import Item
from tools.evidence.manifest import Manifest
from tools.evidence.subjects import Context


def items(manifest: Manifest, backend: str) -> Sequence[Item]:
    """Each model, in each precision."""
    return [
        Item(f"placement:{entry.name}", f"{__name__}:place", backend, {"model": entry.name}, 60)
        for entry in manifest.models
    ]


def place(context: Context, arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """First without the CPU to fall back to, then with it and what fell back."""
    entry = context.manifest.entry(arguments["model"])
    path = context.models / entry.file
    provider = sessions.provider_of(context.backend)
    strict = "there is nothing to fall back from"
    if provider != sessions.CPU:
        strict = _strictly(context, path)
    session = sessions.opened(path, context.backend)
    return {"status": "ok", "strict": strict, **sessions.placement(session, provider)}


def _strictly(context: Context, path: Any) -> str:  # noqa: ANN401
    try:
        sessions.opened(path, context.backend, strict=True)
    except sessions.FallbackError:
        raise
    except Exception as error:  # noqa: BLE001  # onnxruntime raises many kinds
        return str(error).strip().splitlines()[0][:300]
    return "all nodes"
