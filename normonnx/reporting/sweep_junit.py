"""A sweep as JUnit XML: one suite, a case for each model.

A mismatch is a failure; an invalid model, a missing backend, a crash or an exceeded limit is an
error; what is inconclusive, refused or was not run is skipped, with its reason.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

from normonnx.core.sweeps import Outcome, SweepReport
from normonnx.core.version import VERSION
from normonnx.reporting.junit import counted, plain

_SKIPPED: Final = (Outcome.INCONCLUSIVE, Outcome.REFUSED)


def document(report: SweepReport) -> str:
    """The report as one XML document, UTF-8."""
    name = f"normonnx sweep {report.verb}"
    root = ET.Element("testsuites", {"name": name})
    suite = ET.SubElement(root, "testsuite", {"name": report.verb})
    properties = ET.SubElement(suite, "properties")
    ET.SubElement(properties, "property", {"name": "normonnx", "value": VERSION})
    for result in report.results:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": plain(result.model)})
        if result.model in report.seconds:
            case.set("time", f"{report.seconds[result.model]:.3f}")
        _add(case, result.outcome, result.reason)
    for model in report.not_run:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": plain(model)})
        ET.SubElement(case, "skipped", {"message": "not run"})
    for element in (suite, root):
        counted(element, root.iter("testcase"))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _add(case: ET.Element, outcome: Outcome, reason: str) -> None:
    if outcome is Outcome.PASS:
        return
    if outcome in _SKIPPED:
        ET.SubElement(case, "skipped", {"message": plain(f"{outcome}: {reason}")})
        return
    kind = "failure" if outcome is Outcome.MISMATCH else "error"
    found = ET.SubElement(case, kind, {"message": plain(reason), "type": outcome.value})
    found.text = plain(reason)
