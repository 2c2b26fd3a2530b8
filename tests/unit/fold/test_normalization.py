"""Normalizations with a scale and bias of their own."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from normonnx.fold.passes import fold_affines
from tests.rewriting import parsed, rewritten

HEAD = "g (float[N,4,H,W] x) => (float[N,4,H,W] y) <float[4] s, float[4] b, "
UP = [
    pytest.param(HEAD + "NORM4> { n = InstanceNormalization(x, s, b) y = BN(n) }", "InstanceNormalization", 17, id="InstanceNormalization"),
    pytest.param(HEAD + "NORM4> { n = GroupNormalization<num_groups=2>(x, s, b) y = BN(n) }", "GroupNormalization", 21, id="GroupNormalization, one for each channel"),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,4] y) <float[4] s, float[4] b, float[4] k, float[4] h> {
            n = LayerNormalization(x, s, b) m = Mul(n, k) y = Add(m, h) }""",
        "LayerNormalization", 17, id="LayerNormalization",
    ),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,4] y) <float[4] s, float[4] h> {
            n = LayerNormalization(x, s) y = Add(n, h) }""",
        "LayerNormalization", 17, id="LayerNormalization without B gets one",
    ),
    pytest.param(
        """g (float[N,3,4] x) => (float[N,3,4] y) <float[3,4] s, float[3,4] b, float[3,1] k, float[4] h> {
            n = LayerNormalization<axis=1>(x, s, b) m = Mul(n, k) y = Add(m, h) }""",
        "LayerNormalization", 17, id="LayerNormalization over two axes",
    ),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,4] y, float[N,T,1] m) <float[4] s, float k> {
            n, m = LayerNormalization(x, s) y = Mul(n, k) }""",
        "LayerNormalization", 17, id="LayerNormalization whose mean is an output",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) <float[4] s, float[4] k> { n = RMSNormalization(x, s) y = Mul(n, k) }",
        "RMSNormalization", 23, id="RMSNormalization",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "ops", "opset"), UP)
def test_norms_absorb(text: str, ops: str, opset: int) -> None:
    """What follows goes into scale and bias."""
    assert rewritten(text, opset=opset).ops == ops


@pytest.mark.parametrize(("factors", "folds"), [("{2, 2, 3, 3}", True), ("{2, 1, 3, 3}", False)])
def test_group_norm_18_has_a_scale_for_each_group(factors: str, folds: bool) -> None:  # noqa: FBT001
    """Before opset 21 only what is uniform within a group goes in."""
    proto = parsed(
        f"""g (float[N,4,H,W] x) => (float[N,4,H,W] y) <float[2] s, float[2] b, float[4,1,1] k = {factors}> {{
            n = GroupNormalization<num_groups=2>(x, s, b) [it] y = Mul(n, k) }}""",
        opset=18,
    )  # which the checker rejects as deprecated
    model = ir.from_proto(proto)
    found = fold_affines(model)
    assert len(found.applied) == folds
    if folds:
        value = model.graph.initializers["s"].const_value
        assert value is not None
        assert value.numpy().shape == (2,)
    else:
        assert "the affine differs within a group" in found.refused[0].reason


REFUSED = [
    pytest.param(
        "g (float[N,4,4] x, float[4] s) => (float[N,4,4] y) <float[4] b, float k> { n = InstanceNormalization(x, s, b) [it] y = Mul(n, k) }",
        "InstanceNormalization: its scale 's' is an input", 17, id="InstanceNormalization: scale at run time",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y) <float[4] s, float[4] k> { n = RMSNormalization(x, s) [it] y = Add(n, k) }",
        "RMSNormalization: it has no bias for a shift", 23, id="RMSNormalization: a shift",
    ),
    pytest.param(
        "g (float[N,4,4] x) => (float[N,4,4] y) <float[4] s, float[4,1] k> { n = LayerNormalization(x, s) [it] y = Mul(n, k) }",
        "LayerNormalization: its scale has shape [4], but the affine has shape [4] over axes (1,)", 17, id="LayerNormalization: rows",
    ),
    pytest.param(
        "g (float[N,4,4] x, float[4] s) => (float[N,4,4] y) <float[4] k> { n = LayerNormalization(x, s) [it] y = Mul(n, k) }",
        "LayerNormalization: its scale 's' is an input", 17, id="LayerNormalization: scale at run time",
    ),
    pytest.param(
        "g (float[N,4,4] x, float[4] b) => (float[N,4,4] y) <float[4] s, float[4] k> { n = LayerNormalization(x, s, b) [it] y = Mul(n, k) }",
        "LayerNormalization: its B 'b' is an input", 17, id="LayerNormalization: B at run time",
    ),
    pytest.param(
        "g (float[N,4,4] x) => (float[N,4,4] y) <float[4] s, float[4] b, float[4] k> { n = InstanceNormalization(x, s, b) [it] y = Mul(n, k) }",
        "InstanceNormalization: its scale has shape [4], but the affine has shape [4] over axes (2,)", 17, id="InstanceNormalization: another axis",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,4] y, float[N,T,1] z) <float[4] s, float[1] k> { y, m = LayerNormalization(x, s) [it] z = Mul(m, k) }",
        None, 17, id="LayerNormalization: its mean",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words", "opset"), REFUSED)
