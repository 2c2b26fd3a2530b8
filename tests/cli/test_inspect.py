"""`normonnx inspect`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import normonnx
from tests.cli.running import Cli, Models


def test_it_says_what_folds_and_what_does_not(cli: Cli, models: Models) -> None:
    """A BatchNormalization after Conv folds; one after Relu stays, with the reason."""
    ran = cli("inspect", models.conv_bn)
    assert (ran.code, ran.err) == (0, "")
    assert "normalizations: 1, of which 1 would fold" in ran.out
    assert "BatchNormalization 'b' folded into Conv 'c'" in ran.out
    ran = cli("inspect", models.kept)
    assert ran.code == 0
    assert "normalizations: 1, of which 0 would fold" in ran.out
    assert "Relu 'r' before it" in ran.out


def test_json_holds_the_whole_inspection(cli: Cli, models: Models) -> None:
    """With "-" stdout is one document, with schema, and nothing else."""
    found = cli("inspect", models.conv_bn, "--json", "-").json
    assert found["schema"] == "normonnx.inspect/1"
    assert found["exit_code"] == 0
    assert found["bytes"] == models.conv_bn.stat().st_size
    assert found["inspection"]["norms"][0]["norm"] == "BatchNorm"
    assert found["inspection"]["foldable"] == 1
    assert found["inspection"]["opset"] == 17
    assert found["inspection"]["nodes"] == {"BatchNormalization": 1, "Conv": 1, "Relu": 1}


def test_json_tells_both_ways_of_what_stays(cli: Cli, models: Models) -> None:
    """A reason and a node for each; nothing for what folds."""
    found = cli("inspect", models.kept, "--json", "-").json["inspection"]["norms"][0]
    assert found["foldable"] is False
    for way in ("up", "down"):
        assert set(found[way]) == {"reason", "node"}
        assert found[way]["reason"] in found["reason"]
    assert found["up"]["node"] == "r"
    found = cli("inspect", models.conv_bn, "--json", "-").json["inspection"]["norms"][0]
    assert (found["up"], found["down"]) == (None, None)


def test_nothing_is_changed(cli: Cli, models: Models) -> None:
    """Inspecting writes no file and leaves the model as it was."""
    before = {path.name: path.read_bytes() for path in models.folder.iterdir()}
    cli("inspect", models.conv_bn, "--all")
    assert {path.name: path.read_bytes() for path in models.folder.iterdir()} == before


def test_json_never_replaces_the_model(cli: Cli, models: Models) -> None:
    """Not even through a link."""
    link = models.folder / "link.json"
    link.symlink_to(models.conv_bn)
    for place in (models.conv_bn, link):
        cli("inspect", models.conv_bn, "--json", place).refused(2, "would replace")


def test_a_custom_operator_is_no_obstacle(cli: Cli, models: Models) -> None:
    """What comes before it is inspected all the same."""
    assert cli("inspect", models.custom, "--json", "-").json["inspection"]["foldable"] == 1


def test_a_norm_without_statistics_of_its_input_is_not_said_to_have_some(
    cli: Cli, tmp_path: Path
) -> None:
    """Calls of functions whose numbers are fixed, or that have no statistics, stay for other reasons."""
    numbers = {"mean": np.zeros(4, np.float32), "var": np.ones(4, np.float32)}
    reasons = {
        "BatchNorm": "its statistics are constants, but it is a normonnx::BatchNorm",
        "DynamicTanh": "it has no statistics, but it is no scale and shift",
        "LayerNorm": "it has statistics of its input",
    }
    for name, reason in reasons.items():
        use = normonnx.norms[name].define(("N", 4), **numbers if name == "BatchNorm" else {})
        normonnx.save(use.model(opset=17), tmp_path / "x.onnx")
        (found,) = cli("inspect", tmp_path / "x.onnx", "--json", "-").json["inspection"]["norms"]
        assert found["reason"].startswith(reason)
