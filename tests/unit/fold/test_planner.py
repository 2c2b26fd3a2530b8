"""What may lie between an affine and what absorbs it, and what stops the walk."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

import normonnx
from normonnx.core.events import Obstacle
from normonnx.fold import worth
from tests.rewriting import parsed, rewritten

HEAD = "g (float[N,3,H,W] x) => (float[N,4,H,W] y) "
FOLDED = [
    pytest.param(
        "<float[4,3,1,1] w, NORM4> { c = Conv(x, w) i = Identity(c) y = BN(i) }",
        "Conv Identity",
        id="Identity",
    ),
    pytest.param(
        "<float[4,3,1,1] w, NORM4> { c = Conv(x, w) i = Dropout(c) y = BN(i) }",
        "Conv Dropout",
        id="Dropout",
    ),
    pytest.param(
        """<float[4,3,1,1] w, float ratio = {0.5}, NORM4> {
            c = Conv(x, w) i, mask = Dropout(c, ratio) y = BN(i) }""",
        "Conv Dropout",
        id="Dropout with ratio and mask",
    ),
    pytest.param(
        "<float[4,3,1,1] w, NORM4> { c = Conv(x, w) d = BN(c) e = BN(d) y = BN(e) }",
        "Conv",
        id="three BN",
    ),
    pytest.param(
        """<float[4,3,1,1] w, NORM4, float[4,1,1] k, float h> {
            c = Conv(x, w) a = Neg(c) b = Mul(k, a) d = BN(b) e = Sub(h, d) f = Div(e, k) y = Add(k, f) }""",
        "Conv",
        id="a chain of all kinds",
    ),
]


@pytest.mark.parametrize(("text", "ops"), FOLDED)
def test_chains_fold_in_one_plan(text: str, ops: str) -> None:
    """A chain composes and is folded by one rewrite, through Identity and inference Dropout."""
    found = rewritten(HEAD + text)
    assert found.ops == ops
    assert len(found.report.applied) == 1


REFUSED = [
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) <float[4,3,1,1] w, NORM4> {"
        " [conv] c = Conv(x, w) [bn] y = BN(c) [relu] z = Relu(c) }",
        "the output of Conv 'conv' is also read by Relu 'relu'",
        id="second consumer",
    ),
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] c) <float[4,3,1,1] w, NORM4> {"
        " [conv] c = Conv(x, w) [bn] y = BN(c) }",
        "'c', the output of Conv 'conv', is a graph output",
        id="graph output in between",
    ),
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) <float[4,3,1,1] w, NORM4> {"
        " [conv] c = Conv(x, w) z = Identity(c) [bn] y = BN(c) }",
        "is also read by Identity 'z'",
        id="a copy of it is a graph output",
    ),
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) <float[4,3,1,1] w, NORM4> {"
        " c = Conv(x, w) [id] z = Identity(c) [bn] y = BN(z) }",
        "'z', the output of Identity 'id', is a graph output",
        id="graph output behind an Identity",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, bool p) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> {
            [conv] c = Conv(x, w) [bn] d = BN(c)
            e = If(p) <
                then_branch = t () => (float[N,4,H,W] f) { [inner] f = Relu(c) },
                else_branch = o () => (float[N,4,H,W] h) { h = Abs(d) }>
            y = Add(d, e) }""",
        "the output of Conv 'conv' is also read by Relu 'inner'",
        id="captured by a subgraph",
    ),
    pytest.param(
        """g (float[N,4,H,W] x, bool p) => (float[N,4,H,W] y) <float[4,4,1,1] w, NORM4> {
            c = Conv(x, w)
            y = If(p) <
                then_branch = t () => (float[N,4,H,W] f) { [bn] f = BN(c) },
                else_branch = o () => (float[N,4,H,W] h) { h = Relu(x) }>
            }""",
        "its input 'c' comes from outside the subgraph",
        id="producer outside the subgraph",
    ),
    pytest.param(
        HEAD + "<float[4,3,1,1] w, NORM4> { c = Conv(x, w) [relu] r = Relu(c) [bn] y = BN(r) }",
        "Relu 'relu' before it can't take a scale and shift",
        id="not linear",
    ),
    pytest.param(
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y) <NORM4> { [bn] y = BN(x) }",
        "its input 'x' is an input of the graph",
        id="first in the graph",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, bool p) => (float[N,4,H,W] y) <float[4,3,1,1] w, float r = {0.5}, NORM4> {
            c = Conv(x, w) [drop] d = Dropout(c, r, p) [bn] y = BN(d) }""",
        "Dropout 'drop' before it can't take",
        id="Dropout that may train",
    ),
    pytest.param(
        HEAD
        + """<float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) [first] m = BatchNormalization<training_mode=1>(c, scale, bias, mean, var)
            [bn] y = BN(m) }""",
        "BatchNormalization 'first' before it stays (training_mode is 1",
        id="behind a training BN",
    ),
    pytest.param(
        HEAD + "<float[4,3,1,1] w, NORM3> { c = Conv(x, w) [bn] y = BN(c) }",
        "it has 4 output channels on axis 1, but the affine has shape [3]",
        id="number of channels differs",
    ),
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4, float[4,1] k> {"
        " c = Conv(x, w) [mul] m = Mul(c, k) [bn] y = BN(m) }",
        "it and Mul 'mul' before it vary along different axes",
        id="channels and rows",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_stops_a_fold(text: str, words: str) -> None:
    """Nothing is changed and the reason names the obstacle."""
    found = rewritten(text)
    assert not found.report.modified
    assert words in found.refused["bn"]


def test_a_custom_conv_is_not_a_conv() -> None:
    """Operators of other domains are left alone."""
    found = rewritten(HEAD + "<float[4,3,1,1] w, NORM4> { c = local.Conv(x, w) [bn] y = BN(c) }")
    assert "Conv 'c' before it can't take" in found.refused["bn"]


@pytest.mark.parametrize("name", ["conv", "c", "bn", "y"])
def test_kept_names_stay(name: str) -> None:
    """What is named in keep stays: the affine or its absorber, by node or value name."""
    text = HEAD + "<float[4,3,1,1] w, NORM4> { [conv] c = Conv(x, w) [bn] y = BN(c) }"
    found = rewritten(text, keep=(name,))
    assert not found.report.modified
    assert "kept as asked for" in found.refused["bn"]


TIED = """
    g (float[N,T,3] x, int64[N] i) => (float[N,T,4] y, float[N,4] z) <float[3,4] w, float[4] k> {
        c = MatMul(x, w) [mul] y = Mul(c, k) z = Gather(w, i)
    }"""


def test_a_shared_weight_is_copied_on_write() -> None:
    """A tied embedding keeps its weight; the MatMul gets a scaled copy."""
    found = rewritten(TIED)
    assert found.ops == "MatMul Gather"
    was = {tensor.name: tensor.raw_data for tensor in found.original.graph.initializer}
    assert found.weight("w").tobytes() == was["w"]
    assert found.weight("w_folded").shape == (3, 4)


def test_a_huge_shared_weight_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """To drop one node is not worth a second copy of a huge weight."""
    monkeypatch.setattr(worth, "LARGEST_COPY", 3 * 4 * 4 - 1)
    found = rewritten(TIED)
    assert not found.report.modified
    assert (
        "weight 'w' is also read elsewhere; a second copy would add 0 MiB" in found.refused["mul"]
    )


LENGTH = 3000


@pytest.mark.parametrize(
    "node", ["Identity({0})", "Mul({0}, k)", "Add(h, {0})"], ids=["Identity", "Mul", "Add"]
)
def test_deep_chains(node: str) -> None:
    """Thousands of nodes in a row are no recursion."""
    names = ["c", *(f"v{i}" for i in range(LENGTH))]
    body = " ".join(f"{new} = {node.format(old)}" for old, new in pairwise(names))
    constant = (
        "float[1,4,1,1] h, " if "h" in node else "float k = {1.0009765625}, " if "k" in node else ""
    )
    found = rewritten(
        f"g (float[N,3,1,1] x) => (float[N,4,1,1] y) <float[4,3,1,1] w, {constant}NORM4> {{ c = Conv(x, w) {body} y = BN({names[-1]}) }}",
        compare="Mul" in node,
    )
    assert found.ops.split()[0] == "Conv"
    assert "BatchNormalization" not in found.ops
    assert len(found.ops.split()) == (LENGTH + 1 if "Identity" in node else 1)


@pytest.mark.parametrize(
    ("readers", "named"),
    [(2, "Exp 'e0', Exp 'e1'"), (3, "Exp 'e0', Exp 'e1' and 1 more")],
)
def test_two_other_readers_are_named(readers: int, named: str) -> None:
    """And how many there are beyond."""
    others = " ".join(f"e{i} = Exp(c)" for i in range(readers))
    sums = ", ".join(f"e{i}" for i in range(readers))
    found = rewritten(
        f"g (float[N,3,H] x) => (float[N,4,H] y) <float[4,3,1] w, NORM4> {{ c = Conv(x, w) {others} [bn] n = BN(c) s = Sigmoid(n) y = Sum(s, {sums}) }}"
    )
    assert found.refused["bn"].startswith(f"the output of Conv 'c' is also read by {named}; below")


@pytest.mark.parametrize("other", ["Sigmoid(z)", "Gemm(z, v)"])
def test_a_scale_goes_alone_only_where_all_lack_a_bias(other: str) -> None:
    """An Add in place of a BatchNormalization pays where nothing could have taken the shift."""
    head = "g (float[N,3] x, float[N,4] z) => (float[N,8] y) <float[3,4] w, NORM8{}> {{ "
    body = f"c = MatMul(x, w) d = {other} j = Concat<axis = 1>(c, d) [bn] y = BN(j) }}"
    more = ", float[4,4] v" if "v" in other else ""
    found = rewritten(head.format(more) + body)
    assert not found.report.modified
    assert "MatMul: it has no bias for a shift" in found.refused["bn"]


def test_a_long_way_through_carriers() -> None:
    """Ninety operators are not too many for one plan."""
    chain = " ".join(f"r{i + 1} = Relu(r{i})" for i in range(90))
    found = rewritten(
        f"g (float[N,3,1,1] x) => (float[N,4,1,1] y) <float[4,3,1,1] w, float var1> {{ r0 = Conv(x, w) {chain} y = Mul(r90, var1) }}"
    )
    assert found.ops.split() == ["Conv", *["Relu"] * 90]


DOWN = [
    pytest.param(
        """g (float[N,4,H,W] x, bool p) => (float[N,a,b,c] y) <float[2,4,1,1] w, NORM4> {
            [bn] n = BN(x) y = If(p) <
                then_branch = t () => (float[N,a,b,c] f) { f = Conv(n, w) },
                else_branch = o () => (float[N,d,e,g] h) { h = Conv(n, w) }> }""",
        "Conv 'f', which reads it, stands in another graph",
        id="read by a subgraph",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,4,H,W] n) <float[2,4,1,1] w, NORM4> {
            [bn] n = BN(x) y = Conv(n, w) }""",
        "its output 'n' is an output of the graph",
        id="graph output",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,4,H,W] z) <float[2,4,1,1] w, NORM4> {
            [bn] n = BN(x) y = Conv(n, w) [relu] z = Tanh(n) }""",
        "Tanh 'relu' after it can't take a scale and shift",
        id="another reader can't",
    ),
    pytest.param(
        """g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[2,4,1,1] w, NORM4> {
            [bn] n = BN(x) i = Identity(n) y = local.Conv(i, w) }""",
        "Conv 'y' after it can't take a scale and shift",
        id="an operator of another domain",
    ),
]


@pytest.mark.parametrize(("text", "words"), DOWN)
def test_what_stops_a_fold_downwards(text: str, words: str) -> None:
    """Nothing is changed; the reason tells both ways."""
    found = rewritten(text, compare=False)
    assert not found.report.modified
    assert words in found.refused["bn"]
    assert found.refused["bn"].startswith("its input 'x' is an input of the graph; below, ")


@pytest.mark.parametrize(
    ("text", "up", "down"),
    [
        pytest.param(
            """g (float[N,4,H,W] x) => (float[N,4,H,W] y) <NORM4> {
                [r] a = Relu(x) [i] b = Identity(a) [bn] n = BN(b) [s] y = Sigmoid(n) }""",
            ("Relu 'r' before it can't take", "r"),
            ("Sigmoid 's' after it can't take", "s"),
            id="the operators that refuse, not what is passed over",
        ),
        pytest.param(
            """g (float[N,4,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) <float[4,4,1,1] w, NORM4> {
                [c] a = Conv(x, w) [bn] y = BN(a) [t] z = Tanh(a) }""",
            ("the output of Conv 'c' is also read by Tanh 't'", "c"),
            ("its output 'y' is an output of the graph", "bn"),
            id="a value that others read, and an output",
        ),
        pytest.param(
            """g (float[N,4,H,W] x) => (float[N,4,H,W] y) <float[4,4,3,3] w, NORM4> {
                [bn] n = BN(x) [m] m = MaxPool<kernel_shape = [1, 1]>(n) [c] k = Conv<pads = [1,1,1,1]>(m, w) y = Abs(k) }""",
            ("its input 'x' is an input of the graph", "bn"),
            ("MaxPool", "m"),
            id="a carrier that lets only some pass",
        ),
        pytest.param(
            """g (float[N,H,W,4] x) => (float[N,4,H,W] y) <NORM4> {
                [t] a = Transpose<perm = [0,3,1,2]>(x) [bn] n = BN(a) [s] y = Sigmoid(n) }""",
            ("its input 'x' is an input of the graph", "t"),
            ("Sigmoid 's' after it can't take", "s"),
            id="an input of the graph behind a carrier",
        ),
        pytest.param(
            """g (float[N,4,H,W] x, float[4] v) => (float[N,4,H,W] y) <float[4] scale, float[4] bias, float[4] mean> {
                [bn] n = BatchNormalization(x, scale, bias, mean, v) y = Abs(n) }""",
            ("not a constant", "bn"),
            ("not a constant", "bn"),
            id="no affine at all",
        ),
    ],
)
def test_both_ways_are_told_apart(text: str, up: tuple[str, str], down: tuple[str, str]) -> None:
    """What stops it above and below, each with the node where that is."""
    (event,) = [e for e in rewritten(text, compare=False).report.refused if e.node == "bn"]
    for found, (words, node) in ((event.up, up), (event.down, down)):
        assert found is not None
        assert words in found.reason
        assert found.node == node
        assert found.reason in event.reason


def test_of_others_only_what_is_worth_a_line_is_told_in_words() -> None:
    """Both ways are there as data all the same."""
    found = rewritten(
        """g (float[N,4,H,W] x) => (float[N,4,H,W] y) <float[4,1,1] k, float[4,4,1,1] w> {
            [mul] n = Mul(x, k) [c] a = Conv(n, w) y = Abs(a) }""",
        keep=["c"],
    )
    (event,) = [event for event in found.report.refused if event.node == "mul"]
    assert event.reason == "Conv 'c' is kept as asked for"
    assert event.up == Obstacle("its input 'x' is an input of the graph", "mul")
    assert event.down == Obstacle(event.reason, "c")


def test_a_weight_that_would_not_fit_refuses_downwards() -> None:
    """Numbers are judged when all the rest of a plan is settled."""
    found = rewritten("""
        g (float16[N,2,H,W] x) => (float16[N,a,b,c] y) <float[2,1] w32 = {2, 3}, float s32 = {60000}, int64[4] t = {1, 2, 1, 1}> {
            s = Cast<to = 10>(s32) v = Cast<to = 10>(w32) w = Reshape(v, t) [mul] n = Mul(x, s) y = Conv(n, w) }""")
    assert not found.report.modified
    assert (
        found.refused["mul"] == "the product would not fit float16 in channels 0, 1 of weight 'w'"
    )


def test_all_readers_agree() -> None:
    """Two Convs read it, and Shape, which reads no numbers."""
    found = rewritten("""
        g (float[N,4,H,W] x) => (float[N,a,b,c] y, float[N,d,e,f] z, int64[4] s) <float[2,4,1,1] v, float[3,4,2,2] w, NORM4> {
            [bn] n = BN(x) i = Identity(n) y = Conv(i, v) z = Conv(n, w) s = Shape(n) }""")
    assert found.ops == "Identity Conv Conv Shape"
    assert found.applied == "BatchNormalization 'bn' folded into Conv 'y' and Conv 'z' further down"


def test_one_node_can_not_take_it_twice() -> None:
    """A value that reaches one bias on two ways would be added in twice."""
    found = rewritten("""
        g (float[N,4] x) => (float[N,3] y) <float[4] k, float[4,3] w> {
            r = Relu(x) [add] a = Add(r, k) s = Add(a, a) y = MatMul(s, w) }""")
    assert not found.report.modified


def test_an_output_can_not_become_an_input() -> None:
    """Two signs cancel, but a graph can't hand its input on under another name."""
    found = rewritten("g (float[N,4] x) => (float[N,4] y) { a = Neg(x) y = Neg(a) }")
    assert not found.report.modified


@pytest.mark.parametrize("name", ["conv", "y", "t"])
def test_kept_names_stay_downwards(name: str) -> None:
    """Neither an absorber nor a carrier that is named in keep is touched."""
    found = rewritten(
        """g (float[N,H,W,4] x) => (float[N,a,b,c] y) <float[2,4,1,1] w, float[4] k> {
            [mul] n = Mul(x, k) t = Transpose<perm = [0,3,1,2]>(n) [conv] y = Conv(t, w) }""",
        keep=(name,),
    )
    assert not found.report.modified
    assert "is kept as asked for" in found.refused["mul"]


CONSTANTS = {
    "w": "value = float[2,2,1,1] {1, 2, 3, 4}",
    "s": "value = float[2] {5, 6}",
    "k": "value = float[2,1,1] {5, 6}",
    "shape": "value_ints = [0, 2, 4, 4]",
    "two": "value_ints = [1, 1]",
    "pads": "value_ints = [0, 0, 1, 0, 0, 0, 1, 0]",
}


def _in_a_function(given: str, nodes: str) -> str:
    """A model that calls a function of x, which c = Conv(x, w) and these nodes make."""
    if "c" in re.findall(r"\w+", nodes):
        nodes = f"c = Conv(x, w) {nodes}"
    read = set(re.findall(r"\w+", nodes))
    constants = " ".join(f"{n} = Constant<{c}>()" for n, c in CONSTANTS.items() if n in read)
    return f"""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,2,4,4] x) => (float[a,b,c,d] z) {{ z = local.f<given = {given}>(x) }}
        <domain: "local", opset_import: ["": 17]>
        f<given>(x) => (y) {{ {constants} {nodes} }}"""


PARAMETERS = [
    ("1", "r = Reshape<allowzero: int = @given>(c, shape) [it] y = Mul(r, k)"),
    ("1", "r = Flatten<axis: int = @given>(c) t = Reshape(r, shape) [it] y = Mul(t, k)"),
    ("[0, 2, 3, 1]", "r = Transpose<perm: ints = @given>(c) [it] y = Mul(r, s)"),
    ("1", "r = Concat<axis: int = @given>(c, x) [it] y = Neg(r)"),
    ("1", "r, q = Split<axis: int = @given>(c, two) [it] n = Neg(r) y = Add(n, q)"),
    ("2", "r = Gather<axis: int = @given>(c, two) [it] y = Mul(r, k)"),
    ("1", "r = AveragePool<kernel_shape = [2,2], ceil_mode: int = @given>(c) [it] y = Mul(r, k)"),
    ("1", "r = ReduceMean<axes = [2], keepdims: int = @given>(c) [it] y = Mul(r, k)"),
    ('"edge"', "r = Pad<mode: string = @given>(c, pads) [it] y = Mul(r, k)"),
    ("10", "r = Cast<to: int = @given>(c) [it] y = Neg(r)"),
    ("3", "[it] n = Add(x, k) q = LayerNormalization<axis: int = @given>(n, s) y = Conv(q, w)"),
    ("1", "q = Sigmoid(c) [it] n = Add(q, k) y = Conv<group: int = @given>(n, w)"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "nodes"), PARAMETERS)
def test_attributes_given_to_a_function_refuse(given: str, nodes: str) -> None:
    """What the caller gives is not known inside, whichever operator reads it."""
    found = rewritten(_in_a_function(given, nodes), compare=False)
    assert not [event for event in found.report.applied if event.node == "it"]


def test_bodies_of_functions_fold_downwards() -> None:
    """Inside a function as in a graph."""
    nodes = "n = Sigmoid(c) [it] m = Mul(n, k) y = Conv(m, w)"
    assert "Mul" not in rewritten(_in_a_function("1", nodes), compare=False).ops


def test_an_add_of_unknown_type_is_not_left() -> None:
    """A function may be called with any type, and what its body doesn't say is not made up."""
    found = rewritten("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,3] x) => (float[N,2] z) { z = local.f(x) }
        <domain: "local", opset_import: ["": 17]>
        f(x) => (y) {
            w = Constant<value = float[3,2] {1, 2, 3, 4, 5, 6}>() s = Constant<value = float[2] {5, 6}>()
            c = MatMul(x, w) [it] y = BatchNormalization(c, s, s, s, s) }""")
    assert not found.report.modified
    assert "MatMul: it has no bias for a shift" in found.refused["it"]


def test_what_nothing_reads_is_left_alone() -> None:
    """A chain of affines that leads nowhere is no place to leave another."""
    model = parsed("""g (float[N,4] x) => (float[N,4] y) <float[4,4] w, float[4] k, NORM4> {
        a = Gemm(x, w) b = BN(a) c = MatMul(b, w) d = Add(c, k) e = BN(d) f = Sub(a, k) y = Neg(f) }""")
    found = normonnx.optimize(model, verify="final").report
    assert found.verification is not None
    assert found.verification.passed
