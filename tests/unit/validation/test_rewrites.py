"""Each rewrite judged over the nodes that it changed: right ones pass, planted wrong ones are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.events import OptimizeReport
from normonnx.core.verdicts import Verdict
from normonnx.fold import tables
from normonnx.fold.affine import ChannelAffine
from normonnx.fold.moving import Handler
from normonnx.graph.source import own_model
from normonnx.runtime.oracle import evaluate
from normonnx.validation import rewrites
from normonnx.validation.judge import equivalence_on
from normonnx.validation.rewrites import Rewrites
from normonnx.validation.segments import Segment, cut
from tests.rewriting import FOLDING, parsed

# A place for the affine to go, up or down, in each: NORM4 and BN(x) as in tests.rewriting.
CONV = "m (float[N, 4, 6, 6] x) => (float[N, 3, 6, 6] y) <float[4, 4, 1, 1] w, float[3, 4, 1, 1] v, NORM4>"
MODELS: Mapping[str, str] = {
    "conv_up": f"{CONV} {{ c = Conv(x, w) n = BN(c) r = Relu(n) y = Conv(r, v) }}",
    "conv_down": f"{CONV} {{ r = Relu(x) a = Sigmoid(r) n = BN(a) y = Conv(n, v) }}",
    "conv_transpose_up": "m (float[N, 2, 5, 5] x) => (float[N, 4, 7, 7] y) <float[2, 4, 3, 3] w, NORM4> { c = ConvTranspose(x, w) n = BN(c) y = Tanh(n) }",
    "gemm_up": "m (float[N, 5] x) => (float[N, 4] y) <float[5, 4] w, float[4] b, NORM4> { c = Gemm(x, w, b) n = BN(c) y = Tanh(n) }",
    "gemm_down": "m (float[N, 4] x) => (float[N, 5] y) <float[4, 5] w, float[5] b, NORM4> { s = Sigmoid(x) n = BN(s) y = Gemm(n, w, b) }",
    "matmul_transpose_up": "m (float[N, 6, 5] x) => (float[N, 4, 6] y) <float[5, 4] w, float[4] b, NORM4> { c = MatMul(x, w) a = Add(c, b) t = Transpose<perm = [0, 2, 1]>(a) n = BN(t) y = Tanh(n) }",
    "matmul_down": "m (float[N, 6, 4] x) => (float[N, 6, 5] y) <float[4] s, float[4, 5] w> { e = Exp(x) a = Mul(e, s) y = MatMul(a, w) }",
    "concat_up": f"{CONV.replace('float[4, 4, 1, 1] w', 'float[2, 4, 1, 1] w, float[2, 4, 1, 1] u')} {{ c = Conv(x, w) d = Conv(x, u) a = Concat<axis = 1>(c, d) n = BN(a) r = Relu(n) y = Conv(r, v) }}",
    "flatten_down": "m (float[N, 4, 6, 6] x) => (float[N, 5] y) <float[144, 5] w, float[5] b, NORM4> { s = Sigmoid(x) n = BN(s) f = Flatten(n) y = Gemm(f, w, b) }",
    "layer_norm_up": "m (float[N, 6, 4] x) => (float[N, 6, 4] y) <float[4] s, float[4] b, float[4] t> { n = LayerNormalization(x, s, b) a = Mul(n, t) y = Tanh(a) }",
}  # fmt: skip

# In the body of an If, and in a function: what the original computes there is handed on as well.
IN_IF = (
    "m (float[N, 4, 6, 6] x, bool c) => (float[N, 4, 6, 6] y) <float[4, 4, 1, 1] w, NORM4> { s = Sigmoid(x) y = If (c)"
    " <then_branch = t () => (float[N, 4, 6, 6] p) { z = Exp(s) a = Conv(z, w) b = BN(a) p = Relu(b) },"
    " else_branch = e () => (float[N, 4, 6, 6] q) { k = Abs(s) d = Conv(k, w) f = BN(d) q = Tanh(f) }> }"
)
IN_FUNCTION = (
    '<ir_version: 8, opset_import: ["": 17, "local": 1]> m (float[N, 2, 5, 5] x) => (float[N, 2, 5, 5] y)'
    " { s = Sigmoid(x) t = local.f(s) y = Tanh(t) }"
    ' <domain: "local", opset_import: ["": 17]> f (u) => (v)'
    " { w = Constant<value = float[2, 2, 1, 1] {2, 3, 4, 5}>() k = Constant<value = float[2, 1, 1] {1, 3}>()"
    " c = Conv(u, w) a = Mul(c, k) v = Exp(a) }"
)


def _report(model: str | onnx.ModelProto) -> OptimizeReport:
    given = parsed(model) if isinstance(model, str) else model
    return normonnx.optimize(given, verify="each", passes=FOLDING).report


def _spoilt(right: Handler, factor: float) -> Handler:
    def wrong(planner: Any, node: ir.Node, index: int, affine: ChannelAffine) -> Any:  # noqa: ANN401
        return right(planner, node, index, replace(affine, scale=affine.scale * factor))

    return wrong


@pytest.mark.parametrize("name", MODELS)
def test_right_rewrites_are_all_checked(name: str) -> None:
    """None is left to the check of the whole model."""
    report = _report(MODELS[name])
    assert report.verification is not None
    assert report.verification.passed
    assert report.checked == len(report.applied) > 0
    assert f"{report.checked} of {report.checked} rewrites" in report.verification.notes[-1]


@pytest.mark.parametrize("factor", [1 + 1e-4, -1.0])
@pytest.mark.parametrize(
    ("table", "op_type", "name"),
    [
        ("UP", "Conv", "conv_up"),
        ("UP", "ConvTranspose", "conv_transpose_up"),
        ("UP", "Gemm", "gemm_up"),
        ("UP", "MatMul", "matmul_transpose_up"),
        ("UP", "Transpose", "matmul_transpose_up"),
        ("UP", "Concat", "concat_up"),
        ("UP", "LayerNormalization", "layer_norm_up"),
        ("DOWN", "Conv", "conv_down"),
        ("DOWN", "Gemm", "gemm_down"),
        ("DOWN", "Flatten", "flatten_down"),
        ("DOWN", "MatMul", "matmul_down"),
    ],
)
def test_a_wrong_handler_is_caught(
    monkeypatch: pytest.MonkeyPatch, table: str, op_type: str, name: str, factor: float
) -> None:
    """By the rewrite it was used for, with the node where that goes wrong."""
    handlers = cast("dict[str, Handler]", getattr(tables, table))
    monkeypatch.setitem(handlers, op_type, _spoilt(handlers[op_type], factor))
    report = _report(MODELS[name])
    found = report.verification
    assert found is not None
    assert found.verdict is Verdict.MISMATCH
    assert all(one.reason.startswith("after this rewrite: ") for one in found.comparisons)
    assert any(event.reason in one.reason for event in report.applied for one in found.comparisons)
    assert found.divergence is not None
    assert report.checked is not None
    assert report.checked < len(report.applied)


def test_only_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two folds into Convs the one that is spoilt."""
    text = f"{CONV} {{ c = Conv(x, w) n = BN(c) r = Relu(n) k = Conv(r, w) [bad] o = BN(k) z = Relu(o) y = Conv(z, v) }}"
    handlers = cast("dict[str, Handler]", tables.UP)
    right = handlers["Conv"]
    wrong = _spoilt(right, 1.01)
    monkeypatch.setitem(
        handlers,
        "Conv",
        lambda p, n, i, a: (wrong if n.outputs[0].name == "k" else right)(p, n, i, a),
    )
    found = _report(text).verification
    assert found is not None
    assert [("'bad'" in one.reason, one.verdict) for one in found.comparisons] == [
        (True, Verdict.MISMATCH)
    ]


