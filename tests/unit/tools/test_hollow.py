"""Models without their weights, and models in float16."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from normonnx.runtime.oracle import evaluate
from tools.evidence.halves import halved
from tools.evidence.hollow import filled, hollowed

_TEXT = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N, 8, 6, 6] x) => (float[N, 64, 6, 6] y) <float two = {2}, float e = {1e-5}> {
  c = Conv<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(x, w)
  m = ReduceMean<axes = [1]>(c) d = Sub(c, m) q = Pow(d, two) v = ReduceMean<axes = [1]>(q)
  t = Add(v, e) s = Sqrt(t) z = Div(d, s)
  y = BatchNormalization(z, g, b, mean, var)
}
"""


@pytest.fixture
def model() -> onnx.ModelProto:
    """A convolution, a LayerNorm over channels taken apart, and a BatchNorm."""
    source = np.random.default_rng(0)
    found: onnx.ModelProto = onnx.parser.parse_model(_TEXT)
    weights = {
        "w": source.normal(0.5, 0.1, (64, 8, 3, 3)),
        "g": source.normal(1, 0.1, 64),
        "b": source.normal(0, 0.1, 64),
        "mean": source.normal(0, 0.1, 64),
        "var": source.uniform(0.5, 2, 64),
    }
    for name, array in weights.items():
        found.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    return found


def test_large_weights_go_and_come_back_alike(model: onnx.ModelProto) -> None:
    """Shape, type, mean and deviation stay; small weights keep their numbers."""
    before = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    hollow = hollowed(model)
    assert len(hollow.SerializeToString()) < len(model.SerializeToString()) / 5
    after = {t.name: numpy_helper.to_array(t) for t in filled(hollow, 1).graph.initializer}
    assert after["w"].shape == before["w"].shape
    assert after["w"].dtype == np.float32
    assert after["w"].mean() == pytest.approx(0.5, abs=0.02)
    assert after["w"].std() == pytest.approx(0.1, rel=0.1)
    assert all(np.array_equal(after[n], before[n]) for n in ("g", "b", "mean", "var"))
    onnx.checker.check_model(hollow, full_check=True)


def test_the_same_seed_draws_the_same_weights(model: onnx.ModelProto) -> None:
    """And another one others."""
    drawn = [filled(hollowed(model), seed).SerializeToString() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_half_keeps_what_a_normalization_is_made_of_in_single(model: onnx.ModelProto) -> None:
    """Sums of squares stay in float32 between casts; everything else is float16."""
    found = halved(model)
    assert found.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    types = {t.name: t.data_type for t in found.graph.initializer}
    assert types["w"] == onnx.TensorProto.FLOAT16
    x = np.random.default_rng(1).standard_normal((2, 8, 6, 6))
    truth = evaluate(ir.from_proto(model), {"x": x.astype(np.float32)})["y"]
    near = evaluate(ir.from_proto(found), {"x": x.astype(np.float16)})["y"]
    assert np.max(np.abs(near - truth)) < 0.05
    kept = {n.op_type: n.input[0] for n in found.graph.node if n.op_type in ("Pow", "ReduceMean")}
    casts = {n.output[0]: n.attribute[0].i for n in found.graph.node if n.op_type == "Cast"}
    assert casts[kept["Pow"]] == onnx.TensorProto.FLOAT
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
