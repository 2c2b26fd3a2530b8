"""What is not known before run time, or is not legal, is left alone, with the reason."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from normonnx.fold.plan import Refusal
from normonnx.fold.planner import Planner
from normonnx.fold.surroundings import Surroundings
from normonnx.graph.walk import label
from tests.rewriting import parsed, rewritten

# r is z in a shape that is given at run time, of a number of dimensions that is not known.
RANKLESS = "g (float[N] z, int64[N] s, int64[1] i) => (float[N] y, float[1] o) <NORM4, float[4] k, float[4,4] w, float[4,4,1] v> {{ r = Reshape(z, s) o = Cast<to = 1>(i) {} }}"

UP = [
    ("q = Reshape(z, s) c = Concat<axis = 1>(r, q) [it] y = BN(c)", "Concat: the number of dimensions of its input is unknown"),
    ("c = MatMul(r, w) [it] y = Mul(c, k)", "the number of dimensions of its input is unknown"),
    ("c = LayerNormalization(r, k) [it] y = BN(c)", "LayerNormalization: the number of dimensions of its input is unknown"),
    ("c = Reshape(r, i) [it] y = BN(c)", "Reshape: the number of dimensions around it is unknown"),
    ("c = Expand(r, s) [it] y = BN(c)", "Expand: the number of dimensions around it is unknown"),
    ("c = Sum(r, r) [it] y = BN(c)", "Sum: the number of dimensions of a branch is unknown"),
    ("c = Squeeze(r, i) [it] y = BN(c)", "Squeeze: its axes, or the dimensions of its input, are unknown"),
    ("c = ReduceMean(r) [it] y = BN(c)", "ReduceMean: which axes it reduces is unknown"),
    ('c = Resize(r, "", o) [it] y = BN(c)', "Resize: the affine varies along axes (1,), which it may resize"),
    ("c = Pad(r, s) [it] y = BN(c)", "Pad: where it pads is computed at run time"),
]  # fmt: skip
DOWN = [
    ("[it] n = BN(r) y = Concat<axis = 1>(n, n)", "Concat: the number of dimensions of its input is unknown"),
    ("[it] n = Neg(r) y = MatMul(n, w)", "MatMul: the number of dimensions of its input is unknown"),
    ("[it] n = BN(r) y = Transpose(n)", "Transpose: the number of dimensions of its input is unknown"),
    ("[it] n = BN(r) y = Reshape(n, i)", "Reshape: the number of dimensions around it is unknown"),
    ("[it] n = BN(r) y = Expand(n, s)", "Expand: the number of dimensions around it is unknown"),
    ("[it] n = BN(r) y = Slice(n, i, i)", "Slice: the number of dimensions of its input is unknown"),
    ("q = Cast<to = 7>(r) a = Relu(o) b = Unsqueeze(a, i) [it] n = BN(b) y = Gather<axis = 2>(n, q)", "Gather: the number of dimensions of its inputs is unknown"),
    ("q = Cast<to = 7>(r) f = Flatten<axis = 0>(z) [it] n = BN(f) y = Gather(n, q)", "Gather: the number of dimensions of its inputs is unknown"),
    ("[it] n = BN(r) y = Gather<axis = 2>(n, i)", "Gather: the number of dimensions of its inputs is unknown"),
    ('[it] n = BN(r) y = Resize(n, "", o)', "Resize: the affine varies along axes (1,), which it may resize"),
    ("[it] n = BN(r) y = LayerNormalization(n, k)", "LayerNormalization: its statistics change with its input"),
    ("[it] n = Mul(r, k) y = Conv(n, v)", "the number of dimensions of its input is unknown"),
]  # fmt: skip


def _reason(text: str, way: str, opset: int = 17) -> str:
    model = ir.from_proto(parsed(text, opset=opset))
    node = next(node for node in model.graph if label(node) == "it")
    planner = Planner(Surroundings.of(model))
    found = planner.plan_up(node) if way == "up" else planner.plan_down(node)
    assert isinstance(found, Refusal)
    return found.reason


@pytest.mark.parametrize(("body", "words"), UP, ids=[body for body, _ in UP])
def test_unknown_ranks_refuse_up(body: str, words: str) -> None:
    """Which axis the affine varies along there is not known."""
    assert words in _reason(RANKLESS.format(body), "up")


def test_what_is_declared_of_the_output_says_nothing_of_the_input() -> None:
    """How many dimensions there are before an Expand is not known."""
    text = RANKLESS.format("c = Expand(r, s) [it] y = BN(c)").replace(
        "<NORM4", "<float[a,b] c, NORM4"
    )
    assert "Expand: the number of dimensions around it is unknown" in _reason(text, "up")


@pytest.mark.parametrize(("body", "words"), DOWN, ids=[body for body, _ in DOWN])
def test_unknown_ranks_refuse_down(body: str, words: str) -> None:
    """Which axis the affine varies along there is not known."""
    assert words in _reason(RANKLESS.format(body), "down")


FUNCTION = """<ir_version: 8, opset_import: ["": {opset}, "local": 1]>
    g (float[N,2,4,4] x) => (float[a,b,c,d] z) {{ z = local.f<given = {given}>(x) }}
    <domain: "local", opset_import: ["": {opset}]> f<given>(x) => (y) {{
        w = Constant<value = float[2,2,1,1] {{1, 2, 3, 4}}>() s = Constant<value = float[2] {{5, 6}}>()
        k = Constant<value = float {{2}}>() one = Constant<value = int64[1] {{1}}>() two = Constant<value = int64[1] {{2}}>()
        h = Constant<value = float[2,1,1] {{2, 3}}>() u = Constant<value = float[4] {{1, 1, 2, 2}}>() {nodes} }}"""
GIVEN = [
    ("1", "c = Conv(x, w) r = Slice<starts = [0], ends = [2], axes: ints = @given>(c) y = Mul(r, k)", 9),
    ("1", "n = Mul(x, k) r = Slice<starts = [0], ends = [2], axes: ints = @given>(n) y = Conv(r, w)", 9),
    ('"linear"', 'c = Conv(x, w) r = Resize<mode: string = @given>(c, "", u) y = Mul(r, k)', 13),
    ('"linear"', 'n = Mul(x, k) r = Resize<mode: string = @given>(n, "", u) y = Conv(r, w)', 13),
    ("2.0", "c = InstanceNormalization<epsilon: float = @given>(x, s, s) y = Mul(c, k)", 13),
    ("2.0", "c = LayerNormalization<epsilon: float = @given>(x, u) y = Mul(c, k)", 17),
    ("2.0", "c = Conv(x, w) y = BatchNormalization<epsilon: float = @given>(c, s, s, s, s)", 13),
    ("[0,1,3,2]", "r = Relu(x) c = Transpose<perm: ints = @given>(r) y = Transpose<perm = [0,1,3,2]>(c)", 13),
    ("[0,1,3,2]", "r = Relu(x) c = Transpose<perm = [0,1,3,2]>(r) y = Transpose<perm: ints = @given>(c)", 13),
    ("1", "n = Mul(x, h) r = Gather<axis: int = @given>(n, one) y = Conv(r, w)", 13),
    ("1", "c = Conv(x, w) r = Unsqueeze<axes: ints = @given>(c) y = Mul(r, h)", 11),
    ("1", "n = Mul(x, k) r = Flatten<axis: int = @given>(n) y = Mul(r, r)", 13),
    ("1", "c = Conv<group: int = @given>(x, w) y = Conv(c, w)", 13),
]  # fmt: skip


@pytest.mark.parametrize(("given", "nodes", "opset"), GIVEN, ids=[nodes for _, nodes, _ in GIVEN])
def test_attributes_given_to_a_function_refuse(given: str, nodes: str, opset: int) -> None:
    """What the caller gives is not known inside."""
    text = FUNCTION.format(given=given, nodes=nodes, opset=opset)
    declared = ("w", "s", "k", "one", "two", "h", "u")
    for name in declared:
        if f" {name})" not in nodes and f" {name}," not in nodes:
            start = text.index(f"{name} = Constant<")
            text = text[:start] + text[text.index(">()", start) + 3 :]
    assert not rewritten(text, compare=False).report.modified


ILLEGAL = [
    ("c = Unsqueeze(x, far) [it] y = BN(c)", "up", "Unsqueeze: its axes [9] are out of range"),
    ("c = Gather<axis = 1>(x, four) [it] y = BN(c)", "up", "it selects 4 channels, the affine has others"),
    ("c = Gather<axis = 1>(x, five) [it] y = BN(c)", "up", "how long axis 1 is before channels are selected is unknown"),
    ("[it] n = BN(x) y = Gather<axis = 1>(n, five)", "down", "it selects beyond the 5 channels of the affine"),
    ("[it] n = BN(x) y = Unsqueeze(n, far)", "down", "Unsqueeze: its axes [9] are out of range"),
    ("[it] n = BN(x) y = Gather<axis = 1>(n, far)", "down", "it selects beyond the 5 channels of the affine"),
    ("[it] n = BN(x) y = Gather<axis = 3>(n, far)", "down", "Gather: the number of dimensions of its inputs is unknown"),
    ("c = LayerNormalization(x, more) [it] y = Mul(c, scale)", "up", "LayerNormalization: its scale has shape [1, 1, 1, 5]"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "way", "words"), ILLEGAL)
def test_what_is_illegal_refuses(body: str, way: str, words: str) -> None:
    """A model that no runtime takes is not made to look well."""
    text = f"g (float[N,5,H] x) => (float[N] y) <int64[1] far = {{9}}, int64[1] five = {{5}}, int64[4] four = {{0, 1, 2, 3}}, float[1,1,1,5] more, NORM5> {{ {body} }}"
    assert words in _reason(text, way)
