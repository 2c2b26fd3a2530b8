"""What Gemm and MatMul absorb, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from tests.rewriting import rewritten

GEMM = [
    pytest.param("<>", "", "[N,3]", "[3,4]", id="plain"),
    pytest.param("<transB=1>", "", "[N,3]", "[4,3]", id="transB"),
    pytest.param("<transA=1>", "", "[3,N]", "[3,4]", id="transA"),
    pytest.param("<transA=1, transB=1, alpha=0.5>", "[4]", "[3,N]", "[4,3]", id="all but beta"),
    pytest.param("<alpha=-2.0>", "", "[N,3]", "[3,4]", id="alpha"),
    pytest.param("<beta=0.25>", "[4]", "[N,3]", "[3,4]", id="beta"),
    pytest.param("<beta=0.0>", "[4]", "[N,3]", "[3,4]", id="beta 0: C is not read"),
    pytest.param("<beta=0.5>", "[]", "[N,3]", "[3,4]", id="C is ()"),
    pytest.param("<>", "[1]", "[N,3]", "[3,4]", id="C is (1)"),
    pytest.param("<alpha=1.5>", "[1,4]", "[N,3]", "[3,4]", id="C is (1,N)"),
    pytest.param("<beta=2.0>", "[2,1]", "[2,3]", "[3,4]", id="C is (M,1)"),
    pytest.param("<>", "[2,4]", "[2,3]", "[3,4]", id="C is (M,N)"),
    pytest.param("<>", "[4,1]", "[4,3]", "[3,4]", id="C is (M,1) and M equals N"),
    pytest.param("<transB=1>", "", "[N,4]", "[4,4]", id="transB and a square weight"),
]


@pytest.mark.parametrize(("attributes", "bias", "data", "weight"), GEMM)
@pytest.mark.parametrize(
    "affine",
    ["BN(c)", "Mul(c, bias)", "Sub(bias, c)", "Div(c, var)", "Add(c, mean)", "Neg(c)"],
    ids=lambda text: text[:3].strip("("),
)
def test_gemm_absorbs(attributes: str, bias: str, data: str, weight: str, affine: str) -> None:
    """Scaling goes into the columns of B, alpha stays; C and beta become the new bias."""
    declared, operand = (f", float{bias} k", ", k") if bias else ("", "")
    names = "NORM4" if "BN" in affine else "float[4] bias, float[4] mean, float[4] var"
    unread = {"Mul": "mean var", "Sub": "mean var", "Div": "bias mean", "Add": "bias var"}
    text = f"""
        g (float{data} x) => (float[a,4] y) <float{weight} w{declared}, {names}> {{
            c = Gemm{attributes if attributes != "<>" else ""}(x, w{operand})
            y = {affine}
        }}"""
    for name in unread.get(affine[:3], "bias mean var" if "Neg" in affine else "").split():
        text = text.replace(f", float[4] {name}", "")
    found = rewritten(text)
    assert found.ops == "Gemm"
    if "beta=0.0" in attributes and affine in ("BN(c)", "Add(c, mean)", "Sub(bias, c)"):
        assert "beta" not in found.attributes("Gemm")


def test_a_new_bias_is_one_row() -> None:
    """Of one dimension, as everybody writes it."""
    found = rewritten(
        "g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[3] h> { n = Add(x, h) y = Gemm(n, w) }"
    )
    assert found.ops == "Gemm"
    assert found.weight("w_bias").shape == (4,)


@pytest.mark.parametrize("bias", ["", "[]", "[1]", "[2]", "[1,2]", "[1,1]"])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("columns", [2, 1])
def test_shifts_of_the_right_operand(bias: str, rows: int, columns: int) -> None:
    """One number for each row of A goes into a bias, unless that varies along columns."""
    bias = bias.replace("2", str(columns))
    declared, operand = (f", float{bias} k", ", k") if bias else ("", "")
    found = rewritten(
        f"g (float[4,{columns}] x) => (float[{rows},{columns}] y) <float[{rows},4] w, float[4,1] h{declared}> {{"
        f" r = Relu(x) n = Add(r, h) y = Gemm(w, n{operand}) }}"
    )
    folds = rows == 1 or bias in ("", "[]", "[1]", "[1,1]")
    assert found.ops == ("Relu Gemm" if folds else "Relu Add Gemm")


def test_gemm_with_computed_bias_of_beta_zero() -> None:
    """With beta 0 the bias is not read, so it may be anything, and it goes, with what computed it."""
    found = rewritten("""
        g (float[N,3] x, float[4] v) => (float[N,4] y) <float[3,4] w, NORM4> {
            k = Tanh(v) c = Gemm<beta = 0.0>(x, w, k) y = BN(c)
        }""")
    assert found.ops == "Gemm"
    assert found.weight("k_folded").shape == (4,)


def test_parameters_shaped_like_the_output_fold() -> None:
    """A BatchNorm1d without affine is exported with scale and bias expanded to the shape of its input."""
    found = rewritten(
        """g (float[N,3] x) => (float[N,4] y) <float[4,3] w, float[4] k, float[4] mean, float[4] var> {
            c = Gemm<transB = 1>(x, w, k)
            one = Constant<value = float {1}>() ones = CastLike(one, c)
            zero = Constant<value = float {0}>() zeros = CastLike(zero, c)
            channels = Shape<start = 1, end = 2>(c)
            scale = Expand(ones, channels) bias = Expand(zeros, channels)
            y = BN(c) }"""
    )
    assert found.ops == "Gemm"


def test_what_only_a_dropped_body_read_goes_too() -> None:
    """An If that is not read any more takes along the weights that its bodies captured."""
    found = rewritten("""
        g (float[N,3] x, bool p) => (float[N,4] y) <float[3,4] w, float[4] v, NORM4> {
            k = If(p) <
                then_branch = t () => (float[4] f) { n = Neg(v) f = Abs(n) },
                else_branch = e () => (float[4] h) { h = Exp(v) }>
            c = Gemm<beta = 0.0>(x, w, k) y = BN(c)
        }""")
    assert found.ops == "Gemm"


MATMUL = [
    # text, operators afterwards
    pytest.param(
        "g (float[N,3] x) => (float[N,4] y) <float[3,4] w, NORM4> { c = MatMul(x, w) y = BN(c) }",
        "MatMul Add",
        id="BN leaves one Add",
    ),
    pytest.param(
        "g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[4] k> { c = MatMul(x, w) y = Mul(c, k) }",
        "MatMul",
        id="Mul leaves nothing",
    ),
    pytest.param(
        "g (float[3] x) => (float[4] y) <float[3,4] w, float k> { c = MatMul(x, w) y = Mul(c, k) }",
        "MatMul",
        id="vector input, scalar Mul",
    ),
    pytest.param(
        "g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, float[4] k> { c = MatMul(x, w) y = Mul(k, c) }",
        "MatMul",
        id="rank 3",
    ),
    pytest.param(
        """g (float[N,T,H,3] x) => (float[N,T,H,4] y) <float[3,4] w, float[1,1,1,4] k> {
            c = MatMul(x, w) y = Mul(k, c) }""",
        "MatMul",
        id="rank 4",
    ),
    pytest.param(
        """g (float[N,T,3] x) => (float[N,T,4] y) <float[3,4] w, float[4] b, float[4] k> {
            c = MatMul(x, w) d = Add(c, b) y = Mul(d, k) }""",
        "MatMul Add",
        id="LayerScale after MatMul and Add",
    ),
    pytest.param(
        """g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[1,4] b, NORM4> {
            c = MatMul(x, w) d = Add(b, c) y = BN(d) }""",
        "MatMul Add",
        id="MatMul and Add, constant first, and BN",
    ),
    pytest.param(
        """g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[4] b, NORM4> {
            c = MatMul(x, w) e = BN(c) y = Sub(b, e) }""",
        "MatMul Add",
        id="BN and Sub from a constant",
    ),
    pytest.param(
        """g (float[N,3] x) => (float[N,4] y) <float[3,4] w, NORM4> {
            c = MatMul(x, w) e = BN(c) y = Neg(e) }""",
        "MatMul Add",
        id="BN and Neg, which has no constant to name the Add after",
    ),
    pytest.param(
        "g (float[3,N] x) => (float[4,N] y) <float[4,3] w, float[4,1] k> { c = MatMul(w, x) y = Mul(c, k) }",
        "MatMul",
        id="weight at the left scales rows",
    ),
    pytest.param(
        "g (float[T,3,N] x) => (float[T,4,N] y) <float[4,3] w, NORM4> { c = MatMul(w, x) y = BN(c) }",
        "MatMul Add",
        id="weight at the left and BN, whose channels are the rows",
    ),
    pytest.param(
        """g (float[N,3,T,5] x) => (float[N,3,T,4] y) <float[3,5,4] w, float[4] k> {
            c = MatMul(x, w) y = Mul(c, k) }""",
        "MatMul",
        id="batched weight, last axis",
    ),
    pytest.param(
        """g (float[N,3,T,5] x) => (float[N,3,T,4] y) <float[3,5,4] w, NORM3> {
            c = MatMul(x, w) y = BN(c) }""",
        "MatMul Add",
        id="batched weight, batch axis",
    ),
    pytest.param(
        "g (float[N,1,3] x) => (float[N,1,4] y) <float[3,4] w, NORM1> { c = MatMul(x, w) y = BN(c) }",
        "MatMul Add",
        id="BN of one channel, which is uniform",
    ),
    pytest.param(
        """g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[4] b> {
            c = MatMul(x, w) n = Neg(c) y = Sub(n, b) }""",
        "MatMul Sub",
        id="Neg and Sub",
    ),
    pytest.param(
        """g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[4] b, float d> {
            c = MatMul(x, w) n = Add(c, b) y = Sub(n, d) }""",
        "MatMul Add",
        id="two shifts become one",
    ),
]


@pytest.mark.parametrize(("text", "ops"), MATMUL)
def test_matmul_absorbs(text: str, ops: str) -> None:
    """The scale goes into the weight; a shift is left as one Add."""
    assert rewritten(text).ops == ops


REFUSED = [
    pytest.param(
        "g (float[N,3] x, float[3,4] w) => (float[N,4] y) <NORM4> { c = Gemm(x, w) [bn] y = BN(c) }",
        "Gemm: its weight 'w' is an input of the graph, not a constant",
        id="Gemm: weight is an input",
    ),
    pytest.param(
        "g (float[3,4] x) => (float[3,4] y) <float[3,3] a, NORM4> { c = Gemm(a, x) [bn] y = BN(c) }",
        "Gemm: its 3 rows are axis 0, but the affine has shape [4] over axes (1,)",
        id="Gemm: A is the constant",
    ),
    pytest.param(
        "g (float[4,3] x) => (float[4,4] y) <float[3,4] w, float[4,1] k> { c = Gemm(x, w) [bn] y = Mul(c, k) }",
        "Gemm: its 4 columns are axis 1, but the affine has shape [4] over axes (0,)",
        id="Gemm: rows, as many as columns",
    ),
    pytest.param(
        """g (float[N,3] x, float[4] v) => (float[N,4] y) <float[3,4] w, NORM4> {
            k = Tanh(v) c = Gemm(x, w, k) [bn] y = BN(c) }""",
        "Gemm: its bias C 'k' is computed at run time",
        id="Gemm: bias is computed",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N,4] y) <float[4,1] w, float[4] k> { c = Gemm(x, w) [bn] y = Mul(c, k) }",
        "its constant of shape [4] enlarges its input along axis 1",
        id="Gemm: one column enlarged",
    ),
    pytest.param(
        "g (float[N,3] x, float[3,4] w) => (float[N,4] y) <NORM4> { c = MatMul(x, w) [bn] y = BN(c) }",
        "MatMul: neither operand is a constant weight",
        id="MatMul: no constant",
    ),
    pytest.param(
        "g (float[N,4,3] x) => (float[N,4,4] y) <float[3,4] w, NORM4> { c = MatMul(x, w) [bn] y = BN(c) }",
        "MatMul: the affine varies along axes (1,) of its output, which is not an axis of the weight",
        id="MatMul: BN on the rows, as many as columns",
    ),
    pytest.param(
        "g (float[4,4] x) => (float[4,4] y) <float[4,4] w, float[4,1] k> { c = MatMul(x, w) [bn] y = Mul(c, k) }",
        "along axes (0,) of its output, which is not an axis of the weight",
        id="MatMul: rows of a square product",
    ),
    pytest.param(
        "g (float[4,4] x) => (float[4,4] y) <float[4,4] w, float[4] k> { c = MatMul(w, x) [bn] y = Mul(c, k) }",
        "along axes (1,) of its output, which is not an axis of the weight",
        id="MatMul: weight at the left, columns of a square product",
    ),
    pytest.param(
        "g (float[N,4] x) => (float[N] y) <float[4] w, float k> { c = MatMul(x, w) [bn] y = Mul(c, k) }",
        "MatMul: its weight is a vector",
        id="MatMul: weight is a vector",
    ),
    pytest.param(
        "g (float[3] x) => (float[4] y) <float[3,4] w, float[4] k> { c = MatMul(x, w) [bn] y = Mul(c, k) }",
        "MatMul: its input is a vector",
        id="MatMul: input is a vector",
    ),
    pytest.param(
        """g (float[N,4,T,5] x) => (float[N,4,T,4] y) <float[1,5,4] w, NORM4> {
            c = MatMul(x, w) [bn] y = BN(c) }""",
        "MatMul: the weight has 1 entries along that axis, the affine 4",
        id="MatMul: weight broadcast along its batch",
    ),
    pytest.param(
        "g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[4] k> { c = MatMul(x, w) [bn] y = Add(c, k) }",
        None,
        id="MatMul: the Add is its bias",
    ),
    pytest.param(
        "g (float[N,3] x) => (float[N,4] y) <float[3,4] w, float[4] k> { c = MatMul(x, w) [bn] y = Sub(c, k) }",
        None,
        id="MatMul: a Sub is as good as an Add",
    ),
    pytest.param(
        """g (float[N,5,3] x) => (float[N,5,4] y) <float[3,4] w, float[5,1] k, float[4] m> {
            c = MatMul(x, w) d = Add(c, k) [bn] y = Add(d, m) }""",
        "vary along different axes",
        id="MatMul: two vectors don't become a matrix",
    ),
    pytest.param(
        "g (int32[N,3] x) => (int32[N,4] y) <int32[3,4] w, int32[4] k> { c = MatMul(x, w) [bn] y = Mul(c, k) }",
        None,
        id="integers are no affine",
    ),
    pytest.param(
        "g (int32[N,3] x) => (int32[N,4] y) <int32[3,4] w> { c = MatMul(x, w) [bn] y = Neg(c) }",
        "MatMul: neither operand is a constant weight",
        id="integers negated",
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_products_refuse(text: str, words: str | None) -> None:
    """Nothing is changed, and where something was expected the reason is said."""
    found = rewritten(text)
    assert not found.report.modified
    assert ("bn" in found.refused) == (words is not None)
    assert words is None or words in found.refused["bn"]


@pytest.mark.parametrize(
    ("attribute", "weight"), [("transB", "float[2,2]"), ("beta", "float[2,2]")]
)
def test_parameters_of_a_function_refuse(attribute: str, weight: str) -> None:
    """An attribute that the caller of a function gives is not known inside."""
    kind, value = ("int", "1") if attribute == "transB" else ("float", "2.0")
    found = rewritten(f"""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,2] x) => (float[N,2] y) {{ y = local.f<given = {value}>(x) }}
        <domain: "local", opset_import: ["": 17]>
        f <given> (x) => (y) {{
            w = Constant<value = {weight} {{1, 2, 3, 4}}>()
            s = Constant<value = float[2] {{5, 6}}>()
            c = Gemm<{attribute}: {kind} = @given>(x, w, s)
            [bn] y = Mul(c, s)
        }}""")
    assert not found.report.modified
    assert f"its attribute {attribute} is a parameter of the function" in found.refused["bn"]


def test_new_bias_is_rounded_once() -> None:
    """Scale, beta and shift meet in float64: the new C is the rounded exact result."""
    found = rewritten(
        """g (float[N,2] x) => (float[N,2] y)
        <float[2,2] w, float[2] k = {0.1, 0.7}, float[2] s = {3.3, -0.9}, float[2] t = {0.2, 1e-3}> {
            c = Gemm<beta = 0.3>(x, w, k) d = Mul(c, s) y = Add(d, t)
        }"""
    )
    k, s, t, beta = (
        np.asarray(numbers, np.float32).astype(np.float64)
        for numbers in ([0.1, 0.7], [3.3, -0.9], [0.2, 1e-3], 0.3)
    )
    assert np.array_equal(found.weight("k"), (s * (beta * k) + t).astype(np.float32))


@pytest.mark.parametrize(("attributes", "bias", "data", "weight"), GEMM)
@pytest.mark.parametrize("affine", ["Mul(x, s)", "Sub(s, x)", "Add(x, t)"])
def test_gemm_absorbs_from_above(
    attributes: str, bias: str, data: str, weight: str, affine: str
) -> None:
    """The rows of B are scaled, and the shift goes into C."""
    inner = 4 if weight == "[4,4]" else 3
    vector = f"[{inner},1]" if "transA" in attributes else f"[{inner}]"
    declared, operand = (f", float{bias} k", ", k") if bias else ("", "")
    found = rewritten(
        f"""g (float{data} x) => (float[a,4] y) <float{weight} w{declared}, float{vector} {affine[affine.index("(") + 1] if affine[4] == "s" else affine[-2]}> {{
            n = {affine} y = Gemm{attributes if attributes != "<>" else ""}(n, w{operand}) }}"""
    )
    row_bias = bias in ("[2,1]", "[4,1]", "[2,4]")
    assert found.ops == "Gemm" or row_bias


GEMM_LEFT = [
    pytest.param("Gemm(w, x, k)", "[4,3]", "[3,5]", "[5]", "y = Mul(c, s)", "[4,1]", id="up, rows"),
    pytest.param("Gemm<transA = 1>(w, x, k)", "[3,4]", "[3,5]", "[4,1]", "y = Add(s, c)", "[4,1]", id="up, transA"),
    pytest.param("Gemm<transB = 1, alpha = 0.5>(w, x)", "[4,3]", "[5,3]", "", "y = Sub(c, s)", "[4,1]", id="up, no C"),
]  # fmt: skip


@pytest.mark.parametrize(("node", "weight", "data", "bias", "affine", "vector"), GEMM_LEFT)
def test_gemm_absorbs_in_a(
    node: str, weight: str, data: str, bias: str, affine: str, vector: str
) -> None:
    """With the constant at the left, rows of the output are rows of A."""
    declared = f", float{bias} k" if bias else ""
    found = rewritten(
        f"g (float{data} x) => (float[a,b] y) <float{weight} w{declared}, float{vector} s> {{ c = {node} {affine} }}"
    )
    assert found.ops == "Gemm"


@pytest.mark.parametrize(
    ("node", "weight", "bias"),
    [
        ("Gemm(w, n)", "[4,3]", ""),
        ("Gemm<transA = 1, alpha = 2.0>(w, n, k)", "[3,4]", "[1]"),
        ("Gemm(w, n, k)", "[4,3]", "[]"),
    ],
)
def test_gemm_absorbs_in_a_from_above(node: str, weight: str, bias: str) -> None:
    """The columns of A are scaled; what the shift adds differs from row to row."""
    declared = f", float{bias} k" if bias else ""
    found = rewritten(
        f"""g (float[3,5] x) => (float[a,b] y) <float{weight} w{declared}, float[3,1] s, float[3,1] t> {{
            m = Mul(x, s) n = Add(m, t) y = {node} }}"""
    )
    assert found.ops == "Gemm"


MATMUL_DOWN = [
    pytest.param(
        "g (float[N,4] x) => (float[N,3] y) <float[4,3] w, NORM4> { n = BN(x) y = MatMul(n, w) }",
        "Gemm",
        id="two matrices become a Gemm",
    ),
    pytest.param(
        "g (float[4,N] x) => (float[3,N] y) <float[3,4] w, float[4,1] k> { n = Add(x, k) y = MatMul(w, n) }",
        "Gemm",
        id="two matrices become a Gemm, the weight at the left",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,3] y) <float[4,3] w, float[4] k> { n = Mul(x, k) y = MatMul(n, w) }",
        "MatMul",
        id="a scale",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T] y) <float[4] w, float[4] k> { n = Mul(x, k) y = MatMul(n, w) }",
        "MatMul",
        id="a scale, and a vector",
    ),
    pytest.param(
        "g (float[N,4,T] x) => (float[N,3,T] y) <float[3,4] w, float[4,1] k> { n = Div(x, k) y = MatMul(w, n) }",
        "MatMul",
        id="a scale, the weight at the left",
    ),
    pytest.param(
        "g (float[N,T,4] x) => (float[N,T,3] y) <float[2,4,3] w, float k> { n = Mul(x, k) y = MatMul(n, w) }",
        "MatMul",
        id="uniform, a weight for each of the batch",
    ),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,3] y) <float[4,3] w, float[4] k, float[4] h, float[3] b> {
            m = Mul(x, k) n = Add(m, h) c = MatMul(n, w) y = Add(b, c) }""",
        "MatMul Add",
        id="the shift goes into the Add that follows",
    ),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,3] y) <float[3,4] v, float[4] h, float[3] b> {
            w = Transpose(v) n = Add(x, h) c = MatMul(n, w) y = Add(c, b) }""",
        "Transpose MatMul Add",
        id="the shift goes past a weight that is computed",
    ),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,3] y) <float[1,4,3] w, float[4] h, float[3] b> {
            n = Add(x, h) c = MatMul(n, w) y = Add(c, b) }""",
        "MatMul Add",
        id="the shift goes past one weight for all of the batch",
    ),
    pytest.param(
        """g (float[N,4,T] x) => (float[N,3,T] y) <float[1,3,4] w, float[4,1] h, float[3,1] b> {
            n = Add(x, h) c = MatMul(w, n) y = Add(c, b) }""",
        "MatMul Add",
        id="the shift goes past one weight for all of the batch at the left",
    ),
    pytest.param(
        """g (float[N,T,4] x) => (float[N,T,3] y, float[N,T,2] z)
            <float[4,3] w, float[4,2] v, float[4] k, float[4] h, float[3] b, float[2] c> {
            m = Mul(x, k) n = Add(m, h) d = MatMul(n, w) y = Add(b, d) e = MatMul(n, v) z = Add(c, e) }""",
        "MatMul Add MatMul Add",
        id="two readers, both gain",
    ),
]


