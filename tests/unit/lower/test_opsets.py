"""A whole model in another opset: subgraphs, functions, versions, names, and what is refused."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx import optimize
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UsageError
from normonnx.core.events import Event
from normonnx.lower.opsets import move, obstacles
from tests.rewriting import graphs_of, parsed
from tests.unit.lower.moved import moved, refused

REDUCED: Final = "g (float[2,3] x) => (float[2,1] y) { y = ReduceMean<axes=[1]>(x) }"
BRANCHES: Final = """g (bool c, float[2,3] x) => (float[2,1] y) {
    y = If (c) <
        then_branch = a () => (float[2,1] p) { p = ReduceMean<axes=[1]>(x) },
        else_branch = b () => (float[2,1] q) { q = ReduceMax<axes=[1]>(x) }> }"""
LOOP: Final = """g (float[2,3] x, int64 n, bool c) => (float[2,3] y) {
    y = Loop (n, c, x) <body = b (int64 i, bool go, float[2,3] s) => (bool on, float[2,3] t) {
        on = Identity(go) m = ReduceMean<axes=[1]>(s) t = Sub(s, m) }> }"""
FUNCTION: Final = """<ir_version: 8, opset_import: ["": 13, "local": 1]>
g (float[2,3] x) => (float[2,1] y) { y = local.mean(x) }
<domain: "local", opset_import: ["": 13]> mean (a) => (b) { b = ReduceMean<axes=[1]>(a) }"""
PARAMETER: Final = """<ir_version: 8, opset_import: ["": 13, "local": 1]>
g (float[2,3] x) => (float[2,3] y) { y = local.lrelu<slope=0.3>(x) }
<domain: "local", opset_import: ["": 13]> lrelu <slope>(a) => (b) { b = LeakyRelu<alpha: float = @slope>(a) }"""
STEERED: Final = """<ir_version: 8, opset_import: ["": 13, "local": 1]>
g (float[2,3] x) => (float[2,1] y) { y = local.mean<along=[1]>(x) }
<domain: "local", opset_import: ["": 13]> mean <along>(a) => (b) { b = ReduceMean<axes: ints = @along>(a) }"""
ML: Final = """<ir_version: 8, opset_import: ["": 13, "ai.onnx.ml": 3]>
g (float[2,3] x) => (float[2,1] y) {
    s = ai.onnx.ml.Scaler<offset=[1.0,2.0,3.0], scale=[0.5,0.5,2.0]>(x) y = ReduceMean<axes=[1]>(s) }"""

REFUSED = [
    pytest.param(
        10,
        9,
        "g (float[2,3] x) => (float[2,3] y, bool[2,3] m) { y, m = Dropout(x) }",
        "its mask is read",
        id="a mask that is read",
    ),
    pytest.param(
        19,
        18,
        "g (float[2,3] x) => (float8e4m3fn[2,3] y) { y = Cast<to=17>(x) }",
        "Cast-13 doesn't give float8e4m3fn",
        id="Cast to a type that came later",
    ),
    pytest.param(
        11,
        13,
        'g (float[1,1,4,4] x) => (float[1,1,8,8] y) <float[0] r = {}, float[4] s = {1,1,2,2}> { y = Resize<coordinate_transformation_mode="tf_half_pixel_for_nn">(x, r, s) }',
        "its coordinates 'tf_half_pixel_for_nn' went with opset 13",
        id="coordinates that went",
    ),
    pytest.param(
        13,
        8,
        "g (bool[3] c, float[3] x, float[3] z) => (float[3] y) { y = Where(c, x, z) }",
        "Where came with opset 9",
        id="an operator that came later",
    ),
    pytest.param(
        18,
        13,
        "g (float[2,3] x, int64[1] a) => (float[M,K] y) { y = ReduceMean(x, a) }",
        "its axes must be constant in opset 17",
        id="axes at run time",
    ),
    pytest.param(
        18,
        13,
        "g (float[2,3] x) => (float[2,3] y) <int64[0] a = {}> { y = ReduceL1<noop_with_empty_axes=1>(x, a) }",
        "it reduces over no axes",
        id="a reduction over no axes that is more than nothing",
    ),
    pytest.param(
        14,
        13,
        "g (float[N,4] x, int64[2] s) => (float[M,K] y) { y = Reshape<allowzero=1>(x, s) }",
        "the shape 's' is given by the caller",
        id="allowzero of a shape at run time",
    ),
    pytest.param(
        14,
        13,
        "g (float[0,4] x) => (float[0,2] y) <int64[2] s = {0,2}> { y = Reshape<allowzero=1>(x, s) }",
        "axis of length 0",
        id="allowzero with a zero",
    ),
    pytest.param(
        12,
        11,
        "g (float[2,3] x) => (float[2,3] y) <float r = {0.5}, bool t = {1}> { y = Dropout(x, r, t) }",
        "training_mode is true",
        id="Dropout in training",
    ),
    pytest.param(
        13,
        9,
        "g (float[4,3] x) => (float[2,3] y) <int64[1] s = {0}, int64[1] e = {4}, int64[1] a = {0}, int64[1] t = {2}> { y = Slice(x, s, e, a, t) }",
        "its steps are [2]",
        id="Slice with steps",
    ),
    pytest.param(
        18,
        13,
        "g (float[2,N] x) => (float[2,M] y, float[2,K] z) { y, z = Split<axis=1, num_outputs=2>(x) }",
        "whether axis 1 divides into 2 equal parts is not known",
        id="Split of an unknown length",
    ),
    pytest.param(
        19,
        18,
        'g (float[2,3] x) => (float[2,5] y) <int64[4] p = {0,1,0,1}> { y = Pad<mode="wrap">(x, p) }',
        "its mode 'wrap' came with opset 19",
        id="Pad that wraps",
    ),
    pytest.param(
        16,
        15,
        'g (float[3] x, float[2] u) => (float[3] y) <int64[2,1] i = {0,0}> { y = ScatterND<reduction="add">(x, i, u) }',
        "its attribute reduction = add",
        id="ScatterND that adds",
    ),
    pytest.param(
        18,
        16,
        'g (float[3] x, float[2] u) => (float[3] y) <int64[2,1] i = {0,0}> { y = ScatterND<reduction="max">(x, i, u) }',
        "its reduction 'max' came with opset 18",
        id="ScatterND that takes the larger",
    ),
    pytest.param(
        13,
        10,
        'g (float[1,1,4,4] x) => (float[1,1,6,6] y) <float[4] s = {1,1,1.5,1.5}> { y = Resize<mode="linear">(x, , s) }',
        "its coordinates ('half_pixel') came with opset 11",
        id="Resize by the centres of pixels",
    ),
    pytest.param(
        13,
        10,
        'g (float[1,1,4,4] x) => (float[1,1,8,8] y) <float[4] s = {1,1,2,2}> { y = Resize<mode="cubic">(x, , s) }',
        "its mode 'cubic' came with opset 11",
        id="Resize by cubes",
    ),
    pytest.param(
        13,
        11,
        "g (int64[2] x, int64[2] z) => (int64[2] y) { y = Pow(x, z) }",
        "its base is of type int64",
        id="Pow of int64",
    ),
    pytest.param(
        13,
        8,
        "g (int64[2] x, int64[2] z) => (bool[2] y) { y = Less(x, z) }",
        "Less-7 doesn't take int64",
        id="Less of int64",
    ),
    pytest.param(
        13,
        12,
        "g (bfloat16[2] x) => (bfloat16[2] y) { y = Relu(x) }",
        "doesn't take bfloat16",
        id="bfloat16",
    ),
    pytest.param(
        14,
        13,
        "g (float[2,1,4] x) => (float[2,1,1,3] y) <float[1,12,4] w, float[1,12,3] r> { y = LSTM<hidden_size=3, layout=1>(x, w, r) }",
        "its attribute layout = 1",
        id="LSTM with the batch first",
    ),
    pytest.param(
        8,
        7,
        "g (float[1] x) => (float[] y) <int64[1] s = {10000000000000}> { y = Expand(x, s) }",
        "would be too large",
        id="Expand to terabytes",
    ),
    pytest.param(
        8,
        7,
        "g (float[1] x) => (float[] y) <int64[2] s = {2, -3}> { y = Expand(x, s) }",
        "has a negative length",
        id="Expand to a negative length",
    ),
    pytest.param(
        13,
        11,
        "g (float[1] x) => (float[] y) { n = Constant<value_ints = [70000]>() "
        "a = ConstantOfShape<value = int64[1] {0}>(n) y = Unsqueeze(x, a) }",
        "an array of 70,000 numbers",
        id="Unsqueeze along very many axes",
    ),
    pytest.param(
        9,
        8,
        "g () => (float[] y) <int64[1] s = {10000000000000}> { y = ConstantOfShape(s) }",
        "would be too large",
        id="ConstantOfShape of terabytes",
    ),
    pytest.param(
        15,
        9,
        "g (float[1,2,3] x) => (float[1,2,3] y) <float[2] s, double m = {1}, double[2] v> "
        "{ y = BatchNormalization(x, s, s, m, v) }",
        "'m' has 0 dimensions, expected one",
        id="BatchNormalization of a mean that is no vector",
    ),
    pytest.param(
        25,
        24,
        "g (float[1,2,3,8] q, float[1,2,3,8] k, float[1,2,3,8] v) => (float[1,2,3,8] y) { y = Attention<left_window_size=1>(q, k, v) }",
        "its attribute left_window_size = 1",
        id="Attention with a window",
    ),
    pytest.param(
        24,
        23,
        "g (float[1,2,3,8] q, float[1,2,3,8] k, float[1,2,3,8] v, int64[1] n) => (float[1,2,3,8] y) { y = Attention(q, k, v, , , , n) }",
        "it has 7 inputs and Attention-23 6",
        id="Attention of padded keys",
    ),
]


@pytest.mark.parametrize(("before", "after", "text", "reason"), REFUSED)
def test_refused(before: int, after: int, text: str, reason: str) -> None:
    """What an opset can't say leaves the model as it is."""
    assert reason in refused(text, before, after)


