"""What may lie between an affine and what absorbs it, and what stops the walk."""

from __future__ import annotations

from itertools import pairwise

import pytest

from normonnx.fold import planner
from tests.rewriting import rewritten

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
    monkeypatch.setattr(planner, "_LARGEST_COPY", 3 * 4 * 4 - 1)
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
