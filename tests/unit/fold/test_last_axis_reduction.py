"""Products that are transposed, so that the reduction after them reads their last axis."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

import normonnx
from normonnx.core.verdicts import Verdict
from tests.rewriting import Rewritten, feeds_of, rewritten

DIMS = {2: "T,8", 3: "N,T,8", 4: "N,H,T,8"}
OUTPUTS = {(2, 0): "256", (2, 1): "1,256", (3, 0): "N,256", (3, 1): "N,1,256"}
OUTPUTS |= {(4, 0): "N,H,256", (4, 1): "N,H,1,256"}


def _reduced(
    op_type: str = "ReduceMax",
    *,
    rank: int = 3,
    keeps: int = 0,
    opset: int = 17,
    negative: bool = False,
    kind: str = "float",
) -> str:
    axis = -2 if negative else rank - 2
    given = f", int64[1] axes = {{{axis}}}" if opset >= 18 else ""
    attribute = "" if opset >= 18 else f"axes = [{axis}], "
    more = ", axes" if opset >= 18 else ""
    return f"""g ({kind}[{DIMS[rank]}] x) => ({kind}[{OUTPUTS[rank, keeps]}] y) <{kind}[8,256] w{given}> {{
        [product] p = MatMul(x, w) [reduced] y = {op_type}<{attribute}keepdims = {keeps}>(p{more}) }}"""


def _run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, feeds)[0])


def _check_same_numbers(found: Rewritten) -> None:
    """ONNX Runtime gives the very numbers that it gave: the sums are short."""
    for feeds in feeds_of(found.original):
        np.testing.assert_array_equal(_run(found.proto, feeds), _run(found.original, feeds))


@pytest.mark.parametrize(
    ("rank", "keeps", "opset", "negative"),
    list(product((2, 3, 4), (0, 1), (11, 13, 18), (False, True))),
)
def test_turned(rank: int, keeps: int, opset: int, negative: bool) -> None:  # noqa: FBT001
    """Along the last axis, from opset to opset; the result keeps its shape, name and numbers."""
    text = _reduced(rank=rank, keeps=keeps, opset=opset, negative=negative)
    found = rewritten(text, opset=opset)
    assert found.ops == "Transpose MatMul ReduceMax" + " Unsqueeze" * keeps
    assert found.attributes("Transpose")["perm"] == [*range(rank - 2), rank - 1, rank - 2]
    assert found.attributes("ReduceMax")["keepdims"] == 0
    assert ("axes" in found.attributes("ReduceMax")) == (opset < 18)
    (event,) = found.report.applied
    assert (event.rule, event.removed, event.added) == ("reduce-last", 0, 1 + keeps)
    assert event.reason == (
        "MatMul 'product' transposed, so that ReduceMax 'reduced' reads its last axis"
    )
    _check_same_numbers(found)


def test_the_smallest() -> None:
    """ReduceMin is turned as ReduceMax is."""
    found = rewritten(_reduced("ReduceMin"))
    assert found.ops == "Transpose MatMul ReduceMin"
    _check_same_numbers(found)


@pytest.mark.parametrize("kind", ["double", "float16"])
def test_other_types(kind: str) -> None:
    """The weight keeps its type; ONNX Runtime has no ReduceMax of float16."""
    found = rewritten(_reduced(kind=kind))
    assert found.ops == "Transpose MatMul ReduceMax"
    assert found.weight("w").dtype == np.dtype("float16" if kind == "float16" else kind)
    if kind == "double":
        _check_same_numbers(found)


def test_each_rewrite_is_checked() -> None:
    """`verify="each"` compares the region in which axes trade places."""
    model = rewritten(_reduced(keeps=1)).original
    report = normonnx.optimize(model, verify="each").report
    assert report.checked == 1
    assert report.verification is not None
    assert report.verification.verdict is Verdict.PASS


def test_names() -> None:
    """The product's node and weight keep theirs; what is transposed gets one that says so."""
    found = rewritten(_reduced())
    transpose, matmul, reduction = found.proto.graph.node
    assert list(transpose.output) == ["x_transposed"]
    assert (matmul.name, list(matmul.input)) == ("product", ["w", "x_transposed"])
    assert list(matmul.output) == ["p_transposed"]
    assert (reduction.name, list(reduction.output)) == ("reduced", ["y"])
    before = {t.name: numpy_helper.to_array(t) for t in found.original.graph.initializer}
    np.testing.assert_array_equal(found.weight("w"), before["w"].T)


