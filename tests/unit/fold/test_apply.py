"""Applying plans: names, shared constants, inputs, subgraphs and functions; all or nothing."""

from __future__ import annotations

import pytest

from normonnx.graph.tensors import StreamedTensor
from tests.rewriting import rewritten

HEAD = "g (float[N,3,H,W] x) => (float[N,4,H,W] y) "
PAIR = "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) "


def test_names_survive() -> None:
    """Output, node and weight names stay; a new bias is named after its weight."""
    found = rewritten(HEAD + "<float[4,3,1,1] w, NORM4> { [conv] c = Conv(x, w) [bn] y = BN(c) }")
    (node,) = found.proto.graph.node
    assert (node.name, list(node.input), list(node.output)) == ("conv", ["x", "w", "w_bias"], ["y"])


def test_a_bias_that_comes_from_above_is_named_after_the_weight() -> None:
    """As one that comes from below; one that others read gets a name like its own."""
    text = "g (float[N,4,H] x) => (float[N,a,b] y, float[2] z) <float[2,4,1] w, float[4,1] h, float[2] k> {{ n = Add(x, h) y = Conv(n, w{}) z = Exp(k) }}"
    assert rewritten(text.format("")).weight("w_bias").shape == (2,)
    assert rewritten(text.format(", k")).weight("k_folded").shape == (2,)


def test_constants_stay_in_the_file() -> None:
    """However often a weight and a bias are rewritten, they go where the file had them."""
    found = rewritten(
        HEAD.replace("[N,3", "[N,4")
        + "<float[4,4,1,1] w, float[4] b, NORM4, float k> { n = Add(x, k) m = Mul(n, k) c = Conv(m, w, b) y = BN(c) }"
    )
    assert found.ops == "Conv"
    assert len(found.report.applied) > 1
    held = [value.const_value for value in found.model.graph.initializers.values()]
    assert not any(isinstance(tensor, StreamedTensor) and tensor.external for tensor in held)


def test_unnamed_nodes_stay_unnamed() -> None:
    """Nodes without a name get none, be they near the fold or not."""
    found = rewritten(
        HEAD + "<float[4,3,1,1] w, NORM4> { r = Relu(x) c = Conv(r, w) d = BN(c) y = Sqrt(d) }",
        compare=False,
    )
    assert [node.name for node in found.proto.graph.node] == ["", "", ""]


def test_an_add_takes_the_name_of_what_it_replaces() -> None:
    """The Add left of a BatchNormalization has its node name and output name."""
    found = rewritten(
        "g (float[N,3] x) => (float[N,4] y) <float[3,4] w, NORM4> { c = MatMul(x, w) [bn] y = BN(c) }"
    )
    add = found.proto.graph.node[1]
    assert (add.op_type, add.name, list(add.output)) == ("Add", "bn", ["y"])


def test_name_clashes_are_avoided() -> None:
    """A tensor called w_bias may exist already, in any graph."""
    found = rewritten(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] w_bias) <float[4,3,1,1] w, float[4,1,1] w_bias_folded, NORM4> {"
        " c = Conv(x, w) y = BN(c) r = Relu(x) d = Conv(r, w) e = Relu(d) w_bias = Add(e, w_bias_folded) }"
    )
    assert found.ops == "Conv Relu Conv Relu Add"
    assert found.proto.graph.node[0].input[2] == "w_bias_folded_2"


def test_the_output_of_a_graph_may_be_listed_twice() -> None:
    """Both entries keep their name."""
    found = rewritten(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> { c = Conv(x, w) y = BN(c) }",
        compare=False,
    )
    assert found.ops == "Conv"


def test_shared_weights_are_copied_on_write() -> None:
    """Two BN after Convs with one weight and bias: each gets its own, and nothing is left over."""
    found = rewritten(
        PAIR
        + "<float[4,3,1,1] w, float[4] k, NORM4> { r = Relu(x) c = Conv(x, w, k) d = Conv(r, w, k) y = BN(c) z = BN(d) }"
    )
    assert found.ops == "Relu Conv Conv"
    assert len(found.proto.graph.initializer) == 4


def test_weight_of_a_conv_that_stays() -> None:
    """A Conv that is not folded keeps the shared weight as it is."""
    found = rewritten(
        PAIR
        + "<float[4,3,1,1] w, NORM4> { r = Relu(x) c = Conv(x, w) d = Conv(r, w) y = BN(c) z = Relu(d) }"
    )
    assert found.proto.graph.node[2].input[1] == "w"
    assert found.weight("w").tobytes() == found.original.graph.initializer[0].raw_data


