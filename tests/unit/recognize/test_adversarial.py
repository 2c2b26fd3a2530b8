"""Graphs made to be mistaken for a normalization; each is computed as it was, or left alone."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.recognize.finding import find
from normonnx.runtime.oracle import evaluate
from tests.rewriting import check_same_function, parsed
from tests.unit.recognize.recognising import recognised

HEAD = "<float e = {0.00001}, float zero = {0.0}, float one = {1.0}>"
CHAIN = """m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Mul(d, d)
    w = ReduceMean<axes = [-1]>(q) ve = Add(w, e) r = Sqrt(ve)"""


def rewritten_alike(
    text: str,
    feeds: list[dict[str, Any]],
    *,
    opset: int = 17,
    **numbers: Any,  # noqa: ANN401
) -> str:
    """Names of the calls that a model becomes; it gives the same on these inputs, shapes too."""
    proto = parsed(text, opset=opset)
    for tensor in proto.graph.initializer:
        if tensor.name in numbers:
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            array = np.asarray(numbers[tensor.name], kind).reshape(tuple(tensor.dims))
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    result = normonnx.optimize(proto, style="function", passes=("recognize",))
    found = ir.to_proto(result.model)
    onnx.checker.check_model(found, full_check=True)
    for given in feeds:
        before = evaluate(ir.from_proto(proto), given)
        after = evaluate(ir.from_proto(found), given)
        for name, wanted in before.items():
            np.testing.assert_allclose(after[name], wanted, 1e-9, 1e-12)
            assert np.shape(after[name]) == np.shape(wanted)
    return " ".join(node.op_type for node in found.graph.node if node.domain == "normonnx")


PAIRS = "u = Unsqueeze(x, behind) v = Unsqueeze(x, ahead)"


def test_products_of_pairs_are_no_squares() -> None:
    """x_i x_j for every i and j runs over the same digit twice."""
    text = f"""g (float[4,4] x) => (float[4,4] y)
        <float e = {{0.00001}}, int64[1] ahead = {{1}}, int64[1] behind = {{2}}> {{
        {PAIRS} p = Mul(u, v) pos = Abs(p) m = ReduceMean<axes = [2], keepdims = 0>(p)
        ve = Add(m, e) r = Sqrt(ve) y = Div(x, r)
    }}"""
    assert recognised(text).names == ""


def test_differences_of_pairs_do_not_cancel() -> None:
    """x_i - x_j is no zero: its mean is x_i less the mean."""
    text = f"""g (float[4,4] x) => (float[4,4] y)
        <float e = {{0.00001}}, int64[1] ahead = {{1}}, int64[1] behind = {{2}}> {{
        {PAIRS} p = Sub(u, v) m = ReduceMean<axes = [2], keepdims = 0>(p)
        q = Mul(x, x) w = ReduceMean<axes = [1]>(q) ve = Add(w, e) r = Sqrt(ve)
        n = Div(x, r) y = Add(n, m)
    }}"""
    assert rewritten_alike(text, [{"x": np.arange(16.0).reshape(4, 4)}]) == "RMSNorm"


@pytest.mark.parametrize(
    ("condition", "guards"),
    [
        ("c = Greater(n, zero) u = Where(c, n, one)", True),
        ("c = Less(zero, n) u = Where(c, n, one)", True),
        ("c = LessOrEqual(n, zero) u = Where(c, one, n)", True),
        ("c = Greater(n, zero) i = Not(c) u = Where(i, one, n)", True),
        ("c = Equal(n, zero) u = Where(c, one, n)", True),
        ("c = GreaterOrEqual(n, zero) u = Where(c, n, one)", False),
        ("c = LessOrEqual(zero, n) u = Where(c, n, one)", False),
        ("c = Less(n, zero) u = Where(c, one, n)", False),
        ("c = Less(n, zero) i = Not(c) u = Where(i, n, one)", False),
        ("c = Greater(n, zero) u = Where(c, one, n)", False),
        ("c = Equal(n, zero) u = Where(c, n, one)", False),
        ("c = Greater(n, zero) k = Cast<to = 1>(c) a = Mul(n, k) b = Sub(one, k) u = Add(a, b)", 1),
        ("c = Less(n, zero) k = Cast<to = 1>(c) a = Mul(n, k) b = Sub(one, k) u = Add(a, b)", 0),
        ("c = Equal(n, zero) k = Cast<to = 1>(c) a = Mul(n, k) b = Sub(one, k) u = Add(a, b)", 0),
    ],
)
def test_a_guard_guards_where_the_norm_is_zero(condition: str, guards: bool) -> None:  # noqa: FBT001
    """A comparison that counts zero among what is large enough leaves 0 / 0."""
    text = f"""g (float[2,4] x) => (float[2,4] y) {HEAD} {{
        n = ReduceL2<axes = [1]>(x) {condition} y = Div(x, u)
    }}"""
    zeros = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    assert rewritten_alike(text, [{"x": zeros}]) == ("LpNorm" if guards else "")


def test_a_second_division_needs_a_guard_of_its_own() -> None:
    """|x| / unit of a row of zeros has norm 0, whatever the unit was replaced by."""
    text = f"""g (float[2,4] x) => (float[2,4] y) {HEAD} {{
        a = Abs(x) m = ReduceMax<axes = [1]>(a) c = Greater(m, zero) u = Where(c, m, one)
        v = Div(a, u) n = ReduceL2<axes = [1]>(v) z = Div(x, u) y = Div(z, n)
    }}"""
    zeros = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
    assert rewritten_alike(text, [{"x": zeros}]) == ""


def test_a_mean_of_guarded_squares_is_no_mean_of_squares() -> None:
    """A row of zeros counts as 1 in the mean over rows."""
    text = f"""g (float[2,3,4] x) => (float[2,3,4] y) {HEAD} {{
        q = Mul(x, x) v = ReduceMean<axes = [2]>(q) c = Greater(v, zero) u = Where(c, v, one)
        w = ReduceMean<axes = [1]>(u) ve = Add(w, e) r = Sqrt(ve) y = Div(x, r)
    }}"""
    assert recognised(text).names == ""


@pytest.mark.parametrize(
    "source",
    [
        "k = Greater(a, zero)",
        "k = ArgMax<axis = 2, keepdims = 0>(b)",
        "v, k = TopK(a, four)",
        "p, k = MaxPool<kernel_shape = [1]>(t)",
        "k = Shape(b)",
        "k = Equal(a, zero)",
    ],
)
def test_what_is_cast_from_whole_numbers_starts_there(source: str) -> None:
    """Nothing is computed in the type of an index or a condition."""
    text = f"""g (float[2,4] a, float[N,4,5] b, float[1,2,4] t) => (float[A,B] y)
        <float e = {{0.00001}}, float zero = {{0.0}}, int64[1] four = {{4}}, int64[2] s = {{1,-1}}> {{
        {source} f = Cast<to = 1>(k) x = Reshape(f, s) {CHAIN} y = Div(d, r)
    }}"""
    random = np.random.default_rng(0)
    feeds = {name: random.normal(size=n) for name, n in (("a", (2, 4)), ("b", (2, 4, 5)))}
    feeds["t"] = random.normal(size=(1, 2, 4))
    assert rewritten_alike(text, [feeds]) == "LayerNorm"


def test_a_branch_of_where_that_is_always_taken_may_still_be_broadcast() -> None:
    """The result is as long as the other one."""
    text = f"""g (float[1,8] a, float[N,8] b) => (float[N,8] y)
        <float e = {{0.00001}}, bool[1] c = {{1}}> {{
        x = Where(c, a, b) {CHAIN} y = Div(d, r)
    }}"""
    feeds = {"a": np.arange(8.0)[None] ** 2, "b": np.zeros((3, 8))}
    assert rewritten_alike(text, [feeds]) == "LayerNorm"


def test_equal_numbers_in_a_vector_still_broadcast() -> None:
    """A bound of three equal numbers makes three columns of one."""
    text = """g (float[N,d] x) => (float[N,k] y) <float[3] t = {0.000001, 0.000001, 0.000001}> {
        n = ReduceL2<axes = [1]>(x) u = Max(n, t) y = Div(x, u)
    }"""
    proto = parsed(text.replace("[N,d]", "[N,d]"))
    result = ir.to_proto(normonnx.optimize(proto, style="function", passes=("recognize",)).model)
    for width in (1, 3):
        feeds = {"x": np.arange(1.0, 1 + 2 * width).reshape(2, width)}
        check_same_function(proto, result, feeds)


def test_an_output_of_one_norm_may_be_what_another_normalizes() -> None:
    """The mean becomes an output of LayerNorm, though another call that reads it stands before."""
    text = f"""g (float[2,3,4] x) => (float[2,3,4] y, float[2,3,1] z) {HEAD} {{
        m = ReduceMean<axes = [-1]>(x) n = ReduceL2<axes = [1]>(m) c = Max(n, e) z = Div(m, c)
        d = Sub(x, m) q = Mul(d, d) w = ReduceMean<axes = [-1]>(q) ve = Add(w, e) r = Sqrt(ve)
        y = Div(d, r)
    }}"""
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 3, 4))}
    assert sorted(rewritten_alike(text, [feeds]).split()) == ["LayerNorm", "LpNorm"]


SAMPLES = f"""<float e = {{0.00001}}, int64[3] rows = {{-1, 1, 8}}> {{
    {CHAIN} n = Div(d, r) k = Reshape(c, rows) y = Mul(n, k) }}"""


def test_a_view_of_other_lengths_is_no_row_for_each_sample() -> None:
    """(1, 16) as (2, 1, 8) has as many numbers as (2, 8), but is not that."""
    text = f"g (float[N,4,8] x, float[a,b] c) => (float[N,4,8] y) {SAMPLES}"
    random = np.random.default_rng(0)
    feeds = [
        {"x": random.normal(size=(2, 4, 8)), "c": random.normal(size=shape)}
        for shape in ((1, 16), (2, 8), (4, 4))
    ]
    assert rewritten_alike(text, feeds) == "AdaptiveLayerNorm"


def test_a_length_that_is_not_known_may_be_one() -> None:
    """A scale for each sample, or one number for each."""
    text = f"""g (float[N,4,8] x, float[N,1,k] c) => (float[N,4,8] y) {HEAD} {{
        {CHAIN} n = Div(d, r) y = Mul(n, c)
    }}"""
    random = np.random.default_rng(0)
    feeds = [
        {"x": random.normal(size=(2, 4, 8)), "c": random.normal(size=(2, 1, width))}
        for width in (1, 8)
    ]
    assert rewritten_alike(text, feeds) == "AdaptiveLayerNorm"


def test_a_scale_of_unknown_length_may_be_one_for_each_group() -> None:
    """GroupNormalization-18 has such scales."""
    text = """g (float[2,4,3] x, float[k] s, float[k] b) => (float[2,4,3] y) {
        y = GroupNormalization<num_groups = 2>(x, s, b)
    }"""
    proto = parsed(text, opset=18)
    result = normonnx.optimize(proto, style="function", passes=("recognize",))
    assert [node.op_type for node in result.model.graph] == ["GroupNormalization"]


@pytest.mark.parametrize(
    ("opset", "parameters", "node"),
    [
        (17, "float[4] a, float[4,1,1] v = {2, 2, 2, 2}", "BatchNormalization(x, a, a, a, v)"),
        (17, "float[1,4] a = {3, 3, 3, 3}, float[4] v", "BatchNormalization(x, a, v, v, v)"),
        (18, "float[4] a, float[2] v", "GroupNormalization<num_groups = 2>(x, a, v)"),
        (18, "float[2] a, float[1] v", "GroupNormalization<num_groups = 2>(x, a, v)"),
        (21, "float[2] a, float[2] v", "GroupNormalization<num_groups = 2>(x, a, v)"),
        (21, "float[4] a, float[2] v", "GroupNormalization<num_groups = 2>(x, a, v)"),
    ],
)
@pytest.mark.parametrize("style", ["function", "native", "primitive", None])
def test_parameters_of_no_legal_shape_make_no_norm(
    opset: int,
    parameters: str,
    node: str,
    style: Any,  # noqa: ANN401  # a literal
) -> None:
    """Written in another way such a node would run, and hide that the model is broken."""
    text = f"g (float[2,4,3,3] x) => (float[2,4,3,3] y) <{parameters}> {{ y = {node} }}"
    proto = parsed(text, opset=opset)
    assert not normonnx.optimize(proto, style=style).report.modified


@pytest.mark.parametrize(
    "body",
    [
        "w = ReduceMean<axes = [-1]>(q) ve = Add(w, e) r = Sqrt(ve) y = Div(x, r)",
        "n = ReduceL2<axes = [-1]>(x) r = Max(n, e) y = Div(x, r)",
    ],
)
def test_an_epsilon_that_only_float64_has_stays(body: str) -> None:
    """Attributes are float32, which would move it by more than float64 rounds."""
    text = f"""g (double[2,4] x) => (double[2,4] y) <double e = {{0.00001}}> {{
        q = Mul(x, x) {body}
    }}"""
    (reason,) = recognised(text).reasons
    assert reason == "its epsilon 1e-05 is no float32 number, as attributes are, and X is float64"
    assert recognised(text, e=float(np.float32(1e-5))).names


def test_a_norm_within_a_branch_that_is_always_taken_is_one() -> None:
    """The If gives it; what is inside is no second one."""
    inner = f"{CHAIN} o = Div(d, r)".replace("\n", " ")
    text = f"""g (float[2,3,4] x) => (float[2,3,4] y) <float e = {{0.00001}}, bool c = {{1}}> {{
        y = If (c) <then_branch = t () => (float[2,3,4] o) {{ {inner} }},
                    else_branch = f () => (float[2,3,4] p) {{ p = Neg(x) }}>
    }}"""
    assert recognised(text, c=True).names == "LayerNorm"


def test_what_is_empty_is_not_normalized() -> None:
    """Means over nothing."""
    text = """g (float[3,0] a) => (float[3,0,1] y)
        <float e = {0.00001}, int64[3] s = {3, 0, 1}> {
        x = Reshape<allowzero = 1>(a, s) m = ReduceMean<axes = [1]>(x) d = Sub(x, m)
        q = Mul(d, d) w = ReduceMean<axes = [1]>(q) ve = Add(w, e) r = Sqrt(ve) y = Div(d, r)
    }"""
    found = find(ir.from_proto(parsed(text)))
    assert not found.norms


def test_a_count_times_a_fraction_is_no_count() -> None:
    """The sum over 1.5 n elements' worth is two thirds of the mean."""
    text = """g (float[N,d] x) => (float[N,d] y)
        <float e = {0.00001}, float more = {1.5}, int64[1] last = {-1}> {
        q = Mul(x, x) t = ReduceSum(q, last) h = Shape<start = 1>(x) f = Cast<to = 1>(h)
        n = Mul(f, more) w = Div(t, n) ve = Add(w, e) r = Sqrt(ve) y = Div(x, r)
    }"""
    feeds = {"x": np.random.default_rng(0).normal(size=(2, 4))}
    assert rewritten_alike(text, [feeds]) == ""


