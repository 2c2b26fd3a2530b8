"""report.md: what a run found, in tables that fit on a few screens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tools.evidence import journal, spelled
from tools.evidence.judged_tables import factor, faults
from tools.evidence.measured_tables import edges, forms, latency, placement, registry
from tools.evidence.tables import Results, of_stage, table

REPORT: Final = "report.md"
_SECTIONS: Final = (factor, faults, placement, edges, forms, latency, registry)
_TOLD: Final = ("name", "driver_version", "compute_cap", "memory.total", "clocks.max.sm", "note")


def write(folder: Path) -> str:
    """Write report.md and the cost table of a folder of results, and return the report."""
    lines = journal.read(folder)
    results = journal.latest(lines)
    spelled.write_table(results, folder)
    parts = ["# Evidence", "", *_machine(results), *_stages(lines, results)]
    for section in _SECTIONS:
        parts += section(results)
    parts += _undone(results)
    text = "\n".join(parts) + "\n"
    (folder / REPORT).write_text(text)
    return text


def _machine(results: Results) -> list[str]:
    found = results.get("versions:machine")
    canary = results.get("canary:product")
    if canary is not None and found is None:
        return [f"The provider was not used, so nothing was run: {canary.get('reason')}"]
    if found is None:
        return ["Nothing is known about the machine."]
    runtime = found["onnxruntime"]
    rows = [
        ["backend", f"{found['backend']} ({found['provider']})"],
        ["card", ", ".join(str(found["card"][k]) for k in _TOLD if k in found["card"])],
        ["processor", f"{found['processor']}, {found['cores']} cores"],
        ["system", f"{found['system']}, Python {found['python']}"],
        ["onnxruntime", f"{runtime['version']} {runtime.get('package_name', '')}"],
        ["built with", " ".join(str(runtime.get(k, "")) for k in ("cuda_version", "build"))],
        ["packages", _pairs(found["packages"])],
        ["NVIDIA packages", _pairs(found["nvidia"]) or "none"],
    ]
    return table(["", ""], rows)


def _stages(lines: Sequence[Mapping[str, Any]], results: Results) -> list[str]:
    rows = []
    seconds: Counter[str] = Counter()
    for one in lines:
        if one["status"] == "summary":
            seconds[one["stage"]] += one["seconds"]
    for stage in dict.fromkeys(one["stage"] for one in results.values()):
        counts = Counter(one["status"] for one in of_stage(results, stage))
        summary = results.get(f"summary:{stage}", {})
        statuses = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        left = summary.get("skipped_for_time", "?")
        rows.append([stage, summary.get("items", "?"), statuses, left, f"{seconds[stage]:.0f} s"])
    head = ["stage", "items", "results", "left out for time", "took"]
    return ["", "## Stages", "", *table(head, rows)]


def _undone(results: Results) -> list[str]:
    rows = [
        [one["key"], one["status"], str(one.get("reason", ""))[:200]]
        for one in results.values()
        if one["status"] not in {*journal.REAL, "summary"}
    ]
    if not rows:
        return []
    return ["", "## What could not be run", "", *table(["item", "status", "reason"], rows)]


def _pairs(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