def test_bias_shared_with_the_statistics() -> None:
    """One tensor may be the bias of the Conv and a parameter of the BatchNormalization."""
    found = rewritten(
        HEAD
        + "<float[4,3,1,1] w, float[4] var> { c = Conv(x, w, var) y = BatchNormalization(c, var, var, var, var) }"
    )
    assert found.ops == "Conv"
    assert len(found.proto.graph.initializer) == 2


def test_weight_that_is_a_graph_output() -> None:
    """A weight that the graph also returns is copied."""
    found = rewritten(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[4,3,1,1] w) <float[4,3,1,1] w, NORM4> { c = Conv(x, w) y = BN(c) }"
    )
    assert found.ops == "Conv"
    assert found.proto.graph.node[0].input[1] == "w_folded"


def test_weights_of_constant_nodes() -> None:
    """A weight or parameter may be a Constant node; those no longer read go."""
    values = "{1, 2, 3, 4}"
    constants = " ".join(
        f"{n} = Constant<value = float[4] {values}>()" for n in ("scale", "bias", "mean", "var")
    )
    found = rewritten(
        f"g (float[N,1,H,W] x) => (float[N,4,H,W] y) {{ w = Constant<value = float[4,1,1,1] {values}>() {constants} c = Conv(x, w) y = BN(c) }}"
    )
    assert found.ops == "Conv"


@pytest.mark.parametrize(
    ("weight", "nodes"),
    [
        ("float[3,4,1,1] v", "w = Transpose<perm=[1,0,2,3]>(v)"),
        ("float16[4,3,1,1] v", "w = Cast<to=1>(v)"),
        ("float[4,3] v, int64[4] s = {4,3,1,1}", "w = Reshape(v, s)"),
        ("float[4,3,1,1] v, float[4,1,1,1] g", "w = Mul(v, g)"),
    ],
    ids=["Transpose", "Cast", "Reshape", "Mul"],
)
def test_computed_weights(weight: str, nodes: str) -> None:
    """A weight that is computed from constants is replaced by its product; what computed it goes."""
    found = rewritten(HEAD + f"<{weight}, NORM4> {{ {nodes} c = Conv(x, w) y = BN(c) }}")
    assert found.ops == "Conv"
    assert len(found.proto.graph.initializer) == 2


def test_ir_3_initializers_are_constants_and_leave_the_inputs() -> None:
    """Below IR 4 every initializer is an input; the folded ones go, a new bias becomes one."""
    found = rewritten(
        """g (float[N,3,H,W] x, float[4,3,1,1] w, float[4] scale, float[4] bias, float[4] mean, float[4] var)
            => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> { c = Conv(x, w) y = BN(c) }""",
        opset=8,
        ir_version=3,
    )
    assert found.ops == "Conv"
    assert [info.name for info in found.proto.graph.input] == ["x", "w", "w_bias"]


@pytest.mark.parametrize("kept", ["w", "mean"])
def test_ir_3_inputs_to_keep_refuse(kept: str) -> None:
    """An input named in keep_inputs is the caller's, so it is no constant."""
    found = rewritten(
        """g (float[N,3,H,W] x, float[4,3,1,1] w, float[4] scale, float[4] bias, float[4] mean, float[4] var)
            => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> { c = Conv(x, w) [bn] y = BN(c) }""",
        opset=8,
        ir_version=3,
        keep_inputs=(kept,),
    )
    assert not found.report.modified
    assert (
        f"'{kept}' is a graph input, whose default the caller may override" in found.refused["bn"]
    )


IF = """
    g (float[N,3,H,W] x, bool p{inputs}) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> {{
        y = If(p) <
            then_branch = t () => (float[N,4,H,W] f) {{ c = Conv(x, w) f = BN(c) }},
            else_branch = o () => (float[N,4,H,W] h) {{ d = Conv(x, w) h = Relu(d) }}>
    }}"""


def test_bodies_with_outer_parameters() -> None:
    """Inside an If, weights and parameters come from the graph around it; the copy stays inside."""
    found = rewritten(IF.format(inputs=""))
    assert found.ops == "If Conv Conv Relu"
    assert [tensor.name for tensor in found.proto.graph.initializer] == ["w"]


def test_bodies_below_ir_4_get_constant_nodes() -> None:
    """A body has no inputs, and below IR 4 an initializer must be one."""
    names = "float[4] scale, float[4] bias, float[4] mean, float[4] var"
    found = rewritten(IF.format(inputs=f", float[4,3,1,1] w, {names}"), opset=11, ir_version=3)
    assert sorted(found.ops.split()) == ["Constant", "Constant", "Conv", "Conv", "If", "Relu"]


