"""Sweeps on a real Ray cluster of three nodes on this machine, one of which is killed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from normonnx.core.errors import ExitCode, UnavailableError
from normonnx.core.sweeps import ModelResult, Outcome
from normonnx.sweep import cluster as clusters
from normonnx.sweep.cluster import RayExecutor
from normonnx.sweep.executor import Limits
from normonnx.sweep.running import sweep
from normonnx.sweep.store import Store
from tests.sweeping import Quiet, bytes_of, plan_of, swept
from tests.told_verb import TRACE

Cluster = Any  # Ray's, with `trace` and `mortal`; Ray has few types

pytest.importorskip("ray", reason="no Ray here: install normonnx[ray]")
pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


@pytest.fixture(scope="module")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head and two more nodes of one core each; the last claims to have a graphics card."""
    trace = tmp_path_factory.mktemp("trace") / "trace"
    trace.write_text("")
    root = str(Path(__file__).parents[3])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", root)
        patch.setenv(TRACE, str(trace))
        from ray.cluster_utils import Cluster as RayCluster

        size: dict[str, Any] = {
            "object_store_memory": 100 << 20,
            "num_cpus": 1,
            "include_dashboard": False,
        }
        size["_system_config"] = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000}
        made: Any = RayCluster(initialize_head=True, head_node_args=size)
        for name in ("include_dashboard", "_system_config"):
            size.pop(name)
        made.trace = trace
        made.mortal = made.add_node(**size)
        made.add_node(**size, num_gpus=1)
        made.wait_for_nodes()
        yield made
        made.shutdown()


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Nine models, and weights beside one of them."""
    folder = tmp_path / "zoo"
    (folder / "sub").mkdir(parents=True)
    for number in range(6):
        (folder / f"m{number}.onnx").write_text("write 0.8")
    (folder / "sub" / "bad.onnx").write_text("exit 5")
    (folder / "sub" / "slow.onnx").write_text("sleep 600")
    (folder / "crash.onnx").write_text("signal 11")
    return folder


def _executor(cluster: Cluster, out: Path, *, shared: bool = False) -> RayExecutor:
    return RayExecutor(cluster.address, None, Store(out, "optimize").staging, shared=shared)


class Killer(Quiet):
    """Kills a node once a model is done, while the node works on another.

    Args:
        cluster: The cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self.killed = False

    def finished(self, result: ModelResult, seconds: float, left: float | None) -> None:
        """Wait until the node is at work, and kill it."""
        del result, seconds, left
        if self.killed:
            return
        (raylet,) = self._cluster.mortal.all_processes["raylet"]
        deadline = time.monotonic() + 30
        while not _works(raylet.process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        self._cluster.remove_node(self._cluster.mortal, allow_graceful=False)
        self.killed = True


def _works(leader: int) -> bool:
    """Whether a model is worked on below a process: whether a nursery there has a child."""
    waiting = [(leader, False)]
    while waiting:
        number, born = waiting.pop()
        if born:
            return True
        folder = Path(f"/proc/{number}")
        with suppress(OSError):
            nursery = b"normonnx.sweep.nursery" in (folder / "cmdline").read_bytes()
            for thread in (folder / "task").iterdir():
                words = (thread / "children").read_text().split()
                waiting += [(int(word), nursery) for word in words]
    return False


def test_cards_are_asked_for_where_they_are_needed(three_nodes: Cluster, tmp_path: Path) -> None:
    """A task that needs one runs on the node that has it; all others see none."""
    zoo = tmp_path / "zoo"
    zoo.mkdir()
    for name in ("card", "plain"):
        (zoo / f"{name}.onnx").write_text("env CUDA_VISIBLE_DEVICES")
    report, _ = swept(
        [zoo], tmp_path / "out", executor=_executor(three_nodes, tmp_path / "out"),
        gpus=lambda subject: int("card" in subject.name),
    )  # fmt: skip
    said = {one.model: (one.document or {})["said"] for one in report.results}
    assert said == {"card.onnx": "0", "plain.onnx": ""}
    with pytest.raises(UnavailableError, match="no machine of the Ray cluster has a GPU"):
        swept(
            [zoo],
            tmp_path / "two",
            executor=_executor(three_nodes, tmp_path / "two"),
            gpus=lambda _: 2,
        )


def test_files_may_be_shared(three_nodes: Cluster, zoo: Path, tmp_path: Path) -> None:
    """Then they are read where they are, and results are the same."""
    models = [zoo / "m0.onnx", zoo / "sub" / "bad.onnx"]
    swept(models, tmp_path / "here")
    out = tmp_path / "out"
    swept(models, out, executor=_executor(three_nodes, out, shared=True))
    assert bytes_of(out) == bytes_of(tmp_path / "here")


def test_another_version_is_refused(
    three_nodes: Cluster,
    zoo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Results of two versions would be mixed."""
    monkeypatch.setattr(clusters, "VERSION", "0.0.0")
    out = tmp_path / "out"
    with pytest.raises(UnavailableError, match=r"expected 0\.0\.0; install"):
        swept([zoo / "m0.onnx"], out, executor=_executor(three_nodes, out))


def test_with_a_node_killed_it_is_as_if_undisturbed(
    three_nodes: Cluster, zoo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte what this machine alone gives; what the node worked on was done again."""
    limits = Limits(6.0)
    swept([zoo], tmp_path / "here", limits=limits)
    out = tmp_path / "out"
    three_nodes.trace.write_text("")
    killer = Killer(three_nodes)
    plan = plan_of([zoo], out, limits=limits)
    with Store(out, "optimize") as store, _executor(three_nodes, out) as executor:
        assert executor.jobs == 3
        report = sweep(plan, executor, store, killer)
    assert len(killer.begun) == 9
    assert report.exit_code is ExitCode.INVALID
    assert {one.outcome for one in report.results} == {
        Outcome.PASS, Outcome.INVALID, Outcome.TIMEOUT, Outcome.CRASHED,
    }  # fmt: skip
    assert killer.killed
    assert capsys.readouterr().out == ""  # Ray tells of the loss, but not among our results
    assert three_nodes.trace.read_text().count("\n") > 9
    (tmp_path / "here" / "results.jsonl").unlink()
    assert bytes_of(out) == bytes_of(tmp_path / "here")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "auto", "nonsense://x"])
def test_no_cluster_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Nothing listens there; Ray itself would try for minutes."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    started = time.monotonic()
    executor = RayExecutor(address, None, tmp_path, shared=False)
    with pytest.raises(UnavailableError, match="no Ray cluster at '"), executor:
        pass
    assert time.monotonic() - started < 30
