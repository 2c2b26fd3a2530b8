"""Transposes and Reshapes that go, and those that stay."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from normonnx.fold.rules import RULES
from normonnx.fold.surroundings import Surroundings
from tests.rewriting import parsed, rewritten

# text, operators afterwards
GONE = [
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { r = Relu(x) a = Transpose<perm=[0,2,1]>(r) b = Transpose<perm=[0,2,1]>(a) y = Sqrt(b) }",
        "Relu Sqrt",
        id="two that undo one another",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { r = Relu(x) a = Transpose<perm=[0,2,1]>(r) y = Transpose<perm=[0,2,1]>(a) }",
        "Relu",
        id="the second is a graph output",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { a = Transpose<perm=[0,2,1]>(x) b = Transpose<perm=[0,2,1]>(a) y = Relu(b) }",
        "Relu",
        id="of a graph input",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) { a = Transpose<perm=[1,2,0]>(x) y = Transpose<perm=[0,2,1]>(a) }",
        "Transpose",
        id="two compose",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) { a = Transpose<perm=[1,2,0]>(x) b = Transpose<perm=[1,2,0]>(a) c = Transpose<perm=[1,2,0]>(b) y = Relu(c) }",
        "Relu",
        id="three turn once around",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { a = Transpose(x) b = Transpose(a) y = Relu(b) }",
        "Relu",
        id="without perm",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) { a = Transpose(x) y = Transpose<perm=[0,2,1]>(a) }",
        "Transpose",
        id="without perm, composed",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { a = Transpose<perm=[0,1,2]>(x) y = Relu(a) }",
        "Relu",
        id="one that moves nothing",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b] y) <int64[2] s = {-1, 6}, int64[3] t = {2, 3, -1}> { a = Reshape(x, t) y = Reshape(a, s) }",
        "Reshape",
        id="one Reshape after another",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b] y) <int64[2] s = {-1, 6}> { h = Shape(x) a = Reshape(x, h) y = Reshape(a, s) }",
        "Reshape",
        id="the first to a computed shape",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) <int64[3] s = {0, 3, -1}> { a = Reshape(x, s) y = Relu(a) }",
        "Relu",
        id="to the same shape",
    ),
    pytest.param(
        "g (float[2,3,4] x) => (float[2,3,4] y) <int64[3] s = {2, 3, 4}> { a = Reshape(x, s) y = Relu(a) }",
        "Relu",
        id="to the same static shape",
    ),
    pytest.param(
        "g (float[2,3,4] x) => (float[2,3,4] y) <int64[2] t = {2, 12}, int64[3] s = {2, 3, 4}> { a = Reshape(x, t) b = Reshape(a, s) y = Relu(b) }",
        "Relu",
        id="there and back",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) { r = Relu(x) a = Flatten<axis=2>(r) s = Shape(r) y = Reshape(a, s) }",
        "Relu",
        id="flattened, and back to the shape before, as reshape_as",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) <int64[3] t = {-1, 2, 2}, int64[1] o = {1}> {"
        " r = Relu(x) a = Flatten(r) b = Unsqueeze(a, o) c = Squeeze(b, o) d = Reshape(c, t) s = Shape(r) e = Reshape(d, s) y = Relu(e) }",
        "Relu Relu",
        id="by many, and back",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) { s = Shape(x) a = Reshape(x, s) y = Relu(a) }",
        "Relu",
        id="to its own shape",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { s = Shape(x) a = Reshape(x, s) b = Transpose(a) c = Transpose(b) y = Relu(c) }",
        "Relu",
        id="a rank that is known only then",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[a,b] y) <int64[2] t = {-1, 8}> { a = Flatten<axis=2>(x) y = Reshape(a, t) }",
        "Reshape",
        id="a Reshape after Flatten",
    ),
]


@pytest.mark.parametrize(("text", "ops"), GONE)
def test_views_go(text: str, ops: str) -> None:
    """What undoes, repeats or follows another goes."""
    assert rewritten(text).ops == ops


LEFT = [
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y, float[N,4,3] z) { a = Transpose<perm=[0,2,1]>(x) b = Transpose<perm=[0,2,1]>(a) y = Relu(b) z = Relu(a) }",
        id="a second reader",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y, int64[3] z) { a = Transpose<perm=[0,2,1]>(x) b = Transpose<perm=[0,2,1]>(a) y = Relu(b) z = Shape(a) }",
        id="its shape is read",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y, float[N,4,3] a) { a = Transpose<perm=[0,2,1]>(x) b = Transpose<perm=[0,2,1]>(a) y = Relu(b) }",
        id="a graph output between",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y) { a = Transpose<perm=[0,2,1]>(x) y = Transpose<perm=[0,2,1]>(a) }",
        id="an output that would be an input",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[N,3,4] y, float[N,3,4] r) { r = Relu(x) y = Transpose<perm=[0,1,2]>(r) }",
        id="an output that would be another",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) { a = Transpose<perm=[0,2,1]>(x) r = Relu(a) y = Transpose<perm=[0,2,1]>(r) }",
        id="something between",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b] y) { v = local.Any(x) a = Transpose(v) b = Transpose(a) y = Relu(b) }",
        id="unknown rank without perm",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) <int64[2] t = {12, 2}, int64[3] s = {0, 1, -1}> { a = Reshape(x, t) y = Reshape(a, s) }",
        id="the second copies a dimension",
    ),
    pytest.param(
        "g (float[N,3,4] x, int64[2] s) => (float[a,b] y) <int64[2] t = {12, 2}> { a = Reshape(x, t) y = Reshape(a, s) }",
        id="the second may copy a dimension",
    ),
    pytest.param(
        "g (float[a,3,4] x) => (float[a,b,c] y) <int64[3] s = {2, 3, 4}> { a = Reshape(x, s) y = Relu(a) }",
        id="a dimension that is not known",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) <int64[3] s = {-1, -1, 4}> { a = Reshape(x, s) y = Relu(a) }",
        id="two dimensions left open, which is illegal",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) <int64[3] s = {0, 4, 3}> { a = Reshape(x, s) y = Relu(a) }",
        id="dimensions in another order",
    ),
    pytest.param(
        "g (float[N,12] x) => (float[a,b,c] y) <int64[3] s = {0, 12, 1}> { a = Reshape(x, s) y = Relu(a) }",
        id="one dimension more",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) <int64[3] s = {0, 3, 4}> { a = Reshape<allowzero=1>(x, s) y = Relu(a) }",
        id="a zero that copies nothing",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[a,b,c] y) { r = Relu(x) a = Flatten<axis=2>(r) s = Shape<start=0>(r) y = Reshape(a, s) }",
        id="perhaps a part of the shape",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[a,b,c] y) { r = Relu(x) a = Flatten<axis=2>(r) q = Sqrt(a) s = Shape(r) y = Reshape(q, s) }",
        id="something between the two",
    ),
    pytest.param(
        "g (float[N,T,4] x, float[4,T,N] z) => (float[a,b,c] y) { r = Relu(x) a = Flatten<axis=2>(r) s = Shape(z) y = Reshape(a, s) }",
        id="another shape",
    ),
    pytest.param(
        "g (float[N,3,4] x) => (float[a,b,c] y) <int64[3] s = {3, 4, -1}> { a = Transpose(x) y = Reshape(a, s) }",
        id="a Reshape after Transpose",
    ),
]


@pytest.mark.parametrize("text", LEFT)
def test_views_that_stay(text: str) -> None:
    """Nothing changes, and nothing is said."""
    found = rewritten(text, compare=False)
    assert not found.report.modified
    assert not found.refused


def test_a_zero_that_copies_nothing() -> None:
    """With allowzero 1 a zero is a size, so the second Reshape alone sets the shape."""
    text = "g (float[0,3,4] x) => (float[a,b,c] y) <int64[2] t = {3, 0}, int64[3] s = {0, 1, 5}> { a = Reshape<allowzero=1>(x, t) y = Reshape<allowzero=1>(a, s) }"
    assert rewritten(text).ops == "Reshape"
    copying = text.replace("Reshape<allowzero=1>(a, s)", "Reshape(a, s)")
    copying = copying.replace("{0, 1, 5}", "{0, 1, 0}")
    assert not rewritten(copying, compare=False).report.modified


@pytest.mark.parametrize("kept", ["one", "two", "a"])
def test_kept_nodes_stay(kept: str) -> None:
    """Either of the two named in keep is left as it is."""
    found = rewritten(
        "g (float[N,3,4] x) => (float[N,3,4] y) { [one] a = Transpose<perm=[0,2,1]>(x) [two] b = Transpose<perm=[0,2,1]>(a) y = Relu(b) }",
        keep=[kept],
    )
    assert not found.report.modified


def test_a_kept_name_is_not_given_away() -> None:
    """The value before would have to take the name of the output."""
    text = "g (float[N,3,4] x) => (float[N,3,4] y) { r = Relu(x) y = Transpose<perm=[0,1,2]>(r) }"
    assert rewritten(text).ops == "Relu"
    assert not rewritten(text, keep=["r"]).report.modified


def test_inside_bodies() -> None:
    """A value from outside can't become the output of a body."""
    text = """
        g (float[N,3,4] x, bool p) => (float[N,3,4] y) {{
            r = Relu(x)
            y = If(p) <
                then_branch = t () => (float[N,3,4] f) {{ a = Transpose<perm=[0,2,1]>({source}) f = Transpose<perm=[0,2,1]>(a) }},
                else_branch = o () => (float[N,3,4] h) {{ h = Sqrt(r) }}>
        }}"""
    assert not rewritten(text.format(source="r")).report.modified
    inner = text.format(source="s").replace("{ a =", "{ s = Sqrt(r) a =")
    assert rewritten(inner).ops == "Relu If Sqrt Sqrt"


def test_linear_layers_over_points() -> None:
    """MatMul, Transpose, BatchNormalization, Transpose with the norm folded away: no Transpose is left."""
    found = rewritten(
        """g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, float[4] k> {
            c = MatMul(x, w) b = Add(c, k) t = Transpose<perm=[0,2,1]>(b) u = Transpose<perm=[0,2,1]>(t) y = Relu(u) }"""
    )
    assert found.ops == "MatMul Add Relu"
    (event,) = found.report.applied
    assert (event.rule, event.removed) == ("remove-views", 2)
    assert event.reason == "Transpose 't' and Transpose 'u' undo one another"


def test_a_view_of_nothing_is_left_alone() -> None:
    """An operator without its input is illegal."""
    text = 'g (float[N,4] x) => (float[a] y) <int64[1] s = {4}> { y = Reshape("", s) }'
    model = ir.from_proto(parsed(text))
    assert RULES["remove-views"](Surroundings.of(model), model.graph[0]) is None
