"""Profiles of inputs: what they draw, what they leave out, and whom they blame."""

# ruff: noqa: ANN401  # arrays and options of every type

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.errors import UsageError
from normonnx.core.verdicts import BackendRun, Comparison, Verdict
from normonnx.runtime import backends
from normonnx.runtime.backends import Outcome, Request
from normonnx.validation import profiles
from normonnx.validation.judge import judging
from normonnx.validation.truths import truths_of

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
NEG = HEAD + "g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Neg(x) }"
STATIC = HEAD + "g (float[4, 50] x) => (float[4, 50] y) { y = Neg(x) }"
INTEGERS = HEAD + "g (int64[N, 9] x) => (int64[N, 9] y) { y = Neg(x) }"
ALL = "all,nan,inf"


def _drawn(text: str, names: str = ALL, **shapes: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Array of the first input by case, and what was left out."""
    model = ir.from_proto(onnx.parser.parse_model(text))
    settings = judging(0, None, kernels=True)
    truths = truths_of(model, None, shapes, settings)
    found, notes = profiles.with_profiles(model, truths, profiles.named(names), shapes, settings)
    return {one.case.name: next(iter(one.case.feeds.values())) for one in found}, notes


def test_the_default_is_what_is_drawn_without_profiles() -> None:
    """Random and shifted-mean."""
    assert list(_drawn(NEG, "default")[0]) == ["random", "shifted-mean"]
    assert profiles.named("default") == profiles.DEFAULT


def test_all_leaves_nan_and_inf_to_those_who_ask() -> None:
    """In a fixed order, whatever the order asked for."""
    assert profiles.named(" all ") == profiles.NAMES[:-2]
    assert profiles.named("inf, all,nan") == profiles.NAMES
    assert profiles.named(["huge", "tiny"]) == ("tiny", "huge")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("enormous", "no profile 'enormous' .* default, all, random, .* inf"),
        ("", "no profile ''"),
        ((), "no profile of inputs was named"),
        ("tiny,,huge", "no profile ''"),
    ],
)
def test_names_that_are_none_are_refused(asked: Any, words: str) -> None:
    """Naming those that are."""
    with pytest.raises(UsageError, match=words):
        profiles.named(asked)


def test_profiles_and_inputs_exclude_one_another() -> None:
    """Inputs that were given are of no profile."""
    proto = onnx.parser.parse_model(NEG)
    inputs = {"x": np.ones((1, 3, 2, 2), np.float32)}
    with pytest.raises(UsageError, match="leave one of the two out"):
        normonnx.validate(proto, inputs=inputs, profiles="all")


def test_what_each_profile_draws() -> None:
    """All of an image's shape but for those that are about shape."""
    found, notes = _drawn(NEG)
    assert (list(found), notes) == (list(profiles.NAMES), ())
    shape = found["random"].shape
    assert shape[0] == 2
    assert found["batch-1"].shape == (1, *shape[1:])
    assert found["1x1"].shape == (2, 3, 1, 1)
    assert np.unique(found["constant"]).size == 1
    assert found["tiny"].std() == pytest.approx(1e-4, rel=0.1)
    assert found["huge"].std() == pytest.approx(1e4, rel=0.1)
    tiny = np.finfo(np.float32).smallest_normal
    assert 0 < np.abs(found["subnormal"]).min() <= np.abs(found["subnormal"]).max() < tiny
    assert np.count_nonzero(found["one-hot"]) == 2
    assert found["one-hot"].reshape(2, -1).sum(axis=1).tolist() == [1, 1]
    assert np.isnan(found["nan"][0]).sum() == 0
    assert np.isnan(found["nan"][1]).sum() == 1
    assert sorted(found["inf"][1][np.isinf(found["inf"][1])]) == [-math.inf, math.inf]
    assert all(array.shape == shape for name, array in found.items() if "1" not in name)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "double", "float8e4m3fn"])
def test_numbers_stay_within_their_type(kind: str) -> None:
    """tiny is about scale, not subnormal; huge is no infinity; what a type lacks is left out."""
    found, notes = _drawn(STATIC.replace("float[", f"{kind}["))
    for name in ("tiny", "huge"):
        array = found[name].astype(np.float64)
        assert np.isfinite(array).all()
        normal = float(ml_dtypes.finfo(found[name].dtype).smallest_normal)
        assert np.mean(np.abs(array) < normal) < 0.1
    left = {note.split()[1] for note in notes}
    expected = {"batch-1", "1x1"} | ({"inf"} if kind == "float8e4m3fn" else set())
    assert left == expected


