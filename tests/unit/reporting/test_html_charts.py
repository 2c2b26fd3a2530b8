"""Charts of reports: what they say in words, that they stay small, and that a page can theme them."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Final, Literal

import pytest

pytest.importorskip("matplotlib", reason="reports need normonnx[report]")

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.explaining import explained
from normonnx.core.intervals import Interval
from normonnx.core.measurements import Measured, Measurements
from normonnx.core.node_errors import NodeError, NodeErrors
from normonnx.core.verdicts import Comparison, Divergence, Verdict
from normonnx.reporting import cube_picture
from normonnx.reporting.html import cost_charts, error_charts
from normonnx.reporting.html.dressing import PALETTE, dressed

_STRANGE: Final = r"$x_1$ <b>&amp;</b> \frac{a}{b} " + "long" * 20


def _comparison(
    output: str,
    error: float,
    verdict: Verdict = Verdict.PASS,
    question: Literal["computes", "equivalent"] = "computes",
) -> Comparison:
    return Comparison(question, "ort:cpu", "random", output, verdict, "", error, 2.0, allowed=16.0)


def _errors(number: int, **changed: float) -> NodeErrors:
    nodes = [
        NodeError(f"n{i}", "Relu", f"t{i}", local=0.5, upstream=1.0, total=1.5, floor=1.0)
        for i in range(number)
    ]
    if changed:
        nodes[number // 2] = NodeError("odd", "Sub", "odd", **changed)
    return NodeErrors("computes", "ort:cpu", "random", 16.0, tuple(nodes))


def _parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  # our own


def _words(svg: str) -> str:
    return _parsed(svg).findtext("desc") or ""


def _every_chart() -> dict[str, str]:
    spread = Interval(1.0, 0.9, 1.2, 0.95, 9)
    measured = Measurements(
        "ort:cpu",
        1,
        (Measured("before", spread, spread), Measured("after", spread, spread)),
        spread,
    )
    picture = cube_picture.render([explained(CATALOGUE["GroupNorm"])], "svg")
    return {
        "outputs": error_charts.outputs([_comparison(_STRANGE, 1.0)], identifier="a"),
        "nodes": error_charts.nodes(_errors(9), None, identifier="b"),
        "times": cost_charts.times(measured, identifier="c"),
        "operators": cost_charts.operators({_STRANGE: 3}, {"Conv": 2}, identifier="d"),
        "axes": dressed(picture, "e", "GroupNorm", "a cube"),
    }


@pytest.mark.parametrize("name", ["outputs", "nodes", "times", "operators", "axes"])
def test_a_chart_has_words_and_no_style_of_its_own(name: str) -> None:
    """Title and description; no style attribute, which a page's policy would drop; ids resolve."""
    svg = _every_chart()[name]
    root = _parsed(svg)
    assert root.get("role") == "img"
    identifier = str(root.get("aria-labelledby")).split("-")[0]
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert all(child.text for child in root[:2])
    everything = list(root.iter())
    assert not [found for found in everything if "style" in found.attrib or found.tag == "style"]
    ids = [found.attrib["id"] for found in everything if "id" in found.attrib]
    assert len(ids) == len(set(ids))
    assert all(found.startswith(f"{identifier}-") for found in ids)
    values = [value for found in everything for value in found.attrib.values()]
    named = {ref for value in values for ref in re.findall(r"(?:^|url\()#([\w.-]+)", value)}
    assert named - {
        value.removeprefix("#") for value in values if re.fullmatch("#[0-9a-f]{6}", value)
    } <= set(ids)


def test_roles_are_classes_and_no_stand_in_color_is_left() -> None:
    """What charts are drawn with are not colors to be seen: each became a class of the page."""
    for name, svg in _every_chart().items():
        assert not [color for color in PALETTE if color in svg], name
        assert re.search("k-(ink|muted)-fill", svg), name


def test_names_are_text_and_no_formulas() -> None:
    """Dollar signs and backslashes are drawn as they are, markup is escaped."""
    for name in ("outputs", "operators"):
        root = _parsed(_every_chart()[name])
        texts = ["".join(found.itertext()) for found in root.iter("text")]
        assert any(text.startswith(r"$x_1$ <b>&amp;</b>") for text in texts), texts


