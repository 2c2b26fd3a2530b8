"""Which convolutions in a row become one, and which stay, with the reason."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

HEAD = "g (float[N,3,H,W] x) => (float[N,m,a,b] y) "
CONVOLUTIONS = [
    pytest.param(
        "<float[8,3,3,3] w, float[8] k, float[4,8,1,1] v, float[4] l> { c = Conv<pads=[1,1,1,1]>(x, w, k) y = Conv(c, v, l) }",
        id="1x1 after 3x3",
    ),
    pytest.param(
        "<float[8,3,3,3] w, float[8] k, float[4,8,1,1] v> { c = Conv<pads=[1,1,1,1]>(x, w, k) y = Conv(c, v) }",
        id="only the first has a bias",
    ),
    pytest.param(
        "<float[8,3,3,2] w, float[4,8,1,1] v, float[4] l> { c = Conv<pads=[1,0,2,1], strides=[1,2], dilations=[2,1]>(x, w) y = Conv<strides=[2,1]>(c, v, l) }",
        id="strides multiply",
    ),
    pytest.param(
        '<float[8,3,3,3] w, float[8] k, float[4,8,1,1] v> { c = Conv<auto_pad="SAME_LOWER">(x, w, k) y = Conv<auto_pad="VALID">(c, v) }',
        id="auto_pad",
    ),
    pytest.param(
        "<float[6,3,1,1] w, float[6] k, float[4,6,1,1] v, float[4] l> { c = Conv(x, w, k) y = Conv(c, v, l) }",
        id="1x1 after 1x1",
    ),
    pytest.param(
        "<float[3,3,1,1] w, float[3] k, float[4,3,3,3] v, float[4] l> { c = Conv(x, w, k) y = Conv(c, v, l) }",
        id="1x1 before 3x3 without padding",
    ),
    pytest.param(
        "<float[3,3,1,1] w, float[4,3,3,3] v, float[4] l> { c = Conv(x, w) y = Conv<pads=[1,1,1,1]>(c, v, l) }",
        id="1x1 without bias before a padded 3x3",
    ),
    pytest.param(
        "<float[3,3,1,1] w, float[3] k = {0, 0, 0}, float[4,3,3,3] v> { c = Conv(x, w, k) y = Conv<pads=[1,1,1,1]>(c, v) }",
        id="1x1 with a bias of zeros before a padded 3x3",
    ),
    pytest.param(
        "<float[5,3,1,1] w, float[4,5,2,2] v> { c = Conv<strides=[2,2]>(x, w) y = Conv<pads=[1,0,0,1], strides=[1,2]>(c, v) }",
        id="a strided 1x1 spreads the taps that follow",
    ),
    pytest.param(
        "<float[5,3,1,1] w, float[5] k, float[4,5,2,1] v> { c = Conv<strides=[2,2]>(x, w, k) y = Conv(c, v) }",
        id="a strided 1x1 before a kernel without padding",
    ),
    pytest.param(
        "<float[3,1,1,1] w, float[3] k, float[4,3,1,1] v> { c = Conv<group=3>(x, w, k) y = Conv(c, v) }",
        id="a scale of the channels as depthwise 1x1",
    ),
    pytest.param(
        "<float[4,3,3,3] w, float[4,1,1,1] v, float[4] l> { c = Conv<pads=[1,1,1,1]>(x, w) y = Conv<group=4>(c, v, l) }",
        id="depthwise 1x1 after 3x3",
    ),
    pytest.param(
        "<float[6,1,3,3] w, float[6] k, float[3,2,1,1] v> { c = Conv<group=3, pads=[1,1,1,1]>(x, w, k) y = Conv<group=3>(c, v) }",
        id="equal groups",
    ),
    pytest.param(
        "<float[3,1,1,1] w, float[3] k, float[6,1,2,2] v> { c = Conv<group=3>(x, w, k) y = Conv<group=3>(c, v) }",
        id="equal groups, the kernel second",
    ),
]


@pytest.mark.parametrize("text", CONVOLUTIONS)
def test_convolutions_multiply(text: str) -> None:
    """Where one multiplies less than two, one is left."""
    found = rewritten(HEAD + text)
    assert found.ops == "Conv"
    assert "which follows it" in found.applied


OTHERS = [
    pytest.param(
        "g (float[N,3,W] x) => (float[N,2,a] y) <float[6,3,3] w, float[6] k, float[2,6,1] v> { c = Conv<pads=[1,1]>(x, w, k) y = Conv(c, v) }",
        id="1d",
    ),
    pytest.param(
        "g (float[N,2,D,H,W] x) => (float[N,2,a,b,c] y) <float[4,2,2,1,2] w, float[2,4,1,1,1] v> { c = Conv(x, w) y = Conv(c, v) }",
        id="3d",
    ),
    pytest.param(
        "g (float[N,4,W] x) => (float[N,8,a] y) <float[8,1,1] w, float[8] k, float[8,4,3] v> { c = Conv<group=4>(x, w, k) y = Conv<group=2>(c, v) }",
        id="two groupings",
    ),
    pytest.param(
        "g (float16[N,4,W] x) => (float16[N,2,a] y) <float16[8,4,3] w, float16[8] k, float16[2,8,1] v> { c = Conv(x, w, k) y = Conv(c, v) }",
        id="fp16",
    ),
    pytest.param(
        "g (bfloat16[N,4,W] x) => (bfloat16[N,2,a] y) <bfloat16[4,4,1] w, bfloat16[4] k, bfloat16[2,4,2] v> { c = Conv(x, w, k) y = Conv(c, v) }",
        id="bf16",
    ),
    pytest.param(
        "g (double[N,4,W] x) => (double[N,2,a] y) <double[8,4,3] w, double[8] k, double[2,8,1] v> { c = Conv(x, w, k) y = Conv(c, v) }",
        id="fp64",
    ),
    pytest.param(
        "g (float[N,4,W] x) => (float[N,2,a] y) <float[8,4,3] w, float[8,8,1] v, float[2,8,1] u> { c = Conv(x, w) d = Conv(c, v) y = Conv(d, u) }",
        id="three in a row",
    ),
]


@pytest.mark.parametrize("text", OTHERS)
def test_other_ranks_and_types(text: str) -> None:
    """Any number of spatial axes, groups and types."""
    assert rewritten(text, opset=22).ops == "Conv"


LEFT = [
    pytest.param(
        "<float[2,3,1,1] w, float[8,2,3,3] v> { c = Conv(x, w) [second] y = Conv(c, v) }",
        "one would multiply 216 times for each place of its output, the two do 150 times",
        id="a bottleneck",
    ),
    pytest.param(
        "<float[2,3,1,1] w, float[6,2,1,1] v> { c = Conv(x, w) [second] y = Conv(c, v) }",
        "one would multiply 18 times for each place of its output, the two do 18 times",
        id="nothing gained",
    ),
    pytest.param(
        "<float[3,1,3,3] w, float[8,3,1,1] v> { c = Conv<group=3>(x, w) [second] y = Conv(c, v) }",
        "one would multiply 216 times for each place of its output, the two do 51 times",
        id="depthwise separable",
    ),
    pytest.param(
        "<float[3,3,1,1] w, float[3] k, float[4,3,3,3] v> { c = Conv(x, w, k) [second] y = Conv<pads=[1,1,1,1]>(c, v) }",
        "the padding between them lacks the bias of the first",
        id="a bias before padding",
    ),
    pytest.param(
        "<float[8,3,3,3] w, float[4,8,1,1] v> { c = Conv(x, w) [second] y = Conv<pads=[1,1,1,1]>(c, v) }",
        "'second' has one tap, but pads its input",
        id="a padded 1x1",
    ),
    pytest.param(
        "<float[8,3,1,1] w, float[4,8,3,3] v> { [first] c = Conv<pads=[1,1,1,1]>(x, w) [second] y = Conv(c, v) }",
        "'first' has one tap, but pads its input",
        id="a padded 1x1 first",
    ),
    pytest.param(
        "<float[8,3,1,1] w, float[4,8,2,2] v> { c = Conv(x, w) [second] y = Conv<pads=[1,1,1,1]>(c, v) }",
        "the second has more outputs than inputs, which the first works for",
        id="padding that enlarges",
    ),
]


@pytest.mark.parametrize(("text", "reason"), LEFT)
def test_convolutions_that_stay(text: str, reason: str) -> None:
    """Nothing changes, and the report says why."""
    found = rewritten(HEAD + text)
    assert not found.report.modified
    assert reason in found.refused["second"]


QUIET = [
    pytest.param(
        HEAD + "<float[4,3,3,3] w, float[4,4,2,2] v> { c = Conv(x, w) y = Conv(c, v) }",
        id="both have a kernel",
    ),
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,a,b] y, float[N,8,e,f] z) <float[8,3,3,3] w, float[4,8,1,1] v> { c = Conv(x, w) y = Conv(c, v) z = Relu(c) }",
        id="a second reader",
    ),
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,a,b] y, float[N,8,e,f] c) <float[8,3,3,3] w, float[4,8,1,1] v> { c = Conv(x, w) y = Conv(c, v) }",
        id="a graph output between",
    ),
    pytest.param(
        HEAD + "<float[8,3,3,3] w, float[4,8,1,1] v> { c = Conv(x, w) r = Relu(c) y = Conv(r, v) }",
        id="something between",
    ),
    pytest.param(
        "g (float[N,3,H,W] x, float[4,8,1,1] v) => (float[N,4,a,b] y) <float[8,3,3,3] w> { c = Conv(x, w) y = Conv(c, v) }",
        id="a weight that is an input",
    ),
    pytest.param(
        "g (float[N,2,W] x, float[6,2,1] w, float[2,6,1] v) => (float[N,2,W] y) { c = Conv(x, w) y = Conv(c, v) }",
        id="no constant at all",
    ),
    pytest.param(
        "g (float[N,8,H,W] x) => (float[N,4,H,W] y) <float[8,8,1,1] w, float[4,8,1,1] v> { c = ConvTranspose(x, w) y = Conv(c, v) }",
        id="a ConvTranspose, whose weight is laid out differently",
    ),
]


@pytest.mark.parametrize("text", QUIET)
def test_what_is_no_pair(text: str) -> None:
    """Nothing changes, and nothing is said."""
    found = rewritten(text)
    assert not found.report.modified
    assert not found.refused


def test_the_second_keeps_its_names() -> None:
    """Node, weight and output of the second stay; the report names the first."""
    found = rewritten(
        HEAD
        + "<float[8,3,3,3] w, float[4,8,1,1] v> { [first] c = Conv(x, w) [second] y = Conv(c, v) }"
    )
    (node,) = found.proto.graph.node
    assert (node.name, list(node.input), list(node.output)) == ("second", ["x", "v"], ["y"])
    (event,) = found.report.applied
    assert (event.rule, event.node, event.nodes) == ("merge-sequential", "second", ("first",))


def test_a_chain_is_met_at_its_end() -> None:
    """What is before goes into the last, one after the other."""
    found = rewritten(
        HEAD
        + "<float[8,3,3,3] w, float[6,8,1,1] v, float[4,6,1,1] u> { [first] c = Conv(x, w) [second] d = Conv(c, v) [last] y = Conv(d, u) }"
    )
    assert [(event.node, event.nodes) for event in found.report.applied] == [
        ("last", ("second",)),
        ("last", ("first",)),
    ]


@pytest.mark.parametrize("kept", ["first", "second"])
def test_kept_nodes_stay(kept: str) -> None:
    """Either of the two named in keep is left as it is."""
    found = rewritten(
        HEAD
        + "<float[8,3,3,3] w, float[4,8,1,1] v> { [first] c = Conv(x, w) [second] y = Conv(c, v) }",
        keep=[kept],
    )
    assert not found.report.modified


def test_fp16_range() -> None:
    """A product that leaves the range of fp16 is refused, naming the channel."""
    found = rewritten(
        """g (float16[N,1,H,W] x) => (float16[N,2,H,W] y)
            <float[2,1,1,1] w32 = {300, 1}, float[2,2,1,1] v32 = {1, 1, 300, 1}> {
            w = Cast<to = 10>(w32) v = Cast<to = 10>(v32) c = Conv(x, w) [second] y = Conv(c, v) }""",
        compare=False,
    )
    assert not found.report.modified
    assert found.refused["second"] == "the merged weight would not fit float16 in channel 1"


def test_shared_weights() -> None:
    """The same two in a row twice: each pair gets a product of its own, and the factors go."""
    found = rewritten(
        """g (float[N,3,W] x) => (float[N,3,a] y) <float[6,3,3] w, float[3,6,1] v> {
            c = Conv<pads=[1,1]>(x, w) d = Conv(c, v) r = Relu(d) e = Conv<pads=[1,1]>(r, w) y = Conv(e, v) }"""
    )
    assert found.ops == "Conv Relu Conv"
    assert len(found.proto.graph.initializer) == 2


IF = """
    g (float[N,4,H,W] x, bool p) => (float[N,4,H,W] y) <float[8,4,1,1] w, float[4,8,1,1] v> {
        y = If(p) <
            then_branch = t () => (float[N,4,H,W] f) { c = Conv(x, w) f = Conv(c, v) },
            else_branch = o () => (float[N,4,H,W] h) { h = Relu(x) }>
    }"""


def test_pairs_inside_bodies() -> None:
    """Weights may come from outside; the product is made inside."""
    assert rewritten(IF).ops == "If Conv Relu"


def test_a_pair_across_a_body_stays() -> None:
    """The first is computed whichever way the condition goes."""
    found = rewritten("""
        g (float[N,4,H,W] x, bool p) => (float[N,4,H,W] y) <float[8,4,1,1] w, float[4,8,1,1] v> {
            c = Conv(x, w)
            y = If(p) <
                then_branch = t () => (float[N,4,H,W] f) { f = Conv(c, v) },
                else_branch = o () => (float[N,4,H,W] h) { h = Relu(x) }>
        }""")
    assert not found.report.modified


ILLEGAL = [
    pytest.param(
        "<float[8,3,3,3] w, float[4,6,1,1] v> { c = Conv(x, w) [second] y = Conv(c, v) }",
        "the second does not fit the outputs of the first",
        id="channels",
    ),
    pytest.param(
        "<float[8,3,3,3] w, double[4,8,1,1] v> { c = Conv(x, w) [second] y = Conv(c, v) }",
        "their weights are float32 and float64",
        id="types",
    ),
]


@pytest.mark.parametrize(("text", "reason"), ILLEGAL)
def test_illegal_models_are_left_alone(text: str, reason: str) -> None:
    """What ONNX forbids does not become something else."""
    found = rewritten(HEAD + text, compare=False)
    assert not found.report.modified
    assert reason in found.refused["second"]
