"""Normalizations in opsets that lack their operator, or have it in another form."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from normonnx.catalogue.contents import CATALOGUE
from normonnx.lower.opsets import move
from normonnx.runtime.oracle import evaluate
from tests.rewriting import parsed
from tests.unit.lower.moved import moved, refused

ROWS: Final = "g (float[2,3,8] x) => (float[2,3,8] y) "
IMAGES: Final = "g (float[2,6,4,4] x) => (float[2,6,4,4] y) "
STATISTICS: Final = "g (float[2,6,4,4] x) => (float[2,6,4,4] y, float[6] m, float[6] v) "
NORM: Final = "<float[6] scale, float[6] b, float[6] mean, float[6] variance>"
CHAIN: Final = "ReduceMean Sub Pow ReduceMean Add Sqrt Div Mul Add"
GROUPS: Final = "Reshape InstanceNormalization Reshape Unsqueeze Mul Unsqueeze Add"

DOWN = [
    pytest.param(
        17,
        16,
        ROWS + "<float[8] s, float[8] b> { y = LayerNormalization(x, s, b) }",
        CHAIN,
        id="LayerNormalization",
    ),
    pytest.param(
        17,
        9,
        ROWS + "<float[8] s> { y = LayerNormalization<epsilon=0.001>(x, s) }",
        CHAIN,
        id="LayerNormalization without bias, far down",
    ),
    pytest.param(
        17,
        12,
        ROWS + "<float[3,8] s, float[3,8] b> { y = LayerNormalization<axis=1>(x, s, b) }",
        CHAIN,
        id="LayerNormalization over two axes",
    ),
    pytest.param(
        17,
        13,
        "g (float16[2,3,8] x) => (float16[2,3,8] y) <float16[8] s, float16[8] b> { y = LayerNormalization(x, s, b) }",
        None,
        id="LayerNormalization of float16",
    ),
    pytest.param(
        17,
        13,
        "g (float[N,T,8] x, float[8] s) => (float[N,T,8] y) { y = LayerNormalization(x, s) }",
        CHAIN,
        id="LayerNormalization of a scale at run time",
    ),
    pytest.param(
        17,
        13,
        "g (float[2,3,8] x) => (float[2,3,8] y, float[2,3,1] m, float[2,3,1] r) <float[8] s> { y, m, r = LayerNormalization(x, s) }",
        None,
        id="LayerNormalization with its mean and deviation",
    ),
    pytest.param(
        17,
        10,
        "g (float[2,3,8] x) => (float[2,3,8] y, float[2,3,1] r) <float[8] s> { y, , r = LayerNormalization(x, s) }",
        None,
        id="LayerNormalization with its deviation",
    ),
    pytest.param(
        23,
        22,
        ROWS + "<float[8] s> { y = RMSNormalization(x, s) }",
        "Pow ReduceMean Add Sqrt Reciprocal Mul Mul",
        id="RMSNormalization",
    ),
    pytest.param(
        23,
        9,
        ROWS + "<float[8] s> { y = RMSNormalization<epsilon=0.001>(x, s) }",
        "Pow ReduceMean Add Sqrt Reciprocal Mul Mul",
        id="RMSNormalization, far down",
    ),
    pytest.param(
        23,
        18,
        "g (float16[2,3,8] x) => (float[2,3,8] y) <float[8] s> { y = RMSNormalization(x, s) }",
        None,
        id="RMSNormalization with a scale of another type",
    ),
    pytest.param(
        21,
        20,
        IMAGES + "<float[6] s, float[6] b> { y = GroupNormalization<num_groups=2>(x, s, b) }",
        GROUPS,
        id="GroupNormalization by channel",
    ),
    pytest.param(
        21,
        9,
        IMAGES + "<float[6] s, float[6] b> { y = GroupNormalization<num_groups=3>(x, s, b) }",
        GROUPS,
        id="GroupNormalization, far down",
    ),
    pytest.param(
        21,
        17,
        "g (double[2,6,4] x) => (double[2,6,4] y) <double[6] s, double[6] b> { y = GroupNormalization<num_groups=2>(x, s, b) }",
        None,
        id="GroupNormalization of float64",
    ),
    pytest.param(
        18,
        17,
        IMAGES + "<float[2] s, float[2] b> { y = GroupNormalization<num_groups=2>(x, s, b) }",
        "Reshape InstanceNormalization Reshape",
        id="GroupNormalization by group",
    ),
    pytest.param(
        13, 8, IMAGES + "{ y = MeanVarianceNormalization(x) }", None, id="MeanVarianceNormalization"
    ),
    pytest.param(
        9,
        7,
        "g (float[2,6,4] x) => (float[2,6,4] y) { y = MeanVarianceNormalization<axes=[2]>(x) }",
        None,
        id="MeanVarianceNormalization over other axes",
    ),
    pytest.param(
        15,
        9,
        IMAGES + NORM + "{ y = BatchNormalization<training_mode=0>(x, scale, b, mean, variance) }",
        "BatchNormalization",
        id="BatchNormalization",
    ),
    pytest.param(
        15,
        7,
        IMAGES + NORM + "{ y = BatchNormalization<epsilon=0.001>(x, scale, b, mean, variance) }",
        "BatchNormalization",
        id="BatchNormalization, far down",
    ),
    pytest.param(
        15,
        13,
        STATISTICS
        + NORM
        + "{ y, m, v = BatchNormalization<training_mode=1, momentum=0.8>(x, scale, b, mean, variance) }",
        None,
        id="BatchNormalization in training",
    ),
    pytest.param(
        15,
        11,
        STATISTICS
        + NORM
        + "{ y, m, v = BatchNormalization<training_mode=1>(x, scale, b, mean, variance) }",
        None,
        id="BatchNormalization in training, far down",
    ),
    pytest.param(
        14,
        13,
        IMAGES + NORM + "{ y = BatchNormalization<training_mode=1>(x, scale, b, mean, variance) }",
        None,
        id="BatchNormalization of the batch's statistics",
    ),
    pytest.param(
        15,
        14,
        "g (float16[2,6,4] x) => (float16[2,6,4] y) "
        + NORM
        + "{ y = BatchNormalization(x, scale, b, mean, variance) }",
        "Cast BatchNormalization Cast",
        id="BatchNormalization of two types",
    ),
    pytest.param(
        14,
        9,
        "g (float16[2,6,4] x) => (float16[2,6,4] y) <float16[6] scale, float16[6] b, float[6] mean, float[6] variance> { y = BatchNormalization(x, scale, b, mean, variance) }",
        None,
        id="BatchNormalization with statistics of another type",
    ),
    pytest.param(
        22,
        7,
        IMAGES + "<float[6] s, float[6] b> { y = InstanceNormalization(x, s, b) }",
        "InstanceNormalization",
        id="InstanceNormalization",
    ),
    pytest.param(22, 7, IMAGES + "{ y = LRN<size=3>(x) }", "LRN", id="LRN"),
    pytest.param(
        22,
        7,
        IMAGES + "{ y = LpNormalization<axis=1, p=1>(x) }",
        "LpNormalization",
        id="LpNormalization",
    ),
    pytest.param(
        22,
        21,
        "g (bfloat16[2,6] x) => (bfloat16[2,6] y) { y = LpNormalization<axis=1>(x) }",
        "Cast LpNormalization Cast",
        id="LpNormalization of bfloat16",
    ),
]
UP = [
    pytest.param(
        18,
        21,
        IMAGES + "<float[2] s, float[2] b> { y = GroupNormalization<num_groups=2>(x, s, b) }",
        "GroupNormalization",
        id="GroupNormalization by group",
    ),
    pytest.param(
        20,
        23,
        "g (float[2,6,4] x, float[2] s, float[2] b) => (float[2,6,4] y) { y = GroupNormalization<num_groups=2>(x, s, b) }",
        "Reshape Expand Reshape Reshape Expand Reshape GroupNormalization",
        id="GroupNormalization, its scale at run time",
    ),
    pytest.param(
        18,
        21,
        "g (float[2,6,4] x) => (float[2,6,4] y) <float[6] s, float[6] b> { y = GroupNormalization<num_groups=6>(x, s, b) }",
        "GroupNormalization",
        id="GroupNormalization of groups of one",
    ),
    pytest.param(
        7,
        15,
        IMAGES + NORM + "{ y = BatchNormalization<spatial=1>(x, scale, b, mean, variance) }",
        "BatchNormalization",
        id="BatchNormalization",
    ),
    pytest.param(
        9,
        17,
        IMAGES + "{ y = MeanVarianceNormalization<axes=[1,2,3]>(x) }",
        "MeanVarianceNormalization",
        id="MeanVarianceNormalization",
    ),
    pytest.param(
        17,
        28,
        ROWS + "<float[8] s, float[8] b> { y = LayerNormalization(x, s, b) }",
        "LayerNormalization",
        id="LayerNormalization",
    ),
]
REFUSED = [
    pytest.param(
        18,
        21,
        "g (float[N,C,4] x, float[2] s, float[2] b) => (float[N,C,4] y) { y = GroupNormalization<num_groups=2>(x, s, b) }",
        "how many channels X has is not known",
        id="a scale to repeat for an unknown number of channels",
    ),
    pytest.param(
        9,
        14,
        STATISTICS.replace("float[6] v)", "float[6] v, float[6] w)")
        + NORM
        + "{ y, m, v, w, unread = BatchNormalization(x, scale, b, mean, variance) }",
        "saved_mean or saved_var are read",
        id="statistics that opset 14 took away",
    ),
]


@pytest.mark.parametrize(("before", "after", "text", "ops"), DOWN)
def test_down(before: int, after: int, text: str, ops: str | None) -> None:
    """The same function where the operator is another or none, and then in the newer opset again."""
    found = moved(text, before, after)
    assert ops in (None, found.ops), found.ops
    moved(found.proto, after, before)


@pytest.mark.parametrize(("before", "after", "text", "ops"), UP)
def test_up(before: int, after: int, text: str, ops: str) -> None:
    """The same function in the newer opset."""
    assert moved(text, before, after).ops == ops


@pytest.mark.parametrize(("before", "after", "text", "reason"), REFUSED)
def test_refused(before: int, after: int, text: str, reason: str) -> None:
    """What can't be said is refused."""
    assert reason in refused(text, before, after)