@pytest.mark.parametrize("text", [IN_IF, IN_FUNCTION], ids=["in bodies", "in a function"])
def test_rewrites_inside(text: str) -> None:
    """They are judged over their regions as well; a body that was not run on drawn inputs."""
    report = _report(text)
    assert report.verification is not None
    assert report.verification.passed
    assert report.checked == len(report.applied) > 0


def test_a_wrong_rewrite_in_a_body_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole model does not show it: only one branch is taken."""
    handlers = cast("dict[str, Handler]", tables.UP)
    right = handlers["Conv"]
    wrong = _spoilt(right, 1.01)
    for output in ("a", "d"):

        def spoilt(p: Any, n: ir.Node, i: int, a: ChannelAffine, bad: str = output) -> Any:  # noqa: ANN401
            return (wrong if n.outputs[0].name == bad else right)(p, n, i, a)

        monkeypatch.setitem(handlers, "Conv", spoilt)
        found = _report(IN_IF).verification
        assert found is not None
        assert found.verdict is Verdict.MISMATCH


def test_what_the_model_computes_enters_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that stands in another's place is that of the original."""
    seen: list[dict[str, Any]] = []

    def spy(before: ir.Model, after: ir.Model, case: Any) -> Any:  # noqa: ANN401
        seen.append(dict(case.feeds))
        return equivalence_on(before, after, case)

    monkeypatch.setattr(rewrites, "equivalence_on", spy)
    text = "m (float[N, 4, 6, 6] x) => (float[N, 4, 6, 6] y) <float[4, 4, 1, 1] w, NORM4> { s = Sigmoid(x) t = Tanh(x) c = Conv(s, w) n = BN(c) d = Conv(t, w) o = BN(d) y = Add(n, o) }"
    proto = parsed(text)
    result = normonnx.optimize(proto, verify="each", passes=["fold-affine"]).report
    assert [event.node for event in result.applied] == ["o", "n"]
    assert result.checked == 2
    first = next(feeds for feeds in seen if "t" in feeds)
    second = next(feeds for feeds in seen if "s" in feeds)
    part = cut(ir.from_proto(proto), Segment(("s", "t"), ("n", "o")), {**first, **second})
    assert part is not None
    truth = evaluate(part, {"s": second["s"], "t": first["t"]})
    assert np.allclose(first["n"], truth["n"], rtol=1e-5)
    assert np.allclose(second["d"], truth["o"], rtol=1e-5)


