"""What the report says of the other stages: placement, edges, forms, latency, kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normonnx.timing import turns
from tools.evidence import end_to_end, spelled
from tools.evidence.edges import PROFILES
from tools.evidence.tables import Results, interval, of_stage, short, table


def placement(results: Results) -> list[str]:
    """Nodes that fell back, by model."""
    rows = [
        [
            one["key"].split(":")[1],
            one["nodes"],
            short(one["coverage"]),
            _kinds(one["elsewhere_kinds"]),
            str(one["strict"])[:80],
        ]
        for one in of_stage(results, "placement")
        if "nodes" in one
    ]
    head = ["model", "nodes", "coverage", "elsewhere", "without fallback"]
    return _section("Where nodes ran", [], head, rows)


def edges(results: Results) -> list[str]:
    """Errors in u, and entries that are NaN or infinite where the truth is not."""
    rows = []
    for one in of_stage(results, "edges"):
        if "profiles" in one:
            figures = [_edge(one["profiles"].get(name)) for name in PROFILES]
            rows.append([*one["key"].split(":")[1:], *figures])
    head = ["operator", "type", "scale", *PROFILES]
    about = "Error against float64 in units of the type's roundoff; NaN and infinite entries named."
    return _section("Inputs at the edge", [about, ""], head, rows)


def forms(results: Results) -> list[str]:
    """Time of each form relative to the first, with its interval, and its error."""
    rows = []
    for one in of_stage(results, "forms"):
        if "rows" not in one:
            continue
        what = " ".join(one["key"].split(":")[1:])
        for row in one["rows"]:
            failed = row.get("failed")
            time = failed[:60] if failed else interval(row.get("ratio"))
            name = "A/A" if row["form"] == turns.AGAIN else row["form"]
            away = row.get("elsewhere") or ""
            rows.append([what, name, short(row.get("ms")), time, short(row.get("error")), away])
    head = ["norm", "form", "ms", "ratio to the first [95 %]", "error, u", "nodes elsewhere"]
    about = f"{spelled.PLAIN!r} reads and writes the input once; A/A is the first form again."
    return _section("Forms", [about, ""], head, rows)


def latency(results: Results) -> list[str]:
    """Original against optimized."""
    rows = [
        [
            one["key"].split(":")[1],
            short(one["latency"][end_to_end.ORIGINAL]["ms"]),
            interval(one["latency"][turns.AGAIN]["ratio"]),
            interval(one["latency"][end_to_end.OPTIMIZED]["ratio"]),
            interval(one["creation"][end_to_end.OPTIMIZED]["ratio"]),
            f"{one[end_to_end.ORIGINAL]['nodes']} → {one[end_to_end.OPTIMIZED]['nodes']}",
        ]
        for one in of_stage(results, "latency")
        if "latency" in one
    ]
    head = ["model", "original, ms", "A/A", "optimized / original", "session creation", "nodes"]
    about = "Ratios below 1 mean that the optimized model is quicker; in brackets 95 % intervals."
    return _section("Latency", [about, ""], head, rows)


def registry(results: Results) -> list[str]:
    """Kernels for normalizations and linear operators."""
    found = results.get("registry:kernels")
    if not found or "kernels" not in found:
        return []
    rows = [[op, domain, span, "; ".join(types)] for op, domain, span, types in found["kernels"]]
    missing = ", ".join(found["missing"]) or "none"
    lines = ["", "## Kernels", "", f"Without a kernel of their own: {missing}.", ""]
    return lines + table(["operator", "domain", "versions", "types"], rows)


def _section(
    title: str, about: list[str], head: Sequence[str], rows: Sequence[Sequence[Any]]
) -> list[str]:
    """A heading and a table; nothing where there are no rows."""
    return ["", f"## {title}", "", *about, *table(head, rows)] if rows else []


def _edge(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return "–"
    if "failed" in figures:
        return "failed"
    odd = [
        f"{figures[kind]} {kind}"
        for kind in ("nan", "inf")
        if figures[kind] and figures[kind] != figures[f"truth_{kind}"]
    ]
    return ", ".join([short(figures["error"]), *odd])


def _kinds(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "none"
