"""A sweep with a verb that does as its model says: what is kept, reused, tried again, given up."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.sweeps import Outcome, SweepReport
from normonnx.sweep.executor import ANSWER, WRITTEN, Ended, Executor, Finished, Limits, Task
from normonnx.sweep.hashing import Recipe
from normonnx.sweep.results import from_json
from normonnx.sweep.store import Store
from tests.sweeping import bytes_of, swept
from tests.told_verb import TRACE

ROOT = Path(__file__).parents[3]


def _zoo(folder: Path, **contents: str) -> Path:
    """A folder of models: names to what each is to do."""
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_text(content)
    return folder


class Told(Executor):
    """Ends each task as it is told, without any process.

    Args:
        staging: For what tasks leave.
        ends: Name of a model to how its tries end; "ok" by default.
    """

    def __init__(self, staging: Path, **ends: Sequence[Ended]) -> None:
        self._staging, self._ends = staging, {name: list(found) for name, found in ends.items()}
        self._taken: list[Task] = []
        self.order: list[str] = []
        self.cancelled = 0

    def __enter__(self) -> Self:
        """Nothing is to be done."""
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    @property
    def jobs(self) -> int:
        """One at a time."""
        return 1

    @property
    def free(self) -> int:
        """Whether it has none."""
        return 1 - len(self._taken)

    def submit(self, task: Task) -> None:
        """Take it."""
        assert self.free
        self._taken.append(task)

    def collect(self, seconds: float) -> Sequence[Finished]:
        """End it as told."""
        del seconds
        found = []
        for task in self._taken:
            name = task.words[1].path.stem  # type: ignore[union-attr]
            self.order.append(name)
            place = self._staging / f"task-{task.number}"
            (place / WRITTEN).mkdir(parents=True)
            (place / ANSWER).write_text("{}")
            if "write" in task.words[1].path.read_text():  # type: ignore[union-attr]
                (place / WRITTEN / f"{name}.onnx").write_text("made of it")
            ends = self._ends.get(name)
            found.append(Finished(task, ends.pop(0) if ends else Ended(0, "", "", 1.0), place))
        self._taken.clear()
        return found

    def cancel(self) -> None:
        """Count, and drop it."""
        self.cancelled += 1
        self._taken.clear()


def _told(
    models: Path,
    out: Path,
    ends: Mapping[str, Sequence[Ended]] | None = None,
    *,
    fail_fast: bool = False,
) -> tuple[Told, SweepReport]:
    executor = Told(Store(out, "optimize").staging, **(ends or {}))
    report, _ = swept([models], out, executor=executor, fail_fast=fail_fast)
    return executor, report


KILLED = Ended(None, "crashed", "its process was ended by SIGKILL", 1.0, outside=True)
LOST = Ended(None, "lost", "its worker was lost", 0.0)


def test_each_outcome_is_told_and_counted(tmp_path: Path) -> None:
    """The worst decides; a crash, a limit or a refusal says nothing about a model."""
    models = _zoo(
        tmp_path / "zoo", a="pass", b="exit 4", c="exit 2", d=f"signal {int(signal.SIGSEGV)}",
        e="sleep 60", f="exit 3", g="exit 77",
    )  # fmt: skip
    report, _ = swept([models], tmp_path / "out", limits=Limits(8.0))
    found = {one.model[0]: one.outcome for one in report.results}
    assert found == {
        "a": Outcome.PASS, "b": Outcome.INCONCLUSIVE, "c": Outcome.REFUSED, "d": Outcome.CRASHED,
        "e": Outcome.TIMEOUT, "f": Outcome.UNAVAILABLE, "g": Outcome.CRASHED,
    }  # fmt: skip
    assert report.exit_code is ExitCode.UNAVAILABLE
    assert {one.model[0]: one.reason for one in report.results}["c"] == "c.onnx: exits with 2"
    assert report.counts == {
        Outcome.PASS: 1, Outcome.INCONCLUSIVE: 1, Outcome.UNAVAILABLE: 1, Outcome.REFUSED: 1,
        Outcome.TIMEOUT: 1, Outcome.CRASHED: 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((0, 0), 0),
        ((0, 4), 4),
        ((4, 3), 3),
        ((3, 1), 1),
        ((1, 5), 5),
        ((2, 0), 4),
        ((2, 1), 1),
        ((2, 2), 2),
    ],
)
def test_the_exit_code_is_that_of_the_worst(
    tmp_path: Path, codes: tuple[int, ...], expected: int
) -> None:
    """5, 1, 3, 4, 0; where every model is refused the call is at fault."""
    models = _zoo(tmp_path / "zoo", a="x", b="x")
    ends = {name: [Ended(code, "", "", 1.0)] for name, code in zip("ab", codes, strict=True)}
    _, report = _told(models, tmp_path / "out", ends)
    assert report.exit_code == expected


def test_nothing_is_done_twice(tmp_path: Path) -> None:
    """A second run reuses all; a changed model, recipe or file is done again, and only that."""
    models, out = _zoo(tmp_path / "zoo", a="write", b="x", c="x"), tmp_path / "out"
    codes = {"b": [Ended(4, "", "", 1.0)] * 9, "c": [Ended(5, "", "", 1.0)] * 9}
    first, report = _told(models, out, codes)
    assert sorted(first.order) == ["a", "b", "c"]
    before = bytes_of(out)
    second, again = _told(models, out)
    assert second.order == []
    assert (again.results, again.reused) == (report.results, 3)
    assert bytes_of(out) == before
    (models / "b.onnx").write_text("y")
    assert _told(models, out)[0].order == ["b"]
    (out / "models" / "a.onnx").write_text("made of iT")
    assert _told(models, out)[0].order == ["a"]
    (out / "models" / "a.onnx").unlink()
    assert _told(models, out)[0].order == ["a"]
    assert _told(models, out)[0].order == []
    executor = Told(Store(out, "optimize").staging)
    swept([models], out, executor=executor, recipe=Recipe("optimize", {"tests": "2"}))
    assert sorted(executor.order) == ["a", "b", "c"]


@pytest.mark.parametrize("code", range(6))
def test_what_may_be_for_want_of_something_is_asked_again(tmp_path: Path, code: int) -> None:
    """A refusal (a full disk, say) and a missing backend; what is about the model is kept."""
    models, out = _zoo(tmp_path / "zoo", a="x"), tmp_path / "out"
    _told(models, out, {"a": [Ended(code, "", "", 1.0)]})
    executor, report = _told(models, out, {"a": [Ended(code, "", "", 1.0)]})
    assert executor.order == (["a"] if code in (2, 3) else [])
    assert report.exit_code == code


def test_a_result_that_is_damaged_counts_for_nothing(tmp_path: Path) -> None:
    """Cut off, of another version, of another model, or none at all."""
    models, out = _zoo(tmp_path / "zoo", a="x"), tmp_path / "out"
    _told(models, out)
    kept = out / "results" / "optimize" / "a.onnx.json"
    whole = kept.read_text()
    other = json.loads(whole)
    for spoiled in (
        whole[: len(whole) // 2], "", "[]", "null", "{}",
        json.dumps(other | {"schema": "normonnx.sweep-result/0"}),
        json.dumps(other | {"model": "b.onnx"}), json.dumps(other | {"key": "0"}),
        json.dumps(other | {"outcome": "splendid"}), json.dumps(other | {"produced": [3]}),
    ):  # fmt: skip
        kept.write_text(spoiled)
        assert _told(models, out)[0].order == ["a"], spoiled
        assert kept.read_text() == whole


def test_a_limit_that_changed_is_tried_again(tmp_path: Path) -> None:
    """Exceeding the old one proves nothing; with the same one it stays a result."""
    models, out = _zoo(tmp_path / "zoo", a="sleep 3", b="pass"), tmp_path / "out"
    report, _ = swept([models], out, limits=Limits(1.5))
    assert next(one.outcome for one in report.results) is Outcome.TIMEOUT
    _, quiet = swept([models], out, limits=Limits(1.5))
    assert "a.onnx" not in quiet.begun
    report, quiet = swept([models], out, limits=Limits(60.0))
    assert "a.onnx" in quiet.begun
    assert report.exit_code is ExitCode.OK


def test_what_an_earlier_run_wrote_goes_where_a_later_one_writes_nothing(tmp_path: Path) -> None:
    """A model that no longer passes leaves no old output behind, nor its weights."""
    models, out = _zoo(tmp_path / "zoo", a="write", b="write"), tmp_path / "out"
    _told(models, out)
    (out / "models" / "a.onnx.data").write_text("old weights")
    (out / "models" / "a.onnx.json").write_text("somebody's own")
    (models / "a.onnx").write_text("write again")
    _told(models, out, {"a": [Ended(1, "", "", 1.0)]})
    assert sorted(path.name for path in (out / "models").iterdir()) == ["a.onnx.json", "b.onnx"]


def test_a_task_that_somebody_else_ended_is_tried_once_more(tmp_path: Path) -> None:
    """Twice is a result; so is a crash of its own at once."""
    models = _zoo(tmp_path / "zoo", a="x", b="x", c="x")
    own = Ended(None, "crashed", "its process was ended by SIGSEGV", 1.0)
    executor, report = _told(
        models, tmp_path / "out", {"a": [KILLED], "b": [KILLED, KILLED], "c": [own]}
    )
    assert sorted(executor.order) == ["a", "a", "b", "b", "c"]
    assert _told(models, tmp_path / "out")[0].order == ["b"]  # it proved nothing
    found = {one.model[0]: one.outcome for one in report.results}
    assert found == {"a": Outcome.PASS, "b": Outcome.CRASHED, "c": Outcome.CRASHED}


def test_what_was_lost_is_no_result(tmp_path: Path) -> None:
    """It is told, and done the next time."""
    models, out = _zoo(tmp_path / "zoo", a="x", b="x"), tmp_path / "out"
    _, report = _told(models, out, {"a": [LOST]})
    assert report.exit_code is ExitCode.INCONCLUSIVE
    executor, report = _told(models, out)
    assert executor.order == ["a"]
    assert report.exit_code is ExitCode.OK


def test_fail_fast_stops_at_the_first_that_is_not_good(tmp_path: Path) -> None:
    """Nothing more is begun, what runs is ended, and what was not run is told."""
    models = _zoo(tmp_path / "zoo", a="xxx", b="xx", c="x")
    bad = Ended(1, "", "", 1.0)
    executor, report = _told(models, tmp_path / "out", {"b": [bad]}, fail_fast=True)
    assert executor.order == ["a", "b"]  # the largest first
    assert executor.cancelled
    assert report.not_run == ("c.onnx",)
    assert report.exit_code is ExitCode.MISMATCH
    executor, report = _told(models, tmp_path / "out", fail_fast=True)
    assert executor.order == []  # it is known from before


def test_a_model_that_changes_meanwhile_is_worked_on_again(tmp_path: Path) -> None:
    """What was made of half of it is no result of the whole."""
    models, out = _zoo(tmp_path / "zoo", a="x"), tmp_path / "out"

    class Meddling(Told):
        """Changes the model while it is worked on."""

        def collect(self, seconds: float) -> Sequence[Finished]:
            """End it, and change it."""
            found = super().collect(seconds)
            if len(self.order) <= times:
                (models / "a.onnx").write_text("x" * (1 + len(self.order)))
            return found

    times = 1
    executor = Meddling(Store(out, "optimize").staging)
    report, _ = swept([models], out, executor=executor)
    assert executor.order == ["a", "a"]
    assert report.exit_code is ExitCode.OK
    times = 99
    (models / "a.onnx").write_text("y")
    with pytest.raises(UsageError, match="keeps changing"):
        swept([models], out, executor=Meddling(Store(out, "optimize").staging))


def test_two_sweeps_into_one_folder_are_refused(tmp_path: Path) -> None:
    """The second, at once; the folder is free again when the first is gone."""
    with (
        Store(tmp_path / "out", "optimize"),
        pytest.raises(UsageError, match="another sweep is writing to"),
        Store(tmp_path / "out", "inspect"),
    ):
        pass
    with Store(tmp_path / "out", "optimize"):
        pass


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    """Nothing is written elsewhere, whoever put the link there."""
    models, out = _zoo(tmp_path / "zoo"), tmp_path / "out"
    _zoo(models / "sub", a="write")
    (tmp_path / "elsewhere").mkdir()
    (out / "models").mkdir(parents=True)
    (out / "models" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="leads out of"):
        _told(models, out)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """A file lies where the folder is to be."""
    models = _zoo(tmp_path / "zoo", a="pass")
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UsageError, match="can't write to"):
        swept([models], tmp_path / "out")


def test_results_are_the_same_whatever_their_place(tmp_path: Path) -> None:
    """No path, time or order of ending is in them."""
    contents = {"a": "write 0.4", "b": "exit 5", "c": "write 0"}
    one, other = _zoo(tmp_path / "one", **contents), _zoo(tmp_path / "other", **contents)
    swept([one], tmp_path / "out1")
    swept([other], tmp_path / "out2")
    assert bytes_of(tmp_path / "out1") == bytes_of(tmp_path / "out2")
    for line in (tmp_path / "out1" / "results.jsonl").read_text().splitlines():
        assert str(tmp_path) not in line
        assert from_json(line).model.endswith(".onnx")
    timings = (tmp_path / "out1" / "timings.jsonl").read_text().splitlines()
    assert {json.loads(line)["model"] for line in timings} == {"a.onnx", "b.onnx", "c.onnx"}


def test_killed_at_random_and_resumed_it_is_as_if_undisturbed(tmp_path: Path) -> None:
    """Three times, by SIGKILL: the same bytes, no task done twice that was done, nothing left."""
    contents = {f"m{number}": f"write {0.2 * (number % 3)}" for number in range(6)}
    models = _zoo(tmp_path / "zoo", **contents)
    swept([models], tmp_path / "calm")
    out, trace = tmp_path / "out", tmp_path / "trace"
    command = [sys.executable, "-m", "tests.sweeping", str(out), str(models)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), TRACE: str(trace)}
    chance = random.Random()  # noqa: S311  # no secret
    done_before: set[str] = set()
    for _ in range(3):
        trace.write_text("")
        running = subprocess.Popen(command, env=env, cwd=ROOT)
        _wait_for(lambda: bool(trace.read_text()), running)
        time.sleep(chance.uniform(0.0, 1.0))
        running.kill()
        running.wait()
        assert not done_before & set(trace.read_text().split())
        done_before = {path.stem for path in out.glob("results/optimize/*.json")}
        (out / "models").mkdir(exist_ok=True)
    trace.write_text("")
    assert subprocess.run(command, env=env, cwd=ROOT, check=False).returncode == 0
    assert not done_before & set(trace.read_text().split())
    assert bytes_of(out) == bytes_of(tmp_path / "calm")
    assert [path.name for path in (out / ".sweep").iterdir()] == ["lock"]


def _wait_for(is_so: object, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not is_so() and running.poll() is None and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
