"""A provider that is asked for and not used ends everything; one missing kernel does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from normonnx.runtime.engines.contract import unavailable
from tests.fake_runtimes import CPU, FakeOrt, put_first
from tools.evidence import journal, manifest, reporting, running, sessions, worker
from tools.evidence.items import RESTART
from tools.evidence.manifest import Manifest
from tools.evidence.running import Run
from tools.evidence.subjects import Context

_NOTHING = Manifest(0, {}, ())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOrt:
    """An onnxruntime that is put before the real one."""
    folder = tmp_path / "packages"
    folder.mkdir()
    put_first(folder, monkeypatch)
    return FakeOrt(folder)


def _run(tmp_path: Path) -> tuple[int, list[dict[str, Any]], list[str]]:
    models, out, told = tmp_path / "models", tmp_path / "out", list[str]()
    models.mkdir()
    manifest.write(_NOTHING, models)
    code = running.run(Run(_NOTHING, models, out, "ort:cuda", 20.0, (), told.append))
    return code, journal.read(out), told


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ({"available": (CPU,)}, "has no CUDAExecutionProvider"),
        ({"used": (CPU,)}, "could not be loaded"),
        ({"nodes": (("n", "MatMul", CPU),)}, "ran no node"),
    ],
    ids=["not installed", "not loaded", "not used"],
)
def test_silent_fallback_ends_everything(
    tmp_path: Path, fake: FakeOrt, says: dict[str, Any], reason: str
) -> None:
    """Exit code 3, one line that says why, and no result of any stage."""
    fake.says(**says)
    code, lines, told = _run(tmp_path)
    assert code == running.UNAVAILABLE
    assert [(one["key"], one["status"]) for one in lines] == [("canary:product", "fallback")]
    assert reason in lines[0]["reason"]
    assert reason in told[-1]
    report = reporting.write(tmp_path / "out")
    assert reason in report
    assert "pass" not in report


def _context(tmp_path: Path) -> Context:
    return Context(tmp_path, "ort:cuda", tmp_path, tmp_path, _NOTHING)


def _no_kernel(_context: Context, _arguments: object, _seconds: float) -> dict[str, Any]:
    reason = "no kernel for Frobnicate"
    raise unavailable(reason)


@pytest.mark.parametrize(
    ("canary", "status", "restart"),
    [
        (None, "unavailable", False),
        (sessions.FallbackError("CUDA was not used"), "fallback", False),
        (RuntimeError("an illegal memory access was encountered"), "unavailable", True),
    ],
    ids=["no kernel", "no provider", "broken context"],
)
def test_after_a_failure_the_simplest_model_tells_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    canary: Exception | None,
    status: str,
    *,
    restart: bool,
) -> None:
    """It runs: a kernel is missing. It runs elsewhere: fallback. It fails: the device is lost."""

    def check(_backend: str) -> None:
        if canary is not None:
            raise canary

    monkeypatch.setattr(sessions, "check_used", check)
    monkeypatch.setattr(worker, "import_module", lambda _name: _Module)
    request = {"work": "module:work", "arguments": {}, "seconds": 1.0}
    found = worker.done(_context(tmp_path), request)
    assert found["status"] == status
    assert found.get(RESTART, False) is restart


class _Module:
    work = staticmethod(_no_kernel)
