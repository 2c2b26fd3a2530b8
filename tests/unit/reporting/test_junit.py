"""Validations as JUnit XML."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    Divergence,
    NodePlacement,
    Tolerance,
    ValidationReport,
    Verdict,
)
from normonnx.reporting.junit import document


def _compared(verdict: Verdict = Verdict.PASS, **fields: object) -> Comparison:
    given = {
        "question": "computes",
        "backend": "ort:cpu",
        "case": "random",
        "output": "y",
        "reason": "" if verdict is Verdict.PASS else "because",
        "error": 3.0,
        "floor": 2.0,
    }
    return Comparison(verdict=verdict, **(given | fields))  # type: ignore[arg-type]


def _parsed(report: ValidationReport, subject: str = "m.onnx") -> ET.Element:
    return ET.fromstring(document(report, subject))  # noqa: S314  # our own


RUN = BackendRun(
    "ort:cpu",
    Verdict.MISMATCH,
    nodes=(NodePlacement("n", "Conv", "CPU"),),
    settings={"onnxruntime": "1.31"},
    reduced=("TF32",),
    notes=("two are installed",),
)


def test_each_question_of_each_backend_is_a_suite() -> None:
    """And each output on each case of inputs a case, with what came of it."""
    report = ValidationReport(
        Verdict.MISMATCH,
        (
            _compared(),
            _compared(Verdict.MISMATCH, case="tiny"),
            _compared(Verdict.INCONCLUSIVE, output="z"),
            _compared(question="equivalent", backend="oracle"),
        ),
        (RUN,),
        factor=16.0,
        seed=7,
        notes=("profile 1x1 was left out",),
    )
    root = _parsed(report)
    assert root.attrib | {"name": ""} == {
        "name": "", "tests": "4", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    first, second = root.findall("testsuite")
    assert (first.get("name"), first.get("tests")) == ("computes: ort:cpu", "3")
    assert (second.get("name"), second.get("tests")) == ("equivalent: oracle", "1")
    names = [case.get("name") for case in first.findall("testcase")]
    assert names == ["y [random]", "y [tiny]", "z [random]"]
    right, wrong, unsure = first.findall("testcase")
    assert [child.tag for child in right] == ["system-out"]
    failure, skipped = wrong.find("failure"), unsure.find("skipped")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("mismatch", "because")
    assert skipped is not None
    assert skipped.get("message") == "because"
    assert (right.findtext("system-out") or "").splitlines() == [
        "error (u): 3",
        "noise floor (u): 2",
        "error over floor: 1.5",
    ]
    properties = [(one.get("name"), one.get("value")) for one in first.iter("property")]
    for pair in (
        ("seed", "7"),
        ("factor", "16"),
        ("onnxruntime", "1.31"),
        ("nodes on CPU", "1"),
        ("reduced precision", "TF32"),
        ("note", "two are installed"),
        ("note", "profile 1x1 was left out"),
    ):
        assert pair in properties


def test_where_it_goes_wrong_is_part_of_the_failure() -> None:
    """In one line."""
    found = Divergence("n", "Conv", "t", 9.0, 1.0)
    report = ValidationReport(
        Verdict.MISMATCH, (_compared(Verdict.MISMATCH),), (RUN,), found, tolerance=Tolerance(0.1)
    )
    text = document(report, "m.onnx")
    assert "because; first goes wrong at Conv 'n' ('t')" in text
    assert 'name="rtol" value="0.1"' in text


@pytest.mark.parametrize(
    ("verdict", "tag"),
    [
        (Verdict.UNAVAILABLE, "error"),
        (Verdict.INVALID, "error"),
        (Verdict.INCONCLUSIVE, "skipped"),
        (Verdict.PASS, "skipped"),
    ],
)
def test_what_compared_nothing_is_no_green_suite(verdict: Verdict, tag: str) -> None:
    """One case that says so."""
    run = BackendRun("ort:cuda", verdict, "not installed")
    (suite,) = _parsed(ValidationReport(verdict, (), (run,)))
    (case,) = suite.findall("testcase")
    found = case.find(tag)
    assert found is not None
    assert found.get("message") == "not installed"
    assert suite.get("tests") == "1"


def test_any_name_is_well_formed() -> None:
    """Markup is escaped, control characters and lone surrogates are spelled out."""
    odd = '<a & "b"> \x1b[31m \x00 \ud800 \uffff ]]> \n é 図 \''
    report = ValidationReport(
        Verdict.MISMATCH,
        (_compared(Verdict.MISMATCH, output=odd, reason=odd, case=odd),),
        (BackendRun("ort:cpu", Verdict.MISMATCH, settings={odd: odd}),),
    )
    root = _parsed(report, odd)
    (case,) = root.iter("testcase")
    assert "\\x1b[31m \\x00 \\ud800 \\uffff ]]>" in (case.get("name") or "")
    assert '<a & "b">' in (case.get("name") or "")
    document(report, odd).encode("utf-8")
