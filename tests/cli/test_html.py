"""`--html FILE` and `inspect --svg FILE`: what is written, and what is refused before any work."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

import onnx
import pytest

from tests.cli.running import Cli, Models

pytest.importorskip("jinja2", reason="reports need normonnx[report]")
pytest.importorskip("matplotlib", reason="reports need normonnx[report]")

_ROOT: Final = Path(__file__).parents[2]
_DEMO: Final = _ROOT / "normonnx" / "cli" / "demo.onnx"
_SVG: Final = "{http://www.w3.org/2000/svg}"


def _sections(page: str) -> list[str]:
    return re.findall(r'<h2 id="[\w-]+">([^<]+)</h2>', page)


def _text(page: str) -> str:
    """What a reader sees, roughly."""
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL).split())


def test_an_optimization_is_told_with_figures_plans_and_places(cli: Cli, models: Models) -> None:
    """Of a fold: counts, its plan, its picture, latency, the check, nodes, how to reproduce it."""
    pytest.importorskip("onnxruntime", reason="it measures on ONNX Runtime: normonnx[cpu]")
    out, html = models.folder / "out.onnx", models.folder / "report.html"
    ran = cli("optimize", models.conv_bn, "-o", out, "--html", html, "--json", "-")
    assert ran.code == 0, ran
    assert out.exists()
    page = html.read_text(encoding="utf-8")
    assert _sections(page)[:2] == ["Before and after", "What was rewritten"]
    text = _text(page)
    assert "3 → 2" in text
    assert "BatchNormalization &#39;b&#39; folded into Conv &#39;c&#39;" in text
    assert 'class="np-node np-gone"' in page
    assert re.search(r"95 %: [\d.]+× to [\d.]+×", text)
    assert "the same function? oracle" in text
    assert "computed rightly? ort:cpu" in text
    assert f"normonnx optimize {models.conv_bn}" in text
    assert "seed 0" in text
    assert ran.json["report"]["verification"]["node_errors"] == []


def test_without_measuring_it_says_so_and_runs_nothing(cli: Cli, models: Models) -> None:
    """No latency, no node errors, no backend; the check in float64 stands."""
    html = models.folder / "report.html"
    ran = cli("optimize", models.kept, "--dry-run", "--html", html, "--no-measure")
    assert ran.code == 0, ran
    text = _text(html.read_text(encoding="utf-8"))
    assert "Latency not measured: left out, as asked for." in text
    assert "nothing was written" in text
    assert "computed rightly?" not in text
    assert "Relu &#39;r&#39; before it can&#39;t take a scale and shift" in text
    assert "the same function? oracle" in text


def test_lowering_and_validating_have_reports_too(cli: Cli, models: Models) -> None:
    """With the questions that were asked; a mismatch is marked where it begins."""
    html = models.folder / "report.html"
    ran = cli("lower", models.conv_bn, "--opset", 14, "--dry-run", "--html", html, "--no-measure")
    assert ran.code == 0, ran
    assert "opset 17 14" in _text(html.read_text(encoding="utf-8"))
    spoiled = onnx.load(models.conv_bn)
    spoiled.graph.node[0].attribute[0].ints[:] = [0, 0, 2, 2]
    path = models.write("spoiled.onnx", spoiled.SerializeToString())
    ran = cli("validate", path, "--against", models.conv_bn, "--html", html)
    assert ran.code == 1, ran
    page = html.read_text(encoding="utf-8")
    assert _sections(page)[:2] == ["At a glance", "Accuracy"]
    text = _text(page)
    assert "First goes wrong at Conv" in text
    assert "first goes wrong against the reference: Conv" in text
    assert "inherits from its inputs (upstream) 0 u" in text


def test_a_model_that_can_not_be_judged_has_a_report(cli: Cli, models: Models) -> None:
    """A custom operator: inconclusive, with the reason, and every section that there can be."""
    html = models.folder / "report.html"
    ran = cli("optimize", models.custom, "-o", models.folder / "o.onnx", "--html", html)
    assert ran.code == 4, ran
    text = _text(html.read_text(encoding="utf-8"))
    assert "inconclusive" in text
    assert "acme" in text
    assert "Latency not measured:" in text
    ran = cli("validate", models.custom, "--html", html)
    assert ran.code in (3, 4), ran
    assert "acme" in _text(html.read_text(encoding="utf-8"))


def test_places_that_can_not_be_written_are_refused_before_any_work(
    cli: Cli, models: Models
) -> None:
    """Folders, missing folders, stdout, inputs, outputs, and two documents in one file."""
    out, model = models.folder / "out.onnx", models.conv_bn
    before = model.read_bytes()

    def refused(html: object, *words: str) -> None:
        cli("optimize", model, "-o", out, "--html", html).refused(2, *words)
        assert not out.exists()

    refused(models.folder, "is a folder", "report.html")
    refused(models.folder / "no" / "report.html", "there is no folder")
    refused("-", "--html - is no file")
    refused(model, "would replace", "choose another name")
    refused(out, "would replace")
    same = models.folder / "same"
    cli("optimize", model, "-o", out, "--html", same, "--json", same).refused(2, "would replace")
    cli("validate", model, "--html", same, "--junit", same).refused(2, "would replace")
    cli("validate", model, "--against", models.kept, "--html", models.kept).refused(2, "replace")
    cli("demo", "--html", models.folder).refused(2, "is a folder")
    cli("demo", "--no-measure").refused(2, "--html FILE")
    assert model.read_bytes() == before


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_the_way_out_is_said_at_once(
    cli: Cli, models: Models, tmp_path: Path, missing: str
) -> None:
    """Exit code 3 before any work, and nothing written."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find = PathFinder.find_spec\n"
        "def find_spec(name, path=None, target=None):\n"
        f"    hidden = name.partition('.')[0] == {missing!r}\n"
        "    return None if hidden else find(name, path, target)\n"
        "PathFinder.find_spec = find_spec\n"
    )
    env = {"PYTHONPATH": f"{place}{os.pathsep}{_ROOT}"}
    html, out = tmp_path / "r.html", tmp_path / "o.onnx"
    ran = cli("optimize", models.conv_bn, "-o", out, "--html", html, env=env)
    ran.refused(3, missing, 'pip install "normonnx[report]"')
    assert not html.exists()
    assert not out.exists()


