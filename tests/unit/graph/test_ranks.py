"""Dimensions of values: by rules, by inference, and never by what the file says of itself if avoidable."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from normonnx.graph.constants import Constants
from normonnx.graph.ranks import Ranks
from tests.rewriting import parsed, rewritten


def _ranks(text: str, *, opset: int = 18) -> tuple[Ranks, dict[str, ir.Value]]:
    model = ir.from_proto(parsed(text, opset=opset))
    graphs = [model.graph, *model.graph.subgraphs(), *(f.graph for f in model.functions.values())]
    values = {v.name or "": v for graph in graphs for node in graph for v in node.outputs}
    values.update(
        (v.name or "", v) for v in (*model.graph.inputs, *model.graph.initializers.values())
    )
    return Ranks(model, Constants(model)), values


RULES = [
    # nodes that make v of x [N,3,8,8], m [N,T,6], the weights w [4,3,3,3], u [6,5], s [3]; dimensions
    pytest.param("v = Relu(x)", (None, 3, 8, 8), id="elementwise"),
    pytest.param("v = Conv(x, w)", (None, 4, 6, 6), id="Conv"),
    pytest.param("v = ConvTranspose(x, t)", (None, 2, None, None), id="ConvTranspose"),
    pytest.param("v = MaxPool<kernel_shape = [2,2]>(x)", (None, 3, 7, 7), id="pool"),
    pytest.param("v = GlobalAveragePool(x)", (None, 3, 1, 1), id="global pool"),
    pytest.param("v = MatMul(m, u)", (None, None, 5), id="MatMul"),
    pytest.param("f = Flatten(x) v = Gemm(f, h)", (None, 7), id="Gemm"),
    pytest.param("f = Flatten(x) v = Gemm<transB = 1>(f, h)", (None, 192), id="Gemm transB"),
    pytest.param("v = Flatten(m)", (None, None), id="Flatten"),
    pytest.param("v = Transpose(m)", (6, None, None), id="Transpose"),
    pytest.param("v = Transpose<perm = [0, 2, 1]>(m)", (None, 6, None), id="Transpose perm"),
    pytest.param("v = Reshape(m, r)", (None, 2, 3, None), id="Reshape"),
    pytest.param(
        "c = Cast<to = 7>(k) v = Reshape(m, c)",
        (None, None, None),
        id="Reshape to a computed shape",
    ),
    pytest.param("v = Add(m, s6)", (None, None, 6), id="broadcast"),
    pytest.param("v = Mul(s3, x)", (None, 3, 8, 8), id="broadcast of more dimensions"),
    pytest.param("a = Add(one, one) v = Add(a, one)", (1,), id="broadcast of ones"),
    pytest.param("v = Identity(w)", (4, 3, 3, 3), id="constant"),
    pytest.param(
        "v = Conv<strides = [2,3], pads = [1,0,1,0]>(x, w)", (None, 4, 4, 2), id="strides"
    ),
    pytest.param(
        'v = Conv<auto_pad = "SAME_UPPER", strides = [3,1]>(x, w)', (None, 4, 3, 8), id="SAME"
    ),
    pytest.param("v = Unsqueeze(m, ones)", (None, 1, None, 6), id="Unsqueeze"),
    pytest.param("u1 = Unsqueeze(m, ones) v = Squeeze(u1, ones)", (None, None, 6), id="Squeeze"),
    pytest.param("v = Concat<axis = 1>(x, x)", (None, 6, 8, 8), id="Concat"),
    pytest.param("v, v2 = Split<axis = -1>(s6)", (3,), id="Split"),
    pytest.param("v = ReduceMean<keepdims = 0>(x, ones)", (None, 8, 8), id="ReduceMean"),
    pytest.param("v = Gather<axis = 1>(x, two)", (None, 2, 8, 8), id="Gather"),
    pytest.param("v = Slice(x, ones, fours, ones)", (None, 2, 8, 8), id="Slice"),
    pytest.param("v = Expand(m, e)", (1, 5, None, 6), id="Expand"),
    pytest.param("v = Pad(x, p)", (None, 3, 9, 10), id="Pad"),
    pytest.param(
        "s = Shape<end = 1>(x) t = Concat<axis = 0>(s, three, mone) v = Reshape(x, t)",
        (None, 3, 64),
        id="Reshape to a shape computed from the batch",
    ),
    pytest.param("a = Conv(x, w) b = BN(a) v = Dropout(b)", (None, 4, 6, 6), id="a chain"),
]
MODEL = """g (float[N,3,8,8] x, float[N,T,6] m, float[3] k) => (float[a] y) <float[4,3,3,3] w, float[3,2,2,2] t,
    float[6,5] u, float[192,7] h, float[6] s6, float[3,1,1] s3, float[1] one,
    int64[4] r = {{0, 2, 3, -1}}, int64[1] ones = {{1}}, int64[1] fours = {{3}}, int64[2] two = {{0, 2}},
    int64[4] e = {{1, 5, 1, 1}}, int64[8] p = {{0, 0, 0, 1, 0, 0, 1, 1}}, int64[1] three = {{3}}, int64[1] mone = {{-1}}, NORM4> {{ {} y = ReduceSum(v) }}"""


@pytest.mark.parametrize(("nodes", "dims"), RULES)
def test_rules(nodes: str, dims: tuple[int | None, ...]) -> None:
    """One operator suffices for most; unknown dimensions are None."""
    ranks, values = _ranks(MODEL.format(nodes))
    assert ranks.certain_dims(values["v"]) == dims
    assert ranks.dims(values["v"]) == dims
    assert ranks.rank(values["v"]) == len(dims)


def test_inference_where_no_rule_is() -> None:
    """Operators without a rule are left to shape inference, for the main graph."""
    ranks, values = _ranks(MODEL.format("i = SpaceToDepth<blocksize = 2>(x) v = Relu(i)"))
    assert ranks.certain_dims(values["v"]) is None
    assert ranks.dims(values["v"]) == (None, 12, 4, 4)


def test_answers_do_not_depend_on_the_order_of_questions() -> None:
    """A value that was only passed on the way to another is inferred all the same."""
    text = MODEL.format("i = SpaceToDepth<blocksize = 2>(x) j = Relu(i) v = Conv(j, w1)").replace(
        "float[1] one,", "float[1] one, float[2,12,1,1] w1,"
    )
    ranks, values = _ranks(text)
    ranks.dims(values["v"])
    late = ranks.dims(values["j"])
    ranks, values = _ranks(text)
    assert late == ranks.dims(values["j"]) == (None, 12, 4, 4)
    assert ranks.certain_dims(values["i"]) is None
    assert ranks.certain_dims(values["j"]) is None


def test_declared_shapes_are_the_last_resort() -> None:
    """Behind a custom operator only the file can tell."""
    ranks, values = _ranks("""
        g (float[N,3] x) => (float[N,4] y) <float[2,3,4] v> { v = local.Any(x) w = Relu(v) y = local.Any(w) }""")
    assert ranks.certain_dims(values["v"]) is None
    assert ranks.dims(values["v"]) == (2, 3, 4)
    assert ranks.dims(None) is None


def test_inference_does_not_believe_lies() -> None:
    """What can be inferred is, whatever the file declares for it."""
    text = MODEL.format("i = SpaceToDepth<blocksize = 2>(x) v = Relu(i)")
    ranks, values = _ranks(text.replace("float[1] one,", "float[1] one, float[7,7] i,"))
    assert ranks.dims(values["v"]) == ranks.dims(values["i"]) == (None, 12, 4, 4)


def test_lies_about_shapes_are_not_believed() -> None:
    """A file that declares wrong shapes for its own values folds rightly all the same."""
    found = rewritten("""
        <ir_version: 8, opset_import: ["": 17]>
        g (float[N,4,5,4] x) => (float[N,4,5,4] y)
        <float[4,4,1,1] w, float[4] k, float[7,4] c, float[1000000,4] r> {
            r = Relu(x) c = Conv(r, w) y = Mul(c, k)
        }""")
    assert not found.report.modified
    assert "over axes (3,)" in found.refused["y"]


def test_bodies_use_what_their_inputs_declare() -> None:
    """Inside a Loop the rules work from the body's inputs."""
    ranks, values = _ranks("""
        g (float[N,3] x, bool go) => (float[N,3] y) <int64 trips = {2}> {
            y = Loop(trips, go, x) <body = b (int64 i, bool before, float[N,3] state) => (bool after, float[N,3] next) {
                after = Identity(before) next = Neg(state) }>
        }""")
    assert ranks.dims(values["next"]) == (None, 3)