def test_norms_refuse(text: str, words: str | None, opset: int) -> None:
    """Only along their own parameters."""
    found = rewritten(text, opset=opset)
    assert not found.report.modified
    assert words is None or words in found.refused["it"]


INTO = """g (float[N,T,4] x) => (float[N,T,3] y, float[N,T,2] z{more}) <float[4] s, float[4] b, float[4,3] u, float[4,2] v, float[3] a, float[2] c> {{
    n = LayerNormalization(x, s, b) d = MatMul(n, u) y = Add(d, a) e = MatMul(n, v) z = Add(e, c) {node} }}"""


def test_scale_and_bias_go_into_all_that_read_them() -> None:
    """The bias is dropped, the scale becomes 1, and every MatMul takes its part."""
    found = rewritten(INTO.format(more="", node=""))
    assert found.ops == "LayerNormalization MatMul Add MatMul Add"
    assert len(found.proto.graph.node[0].input) == 2
    assert (found.weight("s") == 1).all()
    assert "scale and bias of LayerNormalization" in found.applied


def test_scale_and_bias_over_an_axis_of_one() -> None:
    """They vary along the other."""
    found = rewritten("""
        g (float[N,1,4] x) => (float[N,1,3] y) <float[1,4] s, float[1,4] b, float[4,3] u, float[3] a> {
            n = LayerNormalization<axis = 1>(x, s, b) d = MatMul(n, u) y = Add(d, a) }""")
    assert found.ops == "LayerNormalization MatMul Add"
    assert len(found.proto.graph.node[0].input) == 2


def test_or_into_none() -> None:
    """A residual reads it as well, so nothing moves."""
    found = rewritten(INTO.format(more=", float[N,T,4] r", node="r = Relu(n)"))
    assert not found.report.modified


@pytest.mark.parametrize(("scale", "bias"), [("[4]", "[1]"), ("[1]", "[4]")])
def test_a_bias_of_another_shape_stays(scale: str, bias: str) -> None:
    """Scale and bias may each be broadcast; they move where they vary alike."""
    found = rewritten(
        f"""g (float[N,T,4] x) => (float[N,T,3] y) <float{scale} s, float{bias} b, float[4,3] u, float[3] a> {{
            n = LayerNormalization(x, s, b) d = MatMul(n, u) y = Add(d, a) }}"""
    )
    assert not found.report.modified


@pytest.mark.parametrize(("shape", "folds"), [("[1]", True), ("[1,1,1,1]", False)])
def test_no_more_axes_than_the_input_has(shape: str, folds: bool) -> None:  # noqa: FBT001
    """A model with a larger scale is illegal, and left alone."""
    found = rewritten(
        f"g (float[1,1,1] x) => (float[1,2,1] y) <float{shape} s, float{shape} b, float[2,1,1] w> {{ n = LayerNormalization(x, s, b) y = Conv(n, w) }}",
        compare=folds,
    )
    assert found.report.modified == folds


def test_a_scale_alone_saves_nothing() -> None:
    """Without a bias no input of the node could go."""
    found = rewritten("""
        g (float[N,T,4] x) => (float[N,T,3] y) <float[4] s, float[4,3] u> {
            n = LayerNormalization(x, s) y = MatMul(n, u) }""")
    assert not found.report.modified


def test_a_bias_stays_with_a_scale_given_at_run_time() -> None:
    """One without the other is no affine."""
    found = rewritten("""
        g (float[N,4] x, float[4] s) => (float[N,3] y) <float[4] b, float[4,3] u, float[3] a> {
            n = LayerNormalization(x, s, b) d = MatMul(n, u) y = Add(d, a) }""")
    assert not found.report.modified


