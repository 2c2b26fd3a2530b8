"""Tasks on this machine: so many processes at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from normonnx.sweep.children import POLL, Child, spelled
from normonnx.sweep.executor import WRITTEN, Executor, Finished, Task
from normonnx.sweep.mothering import Mother

_SHARE: Final = 0.85
# What a container may take: control groups, second and first version.
_GROUPS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class LocalExecutor(Executor):
    """Runs each task in a process of its own.

    Args:
        jobs: Processes at a time.
        staging: A folder, on the disk that results go to, for what tasks leave.
        modules: What every task imports.
    """

    def __init__(self, jobs: int, staging: Path, modules: Sequence[str] = ()) -> None:
        self._jobs = jobs
        self._staging = staging
        self._mother = Mother(modules)
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        """Start to import what tasks need."""
        self._mother.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        self.cancel()
        self._mother.close()

    @property
    def jobs(self) -> int:
        """How many tasks run at a time."""
        return self._jobs

    @property
    def free(self) -> int:
        """How many more tasks it takes now."""
        return self._jobs - len(self._children)

    def submit(self, task: Task) -> None:
        """Start a task."""
        place = self._staging / f"task-{task.number}"
        (place / WRITTEN).mkdir(parents=True)
        words, _ = spelled(task, place)
        self._children.append(Child(task, place, words, self._mother))

    def collect(self, seconds: float) -> Sequence[Finished]:
        """What has ended; waits so long for the first."""
        deadline = time.monotonic() + seconds
        while True:
            finished = []
            for child in list(self._children):
                ended = child.poll()
                if ended is not None:
                    self._children.remove(child)
                    finished.append(Finished(child.task, ended, child.place))
            if finished or time.monotonic() >= deadline:
                return finished
            time.sleep(POLL)

    def cancel(self) -> None:
        """End all tasks at once."""
        for child in self._children:
            child.end()
        self._children.clear()


def share_of_memory(jobs: int) -> int | None:
    """Bytes that each of so many models may take: most of this machine's, shared equally.

    None where the system does not tell. What is free at the moment doesn't count: a limit that
    changes from run to run would give results that do.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        total = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemTotal:"))
    except (OSError, StopIteration, ValueError):
        return None
    for file in _GROUPS:
        with suppress(OSError, ValueError):
            total = min(total, int(Path(file).read_text(encoding="ascii")))
    return int(_SHARE * total / jobs)