def test_a_scale_by_group_is_repeated_for_each_channel() -> None:
    """np.repeat, exactly; onnx's own converter keeps the short one."""
    text = (
        IMAGES
        + "<float[2] s = {2, 3}, float[2] b = {-1, 1}> { y = GroupNormalization<num_groups=2>(x, s, b) }"
    )
    found = moved(text, 18, 21)
    arrays = [numpy_helper.to_array(tensor) for tensor in found.proto.graph.initializer]
    assert [array.tolist() for array in arrays] == [[2] * 3 + [3] * 3, [-1] * 3 + [1] * 3]
    assert [tensor.name for tensor in found.proto.graph.initializer] == ["y_scale", "y_bias"]


def test_statistics_for_each_position_are_a_scale_and_a_shift() -> None:
    """spatial=0, which opset 9 took away."""
    declared = "<float[6,2] scale, float[6,2] b, float[6,2] mean, float[6,2] variance>"
    body = "{ y = BatchNormalization<spatial=0>(x, scale, b, mean, variance) }"
    proto = parsed("g (float[3,6,2] x) => (float[3,6,2] y) " + declared + body, opset=7)
    weights = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    model = ir.from_proto(proto)
    move(model, 9)
    assert [node.op_type for node in model.graph] == ["Add", "Sqrt", "Sub", "Div", "Mul", "Add"]
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)
    scale = weights["scale"] / np.sqrt(weights["variance"] + 1e-5)
    expected = (x - weights["mean"]) * scale + weights["b"]
    np.testing.assert_allclose(evaluate(model, {"x": x})["y"], expected, 1e-5, 1e-6)


