"""Mutants on trial: the tests that reach one are run against a copy of the tree that holds it.

A first run records which tests call which function, by `sys.settrace`, so that a mutant is put only
to those that could tell it; the quickest go first. Each trial is a fork of this process, which has
loaded what never changes, and imports the mutated package anew. The working tree is never written.
"""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from py_compile import PycInvalidationMode
from types import FrameType
from typing import Final

import pytest

from tools.mutation.mutants import Mutant

_PRELOADED: Final = (
    "click",
    "hypothesis",
    "ml_dtypes",
    "numpy",
    "onnx",
    "onnx.parser",
    "onnx.reference",
    "onnx.shape_inference",
    "onnx_ir",
    "onnx_ir.passes.common",
    "onnx_shape_inference",
    "onnxruntime",
    "onnxscript",
    "rich",
    "threadpoolctl",
)
_SKIPPED: Final = shutil.ignore_patterns(".*", "__pycache__", "*.onnx", "node_modules")

Place = tuple[str, int]  # a file, and the line on which a function starts


@dataclass(slots=True)
class Reach:
    """Which tests call which functions, and how long each test takes."""

    tests: dict[Place, set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def of(self, mutant: Mutant) -> list[str]:
        """The tests that reach a mutant: those named after its file first, then the quickest.

        What stands outside every function may be read by any test.
        """
        found = set(self.seconds)
        if mutant.function:
            found = self.tests.get((mutant.path, mutant.function), set())
        own = f"test_{Path(mutant.path).stem}"
        return sorted(
            found, key=lambda t: (own not in t, round(self.seconds.get(t, 0.0), 1), len(t), t)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: `fate` is caught, hung, survived or unreached."""

    mutant: Mutant
    fate: str
    seconds: float
    tests: int

    @property
    def is_caught(self) -> bool:
        """Whether some test failed, or never ended."""
        return self.fate in ("caught", "hung")


@contextlib.contextmanager
def copy_of(root: Path, names: Sequence[str]) -> Iterator[Path]:
    """A temporary copy of some of the files and folders of a tree, compiled."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as made:
        tree = Path(made).resolve()
        for name in names:
            if (root / name).is_dir():
                shutil.copytree(root / name, tree / name, ignore=_SKIPPED)
                # By content: two mutants of one size and one second are told apart.
                mode = PycInvalidationMode.CHECKED_HASH
                compileall.compile_dir(tree / name, quiet=2, invalidation_mode=mode)
            elif (root / name).exists():
                shutil.copy2(root / name, tree / name)
        yield tree


class Trials:
    """Runs tests on a copy of a tree, each run in a fork of this process."""

    def __init__(self, tree: Path, mutated: Sequence[str], log: Path, slack: float = 10.0) -> None:
        """A copy of a tree, and what to do with it.

        Args:
            tree: As `copy_of` makes it.
            mutated: The files that will be mutated.
            log: Where tests print.
            slack: Seconds that a test may take, besides three times what it takes unmutated.
        """
        self.tree = tree
        self.slack = slack
        self.mutated = frozenset(mutated)
        self.log = log
        self.reach = Reach()
        for name in _PRELOADED:
            with contextlib.suppress(ImportError):
                import_module(name)

    def record(self, tests: Sequence[str]) -> None:
        """Run tests on the tree as it is, and learn what they reach.

        Raises:
            RuntimeError: Some of them fail.
        """
        out = self.tree / "reach.json"
        recorder = _Recorder(self.tree, self.mutated, out)
        code = self._forked(lambda: _pytest([*tests, "-q"], recorder))
        if code != 0:
            message = f"tests fail without any mutant (exit code {code}); see {self.log}"
            raise RuntimeError(message)
        found = json.loads(out.read_text())
        self.reach.seconds = found["seconds"]
        for path, line, names in found["tests"]:
            self.reach.tests[path, line] = set(names)

    def verdict(self, mutant: Mutant) -> Verdict:
        """Put one mutant to the tests that reach it."""
        started = time.monotonic()
        tests = self.reach.of(mutant)
        if not tests:
            return Verdict(mutant, "unreached", 0.0, 0)
        path = self.tree / mutant.path
        source = path.read_text()
        files = list(dict.fromkeys(test.split("::")[0] for test in tests))
        limits = {test: self.slack + 3 * self.reach.seconds.get(test, 0.0) for test in tests}
        chosen = _Chosen(limits)
        try:
            path.write_text(mutant.applied(source))
            code = self._forked(lambda: _pytest([*files, "-q", "-x", "--tb=line"], chosen))
        finally:
            path.write_text(source)
        fates = {0: "survived", 1: "caught", 2: "caught", 4: "caught", -signal.SIGALRM: "hung"}
        fate = fates.get(code, "caught" if code < 0 else "")
        if not fate:
            message = f"pytest ended with code {code}; see {self.log}"
            raise RuntimeError(message)
        return Verdict(mutant, fate, time.monotonic() - started, len(tests))

    def _forked(self, work: Callable[[], int]) -> int:
        """The exit code of work done in a fork, or minus the signal that ended it."""
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.setsid()
                self._settle()
                code = int(work())
            finally:
                os._exit(code)
        try:
            _, status = os.waitpid(child, 0)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)  # what a hung test has started
        return os.waitstatus_to_exitcode(status)

    def _settle(self) -> None:
        """Make the copy the place that everything is imported from."""
        with self.log.open("w") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.chdir(self.tree)
        tops = {name.split("/")[0] for name in self.mutated} | {"tests", "models"}
        for name in list(sys.modules):
            if name.split(".")[0] in tops:
                del sys.modules[name]
        sys.path.insert(0, str(self.tree))
        os.environ["PYTHONPATH"] = str(self.tree)


def _pytest(arguments: Sequence[str], plugin: object) -> int:
    quiet = ["-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"]
    ignored = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*quiet, *ignored, *arguments], plugins=[plugin]))


class _Recorder:
    """A pytest plugin that writes down which test calls which function of some files."""

    def __init__(self, tree: Path, files: frozenset[str], out: Path) -> None:
        self.names = {str(tree / name): name for name in files}
        self.out = out
        self.tests: dict[Place, set[str]] = {}
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Watch one test."""
        called: set[Place] = set()

        def trace(frame: FrameType, _event: str, _argument: object) -> None:
            code = frame.f_code
            if code.co_filename in self.names:
                called.add((self.names[code.co_filename], code.co_firstlineno))

        started = time.monotonic()
        sys.settrace(trace)
        yield
        sys.settrace(None)
        self.seconds[item.nodeid] = time.monotonic() - started
        for place in called:
            self.tests.setdefault(place, set()).add(item.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Hand over what was seen."""
        tests = [(path, line, sorted(names)) for (path, line), names in self.tests.items()]
        self.out.write_text(json.dumps({"tests": tests, "seconds": self.seconds}))


class _Chosen:
    """A pytest plugin that runs some tests, in their order, and ends the process when one hangs."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self.order = {test: place for place, test in enumerate(limits)}
        self.limits = limits

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was chosen."""
        items[:] = [item for item in items if item.nodeid in self.order]
        items.sort(key=lambda item: self.order[item.nodeid])

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Give a test as long as it may take: the signal ends the process."""
        signal.setitimer(signal.ITIMER_REAL, self.limits[item.nodeid])
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
