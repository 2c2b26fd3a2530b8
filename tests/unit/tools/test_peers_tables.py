"""Where normonnx stands, and how it is told: on figures whose answer is known."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from normonnx.core.intervals import Interval
from normonnx.reporting import documents
from tools.peers import charts, tables
from tools.peers.figures import HINTED, ORIGINAL, OURS, Figures, Row, of_plain
from tools.peers.judged import Judgement, Left
from tools.peers.standing import BEHIND, COLUMNS, EQUAL, FIRST, standings


def interval(middle: float, spread: float = 0.01) -> Interval:
    """One of so many per cent to each side."""
    return Interval(middle, middle * (1 - spread), middle * (1 + spread), 0.95, 20)


def row(
    outcome: str = "pass",
    *,
    left: Left | None = Left(10, 0, 0, 1000),  # noqa: B008  # frozen
    ratio: float = 1.0,
    added: float = 10.0,
    error: float = 9.0,
) -> Row:
    """A peer that takes so many times as long as normonnx, in all that is timed."""
    time = interval(ratio)
    return Row(
        Judgement(outcome, "" if outcome == "pass" else "it is | so", error, 5.0),
        left,
        *(interval(100 * ratio), time, interval(added)),
        *(interval(5 * ratio), interval(2 / ratio), time),
        *(interval(50 * ratio), interval(3 / ratio), time),
    )


def figures(**peers: Row) -> Figures:
    """A model with the original, normonnx and peers."""
    rows = {ORIGINAL: row(ratio=2.0), OURS: row(), HINTED: row(ratio=0.9)}
    named = {name.replace("_", " "): found for name, found in peers.items()}
    return Figures("net", {"x": (1, 3)}, {**rows, **named}, interval(1.0))


def _places(found: Figures) -> dict[str, str]:
    return {column: one.place for column, one in standings(found).items()}


def test_like_peers_are_equal_in_every_column() -> None:
    """The hinted session is no peer, nor is the original."""
    assert _places(figures(onnxsim=row(), onnxslim=row())) == dict.fromkeys(COLUMNS, EQUAL)


def test_surely_better_than_all_is_first() -> None:
    """In each column by its own measure."""
    worse = row(left=Left(10, 2, 1, 1000), ratio=1.5, added=30.0, error=15.0)
    assert _places(figures(onnxsim=worse)) == dict.fromkeys(COLUMNS, FIRST)
    assert set(_places(figures(onnxsim=worse, onnxslim=row())).values()) == {EQUAL}


def test_where_a_peer_is_better_it_is_named() -> None:
    """With the ratio and its interval, or the counts."""
    better = row(left=Left(5, 0, 0, 1000), ratio=0.5, added=3.0, error=2.0)
    found = figures(onnxsim=row(ratio=3.0), ORT_basic=better)
    found.rows[OURS].left = Left(10, 1, 2, 1000)
    own = standings(found)
    assert {column: one.place for column, one in own.items()} == dict.fromkeys(COLUMNS, BEHIND)
    assert own["latency"].better == ("ORT basic 0.50 [0.49 0.51] of the time",)
    assert own["BN left"].better == ("onnxsim 0 BN to 1", "ORT basic 0 BN to 1")
    assert own["memory to optimize"].better == ("ORT basic 3 MB to 10",)
    said = list(tables.better([found]))
    assert len(said) == len(COLUMNS)
    assert "- latency: net: ORT basic 0.50 [0.49 0.51] of the time" in said


@pytest.mark.parametrize("outcome", ["wrong", "crash", "invalid", "fails", "inconclusive"])
def test_a_result_that_is_not_right_is_no_rival(outcome: str) -> None:
    """However fast it is; and normonnx has no place where its own is not right."""
    found = figures(onnxsim=row(outcome, ratio=0.1, added=0.1, error=0.0))
    assert set(_places(found).values()) == {EQUAL}
    found.rows[OURS].judgement = Judgement(outcome)
    assert standings(found) == {}


def test_noise_of_the_machine_is_no_difference() -> None:
    """A ratio within what A/A spans, and within 2 % at any rate."""
    found = figures(onnxsim=row(ratio=0.96))
    assert standings(found)["latency"].place == BEHIND
    found.noise = interval(1.0, 0.06)
    assert standings(found)["latency"].place == EQUAL
    assert standings(figures(onnxsim=row(ratio=0.99)))["latency"].place == EQUAL


def test_another_runtime_is_told_but_not_ranked() -> None:
    """OpenVINO's kernels are not what an optimizer of files is about."""
    own = standings(figures(OpenVINO=row(ratio=0.2)))
    assert own["latency"].place == own["session"].place == EQUAL
    assert own["time to optimize"].place == BEHIND


def test_figures_survive_json() -> None:
    """What was written is what is read."""
    found = figures(onnxsim=row("wrong", left=None))
    found.rows["onnxsim"].latency_ms = None
    again = of_plain(documents.plain(found))  # type: ignore[arg-type]
    assert documents.plain(again) == documents.plain(found)
    assert tables.full(again) == tables.full(found)


def test_tables_are_markdown() -> None:
    """As many cells in each row; nothing that a peer says can break one."""
    found = figures(onnxsim=row(), onnxslim=row("wrong"))
    for text in (tables.speedups([found]), tables.places([found]), tables.full(found)):
        lines = text.splitlines()
        assert len({line.count("|") for line in lines}) == 1
        assert set(lines[1]) <= set("|- ")
    assert "**2.00**" in tables.speedups([found])
    assert "wrong: it is / so" in tables.full(found)


def test_a_summary_replaces_what_stood_between_the_marks() -> None:
    """And nothing else; without marks it says which are missing."""
    text = "before\n<!-- peers: begin -->\nold\n<!-- peers: end -->\nafter\n"
    once = tables.replaced(text, "new")
    assert once == "before\n<!-- peers: begin -->\nnew\n<!-- peers: end -->\nafter\n"
    assert tables.replaced(once, "new") == once
    with pytest.raises(ValueError, match="no lines <!-- peers: begin -->"):
        tables.replaced("text", "new")


def test_charts_say_in_words_what_they_show(tmp_path: Path) -> None:
    """SVG with a title and a description; the same figures give the same file."""
    pytest.importorskip("matplotlib")
    found = [figures(onnxsim=row(ratio=1.25), onnxslim=row("wrong"))]
    drawn = [path.read_bytes() for path in charts.draw(found, tmp_path)]
    assert [path.read_bytes() for path in charts.draw(found, tmp_path)] == drawn
    for text in drawn:
        root = ET.fromstring(text)  # noqa: S314  # our own
        assert root.attrib["role"] == "img"
        described = root.findtext("{http://www.w3.org/2000/svg}desc") or ""
        assert "net: " in described
        assert "normonnx" in described
    assert "onnxsim 1.6" in ET.fromstring(drawn[0]).findtext(  # noqa: S314
        "{http://www.w3.org/2000/svg}desc", ""
    )
