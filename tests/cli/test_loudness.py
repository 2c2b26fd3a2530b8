"""How much is said: --quiet, --verbose, colour, and what a pipe gets."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from normonnx.cli.__main__ import main
from normonnx.cli.verbs import VERBS
from normonnx.reporting.loudness import Loudness, set_loudness
from tests.cli.running import Cli, Models, Ran

_ESCAPE = "\x1b["
_LOUD = ("inspect", "optimize", "list", "explain")


def _call(cli: Cli, verb: str, models: Models, *more: str) -> Ran:
    arguments: dict[str, tuple[object, ...]] = {
        "inspect": (models.conv_bn,),
        "optimize": (models.conv_bn, "--dry-run", "--verify", "none"),
        "list": ("passes",),
        "explain": ("GroupNorm",),
    }
    return cli(verb, *arguments[verb], *more)


@pytest.mark.parametrize("verb", _LOUD)
def test_quiet_says_nothing_and_the_exit_code_the_rest(cli: Cli, models: Models, verb: str) -> None:
    """Neither on stdout nor on stderr, before the verb or behind it."""
    ran = _call(cli, verb, models, "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert _call(cli, verb, models).out != ""


def test_quiet_before_the_verb_counts_as_well(cli: Cli, models: Models) -> None:
    """`normonnx -q VERB` is `normonnx VERB -q`, and does not last."""
    assert cli("-q", "inspect", models.conv_bn).out == ""
    assert cli("inspect", models.conv_bn).out != ""


def test_quiet_still_writes_json_and_errors(cli: Cli, models: Models, tmp_path: Path) -> None:
    """What was asked for, and what went wrong."""
    out = tmp_path / "found.json"
    assert cli("inspect", models.conv_bn, "-q", "--json", out).out == ""
    assert json.loads(out.read_text())["schema"] == "normonnx.inspect/1"
    assert cli("inspect", models.conv_bn, "-q", "--json", "-").json["exit_code"] == 0
    cli("inspect", tmp_path / "no.onnx", "-q").refused(2, "no such file")


def test_verbose_says_on_stderr_what_takes_how_long(cli: Cli, models: Models) -> None:
    """Stdout is the same with and without; each step is a line with its seconds."""
    plain, verbose = (_call(cli, "optimize", models, *more) for more in ((), ("-v",)))
    assert verbose.out == plain.out
    assert plain.err == ""
    assert re.search(r"^normonnx: optimizing conv_bn.onnx: \d+\.\d\d s$", verbose.err, re.MULTILINE)


def test_what_libraries_log_is_heard_when_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their warnings with --verbose alone, normonnx's own always but with --quiet."""
    main(["--version"])
    capsys.readouterr()
    heard = {}
    for wanted in Loudness:
        set_loudness(wanted)
        logging.getLogger("onnx_shape_inference").warning("no shape\nof Sparkle")
        logging.getLogger("normonnx.fold").warning("odd")
        logging.getLogger("normonnx.fold").info("r stays")
        heard[wanted] = capsys.readouterr().err.splitlines()
    set_loudness(Loudness.NORMAL)
    assert heard[Loudness.QUIET] == []
    assert heard[Loudness.NORMAL] == ["normonnx: odd"]
    assert heard[Loudness.VERBOSE] == [
        "normonnx: onnx_shape_inference: no shape of Sparkle",
        "normonnx: odd",
        "normonnx: r stays",
    ]


def test_quiet_and_verbose_exclude_one_another(cli: Cli, models: Models) -> None:
    """One line, exit code 2."""
    cli("inspect", models.conv_bn, "-q", "-v").refused(2, "exclude one another")
    cli("-v", "inspect", models.conv_bn, "-q").refused(2, "exclude one another")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_both(cli: Cli, verb: str) -> None:
    """Its help tells; no verb has an option of these names for something else."""
    said = cli(verb, "--help").out
    assert len(re.findall(r"^  -q, --quiet ", said, re.MULTILINE)) == 1
    assert len(re.findall(r"^  -v, --verbose ", said, re.MULTILINE)) == 1


@pytest.fixture
def said(
    models: Models, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a pipe gets from a verb, in this process, with variables of the environment."""

    def say(verb: str, **env: str) -> str:
        arguments = {
            "inspect": (str(models.conv_bn),),
            "explain": ("--compare", "GroupNorm", "BatchNorm"),
            "validate": (str(models.conv_bn), "--against", str(models.conv_bn), "--backend", "x:y"),
        }
        for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"TERM": "xterm-256color", **env}.items():
            monkeypatch.setenv(name, value)
        main([verb, *arguments[verb]])
        return capsys.readouterr().out

    return say


@pytest.mark.parametrize("verb", ["inspect", "explain", "validate"])
def test_a_pipe_gets_no_colour_and_whole_rows(said: Callable[..., str], verb: str) -> None:
    """Whatever the width of the terminal that it was started in."""
    narrow, wide = (said(verb, COLUMNS=columns) for columns in ("20", "300"))
    assert narrow == wide
    assert _ESCAPE not in wide
    assert "…" not in wide


def test_colour_is_forced_into_a_pipe_and_no_color_wins(said: Callable[..., str]) -> None:
    """FORCE_COLOR for a pager that shows it; rows stay whole. NO_COLOR leaves at most bold."""
    plain, forced = said("validate"), said("validate", FORCE_COLOR="1")
    colours = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colours.search(forced)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", forced)
    assert [row.rstrip() for row in stripped.splitlines()] == plain.splitlines()
    assert not colours.search(said("validate", FORCE_COLOR="1", NO_COLOR="1"))
