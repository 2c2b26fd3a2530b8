"""A sweep as a table, an HTML file, JUnit and progress: whatever the names and reasons are."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from normonnx.core.errors import ExitCode
from normonnx.core.sweeps import ModelResult, Outcome, Produced, SweepReport
from normonnx.reporting import sweep_figures, sweep_junit, sweep_page, sweep_view, terminal
from normonnx.reporting.figures import duration
from normonnx.reporting.sweep_progress import SweepProgress

EVIL = "<script>alert(1)</script>&\"'\x1b[2J\n\ufffe.onnx"
COMPARISONS = [
    {"ratio": 0.5, "error": 2.0, "verdict": "pass"},
    {"ratio": 3.25, "error": 9.0, "verdict": "pass"},
    {"ratio": None, "error": None, "verdict": "inconclusive"},
]
DOCUMENTS: dict[str, Any] = {
    "optimize": {
        "bytes_before": 2_500_000, "bytes_after": None,
        "report": {
            "nodes_before": {"Conv": 3, "Relu": 2}, "nodes_after": {"Conv": 3}, "applied": [1, 2],
            "refused": [3], "verification": {"comparisons": COMPARISONS},
        },
    },
    "validate": {"report": {"comparisons": COMPARISONS}},
    "inspect": {
        "bytes": 10, "inspection": {"nodes": {"Conv": 2}, "norms": [{"foldable": True}, {"foldable": False}]},
    },
}  # fmt: skip


def _report(verb: str = "optimize", *, missing: int = 0) -> SweepReport:
    results = [
        ModelResult(
            "a.onnx",
            verb,
            Outcome.PASS,
            "",
            "k",
            (Produced("models/a.onnx", 1, "0"),),
            DOCUMENTS[verb],
        ),
        ModelResult(EVIL, verb, Outcome.MISMATCH, EVIL, "k"),
        *(
            ModelResult(f"{outcome}.onnx", verb, outcome, f"why {outcome}", "k")
            for outcome in Outcome
            if outcome not in ("pass", "mismatch")
        ),
    ]
    names = tuple(f"left{number}.onnx" for number in range(missing))
    return SweepReport(verb, tuple(results), names, 1, {"a.onnx": 1.5})


class _Parser(HTMLParser):
    """Collects tags and the text of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("verb", sorted(DOCUMENTS))
def test_the_page_escapes_whatever_it_shows(verb: str) -> None:
    """One script and one style, ours; no handler, no address, no control character."""
    page = sweep_page.document(_report(verb, missing=2))
    found = _Parser(page)
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert not [
        name for name, _ in found.attributes if name.startswith("on") or name in ("src", "href")
    ]
    assert "\x1b" not in page
    assert any("<script>alert(1)</script>&" in text for text in found.texts)
    assert found.tags.count("tr") == 1 + 10 + 2


def test_the_policy_of_the_page_allows_its_own_script_alone() -> None:
    """By its hash; so a script that got in would not run."""
    page = sweep_page.document(_report())
    (policy,) = (
        value
        for name, value in _Parser(page).attributes
        if name == "content" and "default" in str(value)
    )
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none';")


def test_figures_are_those_of_the_document() -> None:
    """Nodes, rewrites, sizes and the worst comparison."""
    cells = {
        result.verb: sweep_figures.cells(result)
        for verb in DOCUMENTS
        for result in _report(verb).results[:1]
    }
    assert cells["optimize"] == ("5", "3", "2", "1", "2.5 MB", "", "3.2")
    assert cells["validate"] == ("3", "9.0", "3.2")
    assert cells["inspect"] == ("2", "2", "1", "10 B")
    for verb, titles in sweep_figures.TITLES.items():
        spoiled = ModelResult(
            "a", verb, Outcome.PASS, "", "k", document={"report": {"nodes_before": 3}}
        )
        assert len(sweep_figures.cells(spoiled)) == len(titles)


def test_junit_has_a_case_for_each_model() -> None:
    """A mismatch fails, what could not run is an error, what says nothing is skipped."""
    root = ET.fromstring(sweep_junit.document(_report(missing=1)))  # noqa: S314  # our own
    suite = root.find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "11", "failures": "1", "errors": "6", "skipped": "3",
    }  # fmt: skip
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert cases["a.onnx"].get("time") == "1.500"
    assert cases["timeout.onnx"].find("error") is not None
    assert cases["refused.onnx"].find("skipped") is not None


def test_the_table_tells_what_is_not_good(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, then models with reasons, not too many; --all shows every one, with figures."""
    terminal.show(sweep_view.sweep(_report(missing=5), Path("out")))
    said = capsys.readouterr().out
    assert "optimize: 15 models, 1 of them done before" in said
    assert "why crashed" in said
    assert "a.onnx" not in said.replace("out/", "")
    assert "not run: left0.onnx, left1.onnx, left2.onnx and 2 more" in said
    assert "\x1b" not in said
    many = SweepReport(
        "inspect",
        tuple(ModelResult(f"m{n}", "inspect", Outcome.INVALID, "", "k") for n in range(99)),
        (),
        0,
        {},
    )
    terminal.show(sweep_view.sweep(many, Path("out")))
    said = capsys.readouterr().out
    assert "and 79 more; --all lists them" in said
    terminal.show(sweep_view.sweep(_report(), Path("out"), every_model=True))
    assert re.search(r"pass +a\.onnx +5 +3 +2 +1 +2\.5 MB", capsys.readouterr().out)


@pytest.mark.parametrize("on_terminal", [False, True])
def test_progress_is_lines_or_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, on_terminal: bool
) -> None:
    """On stderr; in a pipe one line a model with what is left, on a terminal only what is not good."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal)
    good, bad = _report().results[:2]
    with SweepProgress("optimize", 4) as progress:
        progress.reused(good)
        progress.started("a.onnx")
        progress.finished(good, 1.25, 100.0)
        progress.finished(bad, 0.5, None)
        progress.finished(good, 0.5, 0.0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "alert(1)" in captured.err
    assert ("[2/4] a.onnx: pass (1.2 s), about 2 min left" in captured.err) is not on_terminal
    assert ("1 model of 4 done before" in captured.err) is not on_terminal
    assert "\x1b[2J" not in captured.err


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (149, "2 min"),
        (3599, "60 min"),
        (3600, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    """Seconds, minutes, or hours and minutes."""
    assert duration(seconds) == said


def test_what_was_not_run_is_not_good() -> None:
    """A sweep that stopped early never exits with 0."""
    good = ModelResult("a", "inspect", Outcome.PASS, "", "k")
    assert SweepReport("inspect", (good,), (), 0, {}).exit_code is ExitCode.OK
    assert SweepReport("inspect", (good,), ("b",), 0, {}).exit_code is ExitCode.INCONCLUSIVE
    assert SweepReport("inspect", (), (), 0, {}).exit_code is ExitCode.OK