def test_what_does_not_apply_is_left_out_and_told() -> None:
    """A static batch, no spatial dimension, no floating point."""
    found, notes = _drawn(STATIC)
    assert {"batch-1", "1x1"}.isdisjoint(found)
    assert notes == (
        "profile batch-1 was left out: the batch is static, or 1 anyway",
        "profile 1x1 was left out: no spatial size is dynamic",
    )
    found, notes = _drawn(INTEGERS)
    assert list(found) == ["random", "batch-1"]
    assert sum("no input holds floating-point numbers" in note for note in notes) == 7


def test_shapes_that_a_user_fixed_stay() -> None:
    """Neither batch-1 nor 1x1 overrides them."""
    found, notes = _drawn(NEG, x=(3, 3, 5, 6))
    assert all(array.shape == (3, 3, 5, 6) for array in found.values())
    assert len(notes) == 2


def test_what_the_model_does_not_accept_is_left_out() -> None:
    """A Conv of 3 by 3 on an image of 1 by 1 is told, and no failure."""
    pytest.importorskip("onnxruntime")
    text = HEAD + (
        "g (float[N, 1, H, W] x) => (float[N, 1, P, Q] y)"
        " <float[1, 1, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}> { y = Conv(x, w) }"
    )
    found = normonnx.validate(onnx.parser.parse_model(text), profiles="default,1x1,batch-1")
    assert found.verdict is Verdict.PASS
    assert [note.partition(":")[0] for note in found.notes] == ["profile 1x1 was left out"]
    assert {one.case for one in found.comparisons} == {"random", "shifted-mean", "batch-1"}


def test_what_a_runtime_does_not_accept_is_left_out() -> None:
    """Reflection has no meaning at the edge of one pixel: ONNX Runtime refuses, NumPy does not."""
    pytest.importorskip("onnxruntime")
    text = HEAD + (
        "g (float[N, 1, H, W] x) => (float[N, 1, P, Q] y) <int64[8] p = {0, 0, 1, 1, 0, 0, 1, 1}>"
        ' { y = Pad<mode = "reflect">(x, p) }'
    )
    found = normonnx.validate(onnx.parser.parse_model(text), profiles="all")
    assert found.verdict is Verdict.PASS
    notes = (*found.notes, *found.backends[0].notes)
    assert sum(note.startswith("profile 1x1 was left out: ") for note in notes) == 1
    assert "1x1" not in {one.case for one in found.comparisons}


# --- whom they blame ----------------------------------------------------------------------------

Answer = Callable[[Any], Any]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Answer, str], dict[str, Comparison]]:
    """Judges a model run by a function from its one input to its one output, in its own type."""

    def judged(text: str, answer: Answer, names: str) -> dict[str, Comparison]:
        def run(backend: str, request: Request) -> Outcome:
            with np.errstate(all="ignore"):
                answers = [{"y": answer(feeds["x"])} for feeds in request.cases]
            return Outcome(BackendRun(backend, Verdict.PASS), tuple(answers))

        monkeypatch.setattr(backends, "run", run)
        proto = onnx.parser.parse_model(text)
        found = normonnx.validate(proto, profiles=names, locate=False)
        return {one.case: one for one in found.comparisons}

    return judged


DOUBLED = STATIC.replace("Neg(x)", "Add(x, x)")


