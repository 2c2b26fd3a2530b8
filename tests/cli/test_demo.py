"""`normonnx demo`."""

from __future__ import annotations

import os
from pathlib import Path

import onnx

from tests.cli.running import Cli

_MODEL = Path(__file__).parents[2] / "normonnx" / "cli" / "demo.onnx"


def test_it_ends_with_a_verdict(cli: Cli) -> None:
    """Inspect, optimize, validate: exit code 0 exactly because the verdict is a pass."""
    ran = cli("demo")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("verdict: pass")
    assert all(f"normonnx {verb} demo" in ran.out for verb in ("inspect", "optimize", "validate"))


def test_its_model_has_what_the_story_needs(cli: Cli, tmp_path: Path) -> None:
    """BatchNorms that fold into Conv and ConvTranspose; some norm that stays."""
    folder = tmp_path / "new" / "folder"
    found = cli("demo", "--out", folder, "--json", "-").json
    assert found["schema"] == "normonnx.demo/1"
    before, after = (
        [node.op_type for node in onnx.load(folder / name).graph.node]
        for name in ("demo.onnx", "demo.optimized.onnx")
    )
    assert before.count("BatchNormalization") == 12
    # Two behind a Concat with a branch that others read; one is the affine of a GroupNorm.
    assert after.count("BatchNormalization") == 3
    assert {"ConvTranspose", "InstanceNormalization", "LayerNormalization"} <= set(before)
    assert before.count("Conv") == after.count("Conv")  # two become one; one sums an LRN's window
    assert found["inspection"]["foldable"] == 10
    reasons = {event["reason"] for event in found["optimization"]["refused"]}
    assert "also read by Conv" in " ".join(reasons)
    assert found["validation"]["passed"] is True


def test_it_does_not_overwrite_an_earlier_one(cli: Cli, tmp_path: Path) -> None:
    """A folder that holds the demo already is refused."""
    assert cli("demo", "--out", tmp_path).code == 0
    cli("demo", "--out", tmp_path).refused(2, "exists already")
    (tmp_path / "file").write_text("")
    cli("demo", "--out", tmp_path / "file").refused(2, "can't make the folder")


def test_it_needs_no_torch_and_says_when_nothing_was_run(cli: Cli, tmp_path: Path) -> None:
    """Without onnxruntime the float64 verdict stands, and the text says what is missing."""
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_spec(name, path=None, target=None):\n"
        "    missing = name.partition('.')[0] in ('onnxruntime', 'torch')\n"
        "    return None if missing else find(name, path, target)\n"
        "PathFinder.find_spec = find_spec\n"
    )
    root = Path(__file__).parents[2]
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}
    assert "unavailable" in cli("validate", _MODEL, env=env).out
    ran = cli("demo", env=env)
    assert ran.code == 0, ran
    assert "onnxruntime is not installed" in ran.out
    assert ran.out.splitlines()[-1].startswith("verdict: pass")
