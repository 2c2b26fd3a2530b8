"""Runs and comparisons as plain JSON in a bundle, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    NodePlacement,
    Statistics,
    Verdict,
)
from normonnx.validation.answers import Answer
from normonnx.validation.bundles import Bundle

_RECORDED: Final = " (recorded)"
_NUMBERS: Final = ("error", "floor", "max_abs", "u", "allowed")


def packed_run(answer: Answer) -> dict[str, Any]:
    """How a backend ran, as plain JSON."""
    found = asdict(answer.run) | {"wide": answer.wide}
    del found["verdict"], found["reason"]
    found["nodes"] = [[n.node, n.op_type, n.where, n.precision] for n in answer.run.nodes]
    return found


def unpacked_run(bundle: Bundle) -> BackendRun:
    """How a recorded backend ran; its name and notes say that it is a recording."""
    stored = {name: one for name, one in bundle.facts["run"].items() if name != "wide"}
    machine = ", ".join(f"{name} {said}" for name, said in bundle.facts["machine"].items())
    return BackendRun(
        verdict=Verdict.PASS,
        **stored
        | {
            "backend": stored["backend"] + _RECORDED,
            "nodes": tuple(NodePlacement(*node) for node in stored["nodes"]),
            "reduced": tuple(stored["reduced"]),
            "notes": (*stored["notes"], f"recorded on {machine}"),
        },
    )


def packed(comparison: Comparison) -> dict[str, Any]:
    """A comparison as plain JSON; numbers that are not finite as text, which float() reads."""
    return {name: _plain(value) for name, value in asdict(comparison).items()}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value


def unpacked(stored: Mapping[str, Any]) -> Comparison:
    """A recorded comparison."""
    numbers = {name: float(stored[name]) for name in _NUMBERS}
    measured = stored["statistics"]
    return Comparison(
        stored["question"],
        stored["backend"] + _RECORDED,
        stored["case"],
        stored["output"],
        Verdict(stored["verdict"]),
        stored["reason"],
        **numbers,
        statistics=None if measured is None else _unpacked_statistics(measured),
        narrow=bool(stored.get("narrow", False)),
    )


def _unpacked_statistics(stored: Mapping[str, Any]) -> Statistics:
    def table(name: str) -> dict[float, Any]:
        return {float(key): value for key, value in stored[name].items()}

    numbers = {name: float(stored[name]) for name in ("mean_abs", "cosine", "max_rel")}
    return Statistics(percentiles=table("percentiles"), ulps=table("ulps"), **numbers)
