"""`normonnx sweep`: many models, one folder of results, which a second run finds again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest

from normonnx.cli.sweeping import PASSED, verb_command
from tests.cli.running import CONV_BN, CUSTOM, KEPT, Cli, with_weights
from tests.sweeping import bytes_of

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six models: two good ones, one with external data, a custom operator, two that are none."""
    folder = tmp_path_factory.mktemp("zoo")
    (folder / "sub").mkdir()
    for name, text in (("conv_bn", CONV_BN), ("sub/kept", KEPT), ("custom", CUSTOM)):
        (folder / f"{name}.onnx").write_bytes(with_weights(text).SerializeToString())
    onnx.save(
        with_weights(CONV_BN, seed=1), folder / "sub" / "external.onnx",
        save_as_external_data=True, location="external.bin", size_threshold=0,
    )  # fmt: skip
    (folder / "text.onnx").write_bytes(b"hello\n")
    whole = (folder / "conv_bn.onnx").read_bytes()
    (folder / "sub" / "<b>cut&.onnx").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def swept(cli: Cli, zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `sweep optimize` makes of them; its output lies beside, as `said.txt` and so on."""
    place = tmp_path_factory.mktemp("swept")
    ran = cli(
        "sweep", "optimize", zoo, "--out", place / "out", "--jobs", 2, "--target", "ort-cpu",
        "--html", place / "o.html", "--junit", place / "o.xml", "--json", place / "o.json",
    )  # fmt: skip
    assert ran.code == 5, ran
    (place / "said.txt").write_text(ran.out)
    (place / "logged.txt").write_text(ran.err)
    return place


def test_every_model_has_a_line(swept: Path) -> None:
    """Sorted by name, each with the verb's own document, and no path or time in it."""
    lines = (swept / "out" / "results.jsonl").read_text("ascii").splitlines()
    found = {one["model"]: one for one in map(json.loads, lines)}
    assert list(found) == sorted(found)
    cut = next(name for name in found if "cut&" in name)
    outcomes = {name: one["outcome"] for name, one in found.items()}
    assert outcomes == {
        "conv_bn.onnx": "pass", "custom.onnx": "inconclusive", cut: "invalid",
        "sub/external.onnx": "pass", "sub/kept.onnx": "pass", "text.onnx": "invalid",
    }  # fmt: skip
    assert "<" not in cut
    assert found["conv_bn.onnx"]["document"]["output"] == "models/conv_bn.onnx"
    assert found["conv_bn.onnx"]["document"]["report"]["target"] == "ort-cpu"
    assert "acme" in found["custom.onnx"]["reason"]
    assert found["text.onnx"]["reason"].startswith("text.onnx is damaged or no ONNX model")
    assert str(swept) not in "".join(lines)


def test_optimized_models_keep_their_folders_and_weights(swept: Path) -> None:
    """Those that passed, and those that could not be checked, which is said."""
    models = swept / "out" / "models"
    written = {str(path.relative_to(models)) for path in models.rglob("*") if path.is_file()}
    assert written == {
        "conv_bn.onnx",
        "custom.onnx",
        "sub/external.onnx",
        "sub/external.onnx.data",
        "sub/kept.onnx",
    }
    made = onnx.load(models / "sub" / "external.onnx")
    assert [node.op_type for node in made.graph.node] == ["Conv", "Relu"]
    assert onnx.numpy_helper.to_array(made.graph.initializer[0]).size


def test_what_is_said(swept: Path) -> None:
    """A table of outcomes and why on stdout; a line a model, with what is left, on stderr."""
    said, logged = ((swept / name).read_text() for name in ("said.txt", "logged.txt"))
    assert said.startswith("optimize: 6 models\n")
    assert "  pass               3\n" in said
    assert "invalid       text.onnx" in said
    assert len(said.splitlines()) < 20
    assert "normonnx: [6/6] " in logged
    assert " left\n" in logged


def test_reports_for_people_and_for_ci(swept: Path) -> None:
    """One HTML file that asks for nothing, with names escaped; JUnit; JSON."""
    page = (swept / "o.html").read_text()
    assert page == (swept / "out" / "dashboard.html").read_text()
    assert "cut&amp;" in page
    assert "default-src &#x27;none&#x27;" in page
    assert "http" not in page.replace("http-equiv", "")
    suite = ET.parse(swept / "o.xml").getroot().find("testsuite")  # noqa: S314  # our own
    assert suite is not None
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6", "failures": "0", "errors": "2", "skipped": "1",
    }  # fmt: skip
    document = json.loads((swept / "o.json").read_text())
    assert document["schema"] == "normonnx.sweep/1"
    assert document["exit_code"] == 5
    assert document["counts"] == {"pass": 3, "inconclusive": 1, "invalid": 2}
    assert len(document["results"]) == 6


def test_a_second_run_does_nothing_and_changes_nothing(cli: Cli, zoo: Path, swept: Path) -> None:
    """Byte for byte."""
    before = bytes_of(swept / "out")
    ran = cli("sweep", "optimize", zoo, "--out", swept / "out", "--target", "ort-cpu", "--all")
    assert ran.code == 5
    assert ran.out.startswith("optimize: 6 models, 6 of them done before\n")
    assert "error/floor" in ran.out
    assert bytes_of(swept / "out") == before