BODIES = [
    pytest.param(
        """g (float[N,3,H,W] x, bool go) => (float[N,3,H,W] y)
            <float[3,3,1,1] w, NORM3, int64 trips = {2}> {
            y = Loop(trips, go, x) <body = b (int64 i, bool more_in, float[N,3,H,W] state)
                => (bool more, float[N,3,H,W] next) {
                    more = Identity(more_in) c = Conv(state, w) next = BN(c) }>
        }""",
        "Loop Identity Conv",
        id="Loop",
    ),
    pytest.param(
        """g (float[T,N,3] steps) => (float[N,4] last, float[T,N,4] y)
            <float[3,4] w, float[4] k, float[N,4] start> {
            last, y = Scan(start, steps) <num_scan_inputs = 1, body = b (float[N,4] state, float[N,3] step)
                => (float[N,4] next, float[N,4] out) {
                    c = Gemm(step, w) d = Mul(c, k) next = Add(state, d) out = Identity(next) }>
        }""",
        "Scan Gemm Add Identity",
        id="Scan",
    ),
]


@pytest.mark.parametrize(("text", "ops"), BODIES)
def test_loop_bodies_fold(text: str, ops: str) -> None:
    """The body of a Loop or Scan is a graph like any other."""
    assert rewritten(text).ops == ops


def test_a_loop_carried_weight_refuses() -> None:
    """A weight that the body is handed may change at every turn."""
    found = rewritten("""
        g (float[N,3,H,W] x, bool go) => (float[3,3,1,1] y, float[N,3,H,W] z) <float[3,3,1,1] w, NORM3, int64 trips = {2}> {
            y, z = Loop(trips, go, w, x) <body = b (int64 i, bool more_in, float[3,3,1,1] v, float[N,3,H,W] state)
                => (bool more, float[3,3,1,1] u, float[N,3,H,W] next) {
                    more = Identity(more_in) u = Tanh(v) c = Conv(state, v) [bn] next = BN(c) }>
        }""")
    assert "its weight 'v' is an input of the graph" in found.refused["bn"]


FUNCTION = """
    <ir_version: 8, opset_import: ["": 17, "local": 1]>
    g (float[N,2,H,W] x) => (float[N,2,H,W] z) {declared} {{ y = local.f(x{given}) z = local.f(y{given}) }}
    <domain: "local", opset_import: ["": 17]>
    f (x{given}) => (y) {{
        w = Constant<value = float[2,2,1,1] {{1, 2, 3, 4}}>()
        {constant}
        c = Conv(x, w)
        [bn] y = BatchNormalization(c, s, s, s, s)
    }}"""


def test_functions_with_constants_inside_fold() -> None:
    """A function's body is folded once, for all its calls; a new bias is a Constant node."""
    constant = "s = Constant<value = float[2] {5, 6}>()"
    found = rewritten(FUNCTION.format(declared="", given="", constant=constant))
    assert found.ops == "f f Constant Constant Conv"


def test_functions_with_parameters_as_inputs_refuse() -> None:
    """What a function is given differs from call to call."""
    found = rewritten(FUNCTION.format(declared="<float[2] s>", given=", s", constant=""))
    assert not found.report.modified
    assert "its scale 's' is an input of the graph" in found.refused["bn"]


@pytest.mark.parametrize(
    ("dtype", "number", "largest"), [("float16", 10, 60000), ("bfloat16", 16, 3e38)]
)
def test_nothing_is_changed_when_a_tensor_does_not_fit(
    dtype: str, number: int, largest: float
) -> None:
    """The weight would fit, the bias would not: neither is changed."""
    found = rewritten(
        f"""g ({dtype}[N,3,H,W] x) => ({dtype}[N,4,H,W] y)
            <{dtype}[4,3,1,1] w, float[4] k32 = {{1, {largest}, 1, 1}}, float[4,1,1] two32 = {{2, 2, 2, 2}}> {{
            two = Cast<to = {number}>(two32) k = Cast<to = {number}>(k32)
            c = Conv(x, w, k) [mul] y = Mul(c, two) }}""",
        opset=22,
    )
    assert not found.report.modified
    assert found.refused["mul"] == f"'k' would not fit {dtype} in channel 1"


def test_a_folded_bias_is_read_anew() -> None:
    """Two shifts that only together leave the range of fp16: one folds, and the next is judged by the sum."""
    found = rewritten(
        """g (float16[N,3,H,W] x) => (float16[N,4,H,W] y)
            <float16[4,3,1,1] w, float16[4] k, float far32 = {40000}> {
            far = Cast<to = 10>(far32) c = Conv(x, w, k) d = Add(c, far) [second] y = Add(d, far) }""",
        compare=False,  # in fp16 a bias of 40000 is only right to 16
    )
    assert found.ops == "Cast Conv Add"
    assert "'k' would not fit float16" in found.refused["second"]
