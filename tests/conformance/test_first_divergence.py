"""Where it first goes wrong, on faults whose place is known: the node, and a repro that reproduces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from models import faults
from normonnx.core.verdicts import Verdict
from normonnx.runtime.workers import Limits
from normonnx.validation.judge import judging
from normonnx.validation.locate_backend import at_work, suspects
from normonnx.validation.suspects import Jury
from normonnx.validation.truths import truths_of
from tests.rewriting import FOLDING

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

Model = onnx.ModelProto
_DEMO = Path(normonnx.__file__).parent / "cli" / "demo.onnx"
_HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
_INSTANCE = (
    f"{_HEAD} g (float[N, 3, 24, 24] x) => (float[N, 3, 24, 24] y)"
    " <float[3] s = {1, 1, 1}, float[3] b = {0, 0, 0}> { y = InstanceNormalization(x, s, b) }"
)
_OVERFLOW = (
    f"{_HEAD} g (float[N, 8] x) => (float[N, 8] y) {{ k = Constant<value_float = 1e6>()"
    " p = Mul(x, k) h = Cast<to = 10>(p) f = Cast<to = 1>(h) y = Div(f, k) }"
)


@functools.cache
def _demo() -> Model:
    return onnx.load(_DEMO)


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


def _optimized(model: Model) -> Model:
    return ir.to_proto(normonnx.optimize(model, passes=FOLDING).model)


# What is changed by each fault of `models.faults`, in the demo: name of the first node.
PLACES = {
    "flipped-sign": "/bottom/convnext/depthwise/Conv",
    "stretched-channel": "/bottom/convnext/depthwise/Conv",
    "transposed-weight": "/bottom/convnext/depthwise/Conv",
    "lost-epsilon": "/stem/bn/BatchNormalization",
    "large-epsilon": "/stem/bn/BatchNormalization",
    "wrong-axis": "/bottom/convnext/norm/ReduceMean",
    "wrong-groups": "/bottom/norm/InstanceNormalization",
    "half-island": "/bottom/relu/Relu_output_0_half",
}


def _reproduces(report: normonnx.ValidationReport) -> bool:
    assert report.divergence is not None
    model = Path(report.divergence.repro)
    onnx.checker.check_model(model, full_check=True)
    again = normonnx.validate(model, inputs=model.with_suffix(".npz"), locate=False)
    return again.verdict is Verdict.MISMATCH


@pytest.mark.parametrize("fault", PLACES)
def test_the_faulty_node_of_a_rewrite_is_named(fault: str, tmp_path: Path) -> None:
    """Exactly, with what it adds, and a model of that node shows it again."""
    spoiled = faults.FAULTS[fault](_demo())
    found = normonnx.validate(spoiled, against=_demo(), backends=(), repro=tmp_path)
    assert found.divergence is not None
    assert found.divergence.node == PLACES[fault]
    assert found.divergence.question == "equivalent"
    assert found.divergence.local > 6 * max(found.divergence.upstream, 1.0)
    assert _reproduces(found)


@pytest.mark.parametrize("fault", ["flipped-sign", "stretched-channel", "transposed-weight"])
def test_names_and_structure_may_differ(fault: str, tmp_path: Path) -> None:
    """The fault is planted in the optimized model, whose nodes then get other names."""
    folded = _optimized(_demo())
    spoiled = faults.FAULTS[fault](folded)
    place = next(
        number
        for number, (one, other) in enumerate(
            zip(_renamed(folded).graph.node, _renamed(spoiled).graph.node, strict=True)
        )
        if spoiled.graph.node[number].name == PLACES[fault] and one.op_type == other.op_type
    )
    found = normonnx.validate(_renamed(spoiled), against=_demo(), backends=(), repro=tmp_path)
    assert found.divergence is not None
    assert found.divergence.node == f"node{place}"
    assert found.divergence.op_type == "Conv"
    assert _reproduces(found)


BACKEND: dict[str, tuple[Callable[[], Model], str, str]] = {
    "cancellation": (
        lambda: faults.one_pass_variance(onnx.parser.parse_model(_INSTANCE)),
        "Sub",
        "y_v",
    ),
    "overflow in float16": (lambda: onnx.parser.parse_model(_OVERFLOW), "Cast", "h"),
}


@pytest.mark.parametrize(("model", "op_type", "tensor"), BACKEND.values(), ids=BACKEND)
def test_the_faulty_node_of_a_backend_is_named(
    model: Callable[[], Model], op_type: str, tensor: str, tmp_path: Path
) -> None:
    """The variance, not the division that suffers from it; and the cast, not what reads infinity."""
    found = normonnx.validate(model(), repro=tmp_path)
    assert found.verdict is Verdict.MISMATCH
    assert found.divergence is not None
    assert (found.divergence.op_type, found.divergence.tensor) == (op_type, tensor)
    assert found.divergence.backend == "ort:cpu"
    assert _reproduces(found)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["ort:cpu", "openvino"])
def test_no_node_of_a_right_backend_is_suspected(backend: str) -> None:
    """Over every tensor of the demo, fed with the truth."""
    if backend == "openvino":
        pytest.importorskip("openvino", reason="install normonnx[openvino]")
    model = ir.from_proto(_demo())
    settings = judging(0, None, kernels=True)
    with at_work(backend, Limits(300.0)) as bench:
        for truth in truths_of(model, None, {}, settings):
            assert suspects(model, truth, bench, Jury(model, truth, settings)) == []


def test_no_divergence_where_nothing_is_wrong() -> None:
    """Nor where it was not asked for."""
    assert normonnx.validate(_demo(), against=_optimized(_demo())).divergence is None
    spoiled = faults.FAULTS["flipped-sign"](_demo())
    found = normonnx.validate(spoiled, against=_demo(), backends=(), locate=False)
    assert found.verdict is Verdict.MISMATCH
    assert found.divergence is None


def test_an_input_may_be_what_is_nearest(tmp_path: Path) -> None:
    """One product alone, tilted: the reference has no tensor of that size but its input."""
    head = f"{_HEAD} g (float[4] x) => (int64[1] y)"
    tilted = onnx.parser.parse_model(
        f"{head} <float[4] k = {{1, 2, 1, 1}}> {{ p = Mul(x, k) y = ArgMax<axis = 0>(p) }}"
    )
    plain = onnx.parser.parse_model(f"{head} {{ y = ArgMax<axis = 0>(x) }}")
    x = np.array([1, 2, 3, 0], np.float32)
    found = normonnx.validate(tilted, against=plain, inputs={"x": x}, backends=(), repro=tmp_path)
    assert found.divergence is not None
    assert (found.divergence.op_type, found.divergence.counterpart) == ("Mul", "x")


def test_a_lost_activation_is_named() -> None:
    """A Relu that became an Identity, which has good inputs and a bad output."""
    spoiled = Model()
    spoiled.CopyFrom(_demo())
    rectifiers = [node for node in spoiled.graph.node if node.op_type == "Relu"]
    middle = rectifiers[len(rectifiers) // 2]
    middle.op_type = "Identity"
    found = normonnx.validate(spoiled, against=_demo(), backends=())
    assert found.divergence is not None
    assert found.divergence.node == middle.name


def test_a_repro_needs_the_search(tmp_path: Path) -> None:
    """Asking for one without the other is a mistake, not nothing."""
    with pytest.raises(normonnx.UsageError, match="which locate=False leaves alone"):
        normonnx.validate(_demo(), locate=False, repro=tmp_path)


def test_shapes_of_the_sketch() -> None:
    """A sketch tells how far two tensors are apart, and whether they hold the same numbers."""
    from normonnx.validation.sketch import distance, moved_by, sketch

    source = np.random.default_rng(0)
    x = source.standard_normal((50, 37))
    noise = 1e-7 * source.standard_normal((50, 37))
    one, other, turned = sketch(x), sketch(x + noise), sketch(x.T.copy())
    assert one is not None
    assert other is not None
    assert turned is not None
    assert 0.4 < distance(one, other) / np.linalg.norm(noise) < 2
    assert distance(one, turned) > 0.4 * one.norm
    assert moved_by(one, turned) < 1e-12
    assert sketch(np.array(["a"], object)) is None
