"""Each operator whose versions differ, from one opset to another and back."""

from __future__ import annotations

import pytest

from tests.unit.lower.moved import moved

X3 = "g (float[2,3,4] x) => (float[_] y) "
UP = [
    pytest.param(13, 18, X3.replace("_", "2,1,4") + "{ y = ReduceMean<axes=[1]>(x) }", "ReduceMean", id="ReduceMean: axes are an input"),
    pytest.param(11, 13, X3.replace("_", "2,1,4") + "{ y = ReduceSum<axes=[1]>(x) }", "ReduceSum", id="ReduceSum is five versions ahead"),
    pytest.param(11, 18, X3.replace("_", "1,1,1") + "{ y = ReduceMax(x) }", "ReduceMax", id="no axes are all"),
    pytest.param(7, 13, "g (float[2,1,4] x) => (float[2,4] y) { y = Squeeze<axes=[1]>(x) }", "Squeeze", id="Squeeze"),
    pytest.param(7, 21, X3.replace("_", "2,1,3,4") + "{ y = Unsqueeze<axes=[1]>(x) }", "Unsqueeze", id="Unsqueeze"),
    pytest.param(7, 13, X3.replace("_", "2,2,3") + "{ y = Slice<axes=[1,2], starts=[1,0], ends=[3,-1]>(x) }", "Slice", id="Slice"),
    pytest.param(7, 13, X3.replace("_", "1,3,4") + "{ y = Slice<starts=[1], ends=[9]>(x) }", "Slice", id="Slice without axes"),
    pytest.param(11, 13, "g (float[2,3] x) => (float[2,1] y, float[2,2] z) { y, z = Split<axis=1, split=[1,2]>(x) }", "Split", id="Split: sizes are an input"),
    pytest.param(13, 18, "g (float[2,4] x) => (float[2,2] y, float[2,2] z) { y, z = Split<axis=1>(x) }", "Split", id="Split: the number of parts is said"),
    pytest.param(7, 18, "g (float[2,4] x) => (float[2,2] y, float[2,2] z) { y, z = Split<axis=1>(x) }", "Split", id="Split by two versions"),
    pytest.param(10, 11, "g (float[2,3] x) => (float[2,3] y) { y = Clip<min=-0.5, max=0.25>(x) }", "Clip", id="Clip: limits are inputs"),
    pytest.param(10, 13, "g (float[2,3] x) => (float[2,3] y) { y = Clip<min=-0.5>(x) }", "Clip", id="Clip with one limit"),
    pytest.param(10, 11, "g (float[2,3] x) => (float[2,3] y) { y = Clip(x) }", "Clip", id="Clip without limits"),
    pytest.param(7, 13, "g (float[2,3] x) => (float[4,4] y) { y = Pad<pads=[1,0,1,1], value=0.5>(x) }", "Pad", id="Pad: pads and value are inputs"),
    pytest.param(7, 11, "g (float[2,3] x) => (float[4,4] y) { y = Pad<mode=\"reflect\", pads=[1,0,1,1]>(x) }", "Pad", id="Pad by reflection"),
    pytest.param(7, 11, "g (float[2,5] x) => (float[2,3] y, int64[2,3] i) { y, i = TopK<k=3>(x) }", "TopK", id="TopK: k is an input"),
    pytest.param(11, 13, "g (float[2,3] x) => (float[2,3] y) { y = Dropout<ratio=0.25>(x) }", "Dropout", id="Dropout: ratio is an input"),
    pytest.param(7, 22, "g (float[2,3] x) => (float[2,3] y) { y = Dropout(x) }", "Dropout", id="Dropout by three versions"),
    pytest.param(11, 13, X3.replace("_", "2,3,4") + "{ y = Softmax(x) }", "Flatten Softmax Shape Reshape", id="Softmax over all from axis 1"),
    pytest.param(11, 13, X3.replace("_", "2,3,4") + "{ y = LogSoftmax<axis=0>(x) }", "Flatten LogSoftmax Shape Reshape", id="LogSoftmax over everything"),
    pytest.param(11, 13, X3.replace("_", "2,3,4") + "{ y = Softmax<axis=2>(x) }", "Softmax", id="Softmax over the last axis"),
    pytest.param(9, 13, "g (float[2,3] x) => (float[2,3] y) { y = Hardmax(x) }", "Hardmax", id="Hardmax of a matrix"),
    pytest.param(7, 9, "g (float[1,2,3,3] x) => (float[1,2,6,6] y) { y = Upsample<mode=\"nearest\", scales=[1.0,1.0,2.0,2.0]>(x) }", "Upsample", id="Upsample: scales are an input"),
    pytest.param(9, 10, "g (float[1,2,3,3] x) => (float[1,2,6,6] y) <float[4] s = {1,1,2,2}> { y = Upsample<mode=\"linear\">(x, s) }", "Resize", id="Upsample is Resize"),
    pytest.param(7, 19, "g (float[1,2,3,3] x) => (float[1,2,6,4] y) { y = Upsample<mode=\"nearest\", scales=[1.0,1.0,2.0,1.5]>(x) }", "Resize", id="Upsample to the newest Resize"),
    pytest.param(10, 11, "g (float[1,2,4,4] x) => (float[1,2,6,2] y) <float[4] s = {1,1,1.5,0.5}> { y = Resize<mode=\"linear\">(x, s) }", "Resize", id="Resize keeps its coordinates"),
    pytest.param(19, 20, "g (float[1,2,3,3] x, float[1,4,4,2] at) => (float[1,2,4,4] y) { y = GridSample<mode=\"bicubic\">(x, at) }", "GridSample", id="GridSample: names of modes"),
    pytest.param(19, 20, "g (float[1,2,3,3] x, float[1,4,4,2] at) => (float[1,2,4,4] y) { y = GridSample(x, at) }", "GridSample", id="GridSample: the default's name"),
    pytest.param(10, 16, "g (float[1,1,6,6] x) => (float[1,1,2,2] y) <float[1,4] r = {0.5,1,4,5}, int64[1] b = {0}> { y = RoiAlign<output_height=2, output_width=2, sampling_ratio=2>(x, r, b) }", "RoiAlign", id="RoiAlign keeps its coordinates"),
    pytest.param(17, 20, "g (float[1,8,1] x) => (float[1,8,2] y) { y = DFT<axis=1>(x) }", "DFT", id="DFT: axis is an input"),
    pytest.param(9, 11, "g (float[3,3] x, float[2,2] u) => (float[3,3] y) <int64[2,2] i = {0,1,2,0}> { y = Scatter(x, i, u) }", "ScatterElements", id="Scatter is ScatterElements"),
    pytest.param(26, 27, "g (float s, float e, float d) => (float[M] y) { y = Range(s, e, d) }", "Range", id="Range stays"),
    pytest.param(7, 28, "g (float[1,3,8,8] x) => (float[1,4,6,6] y) <float[4,3,3,3] w, float[4] b> { c = Conv(x, w, b) y = Relu(c) }", "Conv Relu", id="Conv and Relu over all opsets"),
]
DOWN = [
    pytest.param(18, 13, X3.replace("_", "2,1,4") + "<int64[1] axes = {1}> { y = ReduceMean(x, axes) }", "ReduceMean", id="ReduceMean"),
    pytest.param(18, 9, X3.replace("_", "2,3,1") + "<int64[1] axes = {-1}> { y = ReduceMean(x, axes) }", "ReduceMean", id="axes counted from the end"),
    pytest.param(18, 11, X3.replace("_", "2,3,4") + "<int64[0] axes = {}> { y = ReduceMean<noop_with_empty_axes=1>(x, axes) }", "Identity", id="over no axes"),
    pytest.param(18, 7, X3.replace("_", "2,3") + "{ axes = Constant<value_ints=[2]>() y = ReduceL2<keepdims=0>(x, axes) }", "ReduceL2", id="axes from a Constant, which goes"),
    pytest.param(13, 7, X3.replace("_", "2,3,4,1") + "<int64[1] axes = {-1}> { y = Unsqueeze(x, axes) }", "Unsqueeze", id="Unsqueeze at the end"),
    pytest.param(13, 7, "g (float[2,1,4] x) => (float[2,4] y) <int64[1] axes = {-2}> { y = Squeeze(x, axes) }", "Squeeze", id="Squeeze"),
    pytest.param(13, 7, "g (float[2,1,4] x) => (float[2,4] y) { y = Squeeze(x) }", "Squeeze", id="Squeeze of all that can be"),
    pytest.param(13, 9, X3.replace("_", "2,3,2") + "<int64[1] s = {1}, int64[1] e = {3}, int64[1] a = {-1}> { y = Slice(x, s, e, a) }", "Slice", id="Slice"),
    pytest.param(13, 10, X3.replace("_", "2,3,2") + "<int64[1] s = {1}, int64[1] e = {4}, int64[1] a = {-1}, int64[1] t = {2}> { y = Slice(x, s, e, a, t) }", "Slice", id="Slice with steps counts axes from the front"),
    pytest.param(18, 13, "g (float[2,5] x) => (float[2,2] y, float[2,2] z, float[2,1] w) { y, z, w = Split<axis=1, num_outputs=3>(x) }", "Split", id="Split: the last part is smaller"),
    pytest.param(18, 7, "g (float[2,4] x) => (float[2,2] y, float[2,2] z) { y, z = Split<axis=-1, num_outputs=2>(x) }", "Split", id="Split: equal parts"),
    pytest.param(13, 11, "g (float[2,3] x) => (float[2,1] y, float[2,2] z) <int64[2] s = {1,2}> { y, z = Split<axis=1>(x, s) }", "Split", id="Split: sizes are an attribute"),
    pytest.param(18, 10, X3.replace("_", "2,5,4") + "<int64[2] p = {1,1}, float v = {0.5}, int64[1] a = {1}> { y = Pad(x, p, v, a) }", "Pad", id="Pad of some axes"),
    pytest.param(13, 11, "g (bool[2,3] x) => (bool[2,4] y) <int64[4] p = {0,0,0,1}> { y = Pad(x, p) }", "Cast Pad Cast", id="Pad of booleans"),
    pytest.param(13, 10, "g (float[2,3] x) => (float[2,3] y) <float lo = {-0.5}, float hi = {0.25}> { y = Clip(x, lo, hi) }", "Clip", id="Clip: numbers as attributes"),
    pytest.param(13, 9, "g (float[2,3] x, float hi) => (float[2,3] y) <float lo = {-0.5}> { y = Clip(x, lo, hi) }", "Max Min", id="Clip: a limit at run time"),
    pytest.param(13, 10, "g (double[2,3] x) => (double[2,3] y) <double lo = {-0.1}> { y = Clip(x, lo) }", "Max", id="Clip: a limit that float32 doesn't have"),
    pytest.param(13, 11, "g (int64[2,3] x) => (int64[2,3] y) <int64 lo = {2}, int64 hi = {2}> { y = Clip(x, lo, hi) }", "Less Where Greater Where", id="Clip of integers"),
    pytest.param(13, 11, "g (int64[2,3] x, int64[3] z, int64[1] w) => (int64[2,3] y) { y = Max(x, z, w) }", "Greater Where Greater Where", id="Max of integers"),
    pytest.param(13, 7, "g (float[2,3] x) => (float[2,3] y) <float c = {0.25}> { y = Min(x, c) }", "Clip", id="Min with a number, before it broadcast"),
    pytest.param(13, 7, "g (float[2,3] x, float[3] z) => (float[2,3] y) { y = Mean(x, z) }", "Add Div", id="Mean, before it broadcast"),
    pytest.param(13, 7, "g (float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Max(x, z) }", "Max", id="Max of equal shapes stays"),
    pytest.param(13, 11, "g (float[2,3] x) => (float[2,3] y) <int32 two = {2}> { y = Pow(x, two) }", "Cast Pow", id="Pow: exponent of another type"),
    pytest.param(13, 11, "g (int32[2,3] x, int32[2,3] z) => (int32[2,3] y) { y = Pow(x, z) }", "Cast Cast Pow Cast", id="Pow of integers"),
    pytest.param(13, 10, "g (float[2,3] x, float[3] z) => (bool[2,3] y) { y = Equal(x, z) }", "Less Greater Or IsNaN IsNaN Or Or Not", id="Equal of floating-point numbers"),
    pytest.param(13, 11, "g (float[2,3] x, float[3] z) => (bool[2,3] y) { y = LessOrEqual(x, z) }", "Less Equal Or", id="LessOrEqual"),
    pytest.param(13, 8, "g (int32[2,3] x, int32[3] z) => (bool[2,3] y) { y = Greater(x, z) }", "Cast Cast Greater", id="Greater of integers"),
    pytest.param(14, 13, "g (int8[2,3] x, int8[3] z) => (int8[2,3] y) { y = Add(x, z) }", "Cast Cast Add Cast", id="Add of bytes"),
    pytest.param(13, 10, "g (float[2,3] x) => (float[2,4] y) <float[3,4] w> { y = Gemm(x, w) }", "Gemm", id="Gemm needs its bias"),
    pytest.param(13, 11, "g (float[2,3] x) => (float[2,3] y) <float r = {0.25}, bool t = {0}> { y = Dropout(x, r, t) }", "Dropout", id="Dropout at inference"),
    pytest.param(15, 13, "g (float[2,3] x, int64[2,3] z) => (int64[2,3] y) { y = CastLike(x, z) }", "Cast", id="CastLike"),
    pytest.param(15, 14, X3.replace("float[_]", "int64[2]") + "{ y = Shape<start=-2>(x) }", "Shape Slice", id="part of a Shape"),
    pytest.param(14, 13, X3.replace("_", "6,4") + "<int64[2] s = {6,-1}> { y = Reshape<allowzero=1>(x, s) }", "Reshape", id="Reshape without zeros"),
    pytest.param(13, 7, X3.replace("_", "2,3,4") + "<int64[3] s = {2,3,4}> { m = ReduceMean<axes=[1]>(x) y = Expand(m, s) }", "ReduceMean Mul", id="Expand is times ones"),
    pytest.param(9, 8, "g (float[2,3] x) => (float[2,3] y) { s = Shape(x) y = ConstantOfShape(s) }", "Shape Expand", id="ConstantOfShape of a shape at run time"),
    pytest.param(13, 12, X3.replace("_", "2,3,4") + "{ y = Softmax<axis=1>(x) }", "Transpose Softmax Transpose", id="Softmax over an axis in between"),
    pytest.param(13, 9, X3.replace("_", "2,3,4") + "{ y = Softmax<axis=-1>(x) }", "Softmax", id="Softmax over the last axis"),
    pytest.param(13, 9, X3.replace("_", "2,3,4") + "{ y = LogSoftmax(x) }", "LogSoftmax", id="LogSoftmax over its default axis"),
    pytest.param(13, 9, X3.replace("_", "2,12") + "{ y = Flatten<axis=-2>(x) }", "Flatten", id="Flatten"),
    pytest.param(13, 9, X3.replace("_", "2,3,2") + "<int64[2] i = {-1,0}> { y = Gather<axis=-1>(x, i) }", "Gather", id="Gather from the end"),
    pytest.param(13, 9, X3.replace("_", "2,3,8") + "{ y = Concat<axis=-1>(x, x) }", "Concat", id="Concat"),
    pytest.param(13, 10, "g (float[2,5] x) => (float[2,3] y, int64[2,3] i) <int64[1] k = {3}> { y, i = TopK<largest=0>(x, k) }", "Neg TopK Neg", id="the smallest are the largest of what is negated"),
    pytest.param(13, 9, "g (float[2,5] x) => (float[2,3] y, int64[2,3] i) <int64[1] k = {3}> { y, i = TopK(x, k) }", "TopK", id="TopK"),
    pytest.param(14, 13, "g (float[2,3,4] x) => (float[2,3,4] y) <int64 k = {1}> { y = Trilu(x, k) }", "Shape Slice Reshape Range Slice Reshape Range Unsqueeze Sub Sub Less Where", id="Trilu"),
    pytest.param(14, 11, "g (float[4,4] x) => (float[4,4] y) { y = Trilu<upper=0>(x) }", "Shape Slice Reshape Range Slice Reshape Range Unsqueeze Sub Greater Where", id="Trilu of the lower triangle"),
    pytest.param(13, 9, "g (float[3,3] x, float[2,2] u) => (float[3,3] y) <int64[2,2] i = {0,1,2,0}> { y = ScatterElements(x, i, u) }", "Scatter", id="ScatterElements is Scatter"),
    pytest.param(11, 10, "g (float[1,8,2,3] x) => (float[1,2,4,6] y) { y = DepthToSpace<blocksize=2, mode=\"CRD\">(x) }", "Reshape Transpose Reshape", id="DepthToSpace, columns first"),
    pytest.param(13, 11, "g (float[2,3] x) => (float[2,3] y) { c = Constant<value_float=2.5>() y = Mul(x, c) }", "Constant Mul", id="Constant: a number as a tensor"),
    pytest.param(20, 19, "g (float[2,3] x) => (float[2,3] y) { y = Gelu(x) }", "Div Erf Add Mul Mul", id="Gelu"),
    pytest.param(20, 9, "g (float[2,3] x) => (float[2,3] y) { y = Gelu<approximate=\"tanh\">(x) }", "Mul Mul Mul Add Mul Tanh Add Mul Mul", id="Gelu by tanh"),
    pytest.param(18, 13, "g (float[2,3] x) => (float[2,3] y) { y = Mish(x) }", "Softplus Tanh Mul", id="Mish"),
    pytest.param(14, 13, "g (float[2,3] x) => (float[2,3] y) { y = HardSwish(x) }", "HardSigmoid Mul", id="HardSwish"),
    pytest.param(12, 9, "g (float[2,3] x) => (float[2,3] y) { y = Celu<alpha=2.0>(x) }", "Constant Div Elu Mul", id="Celu"),
    pytest.param(24, 13, "g (float[2,3] x) => (float[2,3] y) { y = Swish<alpha=1.5>(x) }", None, id="Swish"),
    pytest.param(23, 13, "g (float[1,2,3,8] q, float[1,2,3,8] k, float[1,2,3,8] v) => (float[1,2,3,8] y) { y = Attention<is_causal=1>(q, k, v) }", None, id="Attention"),
    pytest.param(24, 18, "g (float[1,3,8] q, float[1,3,8] k, float[1,3,8] v, float[3,3] m) => (float[1,3,8] y) { y = Attention<q_num_heads=2, kv_num_heads=2>(q, k, v, m) }", None, id="Attention with heads together"),
    pytest.param(23, 14, "g (float[1,2,3,4] x) => (float[1,2,3,4] y) <float[1,3,2] c, float[1,3,2] s> { y = RotaryEmbedding(x, c, s) }", None, id="RotaryEmbedding"),
    pytest.param(10, 9, "g (float[1,2,3,3] x) => (float[1,2,6,6] y) <float[4] s = {1,1,2,2}> { y = Resize<mode=\"nearest\">(x, s) }", "Upsample", id="Resize is Upsample"),
    pytest.param(13, 10, "g (float[1,2,3,3] x) => (float[1,2,6,9] y) <float[4] s = {1,1,2,3}> { y = Resize<mode=\"nearest\">(x, , s) }", "Resize", id="the nearest, by whole factors"),
    pytest.param(19, 7, "g (float[1,2,3,3] x) => (float[1,2,6,6] y) <int64[2] s = {6,6}> { y = Resize<mode=\"nearest\", axes=[2,3], coordinate_transformation_mode=\"asymmetric\", nearest_mode=\"floor\">(x, , , s) }", "Upsample", id="Resize to sizes of some axes"),
    pytest.param(18, 17, "g (float[1,2,3,3] x) => (float[1,2,6,3] y) <float[1] s = {2}> { y = Resize<mode=\"cubic\", axes=[2]>(x, , s) }", "Resize", id="Resize by scales of some axes"),
    pytest.param(20, 16, "g (float[1,2,3,3] x, float[1,4,4,2] at) => (float[1,2,4,4] y) { y = GridSample(x, at) }", "GridSample", id="GridSample"),
    pytest.param(20, 17, "g (float[1,8,1] x) => (float[1,8,2] y) { y = DFT(x) }", "DFT", id="DFT: the default axis"),
    pytest.param(19, 9, "g (float[1,2,6,6] x) => (float[1,2,3,3] y) { y = AveragePool<kernel_shape=[2,2], strides=[2,2], dilations=[1,1]>(x) }", "AveragePool", id="AveragePool: dilations that are none"),
    pytest.param(21, 12, "g (uint8[2,3] x) => (float[2,3] y) <float s = {0.5}, uint8 z = {3}> { y = DequantizeLinear<axis=1>(x, s, z) }", "DequantizeLinear", id="DequantizeLinear of one scale"),
    pytest.param(13, 10, "g (uint8[2,3] x) => (float[2,3] y) <float[3] s, uint8[3] z> { y = DequantizeLinear<axis=1>(x, s, z) }", "Cast Cast Sub Mul", id="DequantizeLinear for each channel"),
    pytest.param(22, 21, "g (bfloat16[1,2,4,4] x) => (bfloat16[1,2,2,2] y) <bfloat16[2,2,3,3] w> { y = Conv(x, w) }", "Cast Cast Conv Cast", id="Conv of bfloat16"),
    pytest.param(28, 27, "g (float[2,3] x, float[2,3] z) => (float[2,3] y) { y = Mod(x, z) }", "Div Floor Mul Sub", id="Mod of floating-point numbers"),
    pytest.param(22, 7, "g (float[1,4,6] x) => (float[6,1,1,5] y) <float[1,20,4] w, float[1,20,5] r> { t = Transpose<perm=[2,0,1]>(x) y = LSTM<hidden_size=5>(t, w, r) }", None, id="LSTM") ,
]


@pytest.mark.parametrize(("before", "after", "text", "ops"), UP)
def test_up(before: int, after: int, text: str, ops: str | None) -> None:
    """The same function in the newer opset, and back where that needs no more than it has."""
    found = moved(text, before, after)
    assert ops in (None, found.ops)


@pytest.mark.parametrize(("before", "after", "text", "ops"), DOWN)
def test_down(before: int, after: int, text: str, ops: str | None) -> None:
    """The same function in the older opset, and then in the newer again."""
    found = moved(text, before, after)
    assert ops in (None, found.ops), found.ops
    back = moved(found.proto, after, before)
    assert back.proto.opset_import[0].version == before