def test_what_one_model_gets_is_what_the_verb_gives(
    cli: Cli, zoo: Path, swept: Path, tmp_path: Path
) -> None:
    """The same bytes as `normonnx optimize` writes."""
    cli("optimize", zoo / "conv_bn.onnx", "-o", tmp_path / "alone.onnx", "--target", "ort-cpu")
    made = swept / "out" / "models" / "conv_bn.onnx"
    assert (tmp_path / "alone.onnx").read_bytes() == made.read_bytes()


def test_a_manifest_gives_each_model_its_options(cli: Cli, zoo: Path, tmp_path: Path) -> None:
    """A reference of its own, inputs of its own, paths from the manifest's folder."""
    shutil.copytree(zoo, tmp_path / "zoo")
    spoiled = with_weights(CONV_BN)
    spoiled.graph.initializer[0].raw_data = np.zeros(4 * 3 * 9, np.float32).tobytes()
    (tmp_path / "zoo" / "spoiled.onnx").write_bytes(spoiled.SerializeToString())
    np.savez(tmp_path / "zoo" / "x.npz", x=np.ones((2, 3, 8, 8), np.float32))
    lines = [
        {"model": "conv_bn.onnx", "against": "conv_bn.onnx", "inputs": ["x.npz"], "backend": []},
        {"model": "spoiled.onnx", "against": "conv_bn.onnx", "no-locate": True},
    ]
    manifest = tmp_path / "zoo" / "models.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    ran = cli("sweep", "validate", "--manifest", manifest, "--out", tmp_path / "out", "--json", "-")
    assert ran.code == 1, ran
    good, bad = ran.json["results"]
    assert (good["model"], good["outcome"]) == ("conv_bn.onnx", "pass")
    assert {one["case"] for one in good["document"]["report"]["comparisons"]} == {"given"}
    assert (bad["model"], bad["outcome"]) == ("spoiled.onnx", "mismatch")
    assert bad["document"]["against"] == "conv_bn.onnx"
    assert "floor" in bad["reason"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sweep", "optimize", "--out", "out"], ["no models", "--manifest"]),
        (["sweep", "optimize", "nowhere", "--out", "out"], ["nowhere: no such file"]),
        (["sweep", "optimize", "zoo"], ["Missing option '--out'"]),
        (["sweep", "optimize", "zoo", "--out", "out", "--no-such"], ["--no-such"]),
        (["sweep", "explain", "zoo"], ["No such command 'explain'"]),
        (["sweep", "inspect", "zoo", "--out", "out", "--opset", "3"], ["--opset"]),
        (["sweep", "inspect", "zoo", "--out", "out", "--shared"], ["--shared", "--ray"]),
        (["sweep", "inspect", "zoo", "--out", "out", "--jobs", "0"], ["--jobs"]),
        (["sweep", "inspect", "zoo", "--out", "out", "--html", "-"], ["--html - is no file"]),
        (["sweep", "inspect", "zoo", "--out", "out", "--junit", "zoo/text.onnx"], ["would replace"]),
        (["sweep", "validate", "--manifest", "m.jsonl", "--out", "out"], ["m.jsonl, line 1", "no option 'target'"]),
        (["sweep", "optimize", "--manifest", "n.jsonl", "--out", "out"], ["n.jsonl, line 1", "'x'"]),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused(
    cli: Cli, zoo: Path, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    """In one line, before anything is done."""
    shutil.copytree(zoo, tmp_path / "zoo")
    (tmp_path / "m.jsonl").write_text('{"model": "zoo/text.onnx", "target": "ort-cpu"}')
    (tmp_path / "n.jsonl").write_text('{"model": "zoo/text.onnx", "opset": "x"}')
    cli(*arguments, cwd=tmp_path).refused(2, *words)
    assert not (tmp_path / "out").exists()


def test_without_ray_a_cluster_is_unavailable(cli: Cli, zoo: Path, tmp_path: Path) -> None:
    """Exit code 3, and how to get it."""
    (tmp_path / "ray.py").write_text("raise ImportError('No module named ray')")
    ran = cli(
        "sweep", "inspect", zoo, "--out", tmp_path / "out", "--ray", "auto",
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"},
    )  # fmt: skip
    ran.refused(3, "normonnx[ray]")


@pytest.mark.parametrize("verb", sorted(PASSED))
def test_every_option_of_a_verb_is_handed_on_or_left_out_on_purpose(verb: str) -> None:
    """A new one must be put in one of the two lists."""
    left = {
        "model", "output", "explain", "dry_run", "force", "json_to", "junit_to", "html_to",
        "no_measure", "svg", "node", "share_data", "every_node", "every_comparison", "timeout", "memory", "repro",
    }  # fmt: skip
    names = {str(param.name) for param in verb_command(verb).params}
    assert names - left == set(PASSED[verb]) & names
