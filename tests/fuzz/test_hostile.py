"""Models made to do harm: refused or worked on, never a crash, a hang, or a file where none may be."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import normonnx
from normonnx.core.errors import InvalidModelError, NormonnxError, UnsupportedOperatorError
from normonnx.graph.source import as_model
from normonnx.runtime import sizes
from normonnx.runtime.oracle import evaluate
from tests.fuzz import attacks, places
from tests.fuzz.test_fuzz_load import through
from tools import fuzz
from tools.fuzzing.crew import Worker

SECONDS = 20.0  # of processor time; ten on an idle machine
EACH = 6
FED = {"x": np.ones((2, 8), np.float32)}


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_attacks(tmp_path: Path, name: str) -> None:
    """Each kind of attack, a few times: load, inspect, optimize and save, or one clear line."""
    for seed in range(EACH):
        model = attacks.ATTACKS[name](random.Random(f"{name} {seed}"))  # noqa: S311
        path = tmp_path / "m.onnx"
        path.write_bytes(model.SerializeToString())
        began = time.process_time()
        through(path, tmp_path / "out.onnx")
        assert time.process_time() - began < SECONDS


def test_places(tmp_path: Path) -> None:
    """Whatever a model says of its data: nothing outside is read, no pipe is waited for."""
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(places.SECRET)
    for seed in range(40):
        places.clear(folder)
        path = places.place(folder, random.Random(f"places {seed}"))  # noqa: S311
        through(path, tmp_path / "out.onnx")
    assert (tmp_path / "secret.bin").read_bytes() == places.SECRET


@pytest.mark.parametrize("ring", [1, 2, 50])
def test_functions_that_call_themselves(ring: int) -> None:
    """On whatever way: no legal model."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    model = attacks.laughs(random.Random(0))  # noqa: S311
    del model.functions[:]
    for place in range(ring):
        node = helper.make_node(f"r{(place + 1) % ring}", ["a"], ["b"], domain="f")
        model.functions.append(helper.make_function("f", f"r{place}", ["a"], ["b"], [node], opsets))
    model.graph.node[0].op_type = "r0"
    with pytest.raises(InvalidModelError, match=r"function f::r\d+ calls itself"):
        normonnx.optimize(model)


def test_functions_that_call_one_another_too_often() -> None:
    """They are optimized; evaluating them would take longer than anybody has."""
    for seed in range(6):
        model = as_model(attacks.laughs(random.Random(seed)))  # noqa: S311
        with pytest.raises(UnsupportedOperatorError, match="functions that call one another"):
            evaluate(model, FED)


@pytest.mark.parametrize("limit", [1 << 20, 1 << 30])
def test_bombs_are_refused_before_they_are_made(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """The oracle names the node and the shape; another limit lets less or more through."""
    monkeypatch.setattr(sizes, "allowed", lambda: limit)
    monkeypatch.setattr(sizes, "_SMALL", 1 << 16)
    for seed in range(40):
        model = as_model(attacks.bomb(random.Random(seed)))  # noqa: S311
        with pytest.raises(NormonnxError, match=r"would take .* GiB|can't (be )?evaluate"):
            evaluate(model, FED)


def test_the_limit_follows_what_this_process_may_take() -> None:
    """A share of the free memory."""
    assert sizes._SMALL <= sizes.allowed() <= sizes._LARGEST


def test_an_input_beyond_any_memory_is_not_drawn() -> None:
    """The declared shape is what a file says; the way out is in the message."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1000000, 10000000] x) => (float[1000000, 10000000] y) { y = Relu (x) }"""
    )
    with pytest.raises(NormonnxError, match=r"'x': its shape .* would take .*--shape x=D,D"):
        normonnx.validate(model, backends=())


def test_a_few_hundred_inputs_in_a_process_with_limits(tmp_path: Path) -> None:
    """What `tools/fuzz.py` does at length; its figures are in README."""
    found = fuzz.fuzz(range(300, 450), tmp_path)
    assert found["findings"] == []
    assert found["cases"] == 150
    assert len(found["outcomes"]) > 6


@pytest.mark.parametrize(
    ("harm", "outcome"),
    [
        ("raise ValueError('bug')", "crash: ValueError: bug"),
        ("os.kill(os.getpid(), 11)", "crash: the process ended with -11"),
        ("while True: pass", "hang: "),
        ("bytearray(3 << 30).count(1)", "memory: "),
        ("open(path.parents[1] / 'more', 'w').close()", "escape: writes "),
        ("(path.parents[1] / 'secret.bin').read_bytes()", "escape: reads "),
        ("Path(path.parent / 'x').touch()", "escape: "),
    ],
    ids=["exception", "signal", "endless", "memory", "writes", "reads", "beside"],
)
def test_the_watch_sees_each_kind_of_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str, outcome: str
) -> None:
    """A worker that does harm is seen to do so, and the next case runs all the same."""
    harmful = tmp_path / "harmful.py"
    harmful.write_text(
        "import os, sys\nfrom pathlib import Path\nfrom tools.fuzzing import worker\n"
        f"def run(path, out, rng):\n    {harm}\n    return 'worked'\n"
        "worker.run = run\nworker.main()\n"
    )
    if outcome.startswith("hang"):
        monkeypatch.setattr("tools.fuzzing.crew.HANG", 0.5)
    monkeypatch.setattr("tools.fuzzing.crew.PROGRAM", (str(harmful),))
    folder = tmp_path / "work"
    folder.mkdir()
    with Worker(folder) as worker:
        assert worker.do(7)["outcome"].startswith(outcome)
        harmful.write_text(harmful.read_text().replace(harm, "pass"))
        if outcome.startswith("hang"):  # another worker took its place
            assert worker.do(7)["outcome"] == "worked"
