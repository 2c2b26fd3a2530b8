"""Inputs and dynamic dimensions as they are written on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import torch

from normonnx.core.errors import UsageError

_INPUT: Final = re.compile(r"(?P<name>[A-Za-z_]\w*):(?P<type>\w+)\[(?P<dims>[\d,\s]*)\]")
_AXIS: Final = re.compile(r"(?P<input>\w+):(?P<axis>\d+)=(?P<name>\w+)")
_SEED: Final = 0


def drawn(described: Sequence[str]) -> dict[str, torch.Tensor]:
    """Tensors by name, for NAME:TYPE[D,D,...]: N(0, 1), zeros for integers, True for booleans.

    Raises:
        UsageError: One is no such description.
    """
    source = torch.Generator().manual_seed(_SEED)
    found: dict[str, torch.Tensor] = {}
    for text in described:
        match = _INPUT.fullmatch(text.strip())
        kind = getattr(torch, match["type"], None) if match else None
        if match is None or not isinstance(kind, torch.dtype):
            message = (
                f"{text!r} is no input; expected NAME:TYPE[D,D,...] such as x:float32[1,3,32,32]"
            )
            raise UsageError(message)
        if match["name"] in found:
            message = f"input {match['name']!r} was given twice; give each once"
            raise UsageError(message)
        dims = [int(part) for part in match["dims"].split(",") if part.strip()]
        if kind.is_floating_point:
            found[match["name"]] = torch.randn(dims, generator=source).to(kind)
        else:
            found[match["name"]] = torch.full(dims, int(kind is torch.bool)).to(kind)
    return found


def dynamic_axes(given: Sequence[str]) -> str | dict[str, dict[int, str]] | None:
    """What `normonnx.export` takes as `dynamic`, for names and for INPUT:AXIS=NAME.

    Raises:
        UsageError: One is neither, or both kinds are there.
    """
    if not given:
        return None
    if len(given) == 1 and ":" not in given[0]:
        return given[0]
    found: dict[str, dict[int, str]] = {}
    for text in given:
        match = _AXIS.fullmatch(text)
        if match is None:
            message = (
                f"{text!r} is no dynamic dimension; expected one name such as batch, or "
                "INPUT:AXIS=NAME such as x:2=height"
            )
            raise UsageError(message)
        found.setdefault(match["input"], {})[int(match["axis"])] = match["name"]
    return found
