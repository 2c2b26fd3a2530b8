"""The worker, seen from outside: whatever happens to one item, the next one is done."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from tools.evidence import crew
from tools.evidence.crew import Crew
from tools.evidence.items import Item

_WORKER = """
import json, os, signal, sys, time
print("ready", os.environ.get("NVIDIA_TF32_OVERRIDE"), file=sys.stderr, flush=True)
for line in sys.stdin:
    request = json.loads(line)
    exec(request["work"])
    answer = {"restart": "restart" in request["work"], "status": "ok", "pid": os.getpid(), "tf32": os.environ.get("NVIDIA_TF32_OVERRIDE")}
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Crew:
    """A crew whose worker does what an item's text says."""
    monkeypatch.setattr(crew, "_GRACE", 0.2)
    return Crew({}, tmp_path / "log.txt", (sys.executable, "-c", _WORKER))


def _item(work: str, seconds: float = 30.0, backend: str = "ort:cpu") -> Item:
    return Item("key", work, backend, seconds=seconds)


def test_items_share_a_worker(workers: Crew) -> None:
    """Truths and the device's context are kept from one item to the next."""
    with workers:
        first, second = (workers.do(_item("pass"), 30) for _ in range(2))
    assert first == second
    assert first["tf32"] == "0"


def test_tf32_takes_a_worker_of_its_own(workers: Crew) -> None:
    """Libraries read once whether they may use it."""
    with workers:
        without = workers.do(_item("pass"), 30)
        allowed = workers.do(_item("pass", backend="ort:cuda,use_tf32=1"), 30)
    assert allowed["tf32"] is None
    assert allowed["pid"] != without["pid"]


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("sys.stderr.write('out of luck'); sys.stderr.flush(); os._exit(7)", "out of luck"),
        ("raise ValueError('a bug')", "a bug"),
    ],
)
def test_a_crash_is_told_and_the_next_item_is_done(workers: Crew, work: str, said: str) -> None:
    """The worker is replaced."""
    with workers:
        crashed = workers.do(_item(work), 30)
        after = workers.do(_item("pass"), 30)
    assert crashed["status"] == "crash"
    assert said in crashed["reason"]
    assert after["status"] == "ok"


@pytest.mark.parametrize(("own", "left", "status"), [(0.3, 30.0, "hang"), (30.0, 0.3, "cut")])
def test_what_takes_too_long_is_ended(workers: Crew, own: float, left: float, status: str) -> None:
    """It hung where it had all its time, and was cut short where less was left."""
    with workers:
        workers.do(_item("pass"), 30)
        start = time.monotonic()
        ended = workers.do(_item("time.sleep(60)", seconds=own), left)
        taken = time.monotonic() - start
        after = workers.do(_item("pass"), 30)
    assert ended["status"] == status
    assert taken < 10
    assert after["status"] == "ok"


def test_a_worker_that_is_of_no_use_any_more_is_replaced(workers: Crew) -> None:
    """Its result counts; the next item has another process."""
    with workers:
        last = workers.do(_item("'restart'"), 30)
        after = workers.do(_item("pass"), 30)
    assert last["status"] == after["status"] == "ok"
    assert "restart" not in last
    assert last["pid"] != after["pid"]