def test_outputs_are_told_by_their_worst_case_and_the_worst_first() -> None:
    """One row for each output, question and backend; those without a figure have none."""
    found = [
        _comparison("a", 1.0),
        _comparison("a", 30.0),
        _comparison("b", 400.0, Verdict.MISMATCH),
        _comparison("c", math.nan, Verdict.INCONCLUSIVE),
        _comparison("a", 2.0, question="equivalent"),
    ]
    shown = error_charts.shown_outputs(found)
    assert [(one.output, one.error) for one in shown] == [("b", 400.0), ("a", 30.0), ("a", 2.0)]
    words = _words(error_charts.outputs(shown, identifier="x"))
    assert words.startswith("b on ort:cpu: error 400 u, noise floor 2.0 u, allowed 32 u, mismatch")


@pytest.mark.parametrize("error", [0.0, math.inf, 1e-30, 1e30])
def test_errors_at_the_ends_are_drawn(error: float) -> None:
    """Zero and infinity have a place on a logarithmic scale."""
    svg = error_charts.outputs([_comparison("y", error, Verdict.MISMATCH)], identifier="x")
    assert "k-mismatch-fill" in svg
    assert "nan" not in svg.lower().replace("nano", "")


def test_the_node_where_it_begins_is_marked() -> None:
    """By its name or its tensor, with its operator; and the words name the worst."""
    found = _errors(11, local=900.0, floor=2.0, total=900.0)
    divergence = Divergence("odd", "Sub", "odd", 900.0, 0.0)
    svg = error_charts.nodes(found, divergence, identifier="x")
    texts = {"".join(text.itertext()) for text in _parsed(svg).iter("text")}
    assert "first goes wrong: Sub" in texts
    assert "450 times the floor" in _words(svg)
    assert "1 node beyond the line" in _words(svg)
    unmarked = error_charts.nodes(found, None, identifier="x")
    assert "first goes wrong" not in unmarked
    rewritten = Divergence("odd", "Sub", "odd", 900.0, 0.0, question="equivalent")
    assert "against the reference" in error_charts.nodes(found, rewritten, identifier="x")


def test_ten_thousand_nodes_share_marks_and_the_worst_stays() -> None:
    """The chart stays small, and no outlier is averaged away."""
    found = _errors(10_000, local=5e5, floor=1.0, total=5e5)
    svg = error_charts.nodes(found, None, identifier="x")
    assert len(svg) < 400_000
    texts = {"".join(text.itertext()) for text in _parsed(svg).iter("text")}
    assert any("each mark is the worst of 25" in text for text in texts)
    assert "1e6" in texts
    marks = [one for one in _parsed(svg).iter("use") if "k-local" in one.get("class", "")]
    assert len(marks) == 400
    heights = sorted(float(one.attrib["y"]) for one in marks)
    assert heights[0] < heights[1] - 50  # y goes down: one mark far above all others
    calm = error_charts.nodes(_errors(10_000), None, identifier="x")
    assert "1e6" not in {"".join(text.itertext()) for text in _parsed(calm).iter("text")}


def test_nodes_of_which_nothing_is_known_draw_nothing_and_fail_nowhere() -> None:
    """NaN everywhere, one node alone, infinite errors."""
    nan, inf = math.nan, math.inf
    for node in (NodeError("n", "Relu", "t"), NodeError("n", "Relu", "t", inf, nan, inf, 1.0)):
        one = NodeErrors("computes", "ort:cpu", "random", 16.0, (node,))
        assert "1 node" in _words(error_charts.nodes(one, None, identifier="x"))


def test_operators_that_changed_most_come_first_and_few_are_drawn() -> None:
    """A model with a hundred operators has a chart of fourteen."""
    before = {f"op{n}": 1 for n in range(100)} | {"Conv": 9}
    after = {f"op{n}": 1 for n in range(100)} | {"Conv": 2}
    words = _words(cost_charts.operators(before, after, identifier="x"))
    assert words.startswith("Conv: 9 before, 2 after; ")
    assert words.count(";") == 13