@pytest.mark.parametrize(("text", "ops"), MATMUL_DOWN)
def test_matmul_absorbs_from_above(text: str, ops: str) -> None:
    """A scale along the axis summed over; a shift where it can be added behind."""
    assert rewritten(text).ops == ops


DOWN_REFUSED = [
    pytest.param(
        """g (float[N,4,T] x) => (float[N,4,4] y) <float[3,4] w, NORM4> { [bn] n = BN(x) y = MatMul(n, w) }""",
        "MatMul: the affine varies along axes (1,) of its input, expected (2,), which is summed over",
        id="MatMul: rows, as many as are summed over",
    ),
    pytest.param(
        """g (float[N,4,T] x) => (float[N,3,T] y) <float[3,4] w, NORM4> {
            [bn] n = BN(x) c = MatMul(w, n) y = Relu(c) }""",
        "Relu 'y' after it can't take a scale and shift",
        id="MatMul: nothing takes the shift",
    ),
    pytest.param(
        """g (float[2,4,T] x) => (float[2,3,T] y) <float[2,3,4] w, NORM4> { [bn] n = BN(x) y = MatMul(w, n) }""",
        "MatMul: its weight differs along the batch, so a shift can't move on",
        id="MatMul: a weight for each of the batch, and a shift",
    ),
    pytest.param(
        """g (float[N,4] x) => (float[N] y) <float[4] w, NORM4> { [bn] n = BN(x) y = MatMul(n, w) }""",
        "MatMul: a shift can't move on through a product with a vector",
        id="MatMul: a vector, and a shift",
    ),
    pytest.param(
        """g (float[N,4] x, float[4,3] w) => (float[N,3] y) <NORM4> { [bn] n = BN(x) y = MatMul(n, w) }""",
        "MatMul: its other operand is no constant weight",
        id="MatMul: no constant",
    ),
    pytest.param(
        """g (float[4,4] x) => (float[4,3] y) <float[4,3] w, float[4,1] k> { [bn] n = Mul(x, k) y = Gemm(n, w) }""",
        "Gemm: it sums 4 entries along axis 1, but the affine has shape [4] over axes (0,)",
        id="Gemm: rows, as many as are summed over",
    ),
    pytest.param(
        """g (float[N,4] x, float[3] b) => (float[N,3] y) <float[4,3] w, NORM4> { [bn] n = BN(x) y = Gemm(n, w, b) }""",
        "Gemm: its bias C 'b' is an input of the graph",
        id="Gemm: bias is an input",
    ),
    pytest.param(
        """g (float[2,4] x) => (float[2,3] y) <float[4,3] w, float[2,1] b, NORM4> { [bn] n = BN(x) y = Gemm(n, w, b) }""",
        "Gemm: its bias C varies along rows",
        id="Gemm: a bias for each row",
    ),
    pytest.param(
        """g (float[N,4] x, float[N,5] z) => (float[N,4] y) <float[5,4] w, NORM4> { [bn] n = BN(x) y = Gemm(z, w, n) }""",
        "Gemm: it reads it as its bias",
        id="Gemm: it is the bias",
    ),
]


@pytest.mark.parametrize(("text", "words"), DOWN_REFUSED)
def test_products_refuse_from_above(text: str, words: str) -> None:
    """Nothing is changed, and the reason is said."""
    found = rewritten(text)
    assert not found.report.modified
    assert words in found.refused["bn"]
