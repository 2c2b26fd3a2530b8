"""Verdicts on cases of known truth: faults, benign rewrites, and what can't be judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.core.verdicts import ValidationReport, Verdict
from normonnx.runtime import backends
from normonnx.runtime.backends import Outcome, Request
from normonnx.validation.judge import equivalence, validate

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
rng = np.random.default_rng(7)


def _proto(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text if text.startswith("<") else HEAD + text)


def _model(text: str) -> ir.Model:
    return ir.from_proto(_proto(text))


def _numbers(*shape: int, seed: int = 0, positive: bool = False) -> str:
    """A constant in ONNX text, drawn from a seed."""
    drawn = np.random.default_rng(seed).standard_normal(shape)
    drawn = np.abs(drawn) + 0.5 if positive else drawn
    return "{" + ", ".join(f"{number:.9g}" for number in drawn.reshape(-1)) + "}"


def _judge(original: str, rewritten: str) -> ValidationReport:
    return equivalence(_model(original), _model(rewritten))


# --- question 2: the same function? -------------------------------------------------------------

W = _numbers(4, 3, 3, 3)
S, B, M = _numbers(4, seed=1), _numbers(4, seed=2), _numbers(4, seed=3)
V = _numbers(4, seed=4, positive=True)
PARAMETERS = (
    f"<float[4, 3, 3, 3] w = {W}, float[4] s = {S}, float[4] b = {B}, float[4] m = {M},"
    f" float[4] v = {V}>"
)
IMAGE = "g (float[N, 3, 8, 8] x) => (float[N, 4, 6, 6] y)"
CONV_BN = f"{IMAGE} {PARAMETERS} {{ c = Conv(x, w) y = BatchNormalization(c, s, b, m, v) }}"


def _array(text: str, *shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.fromstring(text.strip("{}"), sep=",").reshape(shape)


def _folded(
    *, epsilon: float = 1e-5, flip: bool = False, stretch: float = 1.0, swap: bool = False
) -> str:
    """CONV_BN folded by hand, rounded to float32; with one of the faults that folds have."""
    scale = _array(S, 4) / np.sqrt(_array(V, 4) + epsilon)
    bias = _array(B, 4) - _array(M, 4) * scale
    if flip:
        scale[2] *= -1
    scale[1] *= stretch
    weight = _array(W, 4, 3, 3, 3) * scale[:, None, None, None]
    weight = weight.swapaxes(2, 3) if swap else weight

    def text(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
        return "{" + ", ".join(f"{x:.9g}" for x in array.astype(np.float32).reshape(-1)) + "}"

    weights = f"<float[4, 3, 3, 3] w = {text(weight)}, float[4] b = {text(bias)}>"
    return f"{IMAGE} {weights} {{ y = Conv(x, w, b) }}"


ROWS = "g (float[N, 6, 6] x) => (float[N, 6, 6] y)"
NORM = (
    "m = ReduceMean<axes = [{axis}]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes = [-1]>(q)"
    " e = Constant<value_float = {epsilon}>() t = Add(v, e) r = Sqrt(t) y = Div(d, r)"
)
MATMUL = f"g (float[N, 6] x) => (float[N, 6] y) <float[6, 6] w = {_numbers(6, 6)}>"
GROUP_NORM = (
    " {{ s = Constant<value_ints = [0, {groups}, -1]>() f = Shape(x) r = Reshape(x, s)"
    " n = InstanceNormalization(r, i{groups}, o{groups}) y = Reshape(n, f) }}"
)


def _grouped(groups: int) -> str:
    ones, zeros = ("{" + ", ".join([digit] * groups) + "}" for digit in "10")
    parameters = f"<float[{groups}] i{groups} = {ones}, float[{groups}] o{groups} = {zeros}>"
    head = "g (float[N, 4, 6] x) => (float[N, 4, 6] y)"
    return f"{head} {parameters} {GROUP_NORM.format(groups=groups)}"


def _rows(axis: int = -1, epsilon: float = 1e-5) -> str:
    return f"{ROWS} {{ {NORM.format(axis=axis, epsilon=epsilon)} }}"


FAULTS = {
    "one channel's sign": (CONV_BN, _folded(flip=True)),
    "epsilon left out": (CONV_BN, _folded(epsilon=0.0)),
    "epsilon ten times too large": (CONV_BN, _folded(epsilon=1e-4)),
    "one channel's scale off by a thousandth": (CONV_BN, _folded(stretch=1.001)),
    "kernel transposed": (CONV_BN, _folded(swap=True)),
    "weight transposed": (
        f"{MATMUL} {{ y = MatMul(x, w) }}",
        f"{MATMUL} {{ t = Transpose(w) y = MatMul(x, t) }}",
    ),
    "mean over the wrong axis": (_rows(), _rows(axis=1)),
    "norm with another epsilon": (_rows(), _rows(epsilon=1e-4)),
    "wrong number of groups": (_grouped(2), _grouped(4)),
    "scaled down and wrong": (
        f"{MATMUL} {{ k = Constant<value_float = 1e-6>() p = MatMul(x, w) y = Mul(p, k) }}",
        f"{MATMUL} {{ k = Constant<value_float = 1.001e-6>() p = MatMul(x, w) y = Mul(p, k) }}",
    ),
    "scaled up and wrong": (
        f"{MATMUL} {{ k = Constant<value_float = 1e5>() p = MatMul(x, w) y = Mul(p, k) }}",
        f"{MATMUL} {{ k = Constant<value_float = 1.001e5>() p = MatMul(x, w) y = Mul(p, k) }}",
    ),
}


@pytest.mark.parametrize(("original", "rewritten"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_a_mismatch(original: str, rewritten: str) -> None:
    """With an error of more than the factor times the floor, which the reason tells."""
    found = _judge(original, rewritten)
    assert found.verdict is Verdict.MISMATCH
    assert not found.passed
    worst = max(found.comparisons, key=lambda one: one.ratio)
    assert worst.ratio > found.factor
    assert "noise floor" in worst.reason
    assert {one.question for one in found.comparisons} == {"equivalent"}


BENIGN = {
    "folded": (CONV_BN, _folded()),
    "itself": (CONV_BN, CONV_BN),
    "square spelled as a power": (
        _rows(),
        _rows()
        .replace("Mul(d, d)", "Pow(d, two)")
        .replace("{ m", "{ two = Constant<value_float = 2.0>() m"),
    ),
    "division spelled as a product": (
        _rows(),
        _rows().replace("y = Div(d, r)", "i = Reciprocal(r) y = Mul(d, i)"),
    ),
    "product regrouped": (
        f"{MATMUL} {{ p = MatMul(x, w) y = MatMul(p, w) }}",
        f"{MATMUL} {{ p = MatMul(w, w) y = MatMul(x, p) }}",
    ),
    "scaled down": (
        f"{MATMUL} {{ k = Constant<value_float = 1e-6>() p = MatMul(x, w) y = Mul(p, k) }}",
        f"{MATMUL} {{ k = Constant<value_float = 1e-6>() p = Mul(x, k) y = MatMul(p, w) }}",
    ),
    "scaled up": (
        f"{MATMUL} {{ k = Constant<value_float = 1e5>() p = MatMul(x, w) y = Mul(p, k) }}",
        f"{MATMUL} {{ k = Constant<value_float = 1e5>() p = Mul(x, k) y = MatMul(p, w) }}",
    ),
}


@pytest.mark.parametrize(("original", "rewritten"), BENIGN.values(), ids=BENIGN)
def test_a_benign_rewrite_passes(original: str, rewritten: str) -> None:
    """Within the factor, on every case and output."""
    found = _judge(original, rewritten)
    assert found.verdict is Verdict.PASS
    assert found.passed
    assert all(one.ratio < found.factor / 2 for one in found.comparisons)


def test_an_equivalence_asks_two_cases_and_no_backend() -> None:
    """random and shifted-mean, float64 against float64."""
    found = _judge(CONV_BN, _folded())
    assert [(one.case, one.output, one.backend) for one in found.comparisons] == [
        ("random", "y", "oracle"),
        ("shifted-mean", "y", "oracle"),
    ]
    assert found.backends == ()


@pytest.mark.parametrize(
    ("rewritten", "words"),
    [
        (CONV_BN.replace("x)", "z)").replace("(x,", "(z,"), "inputs are"),
        (CONV_BN.replace("] y)", "] z)").replace("y =", "z ="), "outputs are"),
        (
            "g (double[N, 3, 8, 8] x) => (float[N, 4, 6, 6] y) { y = Cast<to = 1>(x) }",
            "'x' has type",
        ),
        (f"{IMAGE} {{ y = Relu(x) }}", "shape"),
        (f"{IMAGE} <float[5] k = {{1, 2, 3, 4, 5}}> {{ y = Mul(x, k) }}", "fails"),
    ],
    ids=["input's name", "output's name", "input's type", "output's shape", "does not run"],
)
def test_another_interface_is_a_mismatch(rewritten: str, words: str) -> None:
    """Names, types and shapes must stay; the reason says which."""
    found = _judge(CONV_BN, rewritten)
    assert found.verdict is Verdict.MISMATCH
    assert any(words in one.reason for one in found.comparisons)


def test_initializers_may_leave_the_inputs() -> None:
    """In IR version 3 a folded one does."""
    head = '<ir_version: 3, opset_import: ["": 9]>\n'
    body = "{ y = Mul(x, w) }"
    weight = "<float[2] w = {2, 3}>"
    original = f"{head}g (float[N, 2] x, float[2] w) => (float[N, 2] y) {weight} {body}"
    rewritten = f"{head}g (float[N, 2] x) => (float[N, 2] y) {weight} {body}".replace(
        "ir_version: 3", "ir_version: 8"
    )
    assert _judge(original, rewritten).verdict is Verdict.PASS


def test_a_custom_operator_leaves_an_equivalence_open() -> None:
    """Inconclusive, naming the operator; never an exception."""
    text = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    text += "g (float[N, 2] x) => (float[N, 2] y) { y = odd.Frobnicate(x) }"
    found = _judge(text, text)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert all("Frobnicate" in one.reason for one in found.comparisons)
    assert _judge(text.replace("odd.Frobnicate", "Neg"), text).verdict is Verdict.INCONCLUSIVE


def test_inputs_that_can_not_be_drawn_leave_an_equivalence_open() -> None:
    """A rewrite of a model that takes strings is unverified, not an error."""
    text = "g (string[2] s) => (string[2] y) { y = Identity(s) }"
    found = _judge(text, text)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "--inputs" in found.comparisons[0].reason


# --- what agreement proves ----------------------------------------------------------------------


def test_a_case_that_proves_nothing_does_not_spoil_one_that_does() -> None:
    """Constant on one case, varied and right on the other: right."""
    text = "g (float[N, 9] x) => (float[N, 9] y) { t = Constant<value_float = 9.0>()"
    text += " y = Clip(x, , t) }"  # far from zero all of it is 9
    found = _judge(text, text)
    assert [one.verdict for one in found.comparisons] == [Verdict.PASS, Verdict.INCONCLUSIVE]
    assert found.verdict is Verdict.PASS


def test_one_wrong_case_is_wrong_however_many_are_right() -> None:
    """A fault that shows only far from zero."""
    text = "g (float[N, 9] x) => (float[N, 9] y) {{ t = Constant<value_float = {limit}>()"
    text += " y = Clip(x, , t) }}"
    found = _judge(text.format(limit="101.0"), text.format(limit="101.5"))
    assert [one.verdict for one in found.comparisons] == [Verdict.PASS, Verdict.MISMATCH]
    assert found.verdict is Verdict.MISMATCH


def test_an_output_that_no_case_proves_is_inconclusive() -> None:
    """Although another output passes."""
    text = "g (float[N, 9] x) => (float[N, 9] y, float[N, 9] z) { y = Neg(x) z = Sub(x, x) }"
    found = _judge(text, text)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert not found.passed


RANDOM = {
    "noise": "g (float[N, 9] x) => (float[N, 9] y) { r = RandomNormalLike(x) y = Add(x, r) }",
    "dropout": (
        "g (float[N, 9] x) => (float[N, 9] y) { t = Constant<value = bool {1}>()"
        " y = Dropout(x, , t) }"
    ),
    "in a branch": (
        "g (float[N, 9] x) => (float[N, 9] y) { t = Constant<value = bool {1}>()"
        " y = If(t) <then_branch = a () => (float[N, 9] p) { p = RandomNormalLike(x) },"
        " else_branch = b () => (float[N, 9] q) { q = Neg(x) }> }"
    ),
    "in a function": (
        '<ir_version: 8, opset_import: ["": 17, "own": 1]>\n'
        "g (float[N, 9] x) => (float[N, 9] y) { y = own.Noise(x) }\n"
        '<domain: "own", opset_import: ["": 17]> Noise (a) => (b) { b = RandomNormalLike(a) }'
    ),
}


@pytest.mark.parametrize("text", RANDOM.values(), ids=RANDOM)
def test_what_depends_on_chance_is_inconclusive(text: str) -> None:
    """Wherever the random operator sits."""
    found = _judge(text, text)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert all("random" in one.reason for one in found.comparisons)


def test_dropout_that_does_not_train_is_not_random() -> None:
    """Its third input is there, and false."""
    text = RANDOM["dropout"].replace("bool {1}", "bool {0}")
    assert _judge(text, text).verdict is Verdict.PASS


# --- decisions ----------------------------------------------------------------------------------

CHOICE = (
    "g (float[N, 9] x) => (int64[N, 1] y) <float[9] k = {k}>"
    " {{ a = Add(x, k) y = ArgMax<axis = 1>(a) }}"
)
SPREAD = "{" + ", ".join(map(str, np.arange(9) * 7 % 9 / 3)) + "}"


def test_a_decision_that_is_the_same_passes() -> None:
    """Integers are equal or not."""
    text = CHOICE.format(k=SPREAD).replace("[N, ", "[40, ")
    assert _judge(text, text).verdict is Verdict.PASS


def test_a_decision_that_differs_by_far_is_wrong() -> None:
    """No perturbation of the allowed size changes the truth there."""
    text = CHOICE.format(k=SPREAD).replace("[N, ", "[40, ")
    assert _judge(text, text.replace("ArgMax", "ArgMin")).verdict is Verdict.MISMATCH


TIE = (
    "g (float[N, 3, 1] x) => (int64[N, 3, 1] y) <float[3, 1] a = {a}, float[3, 1] b = {b}>"
    " {{ p = Mul(x, a) q = Mul(x, b) c = Concat<axis = 2>(p, q) y = ArgMax<axis = 2>(c) }}"
)


def _with_gap(gap: float) -> tuple[str, str]:
    """Two models that decide between numbers `gap` apart, one the other way round."""
    low, high = (
        "{" + ", ".join(f"{k * factor:.9g}" for k in (0.3, 0.7, 1.1)) + "}"
        for factor in (1, 1 + gap)
    )
    return TIE.format(a=low, b=high), TIE.format(a=high, b=low)


def test_a_near_tie_is_inconclusive() -> None:
    """Candidates two roundoffs apart: either may win. A thousandth apart, only one may."""
    near = _judge(*_with_gap(2**-23))
    assert near.verdict is Verdict.INCONCLUSIVE
    assert "near tie" in near.comparisons[0].reason
    assert _judge(*_with_gap(1e-3)).verdict is Verdict.MISMATCH


STEP = (
    "g (float[N, 64] x) => (float[N, 64] y) <float[64] k = {k}>"
    " {{ z = Constant<value_float = {limit}>() g = Greater(x, z) m = Mul(x, k) n = Neg(m)"
    " y = Where(g, m, n) }}"
)


def test_a_smooth_error_is_not_excused_by_a_decision_somewhere() -> None:
    """A Where on the way is a decision, but here none of them is near: twenty floors off is off."""
    text = STEP.format(k=_numbers(64), limit="50.0")
    shifted = (
        "{"
        + ", ".join(f"{number * (1 + 20 * 2**-24):.17g}" for number in _array(_numbers(64), 64))
        + "}"
    )
    found = _judge(text, STEP.format(k=shifted, limit="50.0"))
    assert found.verdict is Verdict.MISMATCH
    assert all(16 < one.ratio < 32 for one in found.comparisons)


# --- question 1: does a backend compute it rightly? ----------------------------------------------

PIXELS = "g (float[N, 3, 24, 24] x) => (float[N, 3, 24, 24] y)"
TWO_PASS = f"{PIXELS} {{ {{}} e = Constant<value_float = 1e-5>() t = Add(v, e) r = Sqrt(t)"
TWO_PASS += " y = Div(d, r) }"
STABLE = (
    "m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes = [2, 3]>(q)"
)
E_OF_SQUARES = (
    "m = ReduceMean<axes = [2, 3]>(x) d = Sub(x, m) q = Mul(x, x) w = ReduceMean<axes = [2, 3]>(q)"
    " n = Mul(m, m) v = Sub(w, n)"
)


def test_a_two_pass_variance_passes_and_a_one_pass_variance_does_not() -> None:
    """Without a reference, on default inputs: the case far from zero tells them apart."""
    stable = validate(_proto(TWO_PASS.replace("{}", STABLE)))
    assert stable.verdict is Verdict.PASS
    unstable = validate(_proto(TWO_PASS.replace("{}", E_OF_SQUARES)))
    assert unstable.verdict is Verdict.MISMATCH
    assert {one.case: one.verdict for one in unstable.comparisons} == {
        "random": Verdict.PASS,
        "shifted-mean": Verdict.MISMATCH,
    }


@pytest.mark.parametrize("kind", ["path", "proto", "ir"])
def test_models_may_be_paths_protos_or_ir(tmp_path: Path, kind: str) -> None:
    """All three give the same figures, and none is changed."""
    proto = _proto(CONV_BN)
    onnx.save(proto, tmp_path / "m.onnx")
    before = proto.SerializeToString()
    model = {"path": tmp_path / "m.onnx", "proto": proto, "ir": ir.from_proto(proto)}[kind]
    found = validate(model)  # type: ignore[arg-type]
    assert found.passed
    assert [run.verdict for run in found.backends] == [Verdict.PASS]
    assert found.backends[0].placement
    assert {one.question for one in found.comparisons} == {"computes"}
    assert proto.SerializeToString() == before
    assert (tmp_path / "m.onnx").read_bytes() == before


@pytest.mark.parametrize("backend", ["ort:MadeUp", "abacus"])
def test_a_missing_backend_is_never_a_pass(backend: str) -> None:
    """Not beside one that passes, nor for a model that the oracle can't evaluate."""
    found = validate(_proto(CONV_BN), backends=("ort:cpu", backend))
    assert found.verdict is Verdict.UNAVAILABLE
    assert [run.verdict for run in found.backends] == [Verdict.PASS, Verdict.UNAVAILABLE]
    odd = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    odd += "g (float[N, 2] x) => (float[N, 2] y) { y = odd.Frobnicate(x) }"
    assert validate(_proto(odd), backends=(backend,)).verdict is Verdict.UNAVAILABLE