def test_a_model_that_can_not_be_evaluated_is_not_taken_for_proven() -> None:
    """What comes before a custom operator is checked, and what follows on drawn inputs."""
    text = "m (float[N, 4, 6, 6] x) => (float[N, 4, 6, 6] y) <float[4, 4, 1, 1] w, NORM4> { c = Conv(x, w) n = BN(c) s = local.Own(n) d = Conv(s, w) o = BN(d) y = Tanh(o) }"
    report = _report(text)
    assert report.verification is not None
    assert report.verification.verdict is Verdict.INCONCLUSIVE
    assert len(report.applied) == 2
    assert report.checked == 1
    assert "1 of 2 rewrites" in report.verification.notes[-1]
    assert "only the check of the whole model" in report.verification.notes[-1]


def _noted(edit: Callable[[ir.Model], None]) -> Any:  # noqa: ANN401
    original = ir.from_proto(parsed(MODELS["conv_up"]))
    work = own_model(original)
    overseer = Rewrites(original, work)
    edit(work)
    overseer.note()
    return overseer.judged()


def test_nothing_compared_is_no_proof() -> None:
    """A rewrite that changed nothing, or that nothing is left of, is not counted."""
    judged = _noted(lambda _: None)
    assert (judged.total, judged.checked, judged.wrong) == (1, 0, ())


def test_an_output_that_proves_nothing_is_no_proof() -> None:
    """Relu of numbers that are all negative is 0 before and after."""
    text = "m (float[N, 4, 6, 6] x) => (float[N, 4, 6, 6] y) <float[4, 4, 1, 1] w, float[4, 1, 1] k = {-1, -2, -3, -4}, float[1] m = {-1000}> { c = Conv(x, w) a = Add(c, m) n = Mul(a, k) p = Neg(n) r = Relu(p) y = Add(r, x) }"
    report = _report(text)
    assert report.applied
    assert report.checked == 0
