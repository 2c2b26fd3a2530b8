"""Summed convolutions of one input that stay, with the reason."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from normonnx.fold.rules import RULES
from normonnx.fold.surroundings import Surroundings
from tests.rewriting import parsed, rewritten

HEAD = "g (float[N,4,H,W] x) => (float[N,4,a,b] y) "
# text, words of the reason, whether ONNX allows the sum
TWO = "<float[4,4,{a}] w, float[4,4,{b}] v> {{ c = Conv<{p}>(x, w) d = Conv<{q}>(x, v) [sum] y = Add(c, d) }}"
LEFT = [
    pytest.param(
        TWO.format(a="3,3", b="1,1", p="pads=[1,1,1,1], strides=[2,2]", q="strides=[2,1]"),
        "their strides differ (2 and 1)",
        False,
        id="strides differ",
    ),
    pytest.param(
        TWO.format(a="3,3", b="1,1", p="pads=[2,2,2,2]", q="pads=[1,1,0,1]"),
        "their padding makes outputs of different size",
        False,
        id="sizes that differ by the padding",
    ),
    pytest.param(
        TWO.format(a="1,3", b="3,1", p="pads=[0,1,0,1]", q="pads=[1,0,1,0]"),
        "one would multiply 144 times for each place of its output, the two do 96 times",
        True,
        id="1x3 and 3x1 alone are cheaper as two",
    ),
    pytest.param(
        TWO.format(a="3,3", b="3,3", p="pads=[1,1,1,1]", q="pads=[2,2,2,2], dilations=[2,2]"),
        "one would multiply 400 times for each place of its output, the two do 288 times",
        True,
        id="dilations that differ",
    ),
    pytest.param(
        TWO.format(a="3,3", b="1,1", p='auto_pad="SAME_UPPER", strides=[2,2]', q="strides=[2,2]"),
        "auto_pad SAME_UPPER) depends on the size of its input",
        True,
        id="auto_pad of stride 2",
    ),
    pytest.param(
        TWO.format(a="3,3", b="1,1", p='auto_pad="SAME_LOWER", dilations=[2,2]', q="strides=[1,1]"),
        "auto_pad SAME_LOWER) depends on the size of its input",
        False,
        id="auto_pad with dilation",
    ),
    pytest.param(
        """<float[4,1,3,3] w, float[4,4,1,1] v> {
            c = Conv<pads=[1,1,1,1], group=4>(x, w) d = Conv(x, v) [sum] y = Add(c, d) }""",
        "one would multiply 144 times for each place of its output, the two do 52 times",
        True,
        id="depthwise 3x3 and dense 1x1",
    ),
    pytest.param(
        """<float[4,1,1,2] w> { c = Conv<pads=[0,1,0,1], dilations=[1,2], group=4>(x, w) [sum] y = Add(c, x) }""",
        "Conv 'c' and the input itself stay two: one would multiply 12 times for each place of its output, the two do 8 times",
        True,
        id="identity between the taps",
    ),
    pytest.param(
        """<float[1,4,1,1] w, float[4,4,1,1] v> { c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }""",
        "they map 4 to 1 and 4 to 4 channels",
        True,
        id="one output is broadcast along channels",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4] k> { c = Conv(x, w) d = Mul(x, k) [sum] y = Add(c, d) }""",
        "Mul 'd' varies along axes (3,), not along the 4 channels",
        True,
        id="an affine along W, as many as channels",
    ),
    pytest.param(
        """<float[4,4,1,1] w, NORM4> { c = Conv(x, w)
            d = BatchNormalization<training_mode=1>(x, scale, bias, mean, var) [sum] y = Add(c, d) }""",
        "training_mode is 1",
        False,
        id="training mode",
    ),
    pytest.param(
        """<float[4,4,3,3] w> { c = Conv(x, w) [sum] y = Add(c, x) }""",
        "their padding makes outputs of different size",
        False,
        id="identity beside a Conv that shrinks",
    ),
    pytest.param(
        """<float[4,4,1,1] w> { s = Sigmoid(x) v = local.Any(s) c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }""",
        "its weight 'v' is computed at run time",
        False,
        id="weight computed at run time",
    ),
    pytest.param(
        """<float[4,4,1,1] w, float[4,4,1,1] v> { k = local.Any(x) c = Conv(x, w) d = Conv(x, v, k) [sum] y = Add(c, d) }""",
        "its bias 'k' is computed at run time",
        False,
        id="bias computed at run time",
    ),
]


