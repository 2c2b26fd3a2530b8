"""Reasons that few users see: of ways nobody would expect, of numbers that are no data, of what is unknown.

`R3` and `R4` declare x, and a shape s of three or four dimensions that is given at run time.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from normonnx.fold.plan import Refusal
from normonnx.fold.planner import Planner
from normonnx.fold.rules import RULES
from normonnx.fold.surroundings import Surroundings
from normonnx.graph.walk import label
from tests.rewriting import parsed, rewritten

R3 = "g (float[N,T] x, int64[3] s) => (float[a,b,c] y) "
R4 = "g (float[N,T] x, int64[4] s) => (float[a,b,c,d] y) "
RANKLESS = "g (float[N,T] x, int64[N] s, int64[1] i) => (float[N] y, float[1] z) <NORM4> { z = Cast<to = 1>(i) r = Reshape(x, s) "


def _refusal(text: str, way: str, opset: int) -> Refusal:
    """Why the affine of the node `it` does not move that way."""
    model = ir.from_proto(parsed(text, opset=opset))
    node = next(node for node in model.graph if label(node) == "it")
    planner = Planner(Surroundings.of(model))
    with np.errstate(all="ignore"):  # as those who ask do
        found = planner.plan_up(node) if way == "up" else planner.plan_down(node)
    assert isinstance(found, Refusal)
    return found


def _case(
    name: str, text: str, words: str, *, opset: int = 17, legal: bool = True, quiet: bool = False
) -> object:
    """One row: whether the checker lets the model pass, and whether nobody would expect a rewrite."""
    return pytest.param(text, words, opset, legal, quiet, id=name)


UP = [
    _case(
        "a weight without a kernel",
        "g (float[N,4] x) => (float[N,4] y) <float[4,4] w, NORM4> { c = Conv(x, w) [it] y = BN(c) }",
        "Conv: its weight has shape [4, 4] with group 1, expected (M, C/group, k...)",
        legal=False,
    ),
    _case(
        "a ConvTranspose whose weight is computed",
        "g (float[N,4,H] x, float[4,4,1] w) => (float[N,4,H] y) <NORM4> { c = ConvTranspose(x, w) [it] y = BN(c) }",
        "ConvTranspose: its weight 'w' is an input of the graph, not a constant",
    ),
    _case(
        "a shift after a Relu",
        "g (float[N,4] x) => (float[N,4] y) <NORM4> { c = Relu(x) [it] y = BN(c) }",
        "Relu 'c' before it can't take a scale and shift, only a positive scale",
        quiet=True,
    ),
    _case(
        "a factor after a Sigmoid",
        "g (float[N,4] x) => (float[N,4] y) <float[4] k> { c = Sigmoid(x) [it] y = Mul(c, k) }",
        "Sigmoid 'c' before it can't take a scale and shift",
        quiet=True,
    ),
    _case(
        "two affines of different length",
        R3 + "<float[3,1] k, NORM4> { r = Reshape(x, s) m = BN(r) [it] y = Mul(m, k) }",
        "it and BatchNormalization 'm' before it differ in channels",
    ),
    _case(
        "a product of two constants",
        "g (float[N,4] x) => (float[4,4] y, float[N,4] z) <float[4,3] v, float[3,4] w, NORM4> { z = Relu(x) c = MatMul(v, w) [it] y = BN(c) }",
        "MatMul: both operands are constants",
        quiet=True,
    ),
    _case(
        "Resize that chooses its sizes",
        """g (float[N,4,H,W] x) => (float[N,4,c,d] y) <int64[2] s = {7, 7}, NORM4> {
            c = Resize<keep_aspect_ratio_policy = "not_larger", axes = [2, 3]>(x, "", "", s) [it] y = BN(c) }""",
        "Resize: it chooses the sizes by keep_aspect_ratio_policy",
        opset=18,
    ),
    _case(
        "Cast from integers",
        "g (int32[N,4] x) => (float[N,4] y) <NORM4> { c = Cast<to = 1>(x) [it] y = BN(c) }",
        "Cast: it is from int32 to float32, expected floating point of 16 bits or more",
        quiet=True,
    ),
    _case(
        "Concat of fewer channels",
        "g (float[N,1,H] x, float[N,2,H] z) => (float[N,3,H] y) <NORM4> { a = Relu(x) b = Relu(z) c = Concat<axis = 1>(a, b) [it] y = BN(c) }",
        "Concat: it joins 3 channels, the affine has others",
    ),
    _case(
        "integers as a weight",
        "g (int32[N,3] x) => (int32[N,4] y) <int32[3,4] w> { c = Gemm(x, w) [it] y = Neg(c) }",
        "Gemm: its weight 'w' is int32, not floating point",
    ),
    _case(
        "the mean of a LayerNormalization",
        "g (float[N,T,4] x) => (float[N,T,4] y, float[N,T,1] z) <float[4] scale, float k> { y, m = LayerNormalization(x, scale) [it] z = Mul(m, k) }",
        "LayerNormalization: it is the mean or the deviation",
        quiet=True,
    ),
    _case(
        "the places of maxima",
        "g (float[N,4,H,W] x) => (float[N,a,b,c] y, int64[N,d,e,f] z) { y, i = MaxPool<kernel_shape = [2,2]>(x) [it] z = Neg(i) }",
        "MaxPool: it is the indices of the maxima",
        quiet=True,
    ),
    _case(
        "an affine along a pooled axis",
        "g (float[N,4,5,4] x) => (float[N,4,4,3] y) <float[3] k> { c = AveragePool<kernel_shape = [2,2]>(x) [it] y = Mul(c, k) }",
        "AveragePool: the affine varies along axes (3,), which it pools",
    ),
    _case(
        "axes of a reduction given at run time",
        "g (float[N,4,H,W] x, int64[1] i) => (float[N,a,b,c] y) <NORM4> { c = ReduceMean(x, i) [it] y = BN(c) }",
        "ReduceMean: which axes it reduces is unknown",
        opset=18,
    ),
    _case(
        "Transpose of unknown rank",
        RANKLESS + "c = Transpose(r) [it] y = BN(c) }",
        "Transpose: the number of dimensions of its input is unknown",
    ),
    _case(
        "Gather of unknown rank",
        RANKLESS + "c = Gather<axis = 2>(r, i) [it] y = BN(c) }",
        "Gather: the number of dimensions of its inputs is unknown",
    ),
    _case(
        "Slice of unknown rank",
        RANKLESS + "c = Slice(r, i, i) [it] y = BN(c) }",
        "Slice: the number of dimensions of its input is unknown",
    ),
    _case(
        "a new axis of one channel",
        "g (float[N,H] x) => (float[N,1,H] y) <int64[1] i = {1}, NORM4> { c = Unsqueeze(x, i) [it] y = BN(c) }",
        "Unsqueeze: the affine varies along an axis of (1,) that is new",
    ),
    _case(
        "Reshape into other channels than those of the affine",
        "g (float[N,8] x) => (float[N,4,2] y) <int64[3] t = {0, 4, 2}, NORM3> { c = Reshape(x, t) [it] y = BN(c) }",
        "Reshape: the affine over axes (1,) is not per channel on its other side",
        quiet=True,
    ),
    _case(
        "Squeeze of ones that are not known",
        R4 + "<NORM4> { r = Reshape(x, s) c = Squeeze(r) [it] y = BN(c) }",
        "Squeeze: which of its dimensions have length 1 is unknown",
    ),
    _case(
        "Slice along channels of unknown number",
        R4
        + "<int64[1] one = {1}, int64[1] five = {5}, NORM4> { r = Reshape(x, s) c = Slice(r, one, five, one) [it] y = BN(c) }",
        "Slice: the length of axis 1, which it cuts, is unknown",
    ),
    _case(
        "Gather from channels of unknown number",
        R4
        + "<int64[4] i = {0, 1, 2, 3}, NORM4> { r = Reshape(x, s) c = Gather<axis = 1>(r, i) [it] y = BN(c) }",
        "how long axis 1 is before channels are selected is unknown",
    ),
    _case(
        "Pad by all there is",
        R4
        + "<int64[8] p = {0, 2, 0, 0, 0, 2, 0, 0}, float[4,1,1] k = {0, 0, 0, 0}> { r = Reshape(x, s) c = Pad(r, p) [it] y = Mul(c, k) }",
        "Pad: it pads axis 1 by 4 to 4",
    ),
    _case(
        "an affine of a matrix",
        "g (float[N,3,4] x) => (float[N,3,4] y) <float[3,4] k> { c = Relu(x) [it] y = Mul(c, k) }",
        "its constant varies along axes (1, 2), not along channels",
        quiet=True,
    ),
    _case(
        "BatchNormalization without var",
        'g (float[N,4] x) => (float[N,4] y) <float[4] scale, float[4] bias, float[4] mean> { [it] y = BatchNormalization(x, scale, bias, mean, "") }',
        "it lacks one of its inputs X, scale, B, mean, var",
        legal=False,
    ),
    _case(
        "Scaler without scale",
        '<ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 3]> g (float[N,4] x) => (float[N,4] y) { [it] y = ai.onnx.ml.Scaler<offset = [1.0]>(x) }',
        "it lacks its attribute scale",
    ),
    _case(
        "no weight at all",
        'g (float[N,4,H] x) => (float[N,4,H] y) <NORM4> { c = Conv(x, "") [it] y = BN(c) }',
        "Conv: its weight is missing",
        legal=False,
    ),
    _case(
        "no input at all",
        'g (float[N] x) => (float y) <float k> { [it] y = Add("", k) z = Relu(x) }',
        "its input is missing",
        legal=False,
    ),
    _case(
        "a factor of one between input and output",
        "g (float[N] x) => (float[N] y) <float k = {1}> { [it] y = Mul(x, k) }",
        "'y' is an output of the graph, and what enters Mul 'it' can't take its place",
        quiet=True,
    ),
    _case(
        "beyond all numbers",
        "g (double[N,3,H] x) => (double[N,4,H] y) <double[4,3,1] w, double k = {1e-310}> { c = Conv(x, w) [it] y = Div(c, k) }",
        "its scale or shift would be infinite or NaN",
    ),
    _case(
        "too far away",
        "g (float[N,3,H] x) => (float[N,4,H] y) <float[4,3,1] w, float var1> { r0 = Conv(x, w) "
        + " ".join(f"r{i + 1} = Relu(r{i})" for i in range(96))
        + " [it] y = Mul(r96, var1) }",
        "nothing within 96 operators takes it",
        quiet=True,
    ),
    _case(
        "groups that share the scales of integers",
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y) <int8[4,2,1,1] q, float s, NORM4> { w = DequantizeLinear(q, s) c = ConvTranspose<group = 2>(x, w) [it] y = BN(c) }",
        "the affine differs between groups, which share the scales",
    ),
]

DOWN = [
    _case(
        "the slope of a PRelu",
        "g (float[N,4] x) => (float[N,4] y) <float k> { r = Relu(x) [it] n = Mul(r, k) y = PRelu(x, n) }",
        "PRelu: it reads it as its slope",
        quiet=True,
    ),
    _case(
        "one value twice in a Concat",
        "g (float[N,4,H] x) => (float[N,2,H] y) <float k, float[2,8,1] w> { [it] n = Mul(x, k) c = Concat<axis = 1>(n, n) y = Conv(c, w) }",
        "Conv 'y' would have to take it twice",
    ),
    _case(
        "integers in the way of a factor of the input",
        "g (float[N,2,H] x) => (float[N,4,H] y) <int8[4,2,1] q, float s, NORM2> { w = DequantizeLinear(q, s) [it] n = BN(x) y = Conv(n, w) }",
        "Conv: its weight 'w' is stored as integers, which stay as they are",
    ),
    _case(
        "Slice beyond the channels of the affine",
        "g (float[N,5,H] x) => (float[N,a,b] y) <NORM4, int64[1] i = {3}, int64[1] j = {5}, int64[1] one = {1}, float[2,2,1] w> { [it] n = BN(x) s = Slice(n, i, j, one) y = Conv(s, w) }",
        "it selects beyond the 4 channels of the affine",
    ),
    _case(
        "Split into fewer channels",
        "g (float[N,4,H] x, float[N,H] z) => (float[N,a,b] y, float[N,c,d] o) <int64[2] i = {1, 2}, float[2,1,1] v, float[2,2,1] w, NORM4> { [it] n = BN(x) p, q = Split<axis = 1>(n, i) y = Conv(p, v) o = Conv(q, w) }",
        "Split: it parts 3 channels, the affine has others",
    ),
    _case(
        "a normalization of what is normalized",
        "g (float[N,4,H] x) => (float[N,4,H] y) <float[4] k, NORM4> { [it] n = BN(x) y = InstanceNormalization(n, k, k) }",
        "InstanceNormalization: its statistics change with its input, except for a shift of all",
        quiet=True,
    ),
    _case(
        "channels that are squeezed out",
        R4 + "<int64[1] i = {1}, NORM4> { r = Reshape(x, s) [it] n = BN(r) y = Squeeze(n, i) }",
        "Squeeze: the affine varies along an axis of (1,) that goes",
    ),
    _case(
        "a bias stored as integers",
        "g (float[N,4,H,W] x) => (float[N,4,H,W] y) <float[4,4,1,1] w, int32[4] j, float s, NORM4> { b = DequantizeLinear(j, s) [it] n = BN(x) y = Conv(n, w, b) }",
        "'b' is stored as integers, which can't hold a sum",
    ),
    _case(
        "the scale of a normalization taken apart",
        "g (float[N,4] x, float[N,4] v) => (float[N,3] y) <float[4] k, float[4,3] w> { d = Sqrt(v) n = Div(x, d) [it] m = Mul(n, k) y = MatMul(m, w) }",
        "it is the scale or bias of a normalization taken apart at Div 'n', which runtimes recognise by it",
        quiet=True,
    ),
    _case(
        "the half of a GELU",
        "g (float[N,4] x) => (float[N,3] y) <float one, float half, float[4,3] w> { e = Erf(x) p = Add(e, one) g = Mul(x, p) [it] m = Mul(g, half) y = MatMul(m, w) }",
        "it is part of a GELU, which runtimes recognise by it",
        quiet=True,
    ),
    _case(
        "nothing below",
        "g (float[N] x) => (float[N] y) { [it] n = Neg(x) y = Relu(x) }",
        "nothing reads 'n'",
        quiet=True,
        legal=False,
    ),
]


NO_DATA = {
    "Expand": ("Expand(x, j)", "Expand: it reads it as a shape"),
    "Gather": ("Gather(x, j)", "Gather: it reads it as indices"),
    "Pad: widths": ("Pad(x, j)", "Pad: it reads it as widths or as its constant"),
    "ReduceSum": ("ReduceSum(x, j)", "ReduceSum: it reads it as axes"),
    "Reshape": ("Reshape(x, j)", "Reshape: it reads it as a shape"),
    "Resize": ('Resize(x, "", "", j)', "Resize: it reads it as sizes"),
    "Slice": ("Slice(x, j, k)", "Slice: it reads it as bounds"),
    "Split": ("Split(x, j)", "Split: it reads it as sizes"),
    "Squeeze": ("Squeeze(x, j)", "Squeeze: it reads it as axes"),
    "Unsqueeze": ("Unsqueeze(x, j)", "Unsqueeze: it reads it as axes"),
}


@pytest.mark.parametrize("name", NO_DATA)
def test_what_steers_is_no_data(name: str) -> None:
    """Numbers that decide on shapes are not scaled, whatever the affine of the data might do."""
    node, words = NO_DATA[name]
    text = f"g (float[N,T] x, int64[N] i, int64[N] k) => (float[a,b] y, int64[N] o) {{ [it] j = Neg(i) y = {node} o = Abs(k) }}"
    _check(text, words, "down", 17, legal=True, quiet=True)


def _check(text: str, words: str, way: str, opset: int, *, legal: bool, quiet: bool) -> None:
    found = _refusal(text, way, opset)
    assert words in found.reason
    assert found.quiet == quiet
    if legal:
        assert not rewritten(text, opset=opset, compare=False).report.modified


@pytest.mark.parametrize(("text", "words", "opset", "legal", "quiet"), UP)
def test_up(text: str, words: str, opset: int, legal: bool, quiet: bool) -> None:  # noqa: FBT001
    """What is above can't take it."""
    _check(text, words, "up", opset, legal=legal, quiet=quiet)