def test_what_is_said_about_the_product_stays() -> None:
    """Its doc string and metadata go with its name."""
    model = rewritten(_reduced()).original
    model.graph.node[0].doc_string = "why"
    model.graph.node[0].metadata_props.add(key="from", value="here")
    node = rewritten(model).proto.graph.node[1]
    assert (node.doc_string, node.metadata_props[0].value) == ("why", "here")


def test_after_a_bias_and_a_rectifier() -> None:
    """`reduce-early` moves the reduction to the product first; the bias then meets one row."""
    found = rewritten(
        """g (float[N,T,8] x) => (float[N,256] y) <float[8,256] w, float[256] b> {
        p = MatMul(x, w) a = Add(p, b) r = Relu(a) y = ReduceMax<axes = [1], keepdims = 0>(r) }"""
    )
    assert found.ops == "Transpose MatMul ReduceMax Add Relu"
    assert [event.rule for event in found.report.applied] == ["reduce-early", "reduce-last"]


def test_a_scaled_weight_is_rounded_once() -> None:
    """What was folded into the weight before is part of it before it is rounded."""
    found = rewritten(
        """g (float[N,T,8] x) => (float[N,256] y) <float[8,256] w, float[256] s> {
        p = MatMul(x, w) m = Mul(p, s) y = ReduceMax<axes = [1], keepdims = 0>(m) }"""
    )
    assert found.ops == "Transpose MatMul ReduceMax"
    before = {t.name: numpy_helper.to_array(t) for t in found.original.graph.initializer}
    exact = before["w"].astype(np.float64) * before["s"]
    np.testing.assert_array_equal(found.weight("w"), exact.T.astype(np.float32))


SWAPPED = "g (float[N,8,T] z) => (float[N,256] y OUT) <float[8,256] w> { [swap] x = Transpose<perm = [0, 2, 1]>(z) "
REDUCED = "[product] p = MatMul(x, w) [reduced] y = ReduceMax<axes = [1], keepdims = 0>(p) }"


def test_a_transpose_that_is_there() -> None:
    """It is not made anew, and goes."""
    found = rewritten(SWAPPED.replace(" OUT", "") + REDUCED)
    assert found.ops == "MatMul ReduceMax"
    (event,) = found.report.applied
    assert (event.removed, event.added, event.nodes) == (1, 0, ("swap",))
    _check_same_numbers(found)


def test_a_transpose_that_others_read() -> None:
    """What it reads is read; the others read on."""
    found = rewritten(SWAPPED.replace(" OUT", ", float[N,T,8] e") + "e = Exp(x) " + REDUCED)
    assert found.ops == "Transpose Exp MatMul ReduceMax"
    (event,) = found.report.applied
    assert (event.removed, event.added) == (0, 0)


def test_a_transpose_that_is_kept() -> None:
    """It stays, with another after it."""
    found = rewritten(SWAPPED.replace(" OUT", "") + REDUCED, keep=["swap"])
    assert found.ops == "Transpose Transpose MatMul ReduceMax"


def test_a_transpose_of_another_domain() -> None:
    """What only has the name of the operator is not looked through."""
    found = rewritten(
        """<ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,T,8] z) => (float[N,256] y) <float[8,256] w> {
            x = local.Transpose<perm = [0, 2, 1]>(z) p = MatMul(x, w)
            y = ReduceMax<axes = [1], keepdims = 0>(p) }
        <domain: "local", opset_import: ["": 17]> Transpose <perm> (a) => (c) { c = Exp(a) }"""
    )
    assert "Transpose MatMul ReduceMax" in found.ops


def test_a_transpose_outside_the_subgraph() -> None:
    """It is there whichever branch is taken; another stands after it."""
    found = rewritten(
        """g (float[N,8,T] z, bool flag) => (float[N,256] y) <float[8,256] w, float[N,256] c> {
        x = Transpose<perm = [0, 2, 1]>(z) y = If (flag) <
            then_branch = then () => (float[N,256] t) {
                p = MatMul(x, w) t = ReduceMax<axes = [1], keepdims = 0>(p) },
            else_branch = other () => (float[N,256] e) { e = Identity(c) }> }"""
    )
    assert found.ops == "Transpose If Transpose MatMul ReduceMax Identity"