def test_all_nodes_that_can_not_move_are_named() -> None:
    """In one message, with the way out; what could move isn't, either."""
    text = """g (bool[2,1] c, float[2,3] x) => (float[2,1] y) {
        m = ReduceMean<axes=[-1]>(x) w = Where(c, m, m) y = Round(w) }"""
    proto = parsed(text, opset=13)
    for node in proto.graph.node:
        node.name = f"the {node.op_type}"
    with pytest.raises(UsageError) as raised:
        move(ir.from_proto(proto), 7)
    assert str(raised.value) == (
        "the model can't move from opset 13 to 7, and is unchanged: 'the Where' (Where): Where came "
        "with opset 9; 'the Round' (Round): Round came with opset 11. Choose another opset, or "
        "export the model again for 7"
    )


@pytest.mark.parametrize("opset", [0, 6, 99])
def test_an_opset_that_there_is_not(opset: int) -> None:
    """The range is in the message."""
    model = ir.from_proto(parsed(REDUCED, opset=13))
    highest = onnx.defs.onnx_opset_version()
    for ask in (move, obstacles):
        with pytest.raises(UsageError, match=f"opset {opset} .*expected 7 to {highest}"):
            ask(model, opset)


@pytest.mark.parametrize("text", [BRANCHES, LOOP], ids=["If", "Loop"])
def test_the_graphs_of_control_flow_move(text: str) -> None:
    """Their constants are their own."""
    found = moved(text, 13, 18)
    inner = [g for g in graphs_of(found.proto) if g.name in ("a", "b")]
    assert all(len(n.input) == 2 for g in inner for n in g.node if n.op_type.startswith("Reduce"))
    assert not found.proto.graph.initializer
    moved(found.proto, 18, 11)


