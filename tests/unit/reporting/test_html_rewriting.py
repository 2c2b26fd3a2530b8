"""What a report says of an optimization: figures, claims of speed, plans, refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("matplotlib", reason="reports need normonnx[report]")

from normonnx.core.events import Event, Obstacle, OptimizeReport
from normonnx.core.inspection import Inspection
from normonnx.core.intervals import Interval
from normonnx.core.listing import NodeListed
from normonnx.core.measurements import Measured, Measurements
from normonnx.core.verdicts import Comparison, ValidationReport, Verdict
from normonnx.reporting.html import nodes, rewriting
from normonnx.reporting.html.blocks import Details, Facts, Listing, Paragraph, Section, Tiles


def _measured(low: float, middle: float, high: float) -> Measurements:
    one = Interval(1.0, 0.9, 1.1, 0.95, 9)
    models = (Measured("before", one, one), Measured("after", one, one))
    return Measurements("ort:cpu", 1, models, Interval(middle, low, high, 0.95, 9))


def _content(
    measured: Measurements, applied: tuple[Event, ...] = (), refused: tuple[Event, ...] = ()
) -> rewriting.Rewritten:
    report = OptimizeReport(applied, refused, {"Conv": 1, "BatchNormalization": 2}, {"Conv": 1})
    return rewriting.Rewritten(report, Inspection(), Inspection(), (2000, 1000), measured)


def _tiles(section: Section) -> dict[str, tuple[str, str]]:
    (tiles,) = [block for block in section.blocks if isinstance(block, Tiles)]
    return {tile.label: (tile.value, tile.note) for tile in tiles.tiles}


@pytest.mark.parametrize(
    ("interval", "claim"),
    [
        ((1.2, 1.3, 1.4), "1.30× as fast"),
        ((0.99, 1.3, 1.4), "no difference"),
        ((0.9, 1.0, 1.1), "no difference"),
        ((0.4, 0.5, 0.6), "0.50× as fast"),
    ],
)
def test_a_claim_of_speed_needs_an_interval_without_1(
    interval: tuple[float, float, float], claim: str
) -> None:
    """The ratio is told with its interval; nothing is claimed that noise explains."""
    value, note = _tiles(rewriting.overview(_content(_measured(*interval))))["One run"]
    assert value == claim
    assert note == f"95 %: {interval[0]:.2f}× to {interval[2]:.2f}×"


def test_what_was_not_measured_is_said() -> None:
    """With the reason; never a zero."""
    section = rewriting.overview(_content(Measurements("ort:cpu", reason="none here")))
    assert _tiles(section)["One run"] == ("not measured", "")
    assert Paragraph("Latency not measured: none here.", "quiet") in section.blocks


def test_sizes_and_counts_come_with_their_change() -> None:
    """In per cent of what was before."""
    tiles = _tiles(rewriting.overview(_content(_measured(1, 1, 1))))
    assert tiles["Nodes"] == ("3 → 1", "−67%")
    assert tiles["Size"] == ("1.0 kB", "2.0 kB before, −50%")


def test_the_answers_stand_beside_the_figures() -> None:
    """A backend that is wrong is seen at once, also where the rewrite itself is right."""
    right = Comparison("equivalent", "oracle", "random", "y", Verdict.PASS, "", 1.0, 1.0)
    wrong = Comparison("computes", "ort:cpu", "random", "y", Verdict.MISMATCH, "", 90.0, 1.0)
    judged = ValidationReport(Verdict.PASS, (right, wrong))
    tiles = _tiles(rewriting.overview(replace(_content(_measured(1, 1, 1)), judged=judged)))
    assert tiles["The same function"] == ("pass", "in float64; error 1.0 u, 1.0 floors")
    assert tiles["Computed rightly"] == ("mismatch", "on ort:cpu; error 90 u, 90 floors")


def test_plans_are_grouped_and_each_is_told() -> None:
    """Two folds of one kind are one entry with two rows."""
    fold = "BatchNormalization {!r} folded into Conv {!r}"
    events = tuple(
        Event("fold-affine", name, "BatchNormalization", fold.format(name, "c"), 1, 0)
        for name in ("a", "b")
    )
    section = rewriting.changes(_content(_measured(1, 1, 1), applied=events))
    (entry,) = [block for block in section.blocks if isinstance(block, Details)]
    assert entry.summary == "BatchNormalization: BatchNormalization folded into Conv"
    assert entry.note == "2×, −2 +0 nodes"
    assert "2 rewrites: 2 nodes removed, 0 added." in section.intro


def test_refusals_name_what_stopped_them_either_way() -> None:
    """Upwards and downwards, with the node where that is."""
    refused = Event(
        "fold-affine",
        "n",
        "Mul",
        "it stays",
        up=Obstacle("a Relu", "r"),
        down=Obstacle("read", "s"),
    )
    section = rewriting.refusals(_content(_measured(1, 1, 1), refused=(refused,)))
    (entry,) = section.blocks
    assert isinstance(entry, Details)
    (facts,) = entry.blocks
    assert isinstance(facts, Facts)
    assert dict(facts.rows) == {
        "node": "n",
        "reason": "it stays",
        "upwards": "a Relu (at r)",
        "downwards": "read (at s)",
    }


def test_every_node_of_both_models_is_listed_with_its_fate() -> None:
    """Kept, changed, new, replaced and gone, each with the plan that did it."""
    before = [NodeListed(name, "Conv", "", (name,)) for name in "abcd"]
    after = [
        NodeListed("a", "Conv", "", ("a",)),
        NodeListed("b", "Conv", "", ("b",)),
        NodeListed("c", "Relu", "", ("c",)),
        NodeListed("e", "Add", "", ("e",)),
    ]
    events = [Event("r", "b", "Conv", "plan", nodes=("d",))]
    (listing,) = nodes.section(before, after, events).blocks
    assert isinstance(listing, Listing)
    assert [(row[0], row[2], row[3]) for row in listing.rows] == [
        ("a", "stays", ""),
        ("b", "was changed", "plan"),
        ("c", "replaces Conv", ""),
        ("e", "is new", ""),
        ("c", "is gone", ""),
        ("d", "is gone", "plan"),
    ]