@pytest.mark.parametrize(("text", "reason", "compare"), LEFT)
def test_branches_that_stay(text: str, reason: str, compare: bool) -> None:  # noqa: FBT001
    """Nothing changes, and the report says why."""
    found = rewritten(HEAD.replace("H,W]", "5,4]", 1) + text, compare=compare)
    assert not found.report.modified
    assert reason in found.refused["sum"]


@pytest.mark.parametrize("node", ["z = Relu(d)", "s = Shape(d) z = ConstantOfShape(s)"])
def test_branches_that_others_read(node: str) -> None:
    """A Conv whose output something else reads, be it for its shape, would stay: nothing is saved."""
    found = rewritten(
        f"""g (float[N,4,H,W] x) => (float[N,4,a,b] y, float[N,4,a,b] z) <float[4,4,1,1] w, float[4,4,1,1] v> {{
            c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) {node} }}"""
    )
    assert not found.report.modified
    assert "the output of Conv 'd' is also read elsewhere" in found.refused["sum"]


def test_an_affine_that_others_read() -> None:
    """It would have to stay: nothing is saved but the Add."""
    found = rewritten(
        """g (float[N,4,H,W] x) => (float[N,4,H,W] y, float[N,4,H,W] z) <float[4,4,1,1] w, NORM4> {
            c = Conv(x, w) d = BN(x) y = Add(c, d) z = Relu(d) }"""
    )
    assert not found.report.modified


def test_a_branch_that_is_a_graph_output() -> None:
    """It is somebody's result."""
    found = rewritten(
        """g (float[N,4,H,W] x) => (float[N,4,a,b] y, float[N,4,a,b] d) <float[4,4,1,1] w, float[4,4,1,1] v> {
            c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }"""
    )
    assert "the output of Conv 'd' is also read elsewhere" in found.refused["sum"]


def test_a_partial_sum_that_is_a_graph_output() -> None:
    """The tree ends there: two of three Convs merge."""
    found = rewritten(
        """g (float[N,4,H,W] x) => (float[N,4,a,b] y, float[N,4,a,b] s) <float[4,4,1,1] w, float[4,4,1,1] v> {
            c = Conv(x, w) d = Conv(x, v) e = Conv(x, v) s = Add(c, d) y = Add(s, e) }"""
    )
    assert found.ops == "Conv Conv Add"
    assert [info.name for info in found.proto.graph.output] == ["y", "s"]


def test_one_multiplication_more_is_too_much() -> None:
    """Two taps and one, with a gap of one between: four would do what three do."""
    text = "g (float[N,1,W] x) => (float[N,1,a] y) <float[1,1,2] w, float[1,1,1] v> {{ c = Conv<pads=[{},3]>(x, w) d = Conv<pads=[2,0]>(x, v) [sum] y = Add(c, d) }}"
    found = rewritten(text.format(0))
    assert not found.report.modified
    assert (
        "one would multiply 4 times for each place of its output, the two do 3 times"
        in (found.refused["sum"])
    )
    assert rewritten(text.format(1).replace(",3]", ",2]")).ops == "Conv"


def test_different_inputs_have_nothing_to_say() -> None:
    """A residual connection of two Convs is no parallel branch."""
    found = rewritten(
        HEAD
        + "<float[4,4,1,1] w> { r = Relu(x) c = Conv(x, w) d = Conv(r, w) [sum] y = Add(c, d) }"
    )
    assert not found.report.modified
    assert not found.refused


