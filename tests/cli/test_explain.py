"""`normonnx explain`."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Final

import pytest

from normonnx.catalogue.contents import CATALOGUE
from tests.cli.running import Cli

_ROOT: Final = Path(__file__).parents[2]
_FOUR: Final = ("BatchNorm", "LayerNorm", "InstanceNorm", "GroupNorm")
_SVG: Final = "{http://www.w3.org/2000/svg}"
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def test_it_says_everything_about_a_normalization(cli: Cli) -> None:
    """Formula, picture, sentence, use, paper, inputs, attributes, forms, counterparts."""
    ran = cli("explain", "GroupNorm")
    assert (ran.code, ran.err) == (0, "")
    norm = CATALOGUE["GroupNorm"]
    for words in (
        norm.equation,
        norm.use,
        norm.source,
        "│● ■ ■ ■│",
        "statistics over a group of channels and all positions",
        "one for each sample and group of channels",
        "drawn with num_groups = 2",
        "GroupNormalization",
        "torch.nn.GroupNorm",
        "normonnx::GroupNorm",
        "body of the function",
        "right at any mean",
    ):
        assert words in ran.out
    lines = [line.split() for line in ran.out.splitlines()]
    assert ["num_groups", "required", "int"] in [line[:3] for line in lines]
    assert ["epsilon", "1e-05", "float"] in [line[:3] for line in lines]
    assert ["scale", "1"] in [line[:2] for line in lines]
    for form in norm.forms:
        assert re.search(
            rf"^  {re.escape(form.name)} +{form.since} (or later|to)", ran.out, re.MULTILINE
        )


@pytest.mark.parametrize(
    "name", ["groupnorm", "GN", "GroupNormalization", "torch.nn.GroupNorm", "GROUPNORM"]
)
def test_a_normalization_is_found_by_any_of_its_names(cli: Cli, name: str) -> None:
    """In any case; and each is said once, however often it was named."""
    found = cli("explain", name, "GroupNorm", "--json", "-").json
    assert [norm["name"] for norm in found["norms"]] == ["GroupNorm"]


def test_an_unknown_name_is_a_usage_error_with_suggestions(cli: Cli) -> None:
    """One that is nearly right, and one that is not."""
    cli("explain", "GrupNorm").refused(2, "'GrupNorm'", "did you mean GroupNorm")
    cli("explain", "qqq").refused(2, "'qqq'", "known: BatchNorm")
    cli("explain", "GroupNorm", "qqq").refused(2, "'qqq'")


def test_no_name_and_a_comparison_with_nothing_are_usage_errors(cli: Cli) -> None:
    """With the way out."""
    cli("explain").refused(2, "normonnx explain GroupNorm", "LayerNorm")
    cli("explain", "--compare").refused(2, "normonnx explain GroupNorm")
    cli("explain", "--compare", "GN", "GroupNorm").refused(2, "GroupNorm alone", "two")


def test_several_are_explained_one_after_the_other(cli: Cli) -> None:
    """As each alone, with a line between."""
    one, other = cli("explain", "LayerNorm"), cli("explain", "RMSNorm")
    both = cli("explain", "LayerNorm", "RMSNorm")
    assert both.out == f"{one.out}\n{other.out}"


def test_a_comparison_sets_them_side_by_side_as_the_readme_shows(cli: Cli) -> None:
    """The README's block is what the command prints."""
    ran = cli("explain", "--compare", *_FOUR)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0].split() == list(_FOUR)
    assert ran.out in (_ROOT / "README.md").read_text(encoding="utf-8")


def test_what_is_fixed_and_what_measures_nothing_is_said(cli: Cli) -> None:
    """BatchNorm's statistics are constants at inference; DynamicTanh has none."""
    assert "at inference they are constants" in cli("explain", "BatchNorm").out
    assert "at inference they are constants" not in cli("explain", "BatchNormTraining").out
    alone = cli("explain", "DynamicTanh").out
    assert "no statistics: each output depends on its own element alone" in alone
    assert "■" not in alone


def test_what_is_wrong_with_a_form_on_a_runtime_is_said(cli: Cli) -> None:
    """Below the table, naming the forms; and nothing where nothing is known to be wrong."""
    said = cli("explain", *CATALOGUE, "--json", "-").json["norms"]
    for one, norm in zip(said, CATALOGUE.values(), strict=True):
        assert [form["caveat"] for form in one["forms"]] == [form.caveat for form in norm.forms]
    caveat = CATALOGUE["MVN"].form("native").caveat
    assert f"\n  'native' and 'centered, then native': {caveat}\n" in cli("explain", "MVN").out
    caveat = CATALOGUE["LRN"].form("native").caveat
    assert cli("explain", "LRN").out.endswith(f"\n  'native': {caveat}\n")
    assert (
        cli("explain", "ScaleNorm").out.splitlines()[-1].startswith("  chain with ReduceSumSquare")
    )


def test_stdout_that_lacks_the_characters_gets_plain_ones(cli: Cli) -> None:
    """Nothing is escaped, nothing is lost."""
    ran = cli("explain", "GroupNorm", env={"PYTHONIOENCODING": "ascii"})
    assert ran.code == 0
    assert "|@ # # #|" in ran.out
    assert ran.out.isascii()
    assert "\\u" not in ran.out