def test_functions_move() -> None:
    """A function holds constants as nodes; its import is the model's."""
    found = moved(onnx.parser.parse_model(FUNCTION), 13, 18)
    assert found.ops == "mean Constant ReduceMean"
    back = moved(found.proto, 18, 13)
    assert back.ops == "mean ReduceMean"


def test_what_a_parameter_says_passes_where_nothing_reads_it() -> None:
    """Only what must be read can't be a parameter of the function."""
    assert moved(onnx.parser.parse_model(PARAMETER), 13, 23).ops == "lrelu LeakyRelu"
    reason = refused(onnx.parser.parse_model(STEERED), 13, 18)
    assert reason == "its axes is a parameter of the function around it; inline that first"


@pytest.mark.parametrize(
    ("before", "after", "node"),
    [
        (13, 9, "y = Constant<value_float: float = @p>()"),
        (13, 9, "y = Constant<value_ints: ints = @p>()"),
        (9, 8, "y = ConstantOfShape<value: tensor = @p>(x)"),
        (8, 9, "y = Upsample<scales: floats = @p>(x)"),
        (17, 18, "y = ReduceMax<axes: ints = @p>(x)"),
        (9, 11, "y = Clip<min: float = @p>(x)"),
        (12, 13, "y = Softmax<axis: int = @p>(x)"),
    ],
)
def test_what_the_caller_of_a_function_gives_is_no_number_yet(
    before: int, after: int, node: str
) -> None:
    """A node that would have to be written with its value stays, and is named."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {before}, "local": 1]> '
        "g (int64[1] x) => (float[] y) { y = local.f(x) } "
        f'<domain: "local", opset_import: ["": {before}]> f <p>(x) => (y) {{ {node} }}'
    )
    assert "parameter of the function around it; inline that first" in refused(model, before, after)


def test_other_domains_stay() -> None:
    """Their version, and their nodes."""
    found = moved(onnx.parser.parse_model(ML), 13, 18)
    assert found.ops == "Scaler ReduceMean"


def test_the_other_name_of_the_domain_is_kept() -> None:
    """ai.onnx is the default domain."""
    proto = parsed(REDUCED, opset=13)
    proto.opset_import[0].domain = "ai.onnx"
    for node in proto.graph.node:
        node.domain = "ai.onnx"
    model = ir.from_proto(proto)
    assert len(move(model, 18).applied) == 1
    assert (model.opset_imports["ai.onnx"], model.opset_imports.get("")) == (18, None)


def test_the_opset_that_a_model_has_changes_nothing() -> None:
    """Not a byte, and no event."""
    proto = parsed(REDUCED, opset=13)
    model = ir.from_proto(proto)
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    done = move(model, 13)
    assert (done.applied, done.modified) == ((), False)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_every_rewrite_is_an_event() -> None:
    """What it was and what it is; the observer sees the finished model."""
    model = ir.from_proto(parsed(REDUCED, opset=13))
    seen: list[tuple[str, int]] = []
    done = move(model, 18, observer=lambda e: seen.append((e.reason, model.opset_imports[""])))
    reason = "ReduceMean-13 is ReduceMean-18 in opset 18"
    assert done.applied == (Event("move-opset", "y", "ReduceMean", reason, 1, 1, ("y",)),)
    assert seen == [(reason, 18)]


def test_what_is_kept_must_not_change() -> None:
    """A node that means something else in the other opset can't stay as it is."""
    model = ir.from_proto(parsed(REDUCED, opset=13))
    with pytest.raises(UsageError, match="it is kept as asked, and means something else there"):
        move(model, 18, keep=["y"])
    assert obstacles(model, 18, keep=["x"]) == ()


