"""On a real terminal: colour, width and progress."""

from __future__ import annotations

import re

import pytest

from tests.cli.running import Models, on_terminal, without_styles

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_there_is_colour_unless_it_is_not_wanted(
    models: Models, env: dict[str, str], *, coloured: bool
) -> None:
    """A terminal gets styles; NO_COLOR leaves bold and dim at most, as its convention allows."""
    seen = on_terminal("optimize", str(models.conv_bn), "--dry-run", env=env)
    colours = {code for code in _STYLE.findall(seen) if re.search(r"[34]\d", code)}
    assert bool(colours) is coloured


def test_rows_fit_the_terminal_and_lose_nothing(models: Models) -> None:
    """At 60 columns the reason is folded over rows, never cut off."""
    seen = without_styles(on_terminal("inspect", str(models.conv_bn)))
    rows = [row.split("\r")[-1] for row in seen.replace("\r\n", "\n").splitlines()]
    tables = [row for row in rows if row.startswith("  ")]
    assert max(map(len, tables)) <= 60
    assert "…" not in seen
    words = " ".join(" ".join(rows).split())
    for word in ("BatchNormalization", "'b'", "folded", "Conv", "'c'"):
        assert word in words


def test_pictures_stand_side_by_side_as_far_as_there_is_room() -> None:
    """Of four at 60 columns two in a row, whole; the legend beside a picture is wrapped, not cut."""
    names = ("BatchNorm", "LayerNorm", "InstanceNorm", "GroupNorm")
    rows = without_styles(on_terminal("explain", "--compare", *names)).splitlines()
    assert rows[0].split() == ["BatchNorm", "LayerNorm"]
    assert ["InstanceNorm", "GroupNorm"] in [row.split() for row in rows]
    assert max(map(len, rows)) <= 60
    assert sum(row.count("● ■ ■ ■") for row in rows) == 4
    alone = without_styles(on_terminal("explain", "GroupNorm"))
    assert "shares its" in alone
    assert "statistic" in alone.partition("statistics over")[0]


def test_progress_is_shown_and_wiped_away(models: Models) -> None:
    """A person sees that something is going on; afterwards the line is clear."""
    seen = on_terminal("inspect", str(models.conv_bn))
    assert "reading" in seen
    assert "\x1b[2K" in seen


def test_a_bar_says_how_far_a_benchmark_is(models: Models) -> None:
    """What is being done, and a bar that grows; neither is left behind."""
    pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime")
    seen = on_terminal("bench", str(models.conv_bn), "--seconds", "1", "--sessions", "3")
    steps = without_styles(seen)
    assert "timing conv_bn.onnx, trying" in steps
    assert "timing conv_bn.onnx, timing" in steps
    assert "━" in steps
    assert seen.rfind("━") < seen.rfind("\x1b[2K") < seen.rfind("A/A")