def test_without_backends_nothing_is_compared() -> None:
    """Nothing compared is inconclusive, not passed."""
    found = validate(_proto(CONV_BN), backends=())
    assert found.verdict is Verdict.INCONCLUSIVE
    assert not found.passed


def test_both_questions_are_answered_and_kept_apart() -> None:
    """A right backend does not excuse another function."""
    found = validate(_proto(_folded(flip=True)), against=_proto(CONV_BN))
    verdicts = {one.question: one.verdict for one in found.comparisons}
    assert verdicts == {"computes": Verdict.PASS, "equivalent": Verdict.MISMATCH}
    assert found.backends[0].verdict is Verdict.PASS
    assert found.verdict is Verdict.MISMATCH
    assert validate(_proto(_folded()), against=_proto(CONV_BN)).passed


def _answering(outputs: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> ValidationReport:
    """The verdict on a backend that answers `outputs` for y = -x."""

    def run(_backend: str, request: Request) -> Outcome:
        from normonnx.core.verdicts import BackendRun

        cases = tuple(outputs or {"y": -feeds["x"]} for feeds in request.cases)
        return Outcome(BackendRun("fake", Verdict.PASS), cases)

    monkeypatch.setattr(backends, "run", run)
    x = np.linspace(1, 2, 6, dtype=np.float32)
    model = _proto("g (float[6] x) => (float[6] y) { y = Neg(x) }")
    return validate(model, backends=("fake",), inputs={"x": x})


@pytest.mark.parametrize(
    ("outputs", "verdict"),
    [
        ({}, Verdict.PASS),
        ({"y": -np.linspace(1, 2, 6)}, Verdict.MISMATCH),
        ({"y": np.zeros(5, np.float32)}, Verdict.MISMATCH),
        ({"y": np.full(6, np.nan, np.float32)}, Verdict.MISMATCH),
        ({"z": np.zeros(6, np.float32)}, Verdict.MISMATCH),
        ({"y": None}, Verdict.INCONCLUSIVE),
    ],
    ids=["right", "float64", "shape", "nan", "missing", "no tensor"],
)
def test_answers_of_a_backend(
    outputs: dict[str, object], verdict: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Type, shape, numbers and names must be those that the model declares."""
    assert _answering(outputs, monkeypatch).verdict is verdict


def test_inputs_of_the_user_are_one_case() -> None:
    """And are used as they are."""
    x = np.random.default_rng(1).standard_normal((1, 3, 8, 8)).astype(np.float32)
    found = validate(_proto(CONV_BN), inputs={"x": x})
    assert found.passed
    assert [one.case for one in found.comparisons] == ["given"]


def test_inputs_that_the_model_does_not_accept_are_the_users_fault() -> None:
    """The node that failed is named."""
    text = "g (float[n] a, float[m] b) => (float[k] y) { [off] y = Add(a, b) }"
    a, b = np.ones(2, np.float32), np.ones(3, np.float32)
    with pytest.raises(UsageError, match="'off'"):
        validate(_proto(text), inputs={"a": a, "b": b})


def test_sizes_are_tried_until_the_model_accepts_one() -> None:
    """This one wants 224 pixels a side."""
    text = "g (float[N, 1, H, W] x) => (float[N, 2] y) { f = Flatten(x) y = MatMul(f, w) }"
    model = _proto(text.replace("{ f", f"<float[1024, 2] w = {_numbers(1024, 2)}> {{ f"))
    found = validate(model)
    assert found.passed


def test_a_model_that_accepts_no_inputs_is_inconclusive() -> None:
    """The way out is said."""
    weight = f"<float[997, 2] w = {_numbers(997, 2)}>"
    text = f"g (float[N, M] x) => (float[N, 2] y) {weight} {{ y = MatMul(x, w) }}"
    found = validate(_proto(text))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "--shape" in found.comparisons[0].reason
    assert validate(_proto(text), shapes={"x": (3, 997)}).passed


@pytest.mark.parametrize(
    ("options", "words"),
    [({"factor": 0.0}, "factor"), ({"factor": float("nan")}, "factor"), ({"seed": -1}, "seed")],
)
def test_options_are_checked(options: dict[str, float], words: str) -> None:
    """One line, naming the option."""
    with pytest.raises(UsageError, match=words):
        validate(_proto(CONV_BN), **options)  # type: ignore[arg-type]


def test_a_model_that_fails_where_the_reference_does_not_is_a_mismatch() -> None:
    """It accepts no inputs at all; a reference that nobody can evaluate leaves it open."""
    head = "g (float[N, 6] x) => (float[N, 6] y)"
    broken = _proto(f"{head} <float[5] k = {{1, 2, 3, 4, 5}}> {{ y = Mul(x, k) }}")
    found = validate(broken, against=_proto(f"{head} {{ y = Neg(x) }}"), backends=())
    assert found.verdict is Verdict.MISMATCH
    assert "fails where the reference does not" in found.comparisons[0].reason
    odd = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    odd += f"{head} {{ y = odd.Frobnicate(x) }}"
    assert validate(broken, against=_proto(odd), backends=()).verdict is Verdict.INCONCLUSIVE


def test_a_damaged_model_is_invalid() -> None:
    """Before anything runs."""
    with pytest.raises(InvalidModelError):
        validate(onnx.ModelProto())


def _half(text: str) -> onnx.ModelProto:
    """A model with float16 in place of float32."""
    proto = _proto(text)
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return proto


def test_half_precision_is_judged_by_its_own_roundoff() -> None:
    """A correct float16 network passes; a channel's sign is still seen."""
    original = _half(CONV_BN)
    assert validate(original).passed
    assert validate(_half(_folded()), against=original, backends=()).passed
    flipped = validate(_half(_folded(flip=True)), against=original, backends=())
    assert flipped.verdict is Verdict.MISMATCH
    assert {one.u for one in flipped.comparisons} == {2**-11}
