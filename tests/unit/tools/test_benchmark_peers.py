"""The script that measures peers: from models to tables, and on from where it was cut off."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

pytest.importorskip("onnxruntime", reason="results run on ONNX Runtime: install normonnx[cpu]")

from tests.rewriting import parsed  # only where importorskip let us come here, as what follows
from tools import benchmark_peers
from tools.peers import tables
from tools.peers.contenders import PEERS
from tools.peers.figures import of_plain

TEXT = """g (float[N, 8, 64] x, float[N, 8, 64] z) => (float[N, 8, 64] y) <float[64] scale, float[64] bias> {
    s = Add(x, z) y = LayerNormalization<axis = -1>(s, scale, bias) }"""  # gets hints for its session
QUICK = ["--rounds", "1", "--seconds", "0", "--sessions", "1", "--peers"]


def test_one_command_measures_judges_and_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for each peer; what is not installed is said; a second run measures nothing anew."""
    model, out, readme = (tmp_path / name for name in ("net.onnx", "results", "README.md"))
    onnx.save(parsed(TEXT), model)
    readme.write_text("a\n<!-- peers: begin -->\n<!-- peers: end -->\n")
    asked = [str(model), "--out", str(out), "--readme", str(readme), *QUICK]
    benchmark_peers.main([*asked, "normonnx,ORT basic,onnxsim"])
    found = json.loads((out / "peers.json").read_text())
    (one,) = found["models"]
    assert one["inputs"] == {"x": [1, 8, 64], "z": [1, 8, 64]}
    missing = set(found["missing"])
    assert missing <= {"onnxsim"}
    peers = {"normonnx", "ORT basic", "onnxsim"} - missing
    assert set(one["rows"]) == {"plain session", "normonnx, session hints"} | peers
    for name in ("normonnx", "ORT basic"):
        row = one["rows"][name]
        assert row["judgement"]["outcome"] == "pass"
        assert 0 < row["judgement"]["error"] < 100
        assert row["latency_ms"]["median"] > 0
        assert row["optimize_ms"]["median"] > 0
        assert row["added_mb"]["median"] > 0
    assert found["command"].startswith("python tools/benchmark_peers.py net.onnx --rounds 1")
    assert "| net |" in readme.read_text()
    assert "| net |" in (out / "peers.md").read_text()
    assert all(f"{name} is not installed" in capsys.readouterr().out for name in missing)
    before = (out / "peers.json").read_bytes()
    benchmark_peers.main([*asked, "normonnx"])
    assert json.loads((out / "peers.json").read_bytes())["models"] == json.loads(before)["models"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no.onnx", "--peers", "normonnx"], "no file no.onnx"),
        (["nonet", "--peers", "normonnx"], "no network 'nonet'"),
    ],
)
def test_a_model_that_is_not_there_is_said(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    """By name or by path."""
    with pytest.raises(SystemExit, match=words):
        benchmark_peers.main([*arguments, "--out", str(tmp_path), "--cache", str(tmp_path)])


@pytest.mark.parametrize(
    ("peers", "words"), [("onnxfoo,normonnx", "no peer onnxfoo"), ("onnxsim", "must hold normonnx")]
)
def test_peers_are_checked(
    peers: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By name, and normonnx is one of them."""
    with pytest.raises(SystemExit):
        benchmark_peers.main(["mlp", "--peers", peers, "--out", str(tmp_path)])
    assert words in capsys.readouterr().err


def test_the_readme_shows_what_was_measured() -> None:
    """Its tables are those of the figures that lie in the repository; every peer is in them."""
    results = benchmark_peers.ROOT / "tools" / "peers" / "results"
    found = json.loads((results / "peers.json").read_text("utf-8"))
    models = [of_plain(one) for one in found["models"]]
    assert len(models) >= 10
    assert all({*PEERS} <= {*one.rows} for one in models)
    readme = (benchmark_peers.ROOT / "README.md").read_text("utf-8")
    block = "\n\n".join((tables.circumstances(found), benchmark_peers.summary(models)))
    assert tables.replaced(readme, block) == readme
    for picture in ("latency.svg", "optimizing.svg"):
        assert f"tools/peers/results/{picture}" in readme
        assert (results / picture).exists()
