"""`normonnx export`."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from tests.cli.running import Cli

pytest.importorskip("torch", reason="modules are torch's: install normonnx[torch]")

_NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.ln = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm(6)

    def forward(self, image):
        return self.ln(self.bn(self.conv(image)))


def alone():
    return Net().eval()


def build():
    torch.manual_seed(0)
    return Net().eval(), (torch.randn(1, 3, 8, 8),)


def by_name():
    return Net().eval(), (), {"image": torch.randn(1, 3, 8, 8)}


def training():
    return Net(), torch.randn(1, 3, 8, 8)


def broken():
    raise ValueError("no weights\\nhere")


class Decides(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Changing(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        y = self.norm(x)
        return y * 1.01 if torch.compiler.is_exporting() else y


def decides():
    return Decides().eval(), torch.ones(2, 3)


def changing():
    return nn.Sequential(nn.Linear(4, 4), Changing(), nn.ReLU()).eval(), torch.randn(3, 4)


number = 3
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """A file of factories, in a folder of its own."""
    path = tmp_path / "nets.py"
    path.write_text(_NETS, encoding="utf-8")
    return path


def _operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_it_exports_checks_and_writes(cli: Cli, nets: Path) -> None:
    """A module is imported from where one is; the summary counts and judges."""
    out = nets.with_name("out.onnx")
    ran = cli("export", "nets:build", "-o", out, "--dynamic", "batch", cwd=nets.parent)
    assert (ran.code, ran.err) == (0, "")
    assert _operators(out) == ["Conv", "BatchNormalization", "LayerNormalization"]
    for words in ("normalizations: 2", "image:0=batch", "verdict: pass", f"{out} written\n"):
        assert words in ran.out
    onnx.checker.check_model(onnx.load(out), full_check=True)


def test_a_file_and_inputs_on_the_command_line_do_as_well(cli: Cli, nets: Path) -> None:
    """With options of every kind; JSON has the counts and the verdict."""
    out = nets.with_name("out.onnx")
    ran = cli(
        "export", f"{nets}:alone", "-o", out, "--input", "image:float32[2,3,8,8]", "--opset", 13,
        "--style", "function", "--fold-bn", "--dynamic", "image:0=n", "--input-name", "x",
        "--output-name", "y", "--json", "-",
    )  # fmt: skip
    found = ran.json
    assert (ran.code, found["schema"], found["output"]) == (0, "normonnx.export/1", str(out))
    report = found["report"]
    assert (report["opset"], report["counts"]) == (13, {"LayerNorm": 1})
    assert report["verification"]["passed"] is True
    assert report["norms"][0]["module"] == "ln"
    graph = onnx.load(out).graph
    assert [node.op_type for node in graph.node] == ["Conv", "LayerNorm"]
    assert (graph.input[0].name, graph.output[0].name) == ("x", "y")
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"


def test_keyword_arguments_and_modules_in_training_mode(cli: Cli, nets: Path) -> None:
    """A factory may say both; --no-verify says that nothing was checked."""
    out = nets.with_name("out.onnx")
    ran = cli("export", f"{nets}:by_name", "-o", out, "--no-verify")
    assert ran.code == 0
    assert "written, unverified" in ran.out
    cli("export", f"{nets}:training", "-o", out).refused(2, "training mode", "--training")
    assert cli("export", f"{nets}:training", "-o", out, "--training").code == 0


@pytest.mark.parametrize(
    ("factory", "more", "words"),
    [
        ("nope:build", (), ("no module 'nope'",)),
        ("nets.py:build", ("--opset", "6"), ("opset 6 is not supported", "13 to")),
        ("nets.py:decides", (), ("decides by the numbers", "nets.py:", "torch.where")),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    cli: Cli, nets: Path, factory: str, more: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """And nothing is written."""
    out = nets.with_name("out.onnx")
    cli("export", factory, "-o", out, *more, cwd=nets.parent).refused(2, *words)
    assert not out.exists()


def test_a_mismatch_writes_nothing_and_names_the_submodule(cli: Cli, nets: Path) -> None:
    """Exit code 1."""
    out = nets.with_name("out.onnx")
    ran = cli("export", f"{nets}:changing", "-o", out)
    assert ran.code == 1
    assert "first goes wrong at Changing '1'" in ran.out
    assert "nothing written" in ran.out
    assert not out.exists()


def test_the_file_of_the_factory_is_not_overwritten(cli: Cli, nets: Path) -> None:
    """Nor is a folder taken for a file."""
    cli("export", f"{nets}:build", "-o", nets).refused(2, "is an input and would be overwritten")
    cli("export", f"{nets}:build", "-o", nets.parent).refused(2, "is a folder")


def test_without_torch_it_is_unavailable(cli: Cli, nets: Path) -> None:
    """Exit code 3, and how to get it."""
    blocked = nets.parent / "blocked"
    blocked.mkdir()
    (blocked / "torch.py").write_text("raise ImportError('no torch', name='torch')\n")
    path = os.pathsep.join([str(blocked), str(Path(__file__).parents[2])])
    ran = cli("export", f"{nets}:build", "-o", nets.with_name("o.onnx"), env={"PYTHONPATH": path})
    ran.refused(3, "torch is not installed", "pip install")