@pytest.mark.parametrize("kind", ["squares", "readers", "clips"])
def test_time_grows_with_the_number_of_nodes(kind: str) -> None:
    """No node is looked at for each other: these took minutes."""
    lines = {
        "squares": ["v0 = Mul(x, x)", *(f"v{i + 1} = Mul(v{i}, v{i})" for i in range(40))],
        "readers": [CHAIN, *(f"o{i} = Div(d, r)" for i in range(300))],
        "clips": ["b0 = Identity(x)"]
        + [
            f"a{i} = Mul(b{i}, k) c{i} = Clip(a{i}, zero, one) b{i + 1} = Add(c{i}, e)"
            for i in range(100)
        ],
    }[kind]
    text = f"""g (float[2,4] x) => (float[2,4] y)
        <float e = {{0.1}}, float zero = {{0}}, float one = {{1}}, float[4] k> {{
        {" ".join(lines)} y = Neg(x)
    }}"""
    model = ir.from_proto(parsed(text))
    started = time.perf_counter()
    find(model)
    assert time.perf_counter() - started < 10


def test_a_product_over_no_axes_is_each_number() -> None:
    """With noop_with_empty_axes nothing is reduced: (2, 2) stays, and is no 4."""
    text = """g (float[2,2] x) => (float[2,2] y)
        <int64[2] k = {2, 3}, int64[0] none, int64[1] last = {-1}, float e = {0.00001}> {
        p = ReduceProd<noop_with_empty_axes = 1>(k, none) f = Cast<to = 1>(p)
        q = Mul(x, x) w = ReduceMean(q, last) ve = Add(w, e) r = Sqrt(ve)
        n = Div(x, r) y = Mul(n, f)
    }"""
    scale = recognised(text, opset=18).parameter("scale")
    np.testing.assert_array_equal(scale, [2.0, 3.0])


@pytest.mark.parametrize("style", ["function", "primitive"])
def test_a_row_of_zeros_stays_zeros(style: Any) -> None:  # noqa: ANN401  # a literal
    """LpNormalization keeps it; a ScaleNorm without an epsilon would make NaN of it."""
    text = "g (float[2,4] x) => (float[2,4] y) <float two = {2}> { n = LpNormalization(x) y = Mul(n, two) }"
    proto = parsed(text, opset=17)
    result = normonnx.optimize(proto, style=style)
    assert result.report.modified
    x = np.asarray([[0, 0, 0, 0], [3, 0, 4, 0]], np.float32)
    assert evaluate(result.model, {"x": x})["y"].tolist() == [
        [0] * 4,
        pytest.approx([1.2, 0, 1.6, 0]),
    ]
