"""A validation as JUnit XML, which CI systems show as tests.

A suite for each question and backend, a case for each output on each case of inputs: a mismatch is
a failure, what is inconclusive is skipped with its reason. What did not run, or compared nothing,
is a suite of one case that says so: unavailable and invalid are errors. Versions and settings are
properties of the suite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from normonnx.core.verdicts import BackendRun, Comparison, Divergence, ValidationReport, Verdict
from normonnx.core.version import VERSION

# What XML 1.0 can't hold, not even escaped (section 2.2).
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ERRORS: Final = (Verdict.UNAVAILABLE, Verdict.INVALID)


@dataclass(frozen=True, slots=True)
class _Suite:
    """All that answers one question about one backend."""

    question: str
    backend: str
    run: BackendRun | None
    comparisons: tuple[Comparison, ...]


def document(report: ValidationReport, subject: str) -> str:
    """The report as one XML document, UTF-8.

    Args:
        report: What `normonnx.validate` or `compare` returned.
        subject: What was judged, for example the path of the model.
    """
    root = ET.Element("testsuites", {"name": plain(f"normonnx {subject}")})
    for suite in _suites(report):
        root.append(_suite(suite, report, subject))
    counted(root, root.iter("testcase"))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suites(report: ValidationReport) -> list[_Suite]:
    runs = {run.backend: run for run in report.backends}
    keys = dict.fromkeys(("computes", backend) for backend in runs)
    keys |= dict.fromkeys((one.question, one.backend) for one in report.comparisons)
    return [
        _Suite(
            question,
            backend,
            runs.get(backend) if question == "computes" else None,
            tuple(
                one
                for one in report.comparisons
                if (one.question, one.backend) == (question, backend)
            ),
        )
        for question, backend in keys
    ]


def _suite(suite: _Suite, report: ValidationReport, subject: str) -> ET.Element:
    element = ET.Element("testsuite", {"name": plain(f"{suite.question}: {suite.backend}")})
    properties = ET.SubElement(element, "properties")
    for name, value in _properties(suite, report):
        ET.SubElement(properties, "property", {"name": plain(name), "value": plain(value)})
    classname = plain(f"{subject}.{suite.question}.{suite.backend}")
    run = suite.run
    if run is not None and (not suite.comparisons or run.verdict in _ERRORS):
        case = ET.SubElement(element, "testcase", {"classname": classname, "name": "runs"})
        reason = run.reason or "; ".join(run.notes) or "nothing was compared"
        _outcome(case, "error" if run.verdict in _ERRORS else "skipped", run.verdict, reason)
    for one in suite.comparisons:
        name = plain(f"{one.output or 'model'} [{one.case}]" if one.case else one.output or "model")
        case = ET.SubElement(element, "testcase", {"classname": classname, "name": name})
        _judged(case, one, report)
    counted(element, element.iter("testcase"))
    return element


def _judged(case: ET.Element, one: Comparison, report: ValidationReport) -> None:
    if one.verdict is not Verdict.PASS:
        reason = one.reason or "no reason was given"
        found = report.divergence
        if found is not None and one.verdict is Verdict.MISMATCH and _is_about(found, one):
            reason += f"; first goes wrong at {found.op_type} {found.node!r} ({found.tensor!r})"
        kind = "failure" if one.verdict is Verdict.MISMATCH else "skipped"
        _outcome(case, "error" if one.verdict in _ERRORS else kind, one.verdict, reason)
    figures = {
        "error (u)": one.error,
        "noise floor (u)": one.floor,
        "error over floor": one.ratio,
        "allowed": one.allowed,
        "largest difference": one.max_abs,
    }
    told = [f"{name}: {value:.6g}" for name, value in figures.items() if not math.isnan(value)]
    if told:
        ET.SubElement(case, "system-out").text = "\n".join(told)


def _is_about(found: Divergence, one: Comparison) -> bool:
    """Whether the place that was found explains this comparison."""
    return found.question == one.question and found.backend in ("", one.backend)


def _outcome(case: ET.Element, kind: str, verdict: Verdict, reason: str) -> None:
    found = ET.SubElement(case, kind, {"message": plain(reason)})
    if kind != "skipped":
        found.set("type", verdict.value)
        found.text = plain(reason)


def _properties(suite: _Suite, report: ValidationReport) -> Iterable[tuple[str, str]]:
    yield "normonnx", VERSION
    yield "seed", str(report.seed)
    if report.tolerance is not None:
        yield "rtol", f"{report.tolerance.rtol:g}"
        yield "atol", f"{report.tolerance.atol:g}"
    elif not math.isnan(report.factor):
        yield "factor", f"{report.factor:g}"
    if suite.run is not None:
        yield from suite.run.settings.items()
        yield from ((f"nodes on {where}", str(n)) for where, n in suite.run.placement.items())
        yield from (("reduced precision", one) for one in suite.run.reduced)
        yield from (("note", note) for note in suite.run.notes)
    yield from (("note", note) for note in report.notes)


def counted(element: ET.Element, cases: Iterable[ET.Element]) -> None:
    """Say in an element how many cases it has, and how they went."""
    found = list(cases)
    element.set("tests", str(len(found)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(kind) is not None for case in found)))


def plain(text: str) -> str:
    """Text that XML can hold; what it can't is shown as Python would escape it."""
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)
