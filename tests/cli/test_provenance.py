"""`--provenance`: what a result was made from, inside or beside, and nothing that changes with time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from normonnx.core.version import VERSION
from tests.cli.running import CONV_BN, Cli, Models, with_weights

KEY = "normonnx.provenance"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _inside(path: Path) -> Any:  # noqa: ANN401  # JSON
    return json.loads({one.key: one.value for one in onnx.load(path).metadata_props}[KEY])


def test_it_is_written_into_the_metadata(cli: Cli, models: Models, tmp_path: Path) -> None:
    """Digest of the source, version, verb, options and verdict; no name and no time."""
    out = tmp_path / "out.onnx"
    ran = cli("optimize", models.conv_bn, "-o", out, "--provenance", "inside", "--keep", "c")
    assert ran.code == 0, ran
    found = _inside(out)
    assert found["schema"] == "normonnx.provenance/1"
    assert found["normonnx"] == VERSION
    assert found["source"] == {
        "sha256": _sha256(models.conv_bn),
        "bytes": models.conv_bn.stat().st_size,
    }
    assert (found["verb"], found["verdict"]) == ("optimize", "pass")
    assert found["options"]["target"] == "portable"
    assert found["options"]["keep"] == ["c"]
    assert "conv_bn" not in json.dumps(found)


def test_without_the_option_there_is_none(cli: Cli, models: Models, tmp_path: Path) -> None:
    """A result says nothing that was not asked for."""
    cli("optimize", models.conv_bn, "-o", tmp_path / "out.onnx")
    assert not onnx.load(tmp_path / "out.onnx").metadata_props


def test_two_runs_give_the_same_bytes_and_a_second_changes_nothing(
    cli: Cli, models: Models, tmp_path: Path
) -> None:
    """With it as without it."""
    one, other, again = (tmp_path / f"{name}.onnx" for name in ("one", "other", "again"))
    for source, out in ((models.conv_bn, one), (models.conv_bn, other), (one, again)):
        assert cli("optimize", source, "-o", out, "--provenance", "inside").code == 0
    assert one.read_bytes() == other.read_bytes() == again.read_bytes()


def test_another_way_of_making_it_is_told(cli: Cli, models: Models, tmp_path: Path) -> None:
    """A model that is worked on again with other options says the last ones."""
    one, two, three = (tmp_path / f"{name}.onnx" for name in ("one", "two", "three"))
    cli("optimize", models.kept, "-o", one, "--provenance", "inside", "--verify", "none")
    assert _inside(one)["verdict"] is None
    cli("optimize", one, "-o", two, "--provenance", "inside", "--target", "ort-cpu")
    assert _inside(two)["source"]["sha256"] == _sha256(one)
    assert (_inside(two)["verdict"], _inside(two)["options"]["target"]) == ("pass", "ort-cpu")
    cli("optimize", two, "-o", three, "--provenance", "inside", "--target", "ort-cpu")
    assert two.read_bytes() == three.read_bytes()


@pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '{"schema": "other"}'])
def test_what_stands_there_and_is_none_is_replaced(
    cli: Cli, models: Models, tmp_path: Path, text: str
) -> None:
    """Whoever wrote it."""
    model = onnx.load(models.kept)
    onnx.helper.set_model_props(model, {KEY: text})
    onnx.save(model, models.kept)
    cli("optimize", models.kept, "-o", tmp_path / "out.onnx", "--provenance", "inside")
    assert _inside(tmp_path / "out.onnx")["source"]["sha256"] == _sha256(models.kept)


def test_it_may_stand_beside(cli: Cli, tmp_path: Path) -> None:
    """As JSON, with digests of the result and of all weights; the model is as without it."""
    source, out, beside = (tmp_path / name for name in ("ext.onnx", "out.onnx", "out.json"))
    onnx.save(
        with_weights(CONV_BN), source, save_as_external_data=True, location="ext.bin", size_threshold=0
    )  # fmt: skip
    assert cli("lower", source, "-o", out, "--opset", 18, "--provenance", beside).code == 0
    found = json.loads(beside.read_text())
    assert found["verb"] == "lower"
    assert found["options"]["opset"] == 18
    assert [one["sha256"] for one in found["weights"]] == [_sha256(tmp_path / "ext.bin")]
    assert found["output"]["sha256"] == _sha256(out)
    assert [one["sha256"] for one in found["output_weights"]] == [
        _sha256(tmp_path / "out.onnx.data")
    ]
    assert not onnx.load(out).metadata_props


def test_nothing_is_told_of_what_is_not_written(cli: Cli, models: Models, tmp_path: Path) -> None:
    """A dry run writes no file at all."""
    cli("optimize", models.conv_bn, "--dry-run", "--provenance", tmp_path / "p.json")
    assert not (tmp_path / "p.json").exists()


def test_it_must_not_replace_a_model(cli: Cli, models: Models, tmp_path: Path) -> None:
    """Neither source nor result nor what else is written; a sweep takes one for each model."""
    out = tmp_path / "out.onnx"
    for taken in (models.conv_bn, out, tmp_path / "o.json"):
        ran = cli(
            "optimize",
            models.conv_bn,
            "-o",
            out,
            "--json",
            tmp_path / "o.json",
            "--provenance",
            taken,
        )
        ran.refused(2, "--provenance", "would replace")
    ran = cli("sweep", "optimize", models.folder, "--out", tmp_path / "s", "--provenance", "p.json")
    ran.refused(2, "--provenance inside")
