"""The whole path of `tools/cuda_evidence.py`, on the CPU: prepare, run, go on, report."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tools.evidence import journal, manifest
from tools.evidence.running import BUNDLES, STAGES

pytest.importorskip("torch", reason="the networks are torch modules: install normonnx[torch]")
pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

_ROOT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, str(_ROOT / "tools" / "cuda_evidence.py")]
_BUDGET = 90  # on a busy machine 60 leaves out what takes long

pytestmark = pytest.mark.slow


def _done(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*_COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks at test size."""
    folder = tmp_path_factory.mktemp("prepared")
    done = _done("prepare", "--quick", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def results(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a minute and a half on the CPU finds."""
    folder = tmp_path_factory.mktemp("results")
    start = time.monotonic()
    done = _run(prepared, folder)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < _BUDGET + 30
    return folder


def _run(prepared: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    options = ["--backend", "ort:cpu", "--budget", str(_BUDGET), *more]
    return _done("run", "--models", prepared, "--out", out, *options)


def test_prepared_is_what_can_be_carried(prepared: Path) -> None:
    """Eight networks or more with every kind of normalization, below 40 MB, in both precisions."""
    found = manifest.read(prepared)
    assert len({one.network for one in found.models} - {"single"}) >= 8
    assert {one.precision for one in found.models} == {"float32", "float16"}
    assert sum(path.stat().st_size for path in prepared.iterdir()) < 40e6
    norms = {norm for one in found.models for norm in one.norms}
    assert norms >= {"BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm", "RMSNorm"}
    assert norms >= {"LocalResponseNorm", "GlobalResponseNorm"}
    planted = {fault for one in found.models for fault in one.faults}
    assert len(planted) >= 9


def test_every_stage_has_results_and_none_is_a_failure(results: Path) -> None:
    """Each stage says as well what it left out for lack of time."""
    found = journal.latest(journal.read(results))
    for stage in STAGES:
        statuses = Counter(one["status"] for one in found.values() if one["stage"] == stage.name)
        assert statuses["ok"] >= 1, stage.name
        assert set(statuses) <= {*journal.REAL, "summary", "cut"}, stage.name
        summary = found[f"summary:{stage.name}"]
        assert summary["done"] + summary["skipped_for_time"] <= summary["items"]


def test_right_runs_pass_and_faults_are_caught(results: Path) -> None:
    """No false alarm, nothing missed."""
    found = journal.latest(journal.read(results))
    models = [one for one in found.values() if one["stage"] == "models" and "verdict" in one]
    assert {one["verdict"] for one in models} <= {"pass", "inconclusive"}
    outcomes = {one["outcome"] for one in found.values() if "outcome" in one}
    assert outcomes == {"caught", "passed"}
    assert all(one.get("drift", 0.0) < 1e-12 for one in found.values())


def test_what_comes_back_is_small(results: Path) -> None:
    """A few files, below 2 MB together."""
    names = {path.name for path in results.iterdir()}
    assert names == {journal.RESULTS, BUNDLES, "report.md", "cost_table.json"}
    assert sum(path.stat().st_size for path in results.iterdir()) < 2e6


def test_the_report_tells_everything(results: Path) -> None:
    """Device, verdict on the factor, faults, forms and latencies."""
    done = _done("report", results)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (results / "report.md").read_text()
    for words in (
        "CPUExecutionProvider",
        "The factor 16 holds",
        "False alarms: 0 of",
        "rank-reduced",
        "A/A",
        "session creation",
    ):
        assert words in done.stdout


def test_a_second_run_does_nothing_twice(prepared: Path, results: Path) -> None:
    """What has a real result is not run again; a stage that is complete says so at once."""
    before = {one["key"] for one in journal.read(results) if one["status"] in journal.REAL}
    lines = len(journal.read(results))
    done = _run(prepared, results, "--stage", "versions", "--stage", "registry", "--stage", "edges")
    assert done.returncode == 0, done.stderr
    added = journal.read(results)[lines:]
    assert {one["status"] for one in added} == {"summary"}
    assert {one["key"] for one in added}.isdisjoint(before)
    assert all(one["skipped_for_time"] == 0 for one in added)


def test_a_provider_that_is_not_there_ends_everything(prepared: Path, tmp_path: Path) -> None:
    """Exit code 3 at once, no stage begun, nothing that looks like a result."""
    start = time.monotonic()
    done = _run(prepared, tmp_path, "--backend", "ort:MadeUp")
    assert done.returncode == 3
    assert time.monotonic() - start < 20
    assert [one["status"] for one in journal.read(tmp_path)] == ["fallback"]
    assert "MadeUp" in (tmp_path / "report.md").read_text()
    assert "pass" not in (tmp_path / "report.md").read_text()


def test_it_ends_when_told_to_and_keeps_what_it_found(prepared: Path, tmp_path: Path) -> None:
    """SIGTERM costs the item in hand; everything before can be read."""
    command = [*_COMMAND, "run", "--backend", "ort:cpu", "--budget", "60"]
    command += ["--models", str(prepared), "--out", str(tmp_path), "--stage", "placement"]
    command += ["--stage", "forms"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while len(journal.read(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
    found = journal.read(tmp_path)
    assert len(found) >= 3
    assert all(one["status"] == "ok" for one in found if one["status"] != "summary")
    assert "placement" in (tmp_path / "report.md").read_text()


def test_nothing_was_prepared(tmp_path: Path) -> None:
    """The way out is told."""
    done = _run(tmp_path, tmp_path / "out")
    assert done.returncode == 2
    assert "prepare" in done.stderr
    assert not (tmp_path / "out").exists()
