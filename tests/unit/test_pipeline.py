"""The pipeline: options, copies, verification, and what it reports."""

from __future__ import annotations

import re

import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import Comparison, RewritesJudged, ValidationReport, Verdict
from normonnx.pipeline import Judges, Options, Verifier, run

TWO_NORMS = """
<ir_version: 8, opset_import: ["": 17], producer_name: "tester", producer_version: "7">
g (float[N, 2, H, W] x) => (float[N, 3, H, W] y)
<float[3, 2, 1, 1] weight = {1, 2, 3, 4, 5, 6},
 float[3] scale = {1, -2, 3}, float[3] bias = {4, 5, 6},
 float[3] mean = {0.5, 1, 2}, float[3] var = {1, 2, 3}> {
  [conv] c = Conv(x, weight)
  [first] n = BatchNormalization(c, scale, bias, mean, var)
  r = Relu(n)
  [second] y = BatchNormalization(r, scale, bias, mean, var)
}
"""


@pytest.fixture
def proto() -> onnx.ModelProto:
    """Conv, BatchNormalization, Relu, BatchNormalization."""
    return onnx.parser.parse_model(TWO_NORMS)


def _verdict(verdict: Verdict) -> ValidationReport:
    comparison = Comparison("equivalent", "oracle", "random", "y", verdict, reason="off")
    return ValidationReport(verdict, (comparison,))


class _Overseer:
    """Counts what it is told of, and answers what it was made with."""

    def __init__(self, answer: RewritesJudged) -> None:
        self.answer = answer
        self.noted = 0

    def note(self) -> None:
        """One more rewrite."""
        self.noted += 1

    def judged(self) -> RewritesJudged:
        """The answer."""
        return self.answer


def _judges(final: Verifier, answer: RewritesJudged = RewritesJudged()) -> Judges:  # noqa: B008
    return Judges(final, lambda *_: _Overseer(answer))


def _never(*_: ir.Model) -> ValidationReport:
    pytest.fail("called")


def test_report_says_what_was_done_and_what_was_not(proto: onnx.ModelProto) -> None:
    """One BatchNormalization follows a Conv and folds; the other follows a Relu and can't."""
    report = normonnx.optimize(proto).report
    assert [(event.node, event.removed, event.added) for event in report.applied] == [
        ("first", 1, 0)
    ]
    assert "folded into Conv 'conv'" in report.applied[0].reason
    assert [event.node for event in report.refused] == ["second"]
    assert "Relu" in report.refused[0].reason
    assert report.nodes_before == {"BatchNormalization": 2, "Conv": 1, "Relu": 1}
    assert report.nodes_after == {"BatchNormalization": 1, "Conv": 1, "Relu": 1}
    assert (report.opset_before, report.opset_after) == (17, 17)
    assert report.modified
    assert report.verification is None


@pytest.mark.parametrize("kind", ["proto", "ir"])
def test_models_passed_in_are_not_changed(proto: onnx.ModelProto, kind: str) -> None:
    """Optimizing and verifying leave a ModelProto and an onnx_ir.Model byte for byte as they were."""
    given = ir.from_proto(onnx.parser.parse_model(TWO_NORMS)) if kind == "ir" else proto
    before = (ir.to_proto(given) if kind == "ir" else given).SerializeToString()  # type: ignore[union-attr]
    result = normonnx.optimize(given, verify="each")
    after = (ir.to_proto(given) if kind == "ir" else given).SerializeToString()  # type: ignore[union-attr]
    assert after == before
    assert result.model is not given
    assert result.report.modified


def test_verifier_gets_the_original_and_the_result(proto: onnx.ModelProto) -> None:
    """With verify="final" the two models handed over differ by the fold."""
    seen: list[tuple[int, int]] = []

    def verifier(original: ir.Model, rewritten: ir.Model) -> ValidationReport:
        seen.append((original.graph.num_nodes(), rewritten.graph.num_nodes()))
        return _verdict(Verdict.PASS)

    result = run(proto, Options(verify="final"), _judges(verifier))
    assert seen == [(4, 3)]
    assert result.report.verification is not None
    assert result.report.verification.passed


