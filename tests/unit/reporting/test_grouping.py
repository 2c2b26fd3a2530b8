"""Many events and comparisons in few lines."""

from __future__ import annotations

import pytest

from normonnx.core.events import Event
from normonnx.core.verdicts import Comparison, Verdict
from normonnx.reporting.grouping import group, judge, kind_of


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("BatchNormalization 'bn1' folded into Conv 'c1'", "BatchNormalization folded into Conv"),
        (
            "the output of Conv \"it's\" is also read by Add 'a'",
            "the output of Conv is also read by Add",
        ),
        ("Relu 'r' before it can't take a scale", "Relu before it can't take a scale"),
        ("it can't, and it won't", "it can't, and it won't"),
        (r"its scale 'a\'b' is computed", "its scale is computed"),
    ],
)
def test_a_kind_is_a_reason_without_the_names_it_quotes(reason: str, kind: str) -> None:
    """Names quoted as Python quotes them go; apostrophes inside words stay."""
    assert kind_of(reason) == kind


def _event(node: str, reason: str) -> Event:
    return Event("fold-affine", node, "BatchNormalization", reason)


def test_events_that_differ_in_names_alone_are_one_group_and_large_groups_come_first() -> None:
    """A group counts its nodes in graph order; a group of one keeps its names."""
    groups = group(
        [
            _event("z", "kept as asked for"),
            _event("a", "BatchNormalization 'a' folded into Conv 'c'"),
            _event("b", "BatchNormalization 'b' folded into Conv 'd'"),
        ]
    )
    assert [(one.count, one.nodes, one.reason) for one in groups] == [
        (2, ("a", "b"), "BatchNormalization folded into Conv"),
        (1, ("z",), "kept as asked for"),
    ]


def _compared(verdict: Verdict, error: float, **fields: str) -> Comparison:
    return Comparison(
        question="equivalent" if fields.get("question") == "equivalent" else "computes",
        backend=fields.get("backend", "ort:cpu"),
        case=fields.get("case", "random"),
        output=fields.get("output", "y"),
        verdict=verdict,
        reason=fields.get("reason", ""),
        error=error,
        floor=1.0,
    )


def test_the_row_shown_is_the_worst_of_those_that_decided() -> None:
    """A mismatch is shown although an inconclusive comparison has the larger error."""
    (one,) = judge(
        [
            _compared(Verdict.PASS, 2.0, case="shifted"),
            _compared(Verdict.MISMATCH, 30.0, output="z", reason="too far"),
            _compared(Verdict.INCONCLUSIVE, 500.0),
        ]
    )
    assert (one.verdict, one.worst.error, one.cases, one.outputs) == (Verdict.MISMATCH, 30.0, 2, 2)
    assert one.reasons == ("'z': too far",)


def test_a_case_that_proves_nothing_does_not_spoil_one_that_does() -> None:
    """An output passes when one case proves it and none refutes it, as in the report's verdict."""
    rows = [_compared(Verdict.PASS, 2.0), _compared(Verdict.INCONCLUSIVE, float("nan"), case="c")]
    assert judge(rows)[0].verdict is Verdict.PASS
    refuted = _compared(Verdict.MISMATCH, 99.0, case="d")
    assert judge([*rows, refuted])[0].verdict is Verdict.MISMATCH
    unproven = _compared(Verdict.INCONCLUSIVE, 1.0, output="z")
    assert judge([*rows, unproven])[0].verdict is Verdict.INCONCLUSIVE


def test_the_two_questions_are_never_mixed() -> None:
    """Each question about each backend has a row of its own."""
    rows = judge(
        [
            _compared(Verdict.PASS, 1.0),
            _compared(Verdict.MISMATCH, 99.0, question="equivalent", backend="oracle"),
            _compared(Verdict.PASS, 1.0, backend="ort:cuda"),
        ]
    )
    assert [(row.question, row.backend, row.verdict) for row in rows] == [
        ("computes", "ort:cpu", Verdict.PASS),
        ("equivalent", "oracle", Verdict.MISMATCH),
        ("computes", "ort:cuda", Verdict.PASS),
    ]


def test_a_comparison_without_figures_does_not_hide_one_with() -> None:
    """NaN is not the largest error."""
    nothing = _compared(Verdict.MISMATCH, float("nan"), output="n")
    found = _compared(Verdict.MISMATCH, 40.0)
    for order in ([nothing, found], [found, nothing]):
        (row,) = judge(order)
        assert row.worst is found
