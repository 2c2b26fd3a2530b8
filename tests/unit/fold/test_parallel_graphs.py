"""Where merged branches may stand: bodies, functions, old files, files with external data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

import normonnx
from tests.rewriting import check_same_function, feeds_of, parsed, rewritten

HEAD = "g (float[N,4,H,W] x) => (float[N,4,a,b] y) "


IF = """
    g (float[N,4,H,W] x, bool p) => (float[N,4,H,W] y) <float[4,4,1,1] w, float[4,4,1,1] v> {
        r = Relu(x)
        y = If(p) <
            then_branch = t () => (float[N,4,H,W] f) { c = Conv(r, w) d = Conv(r, v) f = Add(c, d) },
            else_branch = o () => (float[N,4,H,W] h) { e = Conv(r, w) h = Add(e, r) }>
    }"""


def test_branches_inside_bodies() -> None:
    """Input and weights may come from outside; the merged weight is made inside."""
    assert rewritten(IF).ops == "Relu If Conv Conv"


def test_a_branch_outside_the_body_refuses() -> None:
    """A Conv of the graph around is computed whichever way the condition goes."""
    found = rewritten("""
        g (float[N,4,H,W] x, bool p) => (float[N,4,H,W] y) <float[4,4,1,1] w, float[4,4,1,1] v> {
            c = Conv(x, w)
            y = If(p) <
                then_branch = t () => (float[N,4,H,W] f) { d = Conv(x, v) [sum] f = Add(c, d) },
                else_branch = o () => (float[N,4,H,W] h) { h = Relu(x) }>
        }""")
    assert not found.report.modified
    assert found.refused["sum"] == "'c' comes from outside the subgraph"


def test_function_bodies() -> None:
    """Merged once for all calls; attributes that are parameters refuse."""
    text = """
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,2,H,W] x) => (float[N,2,a,b] y) {{ y = local.f{given}(x) }}
        <domain: "local", opset_import: ["": 17]>
        f {declared}(x) => (y) {{
            w = Constant<value = float[2,2,1,1] {{1, 2, 3, 4}}>()
            v = Constant<value = float[2,2,1,1] {{4, 3, 2, 1}}>()
            c = Conv(x, w)
            d = Conv{attribute}(x, v)
            [sum] y = Add(c, d)
        }}"""
    assert rewritten(text.format(given="", declared="", attribute="")).ops == "f Constant Conv"
    found = rewritten(text.format(given="<s = 1>", declared="<s>", attribute="<group: int = @s>"))
    assert not found.report.modified
    assert "its attribute group is a parameter of the function" in found.refused["sum"]


def test_ir_3_initializers() -> None:
    """Below IR 4 every initializer is an input; those merged away leave, a new bias becomes one."""
    found = rewritten(
        """g (float[N,4,H,W] x, float[4,4,1,1] w, float[4,4,1,1] v, float[4,1,1] k) => (float[N,4,H,W] y)
            <float[4,4,1,1] w, float[4,4,1,1] v, float[4,1,1] k> {
            c = Conv(x, w) d = Conv(x, v) e = Sub(k, x) f = Add(c, d) y = Add(f, e) }""",
        opset=8,
        ir_version=3,
    )
    assert found.ops == "Conv"
    assert [info.name for info in found.proto.graph.input] == ["x", "w", "w_bias"]


def test_ir_3_inputs_to_keep_refuse() -> None:
    """An input named in keep_inputs is the caller's, so it is no constant."""
    found = rewritten(
        """g (float[N,4,H,W] x, float[4,4,1,1] w, float[4,4,1,1] v) => (float[N,4,H,W] y)
            <float[4,4,1,1] w, float[4,4,1,1] v> { c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }""",
        opset=8,
        ir_version=3,
        keep_inputs=("v",),
    )
    assert not found.report.modified
    assert "'v' is a graph input, whose default the caller may override" in found.refused["sum"]


def test_weights_in_a_file_are_streamed(tmp_path: Path) -> None:
    """A merged weight that was external stays so, and what is written is what was computed."""
    model = parsed(
        HEAD
        + """<float[4,4,9,9] w, float[4,4,7,7] v> {
            c = Conv<pads=[4,4,4,4]>(x, w) d = Conv<pads=[3,3,3,3]>(x, v) y = Add(c, d) }"""
    )
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    path = tmp_path / "m.onnx"
    onnx.save(copy, path, save_as_external_data=True, location="m.data", size_threshold=0)
    result = normonnx.optimize(path)
    normonnx.save(result.model, tmp_path / "o.onnx")
    light = onnx.load(tmp_path / "o.onnx", load_external_data=False)
    assert [t.data_location for t in light.graph.initializer] == [onnx.TensorProto.EXTERNAL]
    found = onnx.load(tmp_path / "o.onnx")
    weight = result.model.graph.initializers["w"].const_value
    assert weight is not None
    assert np.array_equal(numpy_helper.to_array(found.graph.initializer[0]), weight.numpy())
    check_same_function(model, found, next(feeds_of(model)))