def test_another_transpose() -> None:
    """One that moves other axes, too, and the new one are composed."""
    found = rewritten(
        "g (float[T,8,N] z) => (float[N,256] y) <float[8,256] w> { x = Transpose<perm = [2, 0, 1]>(z) "
        + REDUCED
    )
    assert found.ops == "Transpose MatMul ReduceMax"
    assert found.attributes("Transpose")["perm"] == [2, 1, 0]


def test_a_weight_from_a_node() -> None:
    """A Constant's output is a weight; the transposed one is stored."""
    found = rewritten(
        """g (float[N,T,8] x) => (float[N,256] y) <float[256,8] v> { w = Transpose(v)
        p = MatMul(x, w) y = ReduceMax<axes = [1], keepdims = 0>(p) }"""
    )
    assert found.ops == "Transpose MatMul ReduceMax"
    assert found.weight("w_folded").shape == (256, 8)


@pytest.mark.parametrize("opset", [11, 17, 18])
def test_a_subgraph(opset: int) -> None:
    """New nodes and constants stand in the graph of the reduction."""
    constant = "axes = Constant<value = int64[1] {1}>() " if opset >= 18 else ""
    axes, more = ("", ", axes") if opset >= 18 else ("axes = [1], ", "")
    found = rewritten(
        f"""g (float[N,T,8] x, bool flag) => (float[N,1,256] y) <float[8,256] w> {{
        y = If (flag) <then_branch = then () => (float[N,1,256] t) {{
            p = MatMul(x, w) {constant} t = ReduceMax<{axes}keepdims = 1>(p{more}) }},
        else_branch = other () => (float[N,1,256] e) {{
            q = MatMul(x, w) {constant} e = ReduceMin<{axes}keepdims = 1>(q{more}) }}> }}""",
        opset=opset,
    )
    branches = [attribute.g for attribute in found.proto.graph.node[0].attribute]
    for branch in branches:
        ops = [node.op_type for node in branch.node]
        assert ops[-4:-2] + ops[-1:] == ["Transpose", "MatMul", "Unsqueeze"]
        axes_held = [t.name for t in branch.initializer if "axes" in t.name]
        assert len(axes_held) == {11: 0, 17: 1, 18: 2}[opset]


def _function(call: str, parameters: str, body: str, opset: int) -> onnx.ModelProto:
    """A model that calls a function whose first node is a Constant w."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": {opset}, "local": 1]>
        g (float[N,T,8] x) => (float[N,1,256] y) {{ y = local.{call}(x) }}
        <domain: "local", opset_import: ["": {opset}]> f {parameters} (x) => (r) {{ {body} }}"""
    )
    numbers = np.random.default_rng(0).normal(size=(8, 256)).astype(np.float32)
    weight = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(numbers))
    model.functions[0].node.insert(0, weight)
    return model


@pytest.mark.parametrize("opset", [13, 18])
def test_a_function(opset: int) -> None:
    """Its constants are nodes of its own."""
    body = "p = MatMul(x, w) r = ReduceMax<axes = [1]>(p)"
    if opset >= 18:
        body = "p = MatMul(x, w) a = Constant<value = int64[1] {1}>() r = ReduceMax(p, a)"
    found = rewritten(_function("f", "", body, opset))
    assert "Transpose MatMul" in found.ops
    assert found.ops.endswith("Unsqueeze")


def test_attributes_of_a_function() -> None:
    """What a caller gives is not known."""
    body = "p = MatMul(x, w) r = ReduceMax<axes = [1], keepdims : int = @keeps>(p)"
    assert not rewritten(_function("f<keeps = 1>", "<keeps>", body, 17)).report.modified


def test_an_old_model() -> None:
    """IR version 3, where every constant is an input, too."""
    text = _reduced(opset=8, keeps=1).replace(" x)", " x, float[8,256] w)")
    found = rewritten(text, opset=8, ir_version=3)
    assert found.ops == "Transpose MatMul ReduceMax Unsqueeze"
    assert [value.name for value in found.proto.graph.input] == ["x", "w"]
