"""Results as lines of JSON: what was written is kept, and is not taken again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.evidence import journal, manifest
from tools.evidence.journal import Journal


def _result(key: str, status: str) -> dict[str, object]:
    return {"key": key, "stage": "stage", "status": status, "seconds": 0.1}


@pytest.mark.parametrize(
    ("status", "real"),
    [
        ("ok", True),
        ("mismatch", True),
        ("inconclusive", True),
        ("skipped", True),
        ("crash", False),
        ("hang", False),
        ("cut", False),
        ("error", False),
        ("unavailable", False),
        ("fallback", False),
    ],
)
def test_only_real_results_are_not_taken_again(tmp_path: Path, status: str, *, real: bool) -> None:
    """What crashed, hung or had no provider is tried again by the next run."""
    Journal(tmp_path).append(_result("a", status))
    assert Journal(tmp_path).has("a") is real


def test_a_line_that_was_cut_off_loses_only_itself(tmp_path: Path) -> None:
    """Lines before and after it are read, and the next one begins on a line of its own."""
    Journal(tmp_path).append(_result("a", "ok"))
    path = tmp_path / journal.RESULTS
    path.write_text(path.read_text() + '{"key": "b", "sta')
    Journal(tmp_path).append(_result("c", "ok"))
    assert [one["key"] for one in journal.read(tmp_path)] == ["a", "c"]


def test_the_last_real_line_of_a_key_counts(tmp_path: Path) -> None:
    """A crash does not hide a result, and a result replaces a crash."""
    found = Journal(tmp_path)
    for status in ("crash", "ok", "hang"):
        found.append(_result("a", status))
    assert journal.latest(journal.read(tmp_path))["a"]["status"] == "ok"


def test_numbers_that_are_not_finite_are_text(tmp_path: Path) -> None:
    """JSON has no infinity; float() reads what is written."""
    Journal(tmp_path).append({**_result("a", "ok"), "x": float("inf"), "y": np.float32(0.5)})
    (found,) = journal.read(tmp_path)
    assert float(found["x"]) == float("inf")
    assert found["y"] == 0.5


def test_a_digest_tells_rounding_from_another_answer() -> None:
    """Rounding drifts by its own size, one wrong entry among the samples by its size."""
    truth = np.random.default_rng(0).standard_normal((4, 100))
    digest = manifest.digest_of(truth)
    assert manifest.drift(truth, digest) == 0
    assert 0 < manifest.drift(truth * (1 + 1e-15), digest) < 1e-14
    assert manifest.drift(-truth, digest) > 0.1
    assert manifest.drift(truth.reshape(400), digest) == float("inf")
    assert manifest.drift(np.where(truth > 2, np.inf, truth), digest) == float("inf")
    assert len(digest["entries"]) == 64