def test_attributes_of_functions_are_unknown() -> None:
    """A perm or transB that the caller gives leaves the dimensions open."""
    ranks, values = _ranks("""
        <ir_version: 8, opset_import: ["": 18, "local": 1]>
        g (float[2,2] x) => (float[2,2] y) { y = local.f<order = [1, 0], flip = 1>(x) }
        <domain: "local", opset_import: ["": 18]>
        f <order, flip> (x) => (out) {
            w = Constant<value = float[2,3] {1, 2, 3, 4, 5, 6}>()
            a = Identity(w)
            b = Gemm<transB: int = @flip>(x, w)
            r = Constant<value = int64[2] {3, 2}>()
            c = Reshape(x, r)
            out = Transpose<perm: ints = @order>(c)
        }""")
    assert ranks.certain_dims(values["b"]) == (2, None)
    assert ranks.certain_dims(values["out"]) == (None, None)


def test_deep_graphs() -> None:
    """Thousands of nodes are no recursion."""
    length = 3000
    body = " ".join(f"v{i + 1} = Relu(v{i})" for i in range(length))
    ranks, values = _ranks(f"g (float[2,3] v0) => (float[2,3] v{length}) {{ {body} }}")
    assert ranks.dims(values[f"v{length}"]) == (2, 3)