def test_metadata_survives() -> None:
    """Of nodes, of values and of the model."""
    proto = parsed(REDUCED, opset=13)
    proto.graph.node[0].metadata_props.add(key="scope", value="net.head")
    proto.graph.value_info.add(name="y")
    proto.metadata_props.add(key="author", value="someone")
    proto.doc_string = "a model"
    model = ir.from_proto(proto)
    model.graph.node(0).outputs[0].metadata_props["unit"] = "metre"
    move(model, 18)
    (node,) = model.graph
    assert node.metadata_props == {"scope": "net.head"}
    assert node.outputs[0].metadata_props == {"unit": "metre"}
    assert (model.doc_string, model.metadata_props) == ("a model", {"author": "someone"})


def test_weights_are_not_read() -> None:
    """A tensor that says so when it is asked for its numbers."""

    def fail() -> ir.TensorProtocol:
        message = "the weight was read"
        raise AssertionError(message)

    model = ir.from_proto(
        parsed("g (float[2,3] x) => (float[2,4] y) <float[3,4] w> { y = MatMul(x, w) }", opset=7)
    )
    weight = model.graph.initializers["w"]
    weight.const_value = ir.LazyTensor(fail, ir.DataType.FLOAT, ir.Shape([3, 4]), name="w")
    for opset in (28, 7):
        move(model, opset)
        assert model.graph.initializers["w"] is weight


def test_an_ir_version_in_which_initializers_are_inputs() -> None:
    """A new constant is an input, too, and goes with its reader's next version."""
    proto = parsed(REDUCED, opset=8, ir_version=3)
    found = moved(proto, 8, 18)
    assert [info.name for info in found.proto.graph.input] == ["x", "y_axes"]
    back = moved(found.proto, 18, 8)
    assert [info.name for info in back.proto.graph.input] == ["x"]


def test_a_default_that_the_caller_may_override_is_no_constant() -> None:
    """Axes that are an input with a default may be others at run time."""
    proto = parsed(
        "g (float[2,3] x) => (float[M,K] y) <int64[1] axes = {1}> { y = ReduceMean(x, axes) }",
        opset=18,
    )
    proto.graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info("axes", 7, [1]))
    assert refused(proto, 18, 13) == "its axes must be constant in opset 17"


def test_a_function_without_calls_goes_with_an_opset_that_has_none() -> None:
    """Its calls were written in primitives before."""
    call = CATALOGUE["StandardScaler"].define(("N", 2), mean=np.ones(2))
    model = call.model("function", opset=17)
    moved = optimize(model, style="primitive", opset=11, verify="final")
    assert [node.op_type for node in moved.model.graph] == ["Sub"]
    assert not moved.model.functions
    assert moved.report.verification is not None
    assert moved.report.verification.passed
