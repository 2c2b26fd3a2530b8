"""Tasks on a Ray cluster: each takes one core, and a graphics card where it needs one.

Models travel by Ray's object store unless all machines see the same paths. A task whose worker or
machine is lost is run again elsewhere by Ray, several times; if that doesn't help, its model is
lost, which is no result. What comes back is written here, so the machines need no common disk.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Final, Self

from normonnx.core.errors import UnavailableError
from normonnx.core.version import VERSION
from normonnx.runtime.workers import environment
from normonnx.sweep import remote
from normonnx.sweep.executor import WRITTEN, Attached, Ended, Executor, Finished, Task

LOCAL: Final = "local"
AUTO: Final = "auto"
_PORT: Final = 6379  # where `ray start --head` listens
_CLIENT_PORT: Final = 10001  # the same for ray://
RETRIES: Final = 5  # of a task whose worker is lost
_AHEAD: Final = 2  # tasks handed over for each core, so that none waits for the next
_PATIENCE: Final = 10.0  # seconds that cancelled tasks may take to end
_LONGEST: Final = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class _Running:
    task: Task
    held: Mapping[int, Mapping[str, Any]] | None  # keeps the files in the object store


class RayExecutor(Executor):
    """Runs tasks on a Ray cluster.

    Args:
        address: Of the cluster, as `ray.init` takes it; "local" starts one on this machine.
        jobs: Tasks at a time; None for as many as the cluster has cores.
        staging: A folder for what tasks leave.
        modules: What every task imports.
        shared: All machines see this one's files at the same paths.
    """

    def __init__(
        self,
        address: str,
        jobs: int | None,
        staging: Path,
        modules: Sequence[str] = (),
        *,
        shared: bool,
    ) -> None:
        self._needs = remote.Needs(VERSION, tuple(modules))
        self._address, self._asked = address, jobs
        self._staging, self._shared = staging, shared
        self._running: dict[Any, _Running] = {}
        self._open = ExitStack()
        self._ray: Any = None
        self._run: Any = None

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            UnavailableError: Ray isn't installed, or there is no cluster at the address.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            self._ray = import_module("ray")
        except ImportError as error:
            message = f'--ray needs ray ({error}); pip install "normonnx[ray]"'
            raise UnavailableError(message) from error
        # Ray prints there when a machine is lost; results alone belong on it.
        self._open.enter_context(redirect_stdout(self._open.enter_context(_nowhere())))
        os.environ["PYTHONPATH"] = environment().get("PYTHONPATH", "")
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "CRITICAL"}
        if self._address == LOCAL and self._asked:
            options["num_cpus"] = self._asked
        try:
            _check_listening(self._address)
            self._ray.init(address=self._address, **options)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            self._open.close()
            said = " ".join(str(error).split())[:_LONGEST]
            message = f"no Ray cluster at {self._address!r}: {said}; `ray start --head` starts one"
            raise UnavailableError(message) from error
        self._run = self._ray.remote(_task)
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs, and leave the cluster; one that was started here ends."""
        self.cancel()
        if self._ray is not None:
            self._ray.shutdown()
        self._open.close()

    @property
    def jobs(self) -> int:
        """How many tasks run at a time."""
        return max(1, self._asked or int(self._resources().get("CPU", 0)))

    @property
    def free(self) -> int:
        """How many more tasks it takes now."""
        most = self._asked or _AHEAD * self.jobs
        return most - len(self._running)

    def submit(self, task: Task) -> None:
        """Hand a task to the cluster.

        Raises:
            UnavailableError: No machine of it can run such a task.
        """
        have = self._resources()
        if have.get("CPU", 0) < 1 or have.get("GPU", 0) < task.gpus:
            what = "GPU" if task.gpus else "core"
            message = f"no machine of the Ray cluster has a {what}; add one, or leave --ray out"
            raise UnavailableError(message)
        attached = None if self._shared else self._put(task)
        options = {"num_cpus": 1, "num_gpus": task.gpus, "max_retries": RETRIES}
        reference = self._run.options(**options).remote(task, attached, self._needs)
        self._running[reference] = _Running(task, attached)

    def collect(self, seconds: float) -> Sequence[Finished]:
        """What has ended; waits so long for the first.

        Raises:
            UnavailableError: The machines of the cluster have no normonnx, or another version.
        """
        if not self._running:
            return []
        waiting = list(self._running)
        done, _ = self._ray.wait(waiting, num_returns=1, timeout=seconds)
        if done:
            done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [self._finished(reference) for reference in done]

    def cancel(self) -> None:
        """End all tasks at once."""
        waiting = list(self._running)
        for reference in waiting:
            self._ray.cancel(reference, force=False)
        if waiting:
            self._ray.wait(waiting, num_returns=len(waiting), timeout=_PATIENCE)
        self._running.clear()

    def _resources(self) -> dict[str, float]:
        found: dict[str, float] = self._ray.cluster_resources()
        return found

    def _put(self, task: Task) -> dict[int, dict[str, Any]]:
        """Put the files that a task reads into the object store."""
        import numpy as np

        def array(path: Path) -> Any:  # noqa: ANN401  # Ray has no types here
            return self._ray.put(np.fromfile(path, np.uint8))

        return {
            number: {name: array(path) for name, path in word.files}
            for number, word in enumerate(task.words)
            if isinstance(word, Attached)
        }

    def _finished(self, reference: Any) -> Finished:  # noqa: ANN401  # Ray has no types here
        task = self._running.pop(reference).task
        place = self._staging / f"task-{task.number}"
        shutil.rmtree(place, ignore_errors=True)
        (place / WRITTEN).mkdir(parents=True)
        try:
            left: remote.Left = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Finished(task, self._lost(error), place)
        for name, content in left.files.items():
            content.tofile(place / name)
        paths = tuple((there, here or str(place)) for there, here in left.ended.paths)
        return Finished(task, replace(left.ended, paths=paths), place)

    def _lost(self, error: Exception) -> Ended:
        """Why there is nothing to be had.

        Raises:
            UnavailableError: There will be nothing for any other task either.
        """
        cause = getattr(error, "cause", None)
        said = " ".join(str(cause or error).split())
        if isinstance(cause, ImportError | remote.VersionError) or "ModuleNotFoundError" in said:
            message = (
                f"a machine of the Ray cluster can't run normonnx: {said[:_LONGEST]}; install "
                f"normonnx {VERSION} on all of them"
            )
            raise UnavailableError(message) from error
        reason = f"its worker was lost: {type(cause or error).__name__}: {said}"
        return Ended(None, "lost", reason[:_LONGEST], 0.0)


def _nowhere() -> IO[str]:
    return Path(os.devnull).open("w", encoding="utf-8")


def _check_listening(address: str) -> None:
    """Look whether a cluster can be reached: Ray itself would try for many minutes.

    Raises:
        OSError: Nothing listens there.
    """
    if address == LOCAL:
        return
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or _last_started()
    found = re.fullmatch(r"(?:ray://)?\[?([^/]*?)\]?(?::(\d+))?", address)
    if found is None or not found[1]:
        return  # Ray says what is wrong with it
    port = found[2] or (_CLIENT_PORT if address.startswith("ray://") else _PORT)
    with socket.create_connection((found[1], int(port)), timeout=_PATIENCE):
        return


def _last_started() -> str:
    """The address of the cluster that was last started here; empty where none is known."""
    try:
        found = import_module("ray._private.services").find_bootstrap_address(None)
    except (AttributeError, ImportError, TypeError):
        found = None
    return str(found or "")


def _task(
    task: Task, attached: Mapping[int, Mapping[str, Any]] | None, needs: remote.Needs
) -> remote.Left:
    """What runs on a machine of the cluster."""
    return remote.run(task, attached, needs, import_module("ray").get)