@pytest.mark.parametrize(("text", "words", "opset", "legal", "quiet"), DOWN)
def test_down(text: str, words: str, opset: int, legal: bool, quiet: bool) -> None:  # noqa: FBT001
    """What is below can't take it."""
    _check(text, words, "down", opset, legal=legal, quiet=quiet)


IN_A_ROW = [
    pytest.param(
        "g (float[N,3,H,W] x) => (float[N,4,a,b] y) <float[2,3,2,2] w, float[4,2,2,2] v> { c = Conv(x, w) [it] y = Conv(c, v) }",
        "both have more than one tap",
        id="two kernels",
    ),
    pytest.param(
        "g (float[3,4] x) => (float[2,5] y) <float[4,2] w, float[3,5] v> { c = Gemm(x, w) [it] y = Gemm<transA = 1>(c, v) }",
        "the second transposes its input",
        id="a product of the transposed",
    ),
    pytest.param(
        "g (float[4,N] x) => (float[3,5] y) <float[3,4] w, float[N,5] v> { c = MatMul(w, x) [it] y = MatMul(c, v) }",
        "one multiplies from the left, one from the right",
        id="products from both sides",
    ),
]


@pytest.mark.parametrize(("text", "words"), IN_A_ROW)
def test_pairs_that_nobody_expects_to_merge(text: str, words: str) -> None:
    """They are not told: the report is about what might have been."""
    model = ir.from_proto(parsed(text))
    found = RULES["merge-sequential"](Surroundings.of(model), list(model.graph)[-1])
    assert isinstance(found, Refusal)
    assert words in found.reason
    assert found.quiet
    assert not rewritten(text).refused
