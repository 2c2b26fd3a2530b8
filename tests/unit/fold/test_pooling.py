"""Pooling and reductions."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

UP = "g (float[N,3,5,4] x) => (float[N,a,b,c] y) <float[4,3,1,1] w, NORM4> {{ c = Conv(x, w) p = {} y = BN(p) }}"
SCALED = "g (float[N,3,5,4] x) => (float[N,a,b,c] y) <float[4,3,1,1] w, float[4,1,1] {}> {{ c = Conv(x, w) p = {} y = Mul(p, {}) }}"
MEANS = [
    "AveragePool<kernel_shape=[2,2]>(c)",
    "AveragePool<kernel_shape=[2,2], pads=[1,0,1,1]>(c)",
    'AveragePool<kernel_shape=[2,2], auto_pad="SAME_UPPER">(c)',
    "AveragePool<kernel_shape=[2,3], strides=[2,2], ceil_mode=1>(c)",
    "AveragePool<kernel_shape=[2,2], count_include_pad=1>(c)",
    "GlobalAveragePool(c)",
    "ReduceMean<axes=[2,-1], keepdims=1>(c)",
]


@pytest.mark.parametrize("node", MEANS)
def test_means_carry_up(node: str) -> None:
    """A mean of what is scaled and shifted is scaled and shifted."""
    found = rewritten(UP.format(node), opset=13)
    assert found.ops == f"Conv {node.split('<', maxsplit=1)[0].split('(', maxsplit=1)[0]}"


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            "AveragePool<kernel_shape=[2,2], pads=[1,0,1,1], count_include_pad=1>(c)",
            "AveragePool: it counts the zeros of its padding",
        ),
        (
            'AveragePool<kernel_shape=[2,2], auto_pad="SAME_LOWER", count_include_pad=1>(c)',
            "AveragePool: it counts the zeros of its padding",
        ),
        (
            "AveragePool<kernel_shape=[2,3], strides=[2,2], ceil_mode=1, count_include_pad=1>(c)",
            "AveragePool: it counts the zeros of its padding",
        ),
        ("MaxPool<kernel_shape=[2,2]>(c)", "MaxPool: a scale that is not positive"),
        ("ReduceSum(c, spatial)", "ReduceSum: it adds a shift up once for each term"),
    ],
)
def test_means_refuse(node: str, words: str) -> None:
    """Zeros that are counted get no shift, and a maximum of negated values is a minimum."""
    text = UP.format(node).replace(" y = BN(p)", " [bn] y = BN(p)")
    if "spatial" in node:
        text = text.replace("NORM4", "int64[2] spatial = {2, 3}, NORM4")
    found = rewritten(text, opset=13)
    assert not found.report.modified
    assert words in found.refused["bn"]


@pytest.mark.parametrize(
    "node",
    [
        "MaxPool<kernel_shape=[2,2], pads=[1,0,1,1]>(c)",
        "GlobalMaxPool(c)",
        "ReduceMax<axes=[2]>(c)",
        "ReduceMin<axes=[3]>(c)",
        "AveragePool<kernel_shape=[2,2], pads=[1,0,1,1], count_include_pad=1>(c)",
    ],
)
def test_positive_scales_carry_up(node: str) -> None:
    """A positive scale gets past a maximum, and any scale past counted zeros."""
    found = rewritten(SCALED.format("var1", node, "var1"), opset=13)
    assert "Mul" not in found.ops


@pytest.mark.parametrize("node", ["MaxPool<kernel_shape=[2,2]>(c)", "ReduceMax<axes=[2]>(c)"])
def test_positive_affines_carry_up(node: str) -> None:
    """With a positive scale a shift gets past a maximum as well."""
    text = UP.format(node).replace(
        "NORM4", "float[4] var0, float[4] bias, float[4] mean, float[4] var"
    )
    found = rewritten(
        text.replace("BN(p)", "BatchNormalization(p, var0, bias, mean, var)"), opset=13
    )
    assert "BatchNormalization" not in found.ops


REDUCED = [
    ("[4,3,5,5]", "ReduceMean<axes = [0], keepdims = 1>(c)", "[1,4,5,5]", "float[4,1,1] k"),
    ("[4,3,5,5]", "ReduceMean<axes = [0]>(c)", "[1,4,5,5]", "float[4,1,1] k"),
    ("[2,3,5,5]", "ReduceMean<axes = [0], keepdims = 0>(c)", "[4,5,5]", "float[4,1,1] k"),
    ("[2,3,5,5]", "ReduceMean<axes = [2], keepdims = 0>(c)", "[2,4,5]", "float[4,1] k"),
    ("[2,3,5,5]", "ReduceMean<axes = [-2], keepdims = 1>(c)", "[2,4,1,5]", "float[4,1,1] k"),
]


@pytest.mark.parametrize(("data", "node", "output", "declared"), REDUCED)
def test_axes_that_are_left(data: str, node: str, output: str, declared: str) -> None:
    """Behind a reduced axis they move one place up, where it is not kept."""
    found = rewritten(
        f"g (float{data} x) => (float{output} y) <float[4,3,1,1] w, {declared}> {{ c = Conv(x, w) r = {node} y = Mul(r, k) }}",
        opset=13,
    )
    assert found.ops == "Conv ReduceMean"


def test_axes_that_are_left_downwards() -> None:
    """As upwards."""
    found = rewritten(
        "g (float[2,4,5,4] x) => (float[4,2] y) <float[5,1] k, float[5,2] w, int64[2] z = {0, 3}> { n = Mul(x, k) r = ReduceSum<keepdims = 0>(n, z) y = MatMul(r, w) }",
        opset=13,
    )
    assert found.ops == "ReduceSum MatMul"


DOWN = """g (float[N,4,5,4] x) => (float[N,{0}] y) <float[4,7] w, float[7] b, {1}> {{
    n = BN(x) p = {2} f = Flatten(p) y = Gemm(f, w, b) }}"""


@pytest.mark.parametrize("node", ["GlobalAveragePool(n)", "ReduceMean<axes=[2,3], keepdims=0>(n)"])
def test_means_carry_down(node: str) -> None:
    """BatchNormalization, GlobalAveragePool, Flatten, Gemm: the head of many networks."""
    found = rewritten(DOWN.format("a", "NORM4", node), opset=13)
    assert found.ops == f"{node.partition('<')[0].partition('(')[0]} Flatten Gemm"


def test_a_mean_over_channels_refuses_down() -> None:
    """What varies along a reduced axis is lost in it."""
    text = DOWN.replace("float[4,7] w", "float[20,7] w").format(
        "a", "NORM4", "ReduceMean<axes=[1]>(n)"
    )
    found = rewritten(text.replace("n = BN", "[bn] n = BN"), opset=13)
    assert (
        "ReduceMean: the affine varies along axes (1,), some of which it reduces"
        in found.refused["bn"]
    )


def test_the_indices_of_a_maximum_carry_nothing() -> None:
    """The second output of MaxPool holds places."""
    found = rewritten(
        """g (float[N,4,5,4] x) => (float[N,a,b,c] y, int64[N,d,e,f] i) <float[4,1,1] var1, float[2,4,1,1] w> {
            n = Mul(x, var1) p, i = MaxPool<kernel_shape=[2,2]>(n) y = Conv(p, w) }""",
        compare=False,
    )
    assert found.ops == "MaxPool Conv"