def test_a_report_that_was_there_is_replaced_whole(cli: Cli, models: Models) -> None:
    """And nothing is left beside it."""
    html = models.folder / "report.html"
    html.write_text("old")
    known = {path.name for path in models.folder.iterdir()}
    assert cli("validate", models.conv_bn, "--html", html, "--no-measure").code == 0
    assert html.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert {path.name for path in models.folder.iterdir()} == known


def test_inspect_draws_what_folds_first_or_what_is_asked_for(cli: Cli, models: Models) -> None:
    """Before and after; one that stays has one side."""
    svg = models.folder / "place.svg"
    ran = cli("inspect", models.conv_bn, "--svg", svg)
    assert ran.code == 0, ran
    assert ran.out.endswith(f"{svg} written\n")
    root = ET.fromstring(svg.read_bytes())  # noqa: S314  # our own
    titles = [f.text for f in root.iter(f"{_SVG}text") if f.get("class") == "np-title"]
    assert titles == ["before", "after"]
    assert "folded into Conv" in str(root.findtext(f"{_SVG}title"))
    found = cli("inspect", models.kept, "--svg", svg, "--node", "y", "--json", "-").json
    assert found["picture"] == str(svg)
    assert found["place"]["after"] is None
    assert [node["op_type"] for node in found["place"]["before"]["nodes"]] == [
        "Relu",
        "BatchNormalization",
    ]


def test_a_picture_that_can_not_be_drawn_is_refused(cli: Cli, models: Models) -> None:
    """Another suffix, an input, a node that is none, a model without anything to draw."""
    svg = models.folder / "place.svg"
    cli("inspect", models.conv_bn, "--svg", "place.png").refused(2, "does not end in .svg")
    cli("inspect", models.conv_bn, "--node", "b").refused(2, "--svg FILE")
    cli("inspect", models.conv_bn, "--svg", svg, "--node", "q").refused(2, "'q'", "--all")
    cli("inspect", models.conv_bn, "--svg", models.folder / "no" / "p.svg").refused(2, "folder")
    relu = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    )
    bare = models.write("bare.onnx", relu.SerializeToString())
    cli("inspect", bare, "--svg", svg).refused(2, "no normalization")
    assert not svg.exists()


def _readme() -> str:
    return (_ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands_of_the_readme_run(cli: Cli, models: Models) -> None:
    """Those of the section on reports, in a folder with a model.onnx."""
    pytest.importorskip("onnxruntime", reason="it measures on ONNX Runtime: normonnx[cpu]")
    section = _readme().partition("## Reports and pictures")[2]
    commands = section.partition("```sh\n")[2].partition("```")[0].splitlines()
    assert len(commands) == 5
    (models.folder / "model.onnx").write_bytes(models.conv_bn.read_bytes())
    for command in commands[1:]:  # the demo runs in tests/browser
        program, *words = command.split()
        assert program == "normonnx"
        ran = cli(*words, cwd=models.folder)
        assert ran.code == 0, ran
        assert (models.folder / words[-1]).stat().st_size > 1000
    assert commands[0] == "normonnx demo --html demo.html"


def test_a_benchmark_tells_ratios_and_noise(cli: Cli, models: Models) -> None:
    """Figures of both models, a chart, the machine's noise, and what it takes to run it again."""
    pytest.importorskip("onnxruntime", reason="it measures on ONNX Runtime: normonnx[cpu]")
    path, model = models.folder / "bench.html", models.conv_bn
    other = models.folder / "other.onnx"
    other.write_bytes(model.read_bytes())
    ran = cli("bench", model, "--against", other, "--seconds", "0", "--html", path)
    assert ran.code == 0, ran
    page = path.read_text(encoding="utf-8")
    for words in (
        "as fast as the first",
        "noise of the machine (A/A)",
        "creating a session",
        "SHA-256",
    ):
        assert words in page
    assert f"normonnx bench {model}" in page


def test_a_benchmark_is_not_written_over_what_it_reads(cli: Cli, models: Models) -> None:
    """Neither the model nor the other document."""
    model = models.conv_bn
    before = model.read_bytes()
    assert cli("bench", model, "--html", model).code == 2
    assert cli("bench", model, "--html", "out", "--json", "out").code == 2
    assert model.read_bytes() == before


def test_the_picture_in_the_readme_shows_the_demo(cli: Cli, tmp_path: Path) -> None:
    """The same nodes as the command draws today, of what is there before."""
    kept = _ROOT / "tools" / "pictures" / "layer_norm_2d.svg"
    assert "tools/pictures/layer_norm_2d.svg" in _readme()
    node = "/bottom/convnext/norm/Add_1"
    assert cli("inspect", _DEMO, "--svg", tmp_path / "n.svg", "--node", node).code == 0

    def first(path: Path) -> list[str | None]:
        panel = next(ET.parse(path).getroot().iter(f"{_SVG}g"))  # noqa: S314  # our own
        return [text.text for text in panel.iter(f"{_SVG}text") if text.get("class") == "np-op"]

    assert first(kept) == first(tmp_path / "n.svg")
    assert first(kept).count("ReduceMean") == 2
