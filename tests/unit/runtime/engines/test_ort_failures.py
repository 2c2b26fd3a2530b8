"""ONNX Runtime failing in every way: one line each, and nothing else is harmed."""

from __future__ import annotations

import pytest

from normonnx.core.verdicts import Verdict
from tests.fake_runtimes import FakeOrt
from tests.unit.runtime.engines.conftest import NEG, Run, X, reason_of, validated

FAILURES = {
    "dies on import": ({"on_import": "os.kill(os.getpid(), signal.SIGSEGV)"}, "SIGSEGV"),
    "dies when loading": ({"on_load": "os.kill(os.getpid(), signal.SIGABRT)"}, "SIGABRT"),
    "dies when running": ({"on_run": "os.kill(os.getpid(), signal.SIGSEGV)"}, "SIGSEGV"),
    "exits": ({"on_run": "os._exit(3)"}, "its process failed"),
    "exits politely": ({"on_import": "raise SystemExit(0)"}, "its process failed"),
    "hangs": ({"on_run": "time.sleep(60)"}, "did not finish within 4 s"),
    "eats memory": ({"on_run": "kept = [bytearray(b'x' * (1 << 24)) for _ in range(99999)]"}, "memory"),
    "runs out of memory": ({"on_run": "raise MemoryError"}, "MemoryError"),
    "raises": ({"on_run": "raise RuntimeError('sore\\nthroat')"}, "failed while running: sore"),
    "can't be imported": ({"on_import": "raise ImportError('libX.so: no')"}, "imported: libX.so: no"),
    "raises on import": ({"on_import": "1 / 0"}, "division by zero"),
    "holds nothing": ({"after": "del InferenceSession"}, "has no InferenceSession"),
}  # fmt: skip


@pytest.mark.parametrize(("behaviour", "words"), FAILURES.values(), ids=FAILURES)
def test_every_failure_is_one_line(
    run: Run, fake_ort: FakeOrt, behaviour: dict[str, str], words: str
) -> None:
    """Nothing that a runtime does takes this process down, and none of it is a result."""
    fake_ort.says(**behaviour)  # type: ignore[arg-type]
    seconds = 4 if "4 s" in words else 60  # the others end by themselves, on a busy machine later
    assert words in reason_of(run("ort:cuda", NEG, X, limits=(seconds, 600_000_000)))


def test_a_crash_after_the_answer_does_not_count(run: Run, fake_ort: FakeOrt) -> None:
    """Runtimes are known to die while the interpreter takes them down."""
    dying = "import atexit; atexit.register(os.kill, os.getpid(), signal.SIGSEGV)"
    fake_ort.says(on_import=dying)
    outcome = run("ort:cuda", NEG, X)
    assert (outcome.run.verdict, outcome.run.reason) == (Verdict.PASS, "")
    assert outcome.outputs[0]["y"].tolist() == [-1, -2, -3, -4, -5]


def test_a_failing_backend_leaves_the_others_results(fake_ort: FakeOrt) -> None:
    """Each runs in a process of its own."""
    fake_ort.says(on_load="if providers[0][0] == 'CUDAExecutionProvider': os.abort()")
    found = validated(backends=("ort:cuda", "ort:cpu"))
    assert [one.verdict for one in found.backends] == [Verdict.UNAVAILABLE, Verdict.PASS]
    assert [one.backend for one in found.comparisons] == ["ort:cpu"]
