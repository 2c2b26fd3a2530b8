"""Weights stored as integers: an affine that follows goes into the scales they are multiplied by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.rewriting import Rewritten, parsed, rewritten

Array = npt.NDArray[Any]
Q = np.array([[1, -3, 127], [-127, 5, 0], [2, 2, -9], [60, -61, 8]], np.int8)  # [M, C]
SCALE = [1.5, -0.25, 0.75, -2.0]


def _model(text: str, constants: dict[str, Array], opset: int = 17) -> onnx.ModelProto:
    model = parsed(text, opset=opset)
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in constants]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def _folded(text: str, constants: dict[str, Array], opset: int = 17) -> Rewritten:
    return rewritten(_model(text, constants, opset))


# Name: opset, declarations and DequantizeLinear of the weight, operator, data, output.
OPERATORS: dict[str, tuple[str, str, str, str, str]] = {
    "Conv, one scale": ("<axis = 1>", "[4,3,1]", "Conv(x, w)", "[N,3,5]", "[N,4,5]"),
    "Conv, a scale each": ("<axis = 0>", "[4,3,1]", "Conv(x, w)", "[N,3,5]", "[N,4,5]"),
    "Conv of groups": ("<axis = 0>", "[4,3,1]", "Conv<group = 2>(x, w)", "[N,6,5]", "[N,4,5]"),
    "ConvTranspose": ("<axis = 1>", "[3,4,1]", "ConvTranspose(x, w)", "[N,3,5]", "[N,4,5]"),
    "Gemm": ("<axis = 1>", "[3,4]", "Gemm(x, w)", "[N,3]", "[N,4]"),
    "Gemm, transB": ("<axis = 0>", "[4,3]", "Gemm<transB = 1>(x, w)", "[N,3]", "[N,4]"),
    "Gemm, negative axis": ("<axis = -1>", "[3,4]", "Gemm(x, w)", "[N,3]", "[N,4]"),
}


@pytest.mark.parametrize("zero_point", [None, 0, 3])
@pytest.mark.parametrize("name", OPERATORS)
def test_an_affine_goes_into_the_scales(name: str, zero_point: int | None) -> None:
    """With an entry for each channel, and mirrored integers where a factor is negative."""
    attribute, shape, operator, data, output = OPERATORS[name]
    lengths = [int(one) for one in shape.strip("[]").split(",")]
    q = np.moveaxis(Q, 0, lengths.index(4)).reshape(lengths)
    each = name != "Conv, one scale"
    s = np.array([0.5, 0.25, 0.125, 2.0], np.float32) if each else np.float32(0.5)
    constants: dict[str, Array] = {"q": q, "s": np.asarray(s)}
    operands, declared = "q, s", f"int8{shape} q, float{'[4]' if each else ''} s"
    if zero_point is not None:
        constants["z"] = np.full(s.shape, zero_point, np.int8)
        constants["q"] = np.clip(q, -120, 120)
        operands, declared = "q, s, z", f"{declared}, int8{'[4]' if each else ''} z"
    constants |= {"k": np.array(SCALE, np.float32).reshape([4] + [1] * (len(lengths) - 2))}
    text = f"""g (float{data} x) => (float{output} y) <{declared}, float{[4, *[1] * (len(lengths) - 2)]} k> {{
        w = DequantizeLinear{attribute}({operands}) c = {operator} y = Mul(c, k) }}"""
    found = _folded(text, constants)
    assert found.ops == f"DequantizeLinear {operator.partition('(')[0].partition('<')[0]}"
    assert np.array_equal(found.weight("s"), np.abs(np.array(SCALE, np.float32)) * s)
    assert found.weight("q").dtype == np.int8
    assert np.array_equal(
        np.moveaxis(found.weight("q").reshape(q.shape), lengths.index(4), 0)[[0, 2]],
        np.moveaxis(constants["q"], lengths.index(4), 0)[[0, 2]],
    )


def test_a_batch_norm_goes_with_its_shift() -> None:
    """Which becomes a floating-point bias where there is none."""
    found = _folded(
        "g (float[N,3,5] x) => (float[N,4,5] y) <int8[4,3,1] q, float s, NORM4> {"
        " w = DequantizeLinear(q, s) c = Conv(x, w) y = BN(c) }",
        {
            "q": Q.reshape(4, 3, 1),
            "s": np.array(0.5, np.float32),
        },
    )
    assert found.ops == "DequantizeLinear Conv"
    assert found.attributes("DequantizeLinear") == {"axis": 0}


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("exact", [False, True])
def test_a_bias_of_integers(*, each: bool, exact: bool) -> None:
    """Stays one under the new scale where that holds the shift; else it becomes floating point."""
    sb = np.array([2**-6, 2**-7, 2**-8, 2**-9], np.float32) if each else np.float32(2**-6)
    shift = np.array([2, -4, 0, 1] if exact else [0.3, 0.1, 0, 1.7], np.float32)
    text = f"""g (float[N,3,5] x) => (float[N,4,5] y)
        <int8[4,3,1] q, float s, int32[4] b, float{"[4]" if each else ""} sb, float[4] scale, float[4] bias, float[4] mean, float[4] var> {{
        w = DequantizeLinear(q, s) v = DequantizeLinear<axis = 0>(b, sb) c = Conv(x, w, v)
        y = BatchNormalization<epsilon = 0.0>(c, scale, bias, mean, var) }}"""
    found = _folded(
        text,
        {
            "q": Q.reshape(4, 3, 1),
            "s": np.array(0.5, np.float32),
            "b": np.array([100, -200, 7, 0], np.int32),
            "sb": np.asarray(sb),
            "scale": np.array([2, -0.5, 4, 1], np.float32),
            "bias": shift,
            "mean": np.zeros(4, np.float32),
            "var": np.ones(4, np.float32),
        },
    )
    if not exact:
        assert found.ops == "DequantizeLinear Conv"
        return
    assert found.ops == "DequantizeLinear DequantizeLinear Conv"
    assert found.weight("b").dtype == np.int32
    assert np.array_equal(found.weight("sb"), np.array([2, 0.5, 4, 1], np.float32) * sb)
    first = 100 + round(2 / float(found.weight("sb")[0]))
    assert found.weight("b")[0] == first


@pytest.mark.parametrize("zero", [0, 3])
def test_a_bias_of_integers_with_a_zero_point(zero: int) -> None:
    """It gets one for each channel, like the scale, where it is 0; another makes no bias of integers."""
    found = _folded(
        "g (float[N,3,5] x) => (float[N,4,5] y) <int8[4,3,1] q, float r, int32[4] b, float s, int32 z, float[4,1] k> {"
        " w = DequantizeLinear(q, r) v = DequantizeLinear(b, s, z) c = Conv(x, w, v) y = Mul(c, k) }",
        {
            "r": np.array(0.125, np.float32),
            "b": np.array([100, -200, 7, 0], np.int32),
            "s": np.array(0.5, np.float32),
            "z": np.array(zero, np.int32),
            "k": np.array([[2], [0.5], [4], [1]], np.float32),
        },
    )
    assert found.ops.count("DequantizeLinear") == (1 if zero else 2)
    axes = [helper.get_node_attr_value(n, "axis") for n in found.proto.graph.node[:-1]]
    assert axes == ([0] if zero else [0, 0])
    if not zero:
        assert found.weight("z").tolist() == [0, 0, 0, 0]
        assert found.weight("s").tolist() == [1.0, 0.25, 2.0, 0.5]


@pytest.mark.parametrize("twice", [False, True])
def test_a_bias_of_integers_for_two_convs(*, twice: bool) -> None:
    """What another Conv reads as well is left alone; the one gets a bias of its own."""
    found = _folded(
        f"""g (float[N,3,5] x) => (float[N,4,5] y, float[N,4,5] z)
        <float[4,3,1] w, int32[4] b, float sb, float[4] scale, float[4] bias, float[4] mean, float[4] var> {{
        v = DequantizeLinear(b, sb) c = Conv(x, w, v) z = Conv{"(x, w, v)" if twice else "(x, w)"}
        y = BatchNormalization<epsilon = 0.0>(c, scale, bias, mean, var) }}""",
        {
            "b": np.array([100, -200, 7, 0], np.int32),
            "sb": np.array(0.5, np.float32),
            "scale": np.array([1, 1, 1, 1], np.float32),
            "bias": np.array([2, -4, 0, 1], np.float32),
            "mean": np.zeros(4, np.float32),
            "var": np.ones(4, np.float32),
        },
    )
    assert "BatchNormalization" not in found.ops
    assert found.weight("sb").shape == ()
    assert found.weight("b").tolist() == ([100, -200, 7, 0] if twice else [104, -208, 7, 2])


def test_a_factor_of_zero_makes_the_integers_the_zero_point() -> None:
    """The scale stays, since a scale of 0 is none."""
    found = _folded(
        "g (float[N,3] x) => (float[N,4] y) <uint8[3,4] q, float s, uint8 z, float[4] k> {"
        " w = DequantizeLinear(q, s, z) c = MatMul(x, w) y = Mul(c, k) }",
        {
            "q": np.arange(12, dtype=np.uint8).reshape(3, 4),
            "s": np.array(0.5, np.float32),
            "z": np.array(7, np.uint8),
            "k": np.array([1, 0, 2, -1], np.float32),
        },
    )
    assert found.ops == "DequantizeLinear MatMul"
    assert found.weight("q")[:, 1].tolist() == [7, 7, 7]
    assert found.weight("q")[:, 3].tolist() == [11, 7, 3]
    assert found.weight("z").tolist() == [7, 7, 7, 7]
    assert found.weight("s").tolist() == [0.5, 0.5, 1.0, 0.5]


def test_one_factor_for_all_needs_no_axis() -> None:
    """So it goes in at any opset."""
    found = _folded(
        "g (float[N,3] x) => (float[N,4] y) <int8[3,4] q, float s, float k> {"
        " w = DequantizeLinear(q, s) c = MatMul(x, w) y = Mul(c, k) }",
        {
            "q": Q.T.copy(),
            "s": np.array(0.5, np.float32),
            "k": np.array(-3, np.float32),
        },
        opset=10,
    )
    assert found.ops == "DequantizeLinear MatMul"
    assert float(found.weight("s")) == 1.5
    assert np.array_equal(found.weight("q"), -Q.T)


@pytest.mark.parametrize("factor", [2, 3])
def test_one_factor_goes_into_all_scales(factor: int) -> None:
    """Whichever axis they are for."""
    found = _folded(
        "g (float[N,4] x) => (float[N,3] y) <int8[4,3] q, float[4] s, float k> {"
        " w = DequantizeLinear<axis = 0>(q, s) c = MatMul(x, w) y = Mul(c, k) }",
        {"q": Q, "s": np.array([0.5, 1, 2, 4], np.float32), "k": np.array(factor, np.float32)},
    )
    assert found.ops == "DequantizeLinear MatMul"
    assert found.weight("s").tolist() == [factor * s for s in (0.5, 1, 2, 4)]


def test_one_zero_point_that_is_not_zero_makes_no_bias_of_integers() -> None:
    """Of several."""
    found = _folded(
        "g (float[N,3,5] x) => (float[N,4,5] y) <float[4,3,1] w, int32[4] b, float[4] s, int32[4] z, float k> {"
        " v = DequantizeLinear<axis = 0>(b, s, z) c = Conv(x, w, v) y = Mul(c, k) }",
        {
            "b": np.array([100, -200, 7, 0], np.int32),
            "s": np.array([0.5, 1, 2, 4], np.float32),
            "z": np.array([0, 3, 0, 0], np.int32),
            "k": np.array(2, np.float32),
        },
    )
    assert found.ops == "Conv"


def test_a_change_of_signs_leaves_the_scales() -> None:
    """Only the integers are mirrored."""
    found = _folded(
        "g (float[N,3,5] x) => (float[N,4,5] y) <int8[4,3,1] q, float[4] s> {"
        " w = DequantizeLinear<axis = 0>(q, s) c = Conv(x, w) y = Neg(c) }",
        {"q": Q.reshape(4, 3, 1), "s": np.array([0.5, 1, 2, 4], np.float32)},
    )
    assert found.ops == "DequantizeLinear Conv"
    assert found.weight("s").tolist() == [0.5, 1, 2, 4]
    assert np.array_equal(found.weight("q"), -Q.reshape(4, 3, 1))


def test_a_change_of_signs_leaves_the_scale_of_the_bias() -> None:
    """Its integers are negated as well."""
    found = _folded(
        "g (float[N,3,5] x) => (float[N,4,5] y) <int8[4,3,1] q, float[4] s, int32[4] b, float sb> {"
        " w = DequantizeLinear<axis = 0>(q, s) v = DequantizeLinear(b, sb) c = Conv(x, w, v) y = Neg(c) }",
        {
            "q": Q.reshape(4, 3, 1),
            "s": np.array([0.5, 1, 2, 4], np.float32),
            "b": np.array([100, -200, 7, 0], np.int32),
            "sb": np.array(0.5, np.float32),
        },
    )
    assert found.ops == "DequantizeLinear DequantizeLinear Conv"
    assert found.weight("sb").shape == ()
    assert found.weight("b").tolist() == [-100, 200, -7, 0]


def test_zero_points_of_blocks() -> None:
    """Each block is mirrored about its own."""
    found = _folded(
        "g (float[N,4] x) => (float[N,2] y) <int8[4,2] q, float[2,2] s, int8[2,2] z, float[2] k> {"
        " w = DequantizeLinear<axis = 0, block_size = 2>(q, s, z) c = MatMul(x, w) y = Mul(c, k) }",
        {
            "q": np.arange(8, dtype=np.int8).reshape(4, 2),
            "s": np.array([[1, 2], [3, 4]], np.float32),
            "z": np.array([[1, 2], [3, 4]], np.int8),
            "k": np.array([0.5, -2], np.float32),
        },
        opset=21,
    )
    assert found.ops == "DequantizeLinear MatMul"
    assert found.weight("q").tolist() == [[0, 3], [2, 1], [4, 3], [6, 1]]


def test_blocks_keep_their_scales_apart() -> None:
    """Scales for blocks of the axis summed over, each times the channel's factor."""
    found = _folded(
        "g (float[N,4] x) => (float[N,2] y) <int8[4,2] q, float[2,2] s, float[2] k> {"
        " w = DequantizeLinear<axis = 0, block_size = 2>(q, s) c = MatMul(x, w) y = Mul(c, k) }",
        {
            "q": np.arange(8, dtype=np.int8).reshape(4, 2),
            "s": np.array([[1, 2], [3, 4]], np.float32),
            "k": np.array([0.5, -2], np.float32),
        },
        opset=21,
    )
    assert found.ops == "DequantizeLinear MatMul"
    assert found.weight("s").tolist() == [[0.5, 4], [1.5, 8]]


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "an integer has no mirror image": (
        "w = DequantizeLinear<axis = 1>(q, s) c = MatMul(x, w) y = Mul(c, k)",
        {"q": np.full((3, 4), -128, np.int8)},
        "would leave int8 when the sign of their channel changes",
    ),
    "scales for another axis": (
        "w = DequantizeLinear<axis = 0>(q, r) c = MatMul(x, w) y = Mul(c, k)",
        {"r": np.array([1, 2, 3], np.float32)},
        "its scales are for axis 0 of the weight, and the affine varies along axis 1",
    ),
    "no axis before opset 13": (
        "w = DequantizeLinear(q, s) c = MatMul(x, w) y = Mul(c, k)",
        {"opset": 12},
        "one scale for each channel takes opset 13",
    ),
    "the weight is read twice": (
        "w = DequantizeLinear(q, s) c = MatMul(x, w) o = Mul(c, k) d = MatMul(x, w) y = Sub(o, d)",
        {},
        "the weight that DequantizeLinear 'w' makes is also read elsewhere",
    ),
    "the activation is quantized in between": (
        "w = DequantizeLinear(q, s) c = MatMul(x, w) a = QuantizeLinear(c, s) b = DequantizeLinear(a, s) y = Mul(b, k)",
        {},
        "numbers are rounded to integers in between",
    ),
    "scales computed at run time": (
        "t = ReduceMax<keepdims = 0>(x) w = DequantizeLinear(q, t) c = MatMul(x, w) y = Mul(c, k)",
        {},
        "neither operand is a constant weight",
    ),
    "blocks along the channels": (
        "w = DequantizeLinear<axis = 1, block_size = 2>(q, e) c = MatMul(x, w) y = Mul(c, k)",
        {"opset": 21, "e": np.array([[1, 2], [3, 4], [5, 6]], np.float32)},
        "its scales are for blocks along axis 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """With the reason."""
    body, more, reason = REFUSED[name]
    constants: dict[str, Array] = {
        "q": Q.T.copy(),
        "s": np.array(0.5, np.float32),
        "k": np.array(SCALE, np.float32),
        **{key: value for key, value in more.items() if key != "opset"},
    }
    words = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    constants = {key: value for key, value in constants.items() if key in words}
    kinds = {np.dtype(np.int8): "int8", np.dtype(np.float32): "float"}
    declared = ", ".join(
        f"{kinds[array.dtype]}{list(array.shape) if array.ndim else ''} {key}"
        for key, array in constants.items()
    )
    text = f"g (float[N,3] x) => (float[N,4] y) <{declared}> {{ {body} }}"
    found = rewritten(_model(text, constants, more.get("opset", 17)))
    assert "Mul" in found.ops
    assert any(reason in said for said in found.refused.values()), found.refused


def test_a_bias_of_rows_becomes_floating_point() -> None:
    """Integers express one row of biases, and here each row has a scale of its own."""
    found = _folded(
        "g (float[4,3] x) => (float[4,4] y) <float[3,4] w, int32[4,4] b, float[4] s, float[4] k> {"
        " c = DequantizeLinear<axis = 0>(b, s) d = Gemm(x, w, c) y = Mul(d, k) }",
        {
            "b": np.arange(16, dtype=np.int32).reshape(4, 4) * 100,
            "s": np.array([0.5, 1, 2, 4], np.float32),
            "k": np.array([2, 2, 2, 2], np.float32),
        },
    )
    assert found.ops == "Gemm"


BEFORE = {
    "Conv": ("float[N,4,5]", "[3,4,1]", "[4,1]", "Conv(n, w)"),
    "ConvTranspose": ("float[N,4,5]", "[4,3,1]", "[4,1]", "ConvTranspose(n, w)"),
    "Gemm": ("float[N,4]", "[4,3]", "[4]", "Gemm(n, w)"),
    "MatMul": ("float[N,4]", "[4,3]", "[4]", "MatMul(n, w)"),
}


@pytest.mark.parametrize("op_type", BEFORE)
def test_factors_of_the_input_stay(op_type: str) -> None:
    """Kernels for integers have no scale for each channel that is summed over."""
    data, weight, factor, node = BEFORE[op_type]
    found = _folded(
        f"g ({data} x) => (float[N,{'a,b' if data.count(',') > 1 else 'a'}] y) <int8{weight} q, float s, float{factor} k> {{"
        f" w = DequantizeLinear(q, s) n = Mul(x, k) y = {node} }}",
        {"s": np.array(0.5, np.float32)},
    )
    assert not found.report.modified


def test_a_weight_that_is_kept_stays() -> None:
    """The user asked for it."""
    text = "g (float[N,3] x) => (float[N,4] y) <int8[3,4] q, float s, float[4] k> { w = DequantizeLinear(q, s) c = MatMul(x, w) y = Mul(c, k) }"
    constants: dict[str, Array] = {
        "q": Q.T.copy(),
        "s": np.array(0.5, np.float32),
        "k": np.full(4, 2, np.float32),
    }
    found = rewritten(_model(text, constants), keep=("w",))
    assert "DequantizeLinear 'w' is kept as asked for" in found.refused["y"]