def test_more_outputs_than_one_are_training() -> None:
    """Which opset 14 says in an attribute; it has three outputs left."""
    body = "{ y, m, v, sm, sv = BatchNormalization<momentum=0.8>(x, scale, b, mean, variance) }"
    proto = parsed(STATISTICS + NORM + body, opset=9)
    model = ir.from_proto(proto)
    move(model, 15)
    x = np.random.default_rng(0).normal(size=(2, 6, 4, 4)).astype(np.float32)
    weights = [numpy_helper.to_array(t) for t in proto.graph.initializer]
    norm = CATALOGUE["BatchNormTraining"]
    expected = norm.reference(x, *weights, epsilon=1e-5, momentum=0.8, outputs=3)
    found = evaluate(model, {"x": x})
    for name, truth in zip("ymv", expected, strict=True):
        np.testing.assert_allclose(found[name], truth, 1e-6, 1e-6)


def test_a_group_norm_at_the_opset_that_deprecates_it_stays_among_its_own() -> None:
    """From 18 to 20 nothing changes about it."""
    proto = parsed(
        IMAGES + "<float[2] s, float[2] b> { y = GroupNormalization<num_groups=2>(x, s, b) }",
        opset=18,
    )
    model = ir.from_proto(proto)
    assert move(model, 20).applied == ()
    assert model.opset_imports[""] == 20


@pytest.mark.parametrize(("before", "after"), [(17, 21), (21, 17), (17, 13), (13, 23), (14, 15)])
def test_functions_of_the_catalogue_are_built_anew(before: int, after: int) -> None:
    """A call says the type of Y below opset 15 only."""
    call = CATALOGUE["LayerNorm"].define((2, 3, 8), scale=(8,), bias=np.ones(8, np.float32))
    found = moved(ir.to_proto(call.model("function", opset=before)), before, after)
    assert found.ops.startswith("LayerNorm ")
    assert ("to" in found.attributes("LayerNorm")) == (after < 15)
    (function,) = found.proto.functions
    assert function == ir.to_proto(CATALOGUE["LayerNorm"].function(after))


def test_a_call_of_the_catalogue_needs_opset_13() -> None:
    """The reason has the way out."""
    call = CATALOGUE["RMSNorm"].define((2, 8), scale=np.ones(8, np.float32))
    reason = refused(ir.to_proto(call.model("function", opset=17)), 17, 12)
    assert reason == "functions of the catalogue need opset 13; write it as primitives"