def test_flushing_subnormal_numbers_is_allowed_and_told(runtime: Any) -> None:
    """Inputs, or outputs, or both; anything else is a mismatch."""

    def flush(x: Any) -> Any:
        return np.where(np.abs(x) < np.finfo(x.dtype).smallest_normal, np.float32(0), x)

    for answer in (lambda x: 2 * flush(x), lambda x: flush(2 * x), lambda x: flush(2 * flush(x))):
        one = runtime(DOUBLED, answer, "subnormal")["subnormal"]
        assert one.verdict in (Verdict.PASS, Verdict.INCONCLUSIVE), one
    right = runtime(DOUBLED, lambda x: 2 * x, "subnormal")["subnormal"]
    assert (right.verdict, right.reason) == (Verdict.PASS, "")
    wrong = runtime(DOUBLED, lambda x: 3 * x, "subnormal")["subnormal"]
    assert wrong.verdict is Verdict.MISMATCH
    shifted = DOUBLED.replace("Add(x, x)", "Add(x, b)").replace(
        "{", f"<float[50] b = {{{', '.join(map(str, range(1, 51)))}}}> {{"
    )
    found = runtime(shifted, lambda x: flush(x) + np.arange(1, 51, dtype=np.float32), "subnormal")
    assert found["subnormal"].verdict is Verdict.PASS


def test_a_result_that_flushes_says_so(runtime: Any) -> None:
    """The comparison passes with a reason, which the report shows."""
    text = STATIC.replace(
        "{ y = Neg(x) }",
        "<float s = {1e9}, float[50] b = {"
        + ", ".join(map(str, range(1, 51)))
        + "}> { a = Mul(x, s) c = Mul(a, s) d = Mul(c, s) e = Mul(d, s) y = Add(e, b) }",
    )
    offset = np.arange(1, 51, dtype=np.float32)
    ran = runtime(text, lambda x: np.broadcast_to(offset, x.shape).copy(), "subnormal,random")
    one = ran["subnormal"]
    assert one.verdict is Verdict.PASS
    assert one.reason == "it agrees with subnormal numbers flushed to zero, as a runtime may do"
    assert ran["random"].verdict is Verdict.MISMATCH


def test_overflow_on_the_way_is_no_fault_of_the_runtime(runtime: Any) -> None:
    """exp(300) is infinite in float32 and not in float64; a fused kernel may avoid it."""
    text = STATIC.replace("Neg(x)", "Log(e)").replace("{ y", "{ e = Exp(x) y")
    assert runtime(text, lambda x: np.log(np.exp(x)), "huge")["huge"].verdict is not (
        Verdict.MISMATCH
    )
    wrong = runtime(text, lambda x: 1 + np.log(np.exp(x)), "tiny")["tiny"]
    assert wrong.verdict is Verdict.MISMATCH


def test_underflow_on_the_way_is_no_fault_of_the_runtime(runtime: Any) -> None:
    """Squares of 1e-39 are 0 in float32: the norm is, too."""
    text = STATIC.replace("Neg(x)", "Add(x, n)").replace(
        "{ y", "{ q = Mul(x, x) s = ReduceSum(q) r = Sqrt(s) n = Div(x, r) y"
    )

    def naive(x: Any) -> Any:
        return x + x / np.sqrt(np.sum(x * x))

    assert runtime(text, naive, "random")["random"].verdict is Verdict.PASS
    assert runtime(text, naive, "subnormal")["subnormal"].verdict is not Verdict.MISMATCH


def test_overflow_in_a_function_is_no_fault_of_the_runtime(runtime: Any) -> None:
    """A call is evaluated as one node, but what it computes inside has a range, too."""
    head, graph = STATIC.replace("Neg(x)", "d.soft(x)").split(">", 1)
    body = '<domain: "d", opset_import: ["": 17]> soft (a) => (b) { e = Exp(a) b = Log(e) }'
    text = f'{head.replace("]", """, "d": 1]""")}>{graph}{body}'
    found = runtime(text, lambda x: np.log(np.exp(x)), "huge,random")
    assert found["random"].verdict is Verdict.PASS
    assert found["huge"].verdict is not Verdict.MISMATCH


CENTERED = STATIC.replace("Neg(x)", "Sub(x, m)").replace("{ y", "{ m = ReduceMean(x) y")


@pytest.mark.parametrize(
    ("off", "verdict"), [(1e-7, Verdict.INCONCLUSIVE), (1e-2, Verdict.MISMATCH)]
)
def test_a_truth_of_zeros_is_judged_by_how_far_it_moves(
    runtime: Any, off: float, verdict: Verdict
) -> None:
    """x minus its mean is 0 on a constant: a roundoff of x is no mismatch, a percent is."""
    ran = runtime(CENTERED, lambda x: np.full_like(x, 3.3 * off), "constant")
    assert ran["constant"].verdict is verdict


