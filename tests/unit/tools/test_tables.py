"""What the report concludes from results: it must be able to say no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.evidence import reporting
from tools.evidence.journal import Journal, latest
from tools.evidence.judged_tables import factor, faults


def _model(name: str, ratio: float | str, status: str = "ok") -> dict[str, Any]:
    comparison = {"ratio": ratio, "verdict": status}
    if status == "mismatch":
        comparison["reason"] = "is wrong"
    found = {"key": f"models:{name}", "stage": "models", "status": status, "seconds": 1.0}
    return found | {"verdict": status, "ratio": ratio, "comparisons": [comparison]}


def _fault(key: str, outcome: str, ratio: float = 100.0) -> dict[str, Any]:
    status = "ok" if outcome in ("caught", "passed") else "mismatch"
    found = {"key": f"faults:{key}", "stage": "faults", "status": status, "seconds": 1.0}
    return found | {"outcome": outcome, "ratio": ratio}


def _text(*results: dict[str, Any]) -> str:
    found = latest(list(results))
    return "\n".join([*factor(found), *faults(found)])


def test_the_factor_holds_while_no_ratio_exceeds_it() -> None:
    """TF32 is known to cost 13 bits, and says nothing about the factor."""
    said = _text(_model("a", 3.5), _model("a_fp16", 0.5), _model("a:tf32", 900.0, "mismatch"))
    assert "The factor 16 holds: the largest ratio without TF32 is 3.5." in said
    assert "False alarms on whole models in float32: 0 of 1." in said


def test_one_ratio_beyond_it_and_it_does_not_hold() -> None:
    """The model is named with the reason."""
    said = _text(_model("a", 3.5), _model("b", 17.0, "mismatch"))
    assert "The factor 16 does NOT hold: the largest ratio without TF32 is 17." in said
    assert "False alarms on whole models in float32: 1 of 2." in said
    assert "- mismatch: models:b: is wrong" in said


def test_what_overflows_is_told_and_is_not_the_factor_s_fault() -> None:
    """An output that is infinite on one side only has no ratio."""
    said = _text(_model("b_fp16", "nan", "mismatch"), _model("a", 3.5))
    assert "The factor 16 holds: the largest ratio without TF32 is 3.5." in said
    assert "- mismatch: models:b_fp16" in said


def test_what_was_missed_is_counted_and_named() -> None:
    """And so is a benign rewrite that raised an alarm."""
    said = _text(
        _fault("flipped-sign:a", "caught"),
        _fault("flipped-sign:b", "missed", 3.0),
        _fault("benign renamed:a", "false alarm", 20.0),
        _fault("benign renamed:b", "passed", 2.0),
    )
    assert "Caught: 1 of 2. False alarms: 1 of 2 benign rewrites." in said
    assert "| flipped-sign | 1 of 2 | 3 |" in said
    assert "- faults:flipped-sign:b: missed, ratio 3" in said


def test_a_report_of_nothing_claims_nothing(tmp_path: Path) -> None:
    """No section without results, and what failed is listed."""
    failed = {"key": "forms:x", "stage": "forms", "status": "crash", "seconds": 1.0}
    Journal(tmp_path).append(failed | {"reason": "SIGSEGV"})
    said = reporting.write(tmp_path)
    assert "holds" not in said
    assert "Caught" not in said
    assert "| forms:x | crash | SIGSEGV |" in said