def test_each_blames_the_rewrite_that_fails(proto: onnx.ModelProto) -> None:
    """With verify="each" one wrong rewrite is named, and the whole model is not looked at."""
    answer = RewritesJudged(1, 0, ((0, _verdict(Verdict.MISMATCH)),))
    result = run(proto, Options(verify="each"), _judges(_never, answer))
    verification = result.report.verification
    assert verification is not None
    assert verification.verdict is Verdict.MISMATCH
    assert "after this rewrite: " in verification.comparisons[0].reason
    assert "'first' folded into Conv 'conv'" in verification.comparisons[0].reason


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RewritesJudged(), "there was no rewrite"),
        (RewritesJudged(1, 1), "1 of 1 rewrites were checked over the nodes they changed"),
        (
            RewritesJudged(1, 0),
            "0 of 1 .*; only the check of the whole model speaks for the others",
        ),
    ],
)
def test_each_says_how_many_rewrites_were_checked(
    proto: onnx.ModelProto, answer: RewritesJudged, words: str
) -> None:
    """And the result as a whole is checked, whatever they say."""
    judges = _judges(lambda *_: _verdict(Verdict.PASS), answer)
    report = run(proto, Options(verify="each"), judges).report
    assert report.verification is not None
    assert report.verification.passed
    assert re.search(words, report.verification.notes[-1])
    assert report.checked == answer.checked


def test_each_is_told_of_every_rewrite(proto: onnx.ModelProto) -> None:
    """The overseer is made before the first of them, of the original and its copy."""
    made: list[tuple[int, int]] = []
    overseer = _Overseer(RewritesJudged())

    def each(original: ir.Model, work: ir.Model) -> _Overseer:
        made.append((original.graph.num_nodes(), work.graph.num_nodes()))
        return overseer

    judges = Judges(lambda *_: _verdict(Verdict.PASS), each)
    report = run(proto, Options(verify="each"), judges).report
    assert made == [(4, 4)]
    assert overseer.noted == len(report.applied) == 1


def test_without_verify_nothing_is_compared(proto: onnx.ModelProto) -> None:
    """No judge is called unless asked for."""
    report = run(proto, Options(), _judges(_never)).report
    assert report.verification is None
    assert report.checked is None


def test_kept_nodes_stay(proto: onnx.ModelProto) -> None:
    """A node named in keep is not folded, and the report says that this was asked for."""
    report = normonnx.optimize(proto, keep=["first"]).report
    assert not report.applied
    assert {event.node: event.reason for event in report.refused}["first"] == "kept as asked for"


@pytest.mark.parametrize("pattern", ["f*", "fir?t", "[ef]irst", "*"])
def test_kept_patterns_match_names(proto: onnx.ModelProto, pattern: str) -> None:
    """A pattern stands for every name that it matches."""
    report = normonnx.optimize(proto, keep=[pattern]).report
    assert not report.applied


def test_a_name_that_looks_like_a_pattern_is_a_name() -> None:
    """Exporters write brackets into names; the name itself comes first."""
    model = onnx.parser.parse_model(TWO_NORMS)
    model.graph.node[1].name = "bn[0]"
    assert not normonnx.optimize(model, keep=["bn[0]"]).report.applied
    assert normonnx.optimize(model, keep=["second"]).report.applied


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": ["frist"]}, "did you mean first"),
        ({"keep": ["first", "third*"]}, "name to keep 'third\\*' is not in the model"),
        ({"keep_inputs": ["w"]}, "input to keep 'w' is not in the model"),
        ({"target": "toaster"}, "expected one of openvino, ort-cpu, ort-cuda, portable"),
        ({"passes": ["magic"]}, "expected one of fold-affine"),
        ({"verify": "often"}, "expected 'final', 'each' or None"),
        ({"style": "fast"}, "style 'fast' is unknown; expected one of function, native, primitive"),
        ({"prefer": "size"}, "preference 'size' is unknown; expected one of accuracy, speed"),
        ({"opset": 28, "target": "tensorrt"}, "opset 28 is newer than tensorrt loads; choose 24"),
        ({"opset": 6}, "opset 6 is not supported, expected 7 to"),
    ],
)
def test_unknown_options_are_refused(
    proto: onnx.ModelProto, options: dict[str, object], words: str
) -> None:
    """An option that names nothing known is an error that says what is."""
    with pytest.raises(normonnx.UsageError, match=words):
        normonnx.optimize(proto, **options)  # type: ignore[arg-type]


def test_no_passes_changes_nothing(proto: onnx.ModelProto) -> None:
    """An empty list of passes is a copy."""
    assert not normonnx.optimize(proto, passes=[]).report.modified