@pytest.mark.parametrize("kept", ["one", "two", "sum", "c", "bn"])
def test_kept_nodes_stay(kept: str) -> None:
    """A branch or the sum named in keep is left as it is."""
    found = rewritten(
        HEAD
        + """<float[4,4,1,1] w, float[4,4,1,1] v, NORM4> {
            [one] c = Conv(x, w) [two] d = Conv(x, v) [bn] e = BN(x) f = Add(c, d) [sum] y = Add(f, e) }""",
        keep=[kept],
    )
    assert kept in {name for node in found.proto.graph.node for name in (node.name, *node.output)}
    assert len(found.proto.graph.node) > 1


def test_overridable_weights_refuse() -> None:
    """From IR 4 on an initializer that is an input is a default."""
    found = rewritten(
        """g (float[N,4,H,W] x, float[4,4,1,1] w) => (float[N,4,a,b] y) <float[4,4,1,1] w, float[4,4,1,1] v> {
            c = Conv(x, v) [other] d = Conv(x, w) [sum] y = Add(c, d) }"""
    )
    assert not found.report.modified
    assert "'w' is a graph input, whose default the caller may override" in found.refused["sum"]


def test_names_of_merged_constants() -> None:
    """Those of the Conv that stays, as long as nothing else reads them."""
    found = rewritten(
        "g (float[N,2,H] x) => (float[N,2,H] y) <float[2,2,1] w, float[2,2,1] v, float[2] k> { c = Conv(x, w, k) d = Conv(x, v) y = Add(c, d) }"
    )
    assert {tensor.name for tensor in found.proto.graph.initializer} == {"w", "k"}


def test_weights_that_are_all_inputs() -> None:
    """Of several Convs none of which is known, the first is told about; of a single one nothing."""
    two = "g (float[N,2,H] x, float[2,2,1] w, float[2,2,1] v) => (float[N,2,H] y) { c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }"
    assert "its weight 'w' is an input of the graph" in rewritten(two).refused["sum"]
    one = "g (float[N,2,H] x, float[2,2,1] w) => (float[N,2,H] y) { c = Conv(x, w) [sum] y = Add(c, x) }"
    assert not rewritten(one).refused


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [("4e4", "4e4", False), ("4e4", "-4e4", True), ("6e4", "1", True)],
)
def test_fp16_range(first: str, second: str, fits: bool) -> None:  # noqa: FBT001
    """A sum that leaves the range of fp16 is refused, naming the channel."""
    found = rewritten(
        f"""g (float16[N,1,H,W] x) => (float16[N,2,a,b] y)
            <float[2,1,1,1] w32 = {{1, {first}}}, float[2,1,1,1] v32 = {{1, {second}}}> {{
            w = Cast<to = 10>(w32) v = Cast<to = 10>(v32)
            c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }}""",
        compare=fits,
    )
    assert found.report.modified == fits
    if not fits:
        assert found.refused["sum"] == "the merged weight would not fit float16 in channel 1"


def test_bias_out_of_range() -> None:
    """The weights would fit, the biases would not: nothing changes."""
    found = rewritten(
        """g (float16[N,4,H,W] x) => (float16[N,4,a,b] y)
            <float16[4,4,1,1] w, float16[4,4,1,1] v, float[4] k32 = {4e4, 1, 1, 1}> {
            k = Cast<to = 10>(k32) c = Conv(x, w, k) d = Conv(x, v, k) [sum] y = Add(c, d) }""",
        compare=False,
    )
    assert not found.report.modified
    assert found.refused["sum"] == "'k' would not fit float16 in channel 0"


