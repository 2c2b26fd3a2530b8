"""The examples in each verb's help run as they stand there."""

from __future__ import annotations

import shlex
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import onnx
import onnx.parser
import pytest

import normonnx
from normonnx.cli.verbs import VERBS
from tests.cli.running import Cli

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

_DEMO = Path(__file__).parents[2] / "normonnx" / "cli" / "demo.onnx"
_NEEDS = {
    "openvino": "openvino",
    "--picture": "matplotlib",
    "normonnx export": "torch",
    "normonnx prepend": "sklearn",
}
_NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)
        self.eval()

    def forward(self, x):
        return torch.nn.functional.group_norm(self.conv(x), 2)

def build():
    return Net(), torch.ones(1, 3, 8, 8)
"""
_TRAIN = """
import numpy as np
from sklearn.preprocessing import StandardScaler

scaler = StandardScaler().fit(np.random.default_rng(0).normal(size=(20, 4)))
"""
_TABLE = (
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] features) => (float[N, 4] y) '
    "{ y = Relu(features) }"
)
_TALKS = ("sweep",)  # on stderr, how far it is
_QUICKER = {"bench": ("--seconds", "0", "--sessions", "1"), "tune": ("--seconds", "0")}


def examples(verb: str) -> list[str]:
    """Command lines in the help of a verb."""
    module, _, name = VERBS[verb].partition(":")
    command: click.Command = getattr(import_module(module), name)
    lines = (command.epilog or "").splitlines()
    return [line.strip() for line in lines if line.startswith("  normonnx ")]


_ALL = [(verb, line) for verb in VERBS for line in examples(verb)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples_of_itself(cli: Cli, verb: str) -> None:
    """Two at least, shown in its help in whole lines."""
    found = examples(verb)
    assert len(found) >= 2
    said = cli(verb, "--help").out
    for line in found:
        assert line.split()[1] == verb
        assert f"\n    {line}\n" in said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cli: Cli) -> Path:
    """What examples read: two models, a bundle."""
    place = tmp_path_factory.mktemp("examples")
    for name in ("model.onnx", "optimized.onnx"):
        shutil.copy(_DEMO, place / name)
    assert cli("record", "model.onnx", "-o", "run.bundle", "--no-judge", cwd=place).code == 0
    (place / "net.py").write_text(_NET)
    (place / "models").mkdir()
    shutil.copy(_DEMO, place / "models" / "model.onnx")
    return place


def _put_scaler(place: Path) -> None:
    """A scaler in each form that `prepend` takes, and a model of as many features."""
    import joblib
    from sklearn.preprocessing import StandardScaler

    (place / "train.py").write_text(_TRAIN)
    fitted = StandardScaler().fit(np.random.default_rng(0).normal(size=(20, 4)))
    joblib.dump(fitted, place / "scaler.joblib")
    normonnx.export_scaler(fitted, place / "scaler.onnx")
    onnx.save(onnx.parser.parse_model(_TABLE), place / "model.onnx")


@pytest.mark.parametrize(("verb", "line"), _ALL, ids=[line for _, line in _ALL])
def test_an_example_runs(
    cli: Cli, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, line: str
) -> None:
    """Exit code 0, in a folder of its own that holds what it reads."""
    for word, package in _NEEDS.items():
        if word in line and find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    if verb == "prepend":
        _put_scaler(tmp_path)
    monkeypatch.setenv("NORMONNX_COSTS", str(tmp_path / "costs"))
    ran = cli(*shlex.split(line)[1:], *_QUICKER.get(verb, ()), cwd=tmp_path)
    assert ran.code == 0, ran
    assert ran.out != ""
    assert ran.err == "" or verb in _TALKS
