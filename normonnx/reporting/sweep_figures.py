"""What a result of a sweep says in figures, read from its verb's JSON document."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from normonnx.core.sweeps import ModelResult
from normonnx.reporting.figures import multiple, size

TITLES: Final = {
    "inspect": (">nodes", ">norms", ">would fold", ">size"),
    "optimize": (">nodes", ">after", ">rewrites", ">left", ">size", ">after", ">error/floor"),
    "lower": (">nodes", ">after", ">rewrites", ">left", ">size", ">after", ">error/floor"),
    "validate": (">outputs", ">error (u)", ">error/floor"),
}


@dataclass(frozen=True, slots=True)
class Worst:
    """The comparison that is furthest off.

    Attributes:
        compared: How many comparisons there are.
        error: Its error in u; NaN where there is none.
        ratio: The same over the noise floor.
    """

    compared: int
    error: float
    ratio: float


def cells(result: ModelResult) -> tuple[str, ...]:
    """One cell for each title of its verb; empty where a figure isn't there."""
    empty = ("",) * len(TITLES.get(result.verb, ()))
    if result.document is None:
        return empty
    try:
        return tuple(_BY_VERB[result.verb](result.document))
    except (AttributeError, KeyError, TypeError, ValueError):
        return empty


def worst(document: Mapping[str, Any]) -> Worst:
    """The comparison of a document that is furthest off."""
    report = document.get("report") or {}
    judged = report.get("verification") if "verification" in report else report
    found = (judged or {}).get("comparisons") or []
    ratios = [one["ratio"] if one.get("ratio") is not None else math.nan for one in found]
    known = [number for number, ratio in enumerate(ratios) if not math.isnan(ratio)]
    if not known:
        return Worst(len(found), math.nan, math.nan)
    number = max(known, key=lambda at: ratios[at])
    error = found[number].get("error")
    return Worst(len(found), math.nan if error is None else error, ratios[number])


def _inspected(document: Mapping[str, Any]) -> Iterator[str]:
    found = document["inspection"]
    yield f"{sum(found['nodes'].values())}"
    yield f"{len(found['norms'])}"
    yield f"{sum(norm['foldable'] for norm in found['norms'])}"
    yield size(document["bytes"])


def _rewritten(document: Mapping[str, Any]) -> Iterator[str]:
    report = document["report"]
    yield f"{sum(report['nodes_before'].values())}"
    yield f"{sum(report['nodes_after'].values())}"
    yield f"{len(report['applied'])}"
    yield f"{len(report['refused'])}"
    yield size(document["bytes_before"])
    yield size(document["bytes_after"]) if document["bytes_after"] is not None else ""
    found = worst(document)
    yield "" if math.isnan(found.ratio) else multiple(found.ratio)


def _validated(document: Mapping[str, Any]) -> Iterator[str]:
    found = worst(document)
    yield f"{found.compared}"
    yield "" if math.isnan(found.error) else multiple(found.error)
    yield "" if math.isnan(found.ratio) else multiple(found.ratio)


_BY_VERB: Final = {
    "inspect": _inspected,
    "optimize": _rewritten,
    "lower": _rewritten,
    "validate": _validated,
}