def test_fold_batch_norm_leaves_other_affines() -> None:
    """fold_batch_norm starts from BatchNormalization only; optimize also from Mul."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[N, 2, H, W] x) => (float[N, 2, H, W] y)
        <float[2, 2, 1, 1] weight = {1, 2, 3, 4}, float two = {2}> {
          c = Conv(x, weight)
          y = Mul(c, two)
        }""")
    assert not normonnx.fold_batch_norm(model).report.modified
    assert normonnx.optimize(model).report.modified


def test_inspect_says_what_would_fold(proto: onnx.ModelProto) -> None:
    """Every normalization is listed with its fate; the model is not changed."""
    before = proto.SerializeToString()
    found = normonnx.inspect(proto)
    assert [(norm.node, norm.norm, norm.foldable) for norm in found.norms] == [
        ("first", "BatchNorm", True),
        ("second", "BatchNorm", False),
    ]
    assert "Relu" in found.norms[1].reason
    assert (found.opset, found.ir_version, found.producer) == (17, 8, "tester 7")
    assert found.foldable == 1
    assert proto.SerializeToString() == before


TAKEN_APART = """
    <ir_version: 8, opset_import: ["": 17]>
    g (float[N, 2, H, W] x) => (float[N, 2, H, W] y)
    <float[2, 2, 1, 1] weight = {1, 2, 3, 4}, float[2, 1, 1] s = {-2, 3}, float[2, 1, 1] b = {1, 2}> {
      c = Conv(x, weight)
      d = Sub(c, b)
      [first] e = Div(d, s)
      r = Relu(e)
      m = Mul(r, s)
      [second] y = Add(m, b)
    }"""


def test_inspect_says_what_would_fold_of_what_was_taken_apart() -> None:
    """A scale and a shift are one normalization, which folds where both do."""
    found = normonnx.inspect(onnx.parser.parse_model(TAKEN_APART))
    assert [(norm.node, norm.norm, norm.foldable) for norm in found.norms] == [
        ("first", "BatchNorm", True),
        ("second", "BatchNorm", False),
    ]
    assert "Conv" in found.norms[0].reason
    assert "its statistics are constants" in found.norms[1].reason
    assert not found.affines


def test_a_scale_and_a_shift_fold_before_they_are_recognised() -> None:
    """What can't fold becomes one call; a second run changes nothing."""
    result = normonnx.optimize(
        onnx.parser.parse_model(TAKEN_APART), style="function", verify="each"
    )
    assert [node.op_type for node in result.model.graph] == ["Conv", "Relu", "BatchNorm"]
    assert result.report.verification is not None
    assert result.report.verification.passed
    assert not normonnx.optimize(result.model, style="function").report.modified


def test_inspect_names_subgraphs_and_functions() -> None:
    """A normalization inside a function is found there."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N, 4] x) => (float[N, 4] y) { y = local.normed(x) }
        <domain: "local", opset_import: ["": 17]>
        normed (a) => (b) {
          one = Constant<value = float[4] {1, 1, 1, 1}>()
          b = LayerNormalization(a, one)
        }""")
    assert [(norm.norm, norm.graph) for norm in normonnx.inspect(model).norms] == [
        ("LayerNorm", "local::normed")
    ]


def test_pass_composes_with_onnx_ir(proto: onnx.ModelProto) -> None:
    """FoldAffine runs inside an onnx_ir pipeline and says whether it changed anything."""
    from onnx_ir.passes import Sequential
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    from normonnx.fold.passes import FoldAffine

    model = ir.from_proto(proto)
    pipeline = Sequential(FoldAffine(), RemoveUnusedNodesPass())
    assert pipeline(model).modified
    assert [node.op_type for node in model.graph] == ["Conv", "Relu", "BatchNormalization"]
    assert not FoldAffine()(model).modified


def test_inspect_tells_nodes_of_one_name_apart() -> None:
    """Names need be unique neither in a graph nor across bodies; each node gets its own fate."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[N, 2, H, W] x) => (float[N, 2, H, W] y)
        <float[2, 2, 1, 1] weight = {1, 2, 3, 4}, float[2] v = {1, 2}> {
          c = Conv(x, weight)
          [bn] n = BatchNormalization(c, v, v, v, v)
          r = Relu(n)
          [bn] y = BatchNormalization(r, v, v, v, v)
        }""")
    assert [norm.foldable for norm in normonnx.inspect(model).norms] == [True, False]