def test_a_constant_proves_nothing_and_spoils_nothing(runtime: Any) -> None:
    """The verdict is that of the other cases."""
    ran = runtime(STATIC, lambda x: -x, "default,constant")
    assert [one.verdict for one in ran.values()] == ["pass", "pass", "inconclusive"]


@pytest.mark.parametrize("name", ["nan", "inf"])
def test_nan_and_infinity_must_be_where_they_belong(runtime: Any, name: str) -> None:
    """At the right places and with the rest right it passes; elsewhere, or wrong, it does not."""

    def cleaned(x: Any) -> Any:
        return -np.nan_to_num(x, posinf=0, neginf=0)

    def spread(x: Any) -> Any:
        return np.where(np.isfinite(x).all(axis=1, keepdims=True), -x, np.float32(np.nan))

    assert runtime(STATIC, lambda x: -x, name)[name].verdict is Verdict.PASS
    for wrong in (cleaned, spread, lambda x: -x * np.float32(1.001)):
        assert runtime(STATIC, wrong, name)[name].verdict is Verdict.MISMATCH


def test_nan_alone_proves_nothing(runtime: Any) -> None:
    """No entry is left to compare."""
    text = STATIC.replace("Neg(x)", "Mul(x, s)").replace("{ y", "{ s = ReduceSum(x) y")
    ran = runtime(text, lambda x: x * np.sum(x), "nan")
    assert ran["nan"].verdict is Verdict.INCONCLUSIVE


def test_what_onnx_leaves_open_is_inconclusive(runtime: Any) -> None:
    """Relu and its like may drop NaN; the reason names them."""
    text = STATIC.replace("Neg", "Relu")
    dropping = runtime(text, lambda x: np.fmax(x, 0), "nan")["nan"]
    assert dropping.verdict is Verdict.INCONCLUSIVE
    assert dropping.reason == "NaN reaches Relu, whose result ONNX then leaves open"
    keeping = runtime(text, lambda x: np.maximum(x, 0), "nan")["nan"]
    assert keeping.verdict is Verdict.PASS


ONES = ", ".join(["1"] * 4)
NORM = HEAD + (
    f"g (float[2, 4, 64, 64] x) => (float[2, 4, 64, 64] y) <float[4] s = {{{ONES}}},"
    f" float[4] b = {{{ONES}}}> {{ y = InstanceNormalization(x, s, b) }}"
)


def test_naive_sums_of_equal_numbers_are_within_the_bound(runtime: Any) -> None:
    """4096 additions of one number are off by up to 4096 u; in float64 the mean is exact."""

    def norm(x: Any, dtype: Any) -> Any:
        mean = np.cumsum(x.reshape(8, -1), axis=1, dtype=dtype)[:, -1].reshape(2, 4, 1, 1) / 4096
        centered = (x - mean).astype(np.float32)
        var = np.mean(np.square(centered), axis=(2, 3), keepdims=True)
        return (centered / np.sqrt(var + np.float32(1e-5)) + 1).astype(np.float32)

    for dtype in (np.float32, np.float64):
        ran = runtime(NORM, lambda x, d=dtype: norm(x, d), "constant,tiny")
        assert all(one.verdict is not Verdict.MISMATCH for one in ran.values()), ran


def test_an_epsilon_outside_the_root_is_found_by_tiny_inputs(runtime: Any) -> None:
    """On N(0, 1) it can hide, where the variance is a thousandth of it it can not."""

    def norm(x: Any) -> Any:
        mean, var = (f(x, axis=(2, 3), keepdims=True) for f in (np.mean, np.var))
        return (x - mean) / (np.sqrt(var) + np.float32(1e-5)) + 1

    assert runtime(NORM, norm, "tiny")["tiny"].verdict is Verdict.MISMATCH


def test_a_planted_fault_is_found_on_every_profile(runtime: Any) -> None:
    """Half a percent off is a mismatch wherever the model makes something of its input."""
    text = NEG
    ran = runtime(text, lambda x: -x * np.float32(1.005), ALL)
    verdicts = {name: one.verdict for name, one in ran.items()}
    assert set(verdicts.values()) == {Verdict.MISMATCH}, verdicts
