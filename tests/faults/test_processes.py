"""Processes that are killed in the middle, or write one file together: no model is lost."""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from normonnx.graph import files, writing
from tests.faults.faulty import arrays, scripted, written

KILLS = 24


def _forked(work: Callable[[], object]) -> int:
    """A child that works and ends, whatever happens, without pytest's own clean-up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


@pytest.mark.parametrize("external", [False, True], ids=["embedded", "external"])
def test_killed_at_random_moments_of_a_save(tmp_path: Path, *, external: bool) -> None:
    """kill -9: what stands at the output is the old model or the new one, whole."""
    models, expected = [], []
    for seed in range(2):
        source = written(tmp_path, external=external, seed=seed, name=f"m{seed}.onnx")
        models.append(files.load(source))
        expected.append(arrays(source))
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.onnx"
    files.save(models[0], out)
    began = time.monotonic()
    files.save(models[1], out)
    duration = time.monotonic() - began
    rng = random.Random(5)  # noqa: S311
    seen = set()
    for turn in range(KILLS):
        child = _forked(lambda turn=turn: files.save(models[turn % 2], out))  # type: ignore[misc]
        time.sleep(rng.uniform(0, 1.5 * duration))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seen.add(os.WIFSIGNALED(status))
        assert arrays(out) in expected
    assert True in seen
    files.save(models[1], out)
    assert arrays(out) == expected[1]


def test_several_write_one_output_at_once(tmp_path: Path) -> None:
    """Model and data belong together, whoever was last; readers never find a mixture."""
    sources = [
        written(tmp_path, external=True, seed=seed, name=f"m{seed}.onnx") for seed in range(3)
    ]
    expected = [arrays(source) for source in sources]
    models = [files.load(source) for source in sources]
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.onnx"

    def write(model: int) -> None:
        for _ in range(6):
            files.save(models[model], out)

    for _ in range(3):
        writers = [_forked(lambda each=each: write(each)) for each in range(3)]  # type: ignore[misc]
        assert [os.waitpid(child, 0)[1] for child in writers] == [0, 0, 0]
        assert arrays(out) in expected
    assert not list(folder.glob(".normonnx-*"))
    assert len(list(folder.iterdir())) == 2


def _delayed(seconds: float) -> None:
    """Let this process wait between its data and its model; it is a child and ends soon."""
    write = writing._Attempt.write_model

    def late(*given: Any) -> None:  # noqa: ANN401
        time.sleep(seconds)
        write(*given)

    writing._Attempt.write_model = late  # type: ignore[method-assign,assignment]


def test_the_worst_moment_for_two_to_write_one_output(tmp_path: Path) -> None:
    """One puts its data in place, then the other its data and model, then the first its model."""
    sources = [written(tmp_path, external=True, seed=s, name=f"m{s}.onnx") for s in range(2)]
    models = [files.load(source) for source in sources]
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.onnx"

    def first() -> None:
        replace = Path.replace

        def late(self: Path, target: Path) -> Path:
            if target == out:
                time.sleep(1.6)
            return replace(self, target)

        Path.replace = late  # type: ignore[method-assign,assignment]
        _delayed(0.4)
        files.save(models[0], out)

    def second() -> None:
        _delayed(1.0)
        files.save(models[1], out)

    children = [_forked(first), _forked(second)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    assert arrays(out) in [arrays(source) for source in sources]


_READING = """
import sys
from normonnx.cli import faults
from normonnx.core.errors import NormonnxError
from normonnx.graph import files, walk
if sys.argv[2] == "handler":
    faults.say_lost_files()
model = files.load(sys.argv[1])
views = [tensor._buffer() for tensor in walk.all_tensors(model) if hasattr(tensor, "_buffer")]
print("loaded", flush=True)
sys.stdin.readline()
if sys.argv[2] == "handler":
    sum(bytes(view)[-1] for view in views)
try:
    if sys.argv[2] == "read":
        sum(tensor.numpy().sum() for tensor in walk.all_tensors(model))
    files.save(model, sys.argv[3])
except NormonnxError as error:
    print(error)
"""


@pytest.mark.parametrize("external", [False, True], ids=["embedded", "external"])
@pytest.mark.parametrize("how", ["read", "save"])
def test_a_source_cut_short_while_it_is_in_use(tmp_path: Path, how: str, *, external: bool) -> None:
    """Reading what is gone would end the process with SIGBUS: refused in one line before."""
    source = written(tmp_path, external=external)
    held = source.with_suffix(".bin") if external else source
    out = tmp_path / "out.onnx"
    with scripted(_READING, source, how, out) as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline() == "loaded\n"
        os.truncate(held, 100_000)
        said, failed = reading.communicate("\n", timeout=60)
    assert reading.returncode == 0, failed
    assert f"{held} became shorter while it was in use" in said
    assert not out.exists()
    assert not list(tmp_path.glob(".normonnx-*"))


def test_a_source_cut_short_while_it_is_read(tmp_path: Path) -> None:
    """Between the look at its size and the reading: one line all the same, and exit code 2."""
    source = written(tmp_path, external=True)
    with scripted(_READING, source, "handler", tmp_path / "out.onnx") as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline() == "loaded\n"
        os.truncate(source.with_suffix(".bin"), 100_000)
        said, failed = reading.communicate("\n", timeout=60)
    assert (reading.returncode, said) == (2, "")
    assert failed.startswith("normonnx: error: a file became shorter while it was read")
    assert failed.count("\n") == 1


def test_a_source_replaced_while_it_is_in_use(tmp_path: Path) -> None:
    """The loaded model still holds what it was loaded with."""
    source = written(tmp_path, external=True)
    expected = arrays(source)
    model = files.load(source)
    written(tmp_path, external=True, seed=1, name="other.onnx")
    (tmp_path / "other.bin").replace(tmp_path / "source.bin")
    files.save(model, tmp_path / "out.onnx")
    assert arrays(tmp_path / "out.onnx") == expected
