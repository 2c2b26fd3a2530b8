"""What the report says of stages "models" and "faults": the factor, alarms and faults caught."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isnan
from statistics import median
from typing import Any, Final

from normonnx.validation.measures import FACTOR
from tools.evidence.tables import Results, of_stage, short, table

_BENIGN: Final = "benign "


def factor(results: Results) -> list[str]:
    """Ratios of error to noise floor of right runs: does the calibrated factor hold?"""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in of_stage(results, "models"):
        if "verdict" in one or "count" in one:
            groups[_group(one["key"])].append(one)
    if not groups:
        return []
    rows = [_row(name, groups[name]) for name in sorted(groups)]
    head = ["what", "models", "compared", "median", "largest", "mismatch", "inconclusive", "worst"]
    plain = [one for name, found in groups.items() if "TF32" not in name for one in found]
    wrong = [one for one in plain if one["status"] == "mismatch"]
    alarms = [one for one in wrong if _largest(one) > FACTOR]
    largest = max(map(_ranked, plain), default=0.0)
    said = "holds" if not alarms else "does NOT hold"
    holds = f"The factor {FACTOR:g} {said}: the largest ratio without TF32 is {short(largest)}"
    drifts = [float(one["drift"]) for one in results.values() if "drift" in one]
    single = [one for one in plain if "verdict" in one and not one["key"].endswith("_fp16")]
    wrongly = sum(one["status"] == "mismatch" for one in single)
    alarmed = f"False alarms on whole models in float32: {wrongly} of {len(single)}"
    lines = ["", "## Does the calibrated factor hold?", "", f"{holds}. {alarmed}.", ""]
    lines += table(head, rows)
    lines += ["", *(f"- mismatch: {one['key']}: {_worst(one)}" for one in wrong)]
    if drifts:
        told = short(max(drifts), 2)
        lines.append(f"- float64 truths drift from those prepared by {told} of the largest entry")
    return lines


def faults(results: Results) -> list[str]:
    """Faults caught, and benign rewrites that raised a false alarm."""
    planted: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    benign: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in of_stage(results, "faults"):
        if "outcome" not in one:
            continue
        kind = one["key"].split(":")[1]
        (benign if kind.startswith(_BENIGN) else planted)[kind].append(one)
    if not planted and not benign:
        return []
    all_planted = [one for found in planted.values() for one in found]
    all_benign = [one for found in benign.values() for one in found]
    caught = _count(all_planted, "caught")
    alarms = _count(all_benign, "false alarm")
    lines = ["", "## Faults", ""]
    lines.append(
        f"Caught: {caught} of {len(all_planted)}. False alarms: {alarms} of "
        f"{len(all_benign)} benign rewrites."
    )
    rows = [
        [kind, f"{_count(found, 'caught')} of {len(found)}", short(min(map(_ranked, found)))]
        for kind, found in planted.items()
    ]
    lines += ["", *table(["fault", "caught", "smallest ratio"], rows)]
    rows = [
        [kind, f"{_count(found, 'passed')} of {len(found)}", short(max(map(_ranked, found)))]
        for kind, found in benign.items()
    ]
    lines += ["", *table(["rewrite", "passed", "largest ratio"], rows), ""]
    odd = [one for one in (*all_planted, *all_benign) if one["status"] != "ok"]
    lines += [f"- {one['key']}: {one['outcome']}, ratio {short(one.get('ratio'))}" for one in odd]
    return lines


def _group(key: str) -> str:
    _, name, *rest = key.split(":")
    precision = "float16" if name.endswith("_fp16") else "float32"
    if rest == ["tf32"]:
        return "float32 with TF32, outputs"
    return f"{precision}, tensors at {rest[1]}" if rest else f"{precision}, outputs"


def _row(name: str, found: Sequence[Mapping[str, Any]]) -> list[Any]:
    ratios = [ratio for one in found for ratio in _ratios(one)]
    compared = sum(one.get("count", len(one.get("comparisons", ()))) for one in found)
    worst = max(found, key=_ranked)
    wrong = sum(one["status"] == "mismatch" for one in found)
    unsure = sum(one["status"] == "inconclusive" for one in found)
    middle = short(median(ratios)) if ratios else "–"
    where = worst["key"].split(":")[1]
    return [name, len(found), compared, middle, short(_largest(worst)), wrong, unsure, where]


def _ratios(one: Mapping[str, Any]) -> list[float]:
    if "count" in one:
        return [float(one["median"])] if one["median"] is not None else []
    found = [float(each["ratio"]) for each in one["comparisons"]]
    return [ratio for ratio in found if not isnan(ratio)]


def _largest(one: Mapping[str, Any]) -> float:
    found = one.get("max", one.get("ratio"))
    return float("nan") if found is None else float(found)


def _ranked(one: Mapping[str, Any]) -> float:
    """The largest ratio; 0 where there is none, because an output is not finite."""
    found = _largest(one)
    return 0.0 if isnan(found) else found


def _worst(one: Mapping[str, Any]) -> str:
    if one.get("odd"):
        return f"{one['odd']} tensors are NaN or infinite where the truth is not"
    if one.get("worst"):
        name, kind, ratio = one["worst"][0][:3]
        return f"{kind} {name}, ratio {short(ratio)}"
    reasons = [each["reason"] for each in one.get("comparisons", ()) if each.get("reason")]
    return reasons[0] if reasons else str(one.get("reason", ""))


def _count(found: Sequence[Mapping[str, Any]], outcome: str) -> int:
    return sum(one["outcome"] == outcome for one in found)