def test_every_normalization_can_be_explained_as_json(cli: Cli) -> None:
    """Region, inputs, attributes and forms as data; stdout is one document."""
    found = cli("explain", *CATALOGUE, "--json", "-").json
    assert (found["schema"], found["exit_code"]) == ("normonnx.explain/1", 0)
    assert (found["compared"], found["picture"]) == (False, None)
    assert [said["name"] for said in found["norms"]] == list(CATALOGUE)
    for said, norm in zip(found["norms"], CATALOGUE.values(), strict=True):
        assert said["equation"] == norm.equation
        assert said["region"]["samples"] == norm.region.samples.value
        assert said["region"]["fixed"] is norm.region.fixed
        assert said["region"]["statistics"] == list(norm.region.statistics)
        assert [form["name"] for form in said["forms"]] == [form.name for form in norm.forms]
        assert [form["body"] for form in said["forms"]].count(True) == 1
        assert [one["name"] for one in said["inputs"]] == [one.name for one in norm.parameters]
        assert [one["name"] for one in said["attributes"]] == [one.name for one in norm.attributes]


def test_every_normalization_can_be_explained_in_words(cli: Cli) -> None:
    """No cell is empty where something must be said, whatever the catalogue holds."""
    ran = cli("explain", *CATALOGUE)
    assert (ran.code, ran.err) == (0, "")
    for norm in CATALOGUE.values():
        assert f"\n{norm.name}\n  {norm.equation}\n" in f"\n{ran.out}"
        assert norm.use in ran.out


def test_a_picture_is_written_and_said(cli: Cli, tmp_path: Path) -> None:
    """SVG with words for those who can't see it, and PNG; the text comes all the same."""
    pytest.importorskip("matplotlib")
    svg, png = tmp_path / "norms.svg", tmp_path / "norms.PNG"
    ran = cli("explain", "--compare", *_FOUR, "--picture", svg)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(f"{svg} written\n")
    assert "●" in ran.out
    root = ET.parse(svg).getroot()  # noqa: S314  # our own file
    assert root.find(f"{_SVG}title").text == ", ".join(_FOUR)  # type: ignore[union-attr]
    for words in (*_FOUR, "constants"):
        assert words in root.find(f"{_SVG}desc").text  # type: ignore[operator, union-attr]
    assert cli("explain", "LRN", "--picture", png, "--json", "-").json["picture"] == str(png)
    assert png.read_bytes().startswith(_PNG)
    assert {path.name for path in tmp_path.iterdir()} == {"norms.svg", "norms.PNG"}


def test_two_runs_give_the_same_bytes_whatever_is_set(cli: Cli, tmp_path: Path) -> None:
    """Neither time, nor folder, nor a user's settings of matplotlib show."""
    pytest.importorskip("matplotlib")
    settings = tmp_path / "matplotlibrc"
    settings.write_text("font.size: 30\nsvg.fonttype: none\nsavefig.dpi: 33\naxes.facecolor: red\n")
    for suffix in ("svg", "png"):
        one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
        assert cli("explain", "--compare", *_FOUR, "--picture", one).code == 0
        env = {"MATPLOTLIBRC": str(settings), "MPLBACKEND": "pdf", "PYTHONHASHSEED": "7"}
        env["SOURCE_DATE_EPOCH"] = "86400"
        ran = cli("explain", "--compare", *_FOUR, "--picture", other, env=env, cwd=tmp_path)
        assert (ran.code, ran.err) == (0, "")
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", ["norms.jpg", "norms.pdf", "norms", "norms.svg.gz"])
def test_another_kind_of_picture_is_a_usage_error(cli: Cli, tmp_path: Path, name: str) -> None:
    """Naming what is possible; nothing is written."""
    cli("explain", "GroupNorm", "--picture", tmp_path / name).refused(2, name, ".svg or .png")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_a_usage_error(cli: Cli, tmp_path: Path) -> None:
    """Before anything is drawn: no folder, a folder, one file for both, a write-protected file."""
    (tmp_path / "folder.svg").mkdir()
    cli("explain", "GN", "--picture", tmp_path / "no" / "x.svg").refused(2, "does not exist")
    cli("explain", "GN", "--picture", tmp_path / "folder.svg").refused(
        2, "is a folder", "folder.svg/norms.svg"
    )
    both = tmp_path / "both.svg"
    cli("explain", "GN", "--picture", both, "--json", both).refused(2, "would replace")
    if os.geteuid() != 0:
        protected = tmp_path / "protected.svg"
        protected.write_text("mine")
        protected.chmod(0o444)
        cli("explain", "GN", "--picture", protected).refused(2, "write-protected")
        assert protected.read_text() == "mine"


def test_without_matplotlib_only_the_picture_is_unavailable(cli: Cli, tmp_path: Path) -> None:
    """Exit code 3 with the way to it; text needs none, so it is not even imported."""
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')\n")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{_ROOT}"}
    picture = tmp_path / "x.svg"
    ran = cli("explain", "GroupNorm", "--picture", picture, env=env)
    ran.refused(3, 'pip install "normonnx[report]"')
    assert not picture.exists()
    assert cli("explain", "--compare", *_FOUR, env=env).code == 0
