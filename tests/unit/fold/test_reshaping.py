"""What carries an affine from one shape to another, and where the channel is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from normonnx.fold.affine import ChannelAffine
from normonnx.fold.reshaping import through_reshape
from normonnx.graph.lengths import Length, Unknown
from tests.rewriting import rewritten

# text, operators afterwards, opset
UP = [
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,H,W,4] y) <float[4,3,1,1] w, float[4] k> {
            c = Conv(x, w) t = Transpose<perm = [0,2,3,1]>(c) y = Mul(t, k) }""",
        "Conv Transpose",
        13,
        id="Transpose: NHWC",
    ),
    pytest.param(
        """g (float[N,3,W] x) => (float[W,4,N] y) <float[4,3,1] w, NORM4> {
            c = Conv(x, w) t = Transpose(c) y = BN(t) }""",
        "Conv Transpose",
        13,
        id="Transpose: reversed",
    ),
    pytest.param(
        """g (float[N,T,3] x) => (float[a,4] y) <float[3,4] w, int64[2] s = {-1, 4}, NORM4> {
            c = MatMul(x, w) r = Reshape(c, s) y = BN(r) }""",
        "MatMul Reshape Add",
        13,
        id="Reshape: batch and tokens joined, as LeViT does",
    ),
    pytest.param(
        """g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, float[4] b, int64[2] s = {-1, 4}, NORM4> {
            c = MatMul(x, w) d = Add(c, b) r = Reshape(d, s) n = BN(r) p = Shape(c) y = Reshape(n, p) }""",
        "MatMul Add Reshape Shape Reshape",
        13,
        id="Reshape: there and back by Shape, a bias in between",
    ),
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,2,2,H,W] y)
            <float[4,3,1,1] w, int64[3] s = {0, 2, 2}, int64[1] two = {2}, int64[1] four = {4}> {
            c = Conv(x, w) z = Shape(c) e = Slice(z, two, four) t = Concat<axis = 0>(s, e)
            r = Reshape(c, t) y = Neg(r) }""",
        "Conv Shape Slice Concat Reshape",
        13,
        id="Reshape: uniform",
    ),
    pytest.param(
        """g (float[N,3,5,4] x) => (float[N,4,5,4] y)
            <float[4,3,1,1] w, int64[5] s = {0, 2, 2, 5, 4}, int64[4] e = {0, 4, 5, 4}, NORM4> {
            c = Conv(x, w) r = Reshape(c, s) t = Transpose<perm = [0,2,1,3,4]>(r) u = Reshape(t, e) y = BN(u) }""",
        "Conv Reshape Transpose Reshape",
        13,
        id="a channel shuffle",
    ),
    pytest.param(
        """g (float[N,3,1,1] x) => (float[N,4] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) f = Flatten(c) y = BN(f) }""",
        "Conv Flatten",
        13,
        id="Flatten: 1x1",
    ),
    pytest.param(
        """g (float[N,3,1,1] x) => (float[N,4] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) s = Squeeze<axes = [2,-1]>(c) y = BN(s) }""",
        "Conv Squeeze",
        11,
        id="Squeeze: axes as attribute",
    ),
    pytest.param(
        """g (float[N,3,1,1] x) => (float[N,4] y) <float[4,3,1,1] w, int64[2] a = {-1, 2}, NORM4> {
            c = Conv(x, w) s = Squeeze(c, a) y = BN(s) }""",
        "Conv Squeeze",
        13,
        id="Squeeze: axes as input",
    ),
    pytest.param(
        """g (float[2,3,1,1] x) => (float[2,4] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) s = Squeeze(c) y = BN(s) }""",
        "Conv Squeeze",
        13,
        id="Squeeze: all of length 1",
    ),
    pytest.param(
        """g (float[N,3] x) => (float[N,4,1] y) <float[3,4] w, float[4] b, int64[1] a = {-1}, NORM4> {
            c = Gemm(x, w, b) u = Unsqueeze(c, a) y = BN(u) }""",
        "Gemm Unsqueeze",
        13,
        id="Unsqueeze",
    ),
    pytest.param(
        """g (float[N,3,1,1] x) => (float[N,4,5,5] y) <float[4,3,1,1] w, int64[4] s = {1,1,5,5}, NORM4> {
            c = Conv(x, w) e = Expand(c, s) y = BN(e) }""",
        "Conv Expand",
        13,
        id="Expand",
    ),
]
DOWN = [
    pytest.param(
        """g (float[N,H,W,4] x) => (float[N,a,b,c] y) <float[3,4,2,2] w, float[4] k> {
            m = Add(x, k) t = Transpose<perm = [0,3,1,2]>(m) y = Conv(t, w) }""",
        "Transpose Conv",
        13,
        id="Transpose: from NHWC",
    ),
    pytest.param(
        """g (float[N,4,5,4] x) => (float[N,7] y) <float[80,7] w, float[7] b, NORM4> {
            n = BN(x) f = Flatten(n) y = Gemm(f, w, b) }""",
        "Flatten Gemm",
        13,
        id="Flatten: every channel becomes many columns",
    ),
    pytest.param(
        """g (float[N,4,5,4] x) => (float[N,7] y) <float[80,7] w, int64[2] s = {0, -1}, NORM4> {
            n = BN(x) f = Reshape(n, s) y = Gemm(f, w) }""",
        "Reshape Gemm",
        13,
        id="Reshape: every channel becomes many columns",
    ),
    pytest.param(
        """g (float[N,4,1,1] x) => (float[N,7] y) <float[4,7] w, int64[2] a = {2, 3}, NORM4> {
            n = BN(x) s = Squeeze(n, a) y = Gemm(s, w) }""",
        "Squeeze Gemm",
        13,
        id="Squeeze",
    ),
    pytest.param(
        """g (float[N,4] x) => (float[N,7,1] y) <float[7,4,1] w, int64[1] a = {2}, NORM4> {
            n = BN(x) u = Unsqueeze(n, a) y = Conv(u, w) }""",
        "Unsqueeze Conv",
        13,
        id="Unsqueeze",
    ),
    pytest.param(
        """g (float[N,4,1,1] x) => (float[N,a,b,c] y) <float[3,4,2,2] w, int64[4] s = {1,1,5,5}, NORM4> {
            n = BN(x) e = Expand(n, s) y = Conv(e, w) }""",
        "Expand Conv",
        13,
        id="Expand",
    ),
]


@pytest.mark.parametrize(("text", "ops", "opset"), [*UP, *DOWN])
def test_shapes_carry(text: str, ops: str, opset: int) -> None:
    """The numbers follow the data; what carries them stays, and is named."""
    found = rewritten(text, opset=opset)
    assert found.ops == ops
    assert " through " in found.applied


REFUSED = [
    pytest.param(
        """g (float[N,3,H,W] x) => (float[N,a] y) <float[4,3,1,1] w, int64[2] s = {-1, 4}, NORM4> {
            c = Conv(x, w) r = Reshape(c, s) [bn] y = BN(r) }""",
        "Reshape: the affine over axes (1,) is not per channel on its other side",
        id="Reshape: the last axis is W, even where it is as long as C",
    ),
    pytest.param(
        """g (float[N,3,5,4] x) => (float[N,80] y) <float[4,3,1,1] w, NORM80> {
            c = Conv(x, w) f = Flatten(c) [bn] y = BN(f) }""",
        "Conv: it has 4 output channels on axis 1, but the affine has shape [4, 5, 4]",
        id="Flatten: one number for each pixel",
    ),
    pytest.param(
        """g (float[N,3,H,W] x, int64[2] s) => (float[N,4] y) <float[4,3,1,1] w, NORM4> {
            c = Conv(x, w) r = Reshape(c, s) [bn] y = BN(r) }""",
        "is not per channel on its other side, or the dimensions there are unknown",
        id="Reshape: to a shape given at run time",
    ),
    pytest.param(
        """g (float[N,3,4] x) => (float[N,4,4] y) <float[4,3,1] w, NORM4> {
            c = Conv(x, w) t = Transpose<perm = [0,2,1]>(c) [bn] y = BN(t) }""",
        "over axes (2,)",
        id="Transpose: BN on what was W",
    ),
    pytest.param(
        """g (float[N,3,1] x) => (float[N,4,5] y) <float[4,3,1] w, int64[3] s = {1,1,5}, float[5] k> {
            c = Conv(x, w) e = Expand(c, s) [bn] y = Mul(e, k) }""",
        "Expand: the affine varies along axis 2, which may be enlarged",
        id="Expand: along the enlarged axis",
    ),
    pytest.param(
        """g (float[N,3,1] x, int64[1] a) => (float[N,4] y) <float[4,3,1] w, NORM4> {
            c = Conv(x, w) s = Squeeze(c, a) [bn] y = BN(s) }""",
        "Squeeze: its axes, or the dimensions of its input, are unknown",
        id="Squeeze: axes given at run time",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_shapes_refuse(text: str, words: str) -> None:
    """Where the channel is lost, or not certain, nothing is changed."""
    found = rewritten(text, opset=13)
    assert not found.report.modified
    assert words in found.refused["bn"]


UNIFORM = {
    "Expand": "Expand(r, i)",
    "Gather": "Gather<axis = 1>(r, i)",
    "Reshape": "Reshape(r, i)",
    "Slice": "Slice(r, i, i)",
    "Squeeze": "Squeeze(r, i)",
    "Sum": "Sum(r, r2)",
    "Transpose": "Transpose(r)",
    "Unsqueeze": "Unsqueeze(r, i)",
    "ReduceMean": "ReduceMean(r, i)",
}
# The shape of x is given at run time, and so is what the operator does.
ANYHOW = "g (float[N] z, int64[N] s, int64[T] i) => (float[a,b,c] y, int64[T] j) <float[4,4,1] w> {{ j = Abs(i) x = Reshape(z, s) {} }}"


@pytest.mark.parametrize("op_type", UNIFORM)
def test_what_is_uniform_is_carried_up_whatever_the_shapes(op_type: str) -> None:
    """The number of dimensions need not be known."""
    other = "r2 = MatMul(x, v)" if op_type == "Sum" else ""
    text = ANYHOW.format(f"r = MatMul(x, w) {other} q = {UNIFORM[op_type]} y = Neg(q)")
    found = rewritten(
        text.replace("> {", ", float[4,4,1] v> {") if other else text, opset=18, compare=False
    )
    assert "Neg" not in found.ops


@pytest.mark.parametrize("op_type", [op for op in UNIFORM if op != "Sum"])
def test_what_is_uniform_is_carried_down_whatever_the_shapes(op_type: str) -> None:
    """The number of dimensions need not be known."""
    text = ANYHOW.format(f"r = Neg(x) q = {UNIFORM[op_type]} y = Conv(q, w)")
    assert "Neg" not in rewritten(text, opset=18, compare=False).ops


N, H, W = Unknown(), Unknown(), Unknown()
GROUPS = [
    # source, axes of the affine, target, its axes there; None where it is lost
    pytest.param((N, 6, H, W), (1,), (N, 2, 3, H, W), (1, 2), id="split"),
    pytest.param((N, 2, 3, H, W), (1, 2), (N, 6, H, W), (1,), id="joined"),
    pytest.param((N, 2, 3, H), (2,), (N, 6, H), (1,), id="one of two, joined"),
    pytest.param((N, 6, H, W), (1,), (N, 6, Unknown()), (1,), id="an unknown group behind"),
    pytest.param((N, H, 6), (2,), (Unknown(), 6), (1,), id="an unknown group before"),
    pytest.param((N, 6, H, W), (1,), (Unknown(), 6), None, id="as long by chance"),
    pytest.param((N, 6, H), (1,), (Unknown(), H), None, id="within an unknown group"),
    pytest.param(
        (30, H, 4), (0,), (2, 3, 5, Unknown(), 4), (0, 1, 2), id="split before an unknown group"
    ),
    pytest.param(
        (2, 3, 5, H, 4), (1,), (30, Unknown(), 4), (0,), id="joined before an unknown group"
    ),
    pytest.param(
        (4, H, 30), (2,), (4, Unknown(), 2, 3, 5), (2, 3, 4), id="split behind an unknown group"
    ),
    pytest.param((6, 4), (0,), (4, 6), (0, 1), id="across, as rows of a matrix"),
    pytest.param((N, H, 6), (1,), (N, H, 2, 3), (1,), id="along an unknown axis that stays"),
    pytest.param((N, H, 6), (2,), (N, 6, H), None, id="across an unknown axis"),
    pytest.param((2, 3), (1,), (7,), None, id="into more than there is"),
    pytest.param((7,), (0,), (2, 3), None, id="into less than there is"),
    pytest.param((N, 6, 1, 1), (1,), (N, 6), (1,), id="ones go"),
    pytest.param((N, 6), (1,), (N, 1, 6, 1), (2,), id="ones come"),
]


@pytest.mark.parametrize(("source", "axes", "target", "expected"), GROUPS)
def test_through_reshape(
    source: Sequence[Length],
    axes: tuple[int, ...],
    target: Sequence[Length],
    expected: tuple[int, ...] | None,
) -> None:
    """The moved affine, applied after the reshape, is the affine applied before it."""
    random = np.random.default_rng(0)
    lengths = [n if isinstance(n, int) else 2 for n in source]
    vector = random.normal(size=[lengths[axis] for axis in axes])
    affine = ChannelAffine(axes, vector, 2 * vector)
    moved = through_reshape(affine, tuple(source), tuple(target))
    assert (None if moved is None else moved.axes) == expected
    if moved is None:
        return
    total = int(np.prod(lengths))
    shape = [n if isinstance(n, int) else 2 for n in target]
    if int(np.prod(shape)) != total:
        shape[next(i for i, n in enumerate(target) if n not in source)] = -1
    x = random.normal(size=lengths)

    def apply(
        array: np.ndarray[tuple[int, ...], np.dtype[np.float64]], by: ChannelAffine
    ) -> object:
        wide = [by.lengths.get(axis, 1) for axis in range(array.ndim)]
        return array * by.scale.reshape(wide) + by.shift.reshape(wide)

    expected_array = np.asarray(apply(x, affine)).reshape(shape)
    assert np.array_equal(np.asarray(apply(x.reshape(shape), moved)), expected_array)
