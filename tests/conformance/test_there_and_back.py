"""Models move to newer opsets, back, and to old ones without normalization operators."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.checker
import pytest

pytest.importorskip("onnxruntime", reason="it runs ONNX Runtime: install normonnx[cpu]")

import onnx_ir as ir
import onnxruntime

import normonnx
from normonnx.catalogue.operators import norm_of
from tests.rewriting import parsed

DEMO = Path(normonnx.__file__).parent / "cli" / "demo.onnx"
TEXT = """g (float[N, 8, 12, 12] x) => (float[N, 36, 16] y)
    <float[16, 8, 3, 3] w, float[4] one, float[4] zero, float[16, 1, 1] gamma, float[16, 1, 1] beta, float[16, 16] m, float[16] scale, float[16] bias,
     float epsilon = {1e-5}, float two = {2.0}, int64[3] groups = {0, 4, -1}, int64[3] rows = {0, 16, -1}> {
    c = Conv<pads = [1, 1, 1, 1]>(x, w)
    r = Reshape(c, groups)
    i = InstanceNormalization(r, one, zero)
    s = Shape(c)
    b = Reshape(i, s)
    g = Mul(b, gamma)
    n = Add(g, beta)
    p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(n)
    t = Reshape(p, rows)
    u = Transpose<perm = [0, 2, 1]>(t)
    mean = ReduceMean<axes = [-1]>(u)
    d = Sub(u, mean)
    q = Pow(d, two)
    v = ReduceMean<axes = [-1]>(q)
    e = Add(v, epsilon)
    o = Sqrt(e)
    z = Div(d, o)
    l = Mul(z, scale)
    a = Add(l, bias)
    h = MatMul(a, m)
    f = Softmax<axis = -1>(h)
    y = Relu(f)
}"""


def stop(model: ir.Model, opset: int, style: str | None = None) -> ir.Model:
    """The model at another opset; the verdict is pass, and onnx and ONNX Runtime take it."""
    found = normonnx.optimize(model, opset=opset, style=style, verify="final")  # type: ignore[arg-type]
    assert found.report.verification is not None
    assert found.report.verification.passed, found.report.verification
    proto = ir.to_proto(found.model)
    assert {each.domain: each.version for each in proto.opset_import}[""] == opset
    onnx.checker.check_model(proto, full_check=True)
    onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return found.model


def norms(model: ir.Model) -> list[str]:
    """Normalization operators of a model."""
    return sorted(node.op_type for node in model.graph if norm_of(node.domain, node.op_type))


@pytest.mark.parametrize("style", [None, "native"])
def test_up_and_back_and_down(style: str | None) -> None:
    """From 13 to 23, back to 13, and to 9 in primitives: right at every stop."""
    model = ir.from_proto(parsed(TEXT, opset=13))
    up = stop(model, 23, style)
    assert "LayerNormalization" in norms(up)
    assert style is None or "GroupNormalization" in norms(up)
    back = stop(up, 13, style)
    assert not {"LayerNormalization", "GroupNormalization"} & set(norms(back))
    for start in (model, up, back):
        old = stop(start, 9, "primitive")
        assert not norms(old)
    report = normonnx.validate(old, against=model)
    assert report.passed


@pytest.mark.parametrize("journey", [(23, 13, 9), (9, 17, 21)])
def test_the_demo_model(journey: tuple[int, ...], tmp_path: Path) -> None:
    """A GroupNorm, an LRN, a channels-first LayerNorm and a LayerNormalization, from 17 on."""
    model = normonnx.load(DEMO)
    for opset in journey:
        style = "primitive" if opset < 13 else None
        model = stop(model, opset, style)
    normonnx.save(model, tmp_path / "last.onnx")
    assert normonnx.validate(tmp_path / "last.onnx", against=DEMO).passed
