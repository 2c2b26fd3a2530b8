"""The sweep itself: what is there is reused, the rest is handed out, and kept as it comes back.

Large models go first, so that none is left running alone at the end. A task that somebody else
ended (an operator, the system in need of memory) is tried once more before that is a result; so is
a model that changed while it was worked on.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from normonnx.core.errors import ExitCode, UsageError
from normonnx.core.sweeps import ModelResult, SweepReport
from normonnx.sweep.discovery import Subject
from normonnx.sweep.eta import Estimate, weight
from normonnx.sweep.executor import Attached, Executor, Finished, Limits, Task, Word
from normonnx.sweep.hashing import Digests, Recipe
from normonnx.sweep.store import Store

_WAIT: Final = 0.5  # seconds; how long an interrupt may take to be noticed
_TRIES: Final = 2


class Observer(Protocol):
    """Is told how a sweep goes."""

    def reused(self, result: ModelResult) -> None:
        """A result was there from before."""

    def started(self, name: str) -> None:
        """A model was handed out."""

    def finished(self, result: ModelResult, seconds: float, left: float | None) -> None:
        """A model is done, after so many seconds; about so many are left for all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep does.

    Attributes:
        recipe: What is the same for all models.
        entry: What runs command lines, "MODULE:FUNCTION".
        subjects: The models, sorted by name.
        words: Makes the command line of a model.
        limits: What each may take.
        gpus: Makes the number of graphics cards that a command line needs.
        fail_fast: Stop at the first that isn't good.
    """

    recipe: Recipe
    entry: str
    subjects: Sequence[Subject]
    words: Callable[[Subject], tuple[Word, ...]]
    limits: Limits
    gpus: Callable[[Subject], int]
    fail_fast: bool = False


@dataclass(slots=True)
class _Progress:
    """What is done and what is left."""

    waiting: deque[Task]
    estimate: Estimate
    results: dict[str, ModelResult] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    running: int = 0
    reused: int = 0
    stopped: bool = False


def sweep(plan: Plan, executor: Executor, store: Store, observer: Observer) -> SweepReport:
    """Run a verb on every model that has no result yet.

    Args:
        plan: What to do.
        executor: Who does it; whatever still runs is ended when this returns.
        store: Where results are kept.
        observer: Is told how it goes.

    Raises:
        UsageError: Results can't be written, or a model can't be read.
        UnavailableError: The executor has nothing left to run on.
    """
    try:
        return _Work(plan, executor, store, observer).done()
    finally:
        executor.cancel()


class _Work:
    def __init__(self, plan: Plan, executor: Executor, store: Store, observer: Observer) -> None:
        self._plan, self._executor, self._store = plan, executor, store
        self._observer = observer
        self._digests = Digests()
        self._subjects = dict(enumerate(plan.subjects))
        tasks = [self._task(number) for number in self._subjects]
        tasks.sort(key=lambda task: -task.weight)
        total = sum(task.weight for task in tasks)
        self._at = _Progress(deque(tasks), Estimate(total, executor.jobs))

    def done(self) -> SweepReport:
        at = self._at
        self._reuse()
        while (at.waiting or at.running) and not at.stopped:
            while at.waiting and self._executor.free > 0:
                self._submit(at.waiting.popleft())
            for finished in self._executor.collect(_WAIT):
                self._take(finished)
        return self._report()

    def _task(self, number: int) -> Task:
        subject, plan = self._subjects[number], self._plan
        words = plan.words(subject)
        size = sum(_size(word) for word in words if isinstance(word, Attached))
        return Task(number, plan.entry, words, plan.limits, plan.gpus(subject), weight(size))

    def _reuse(self) -> None:
        """Take what is there from before."""
        at = self._at
        limits = (f"timeout {self._plan.limits.seconds:g}", f"memory {self._plan.limits.memory}")
        left: deque[Task] = deque()
        for task in at.waiting:
            name = self._subjects[task.number].name
            found = None
            if self._store.has(name):
                found = self._store.known(name, self._key(task), limits)
            if found is None:
                left.append(task)
                continue
            at.results[name] = found
            at.reused += 1
            at.estimate.reused(task.weight)
            self._observer.reused(found)
            at.stopped |= self._ends_it(found)
        at.waiting = left

    def _key(self, task: Task) -> str:
        return self._digests.key(self._plan.recipe, task.words)

    def _submit(self, task: Task) -> None:
        self._at.keys[task.number] = self._key(task)
        self._executor.submit(task)
        self._at.running += 1
        self._observer.started(self._subjects[task.number].name)

    def _take(self, finished: Finished) -> None:
        at, task = self._at, finished.task
        at.running -= 1
        if self._again(finished):
            at.waiting.appendleft(task)
            return
        subject = self._subjects[task.number]
        seconds = finished.ended.seconds
        result = self._store.keep(subject.name, at.keys[task.number], finished)
        at.results[subject.name] = result
        at.seconds[subject.name] = seconds
        at.estimate.done(task.weight, seconds)
        self._observer.finished(result, seconds, at.estimate.seconds)
        at.stopped |= self._ends_it(result)

    def _again(self, finished: Finished) -> bool:
        """Whether a task is to be tried once more."""
        number = finished.task.number
        tries = self._at.tries[number] = self._at.tries.get(number, 0) + 1
        changed = self._key(finished.task) != self._at.keys[number]
        if changed and tries >= _TRIES:
            name = self._subjects[number].path
            message = f"{name} keeps changing while it is worked on; wait until it is written"
            raise UsageError(message)
        if not changed and not (finished.ended.outside and tries < _TRIES):
            return False
        shutil.rmtree(finished.place, ignore_errors=True)
        return True

    def _ends_it(self, result: ModelResult) -> bool:
        return self._plan.fail_fast and result.exit_code is not ExitCode.OK

    def _report(self) -> SweepReport:
        at = self._at
        names = [subject.name for subject in self._plan.subjects]
        return SweepReport(
            verb=self._plan.recipe.verb,
            results=tuple(at.results[name] for name in sorted(at.results)),
            not_run=tuple(sorted(set(names) - set(at.results))),
            reused=at.reused,
            seconds=_sorted(at.seconds),
        )


def _sorted(found: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(found.items()))


def _size(word: Attached) -> int:
    return sum(path.stat().st_size for _, path in word.files if path.is_file())