def test_a_bias_that_comes_is_named_after_the_scale() -> None:
    """One that is there keeps its name."""
    text = "g (float[N,4] x) => (float[N,4] y) <float[4] s, {}float[4] k> {{ n = LayerNormalization(x, s{}) y = Add(n, k) }}"
    assert rewritten(text.format("", "")).weight("s_bias").shape == (4,)
    assert rewritten(text.format("float[4] b, ", ", b")).weight("b").shape == (4,)


def test_a_shift_of_some_becomes_a_bias() -> None:
    """Zero is a number like any other."""
    found = rewritten(
        "g (float[N,4] x) => (float[N,4] y) <float[4] s, float[4] k = {0, 1, 0, 2}> { n = LayerNormalization(x, s) y = Add(n, k) }"
    )
    assert found.ops == "LayerNormalization"


def test_a_norm_of_everything_absorbs() -> None:
    """From the first axis on."""
    found = rewritten(
        "g (float[3,4] x) => (float[3,4] y) <float[3,4] s, float[4] k> { n = LayerNormalization<axis = 0>(x, s) y = Mul(n, k) }"
    )
    assert found.ops == "LayerNormalization"


@pytest.mark.parametrize(("shape", "folds"), [("", True), ("[4]", False), ("[3,1]", False)])
def test_a_norm_of_everything_drops_a_shift_of_everything(shape: str, folds: bool) -> None:  # noqa: FBT001
    """One that varies along any axis does not vanish in the mean."""
    found = rewritten(
        f"g (float[3,4] x) => (float[3,4] y) <float[3,4] s, float{shape} k> {{ a = Add(x, k) y = LayerNormalization<axis = 0>(a, s) }}"
    )
    assert found.report.modified == folds


def test_a_shift_is_left_as_an_add() -> None:
    """An RMSNormalization takes the scale of a BatchNormalization alone."""
    found = rewritten(
        "g (float[N,4] x) => (float[N,4] y) <float[4] s, NORM4> { n = RMSNormalization(x, s) y = BN(n) }",
        opset=23,
    )
    assert found.ops == "RMSNormalization Add"
    assert "its shift left as one Add" in found.applied


def test_a_shift_alone_stays() -> None:
    """A BatchNormalization that multiplies by one is no better as an Add."""
    found = rewritten(
        """g (float[N,4,4] x) => (float[N,4,4] y)
            <float[4] s, float[4] one = {1, 1, 1, 1}, float[4] zero = {0, 0, 0, 0}, float[4] bias> {
            n = RMSNormalization(x, s) [bn] y = BatchNormalization<epsilon = 0.0>(n, one, bias, zero, one) }""",
        opset=23,
    )
    assert not found.report.modified
    assert "RMSNormalization: it has no bias for a shift" in found.refused["bn"]


def test_a_mean_that_is_read_keeps_its_shift() -> None:
    """The second output of a LayerNormalization is the mean, shift and all."""
    found = rewritten(
        "g (float[N,T,4] x) => (float[N,T,4] y, float[N,T,1] m) <float[4] s, float k> { a = Add(x, k) y, m = LayerNormalization(a, s) }"
    )
    assert not found.report.modified


SHIFTS = [
    pytest.param("float[4,1] k", "Add(x, k)", "InstanceNormalization(a, s, b)", True, id="each channel"),
    pytest.param("float[4] k", "Add(x, k)", "InstanceNormalization(a, s, b)", False, id="along W"),
    pytest.param("float[4,1] k", "Mul(x, k)", "InstanceNormalization(a, s, b)", False, id="a scale"),
    pytest.param("float k", "Add(x, k)", "LayerNormalization(a, s, b)", True, id="uniform"),
    pytest.param("float[4,1] k", "Sub(x, k)", "LayerNormalization(a, s, b)", True, id="each row"),
    pytest.param("float[4] k", "Add(x, k)", "LayerNormalization(a, s, b)", False, id="along what it normalizes"),
    pytest.param("float[4] k", "Add(x, k)", "LayerNormalization<axis = 2>(a, s, b)", False, id="along the axis that it says"),
    pytest.param("float[4,1] k", "Add(x, k)", "LayerNormalization<axis = 2>(a, s, b)", True, id="along an axis before"),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "shift", "norm", "folds"), SHIFTS)
def test_shifts_vanish_in_the_mean(declared: str, shift: str, norm: str, folds: bool) -> None:  # noqa: FBT001
    """What is the same for all that is normalized together is subtracted again."""
    found = rewritten(
        f"g (float[N,4,4] x) => (float[N,4,4] y) <float[4] s, float[4] b, {declared}> {{ a = {shift} y = {norm} }}"
    )
    assert found.report.modified == folds