def test_shared_weights_that_would_grow_the_model() -> None:
    """A megabyte more is too much for one Conv less."""
    text = """g (float[1,{n},1,1] x) => (float[1,{n},1,1] y, float[1,{n},1,1] z)
        <float[{n},{n},1,1] w, float[{n},{n},1,1] v> {{
        c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) e = Conv(x, w) z = Relu(e) r = Relu(x) }}"""
    small = rewritten(text.format(n=16).replace("r = Relu(x)", ""))
    assert small.ops == "Conv Conv Relu"
    shared = text.format(n=600).replace("z = Relu(e)", "f = Relu(e) z = Conv(f, v)")
    large = rewritten(shared.replace("r = Relu(x)", ""), compare=False)
    assert not large.report.modified
    assert (
        large.refused["sum"]
        == "weights that are also read elsewhere would make the model 1 MiB larger"
    )


def test_an_affine_of_nothing_is_no_branch() -> None:
    """An operator without its input is illegal."""
    text = 'g (float[N,4,T] x) => (float[N,4,T] y) <float[4,4,1] w, float k> { c = Conv(x, w) n = Mul("", k) y = Add(c, n) }'
    model = ir.from_proto(parsed(text))
    assert RULES["merge-parallel"](Surroundings.of(model), list(model.graph)[-1]) is None


def test_weights_without_numbers_stay() -> None:
    """Of no input channels nothing is summed."""
    found = rewritten(
        "g (float[N,0,T] x) => (float[N,4,T] y) <float[4,0,1] w, float[4,0,1] v> { c = Conv(x, w) d = Conv(x, v) [sum] y = Add(c, d) }",
        compare=False,
    )
    assert not found.report.modified
    assert "its weight has shape [4, 0, 1], which holds nothing" in found.refused["sum"]


def test_two_affines_of_different_length_are_no_branch() -> None:
    """No input has three rows and four."""
    found = rewritten(
        "g (float[N,D,T] x) => (float[N,4,T] y) <float[4,4,1] w, NORM3, float[4,1] h> { c = Conv(x, w) m = BN(x) n = Mul(m, h) y = Add(c, n) }",
        compare=False,
    )
    assert not found.report.modified


ILLEGAL = [
    pytest.param("Conv<pads=[-1,0,0,0]>(x, v)", "it has negative pads", id="negative pads"),
    pytest.param(
        "Conv<kernel_shape=[3,3]>(x, v)", "its attributes don't fit its weight", id="kernel_shape"
    ),
    pytest.param("Conv<strides=[1]>(x, v)", "its attributes don't fit its weight", id="strides"),
    pytest.param(
        "Conv<dilations=[0,1]>(x, v)", "its attributes don't fit its weight", id="dilations"
    ),
    pytest.param("Conv<pads=[1,1]>(x, v)", "its attributes don't fit its weight", id="pads"),
    pytest.param('Conv<auto_pad="SOME">(x, v)', "auto_pad SOME", id="auto_pad"),
    pytest.param("Conv<group=3>(x, v)", "with the first divisible by group", id="group"),
    pytest.param("Conv(x, v, k)", "its bias has shape [3], expected (M)", id="bias"),
    pytest.param("Conv(x, u)", "their weights are float32 and float64", id="types"),
]


@pytest.mark.parametrize(("node", "reason"), ILLEGAL)
def test_illegal_models_are_left_alone(node: str, reason: str) -> None:
    """What ONNX forbids does not become something else."""
    weights = {"v": "float[4,4,1,1]", "k": "float[3]", "u": "double[4,4,1,1]"}
    declared = "".join(
        f", {kind} {name}" for name, kind in weights.items() if name in node.partition("(")[2]
    )
    found = rewritten(
        f"g (float[N,4,5,4] x) => (float[N,4,a,b] y) <float[4,4,1,1] w{declared}> {{"
        f" c = Conv(x, w) d = {node} [sum] y = Add(c, d) }}",
        compare=False,
    )
    assert not found.report.modified
    assert reason in found.refused["sum"]
