"""Which operators are a per-channel affine, in which forms, and which only look like one."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

CONV = "g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM4> { c = Conv(x, w) "

BATCH_NORMS = [
    # node, opset
    pytest.param("[bn] y = BatchNormalization<spatial=1>(c, scale, bias, mean, var)", 7, id="7"),
    pytest.param("[bn] y = BatchNormalization(c, scale, bias, mean, var)", 8, id="8"),
    pytest.param("[bn] y = BatchNormalization<epsilon=0.1>(c, scale, bias, mean, var)", 9, id="9"),
    pytest.param(
        '[bn] y, "", "", "", "" = BatchNormalization(c, scale, bias, mean, var)', 9, id="9 outputs"
    ),
    pytest.param(
        "[bn] y = BatchNormalization<momentum=0.5>(c, scale, bias, mean, var)", 14, id="14"
    ),
    pytest.param(
        "[bn] y = BatchNormalization<training_mode=0, epsilon=0.0>(c, scale, bias, mean, var)",
        15,
        id="15, epsilon 0",
    ),
    pytest.param(
        "[bn] y = BatchNormalization(c, scale, bias, mean, scale)", 20, id="negative variance"
    ),
]


@pytest.mark.parametrize(("node", "opset"), BATCH_NORMS)
def test_batch_normalizations_fold(node: str, opset: int) -> None:
    """Every inference form of every opset is folded."""
    text = CONV + node + " }"
    if "mean, scale)" in node:  # var -0.2 and epsilon 0.3: what counts is the sum
        text = text.replace(
            "NORM4", "float[4] scale = {-0.2, 1, 2, 3}, float[4] bias, float[4] mean"
        )
        text = text.replace("BatchNormalization(", "BatchNormalization<epsilon=0.3>(")
    found = rewritten(text, opset=opset)
    assert found.ops == "Conv"
    assert found.applied == "BatchNormalization 'bn' folded into Conv 'c'"


def test_default_epsilon() -> None:
    """Without the attribute epsilon is 1e-5, which matters where the variance is small."""
    text = CONV.replace(
        "NORM4", "float[4] scale, float[4] bias, float[4] mean, float[4] var = {0, 1e-6, 1e-5, 1}"
    )
    assert rewritten(text + "y = BN(c) }").ops == "Conv"


def test_gamma_zero() -> None:
    """A channel with scale 0 becomes a constant: zero weights and its bias."""
    names = "float[4] scale = {0, -1, 2, 0}, float[4] bias, float[4] mean, float[4] var"
    found = rewritten(CONV.replace("NORM4", names) + "y = BN(c) }")
    assert found.ops == "Conv"
    assert not found.weight("w")[[0, 3]].any()


REFUSED_NORMS = [
    pytest.param(
        "[bn] y = BatchNormalization<training_mode=1>(c, scale, bias, mean, var)",
        15,
        "training_mode is 1: it normalizes with the statistics of the batch; export the model in inference mode",
        id="training_mode",
    ),
    pytest.param(
        "[bn] y, m, v = BatchNormalization<training_mode=1>(c, scale, bias, mean, var) y2 = Add(m, v)",
        15,
        "training_mode is 1",
        id="training_mode with outputs",
    ),
    pytest.param(
        "[bn] y, m, v, q, r = BatchNormalization(c, scale, bias, mean, var) y2 = Sum(m, v, q, r)",
        9,
        "it has outputs for running statistics, so it is in training mode",
        id="opset 9 with outputs",
    ),
    pytest.param(
        "m = ReduceMean<axes=[0,2,3], keepdims=0>(c) [bn] y = BatchNormalization(c, scale, bias, m, var)",
        15,
        "its mean 'm' is computed at run time, not a constant",
        id="statistics of the batch by ReduceMean",
    ),
    pytest.param(
        "[bn] y = BatchNormalization<spatial=0>(c, scale, bias, mean, var)",
        8,
        "spatial is 0",
        id="spatial 0",
    ),
    pytest.param(
        "[bn] y = BatchNormalization(c, scale, bias, mean, w)",
        15,
        "its var has shape [4, 3, 1, 1], expected one dimension (C)",
        id="var has four dimensions",
    ),
]


@pytest.mark.parametrize(("node", "opset", "words"), REFUSED_NORMS)
def test_batch_normalizations_refuse(node: str, opset: int, words: str) -> None:
    """What normalizes with other than constant statistics stays, with the reason."""
    text = CONV + node + " }"
    read = [name for name in ("scale", "bias", "mean", "var") if name in node]
    text = text.replace("NORM4", ", ".join(f"float[4] {name}" for name in read))
    if "y2" in node:
        text = text.replace("(float[N,4,H,W] y)", "(float[N,4,H,W] y, float[4] y2)")
    found = rewritten(text, opset=opset)
    assert not found.report.modified
    assert words in found.refused["bn"]


BAD_NUMBERS = [
    pytest.param(
        "var = {1, -0.5, 2, 3}", "var + epsilon is not positive in channel 1", id="var negative"
    ),
    pytest.param("var = {-1, 1, -0.5, 3}", "is not positive in channels 0, 2", id="two channels"),
    pytest.param(
        "var = {1, 1, -0.00001, 3}", "is not positive in channel 2", id="var + epsilon zero"
    ),
    pytest.param(
        "var = {1, nan, 2, inf}", "its var holds NaN or infinity in channels 1, 3", id="var NaN"
    ),
    pytest.param(
        "scale = {1, 1, 1, nan}", "its scale holds NaN or infinity in channel 3", id="scale NaN"
    ),
    pytest.param(
        "bias = {inf, 1, 1, 1}", "its B holds NaN or infinity in channel 0", id="bias infinite"
    ),
    pytest.param(
        "mean = {1, nan, 1, 1}", "its mean holds NaN or infinity in channel 1", id="mean NaN"
    ),
]


@pytest.mark.parametrize(("numbers", "words"), BAD_NUMBERS)
def test_bad_numbers_refuse(numbers: str, words: str) -> None:
    """Parameters that make no affine are refused, naming the channels."""
    name = numbers.split(maxsplit=1)[0]
    declared = [f"float[4] {n}" for n in ("scale", "bias", "mean", "var") if n != name]
    text = CONV.replace("NORM4", ", ".join([*declared, f"float[4] {numbers}"]))
    found = rewritten(text + "[bn] y = BN(c) }")
    assert not found.report.modified
    assert words in found.refused["bn"]


@pytest.mark.parametrize(("channels", "named"), [(5, ""), (6, " and 1 more")])
def test_five_channels_are_named(channels: int, named: str) -> None:
    """And how many there are beyond."""
    numbers = ", ".join(["-1"] * channels)
    found = rewritten(
        f"g (float[N,{channels}] x) => (float[N,{channels}] y) <float[{channels}] scale, float[{channels}] bias, float[{channels}] mean, float[{channels}] var = {{{numbers}}}> {{ c = Relu(x) [bn] y = BN(c) }}"
    )
    assert found.refused["bn"] == f"var + epsilon is not positive in channels 0, 1, 2, 3, 4{named}"


def test_parameters_that_are_inputs_refuse() -> None:
    """A parameter that is an input, with or without a default, is not a constant."""
    text = """g (float[N,3,H,W] x, float[4] scale) => (float[N,4,H,W] y)
        <float[4,3,1,1] w, {default}float[4] bias, float[4] mean, float[4] var> {{
        c = Conv(x, w) [bn] y = BN(c) }}"""
    plain = rewritten(text.format(default=""))
    assert plain.refused == {"bn": "its scale 'scale' is an input of the graph, not a constant"}
    default = rewritten(text.format(default="float[4] scale, "))
    assert "is a graph input, whose default the caller may override" in default.refused["bn"]


def test_parameters_of_different_length_refuse() -> None:
    """Statistics that differ in length make no affine."""
    text = CONV.replace("NORM4", "float[4] scale, float[4] bias, float[4] mean, float[3] var")
    found = rewritten(text + "[bn] y = BN(c) }")
    assert found.refused == {"bn": "its scale, B, mean and var differ in length"}


CONSTANTS = [
    pytest.param("float k", "", "k", id="scalar"),
    pytest.param("float[1] k", "", "k", id="(1)"),
    pytest.param("float[4,1,1] k", "", "k", id="(C,1,1)"),
    pytest.param("float[1,4,1,1] k", "", "k", id="(1,C,1,1)"),
    pytest.param("", "k = Constant<value = float[4,1,1] {1, 2, -3, 4}>()", "k", id="Constant node"),
    pytest.param("", "k = Constant<value_float = 1.5>()", "k", id="value_float"),
    pytest.param("float[4,1,1] k", "i = Identity(k)", "i", id="Identity"),
    pytest.param("double[4,1,1] k", "i = Cast<to=1>(k)", "i", id="Cast"),
    pytest.param("float[1,1,4] k", "i = Transpose<perm=[2,0,1]>(k)", "i", id="Transpose"),
    pytest.param("float[4] k, int64[3] s = {4,1,-1}", "i = Reshape(k, s)", "i", id="Reshape"),
    pytest.param("float[4] k, int64[2] s = {1,2}", "i = Unsqueeze(k, s)", "i", id="Unsqueeze"),
    pytest.param("float[4,1,1] k, float e", "i = Add(k, e) l = Mul(i, i)", "l", id="arithmetic"),
]
ARITHMETIC = [
    "Mul(c, {k})",
    "Mul({k}, c)",
    "Add(c, {k})",
    "Add({k}, c)",
    "Sub(c, {k})",
    "Sub({k}, c)",
    "Div(c, {k})",
]


@pytest.mark.parametrize(("declared", "nodes", "name"), CONSTANTS)
@pytest.mark.parametrize("operation", ARITHMETIC, ids=lambda text: text.format(k="k"))
def test_arithmetic_by_constants_folds(
    declared: str, nodes: str, name: str, operation: str
) -> None:
    """Either operand order, however the constant is written; its nodes go as well."""
    found = rewritten(f"""
        g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w{", " + declared if declared else ""}> {{
            {nodes} c = Conv(x, w) y = {operation.format(k=name)}
        }}""")
    assert found.ops == "Conv"


NOT_AFFINE = [
    pytest.param(
        "float[4,1,1] k = {1,0,2,3}",
        "Div(c, k)",
        "holds NaN, infinity or a zero divisor",
        id="zero divisor",
    ),
    pytest.param("float k = {nan}", "Mul(c, k)", "holds NaN, infinity or a zero divisor", id="NaN"),
    pytest.param("float k", "Div(k, c)", None, id="constant numerator"),
    pytest.param("float[4,1,4] k", "Mul(c, k)", None, id="two axes"),
    pytest.param("float k", "Max(c, k)", None, id="other operators"),
    pytest.param("float k", "Pow(c, k)", None, id="powers"),
]


@pytest.mark.parametrize(("declared", "operation", "words"), NOT_AFFINE)
def test_other_arithmetic_stays(declared: str, operation: str, words: str | None) -> None:
    """What is not affine per channel is left alone; only what looks affine gets a reason."""
    found = rewritten(f"""
        g (float[N,3,H,W] x) => (float[N,4,H,4] y) <float[4,3,1,1] w, {declared}> {{
            c = Conv(x, w) [it] y = {operation}
        }}""")
    assert not found.report.modified
    assert ("it" in found.refused) == (words is not None)
    assert words is None or words in found.refused["it"]


def test_overridable_constant_is_no_affine() -> None:
    """A factor that the caller may override is not baked in."""
    found = rewritten("""
        g (float[N,3,H,W] x, float k) => (float[N,4,H,W] y) <float[4,3,1,1] w, float k = {2}> {
            c = Conv(x, w) y = Mul(c, k)
        }""")
    assert not found.report.modified


def test_expression_of_constants_is_no_affine() -> None:
    """Arithmetic between constants is not an affine of an activation."""
    found = rewritten("""
        g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[4,1,1,1] k, float[4] z> {
            v = Mul(w, k) u = Neg(v) y = Conv(x, u, z)
        }""")
    assert found.ops == "Mul Neg Conv"
    assert not found.refused


def test_huge_constants_are_never_made() -> None:
    """A ConstantOfShape of 10 TB is not constant; it costs nothing and folds nothing."""
    found = rewritten("""
        g (float[N,3,H,W] x) => (float[N,4,H,W] y)
        <float[4,3,1,1] w, int64[3] huge = {4, 800000, 800000}, int64[3] zero = {0, 0, 0},
         int64[3] ends = {4, 1, 1}> {
            k = ConstantOfShape(huge) s = Slice(k, zero, ends) c = Conv(x, w) y = Mul(c, s)
        }""")
    assert not found.report.modified


def test_weight_standardisation_is_evaluated() -> None:
    """A BatchNormalization of a weight has a constant input: the result is a constant as well."""
    found = rewritten("""
        g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, NORM3> {
            [bn] v = BN(w) y = Conv(x, v)
        }""")
    assert found.ops == "Conv"
    assert found.applied == "BatchNormalization 'bn' evaluated, since its input 'w' is a constant"


def test_fp32_parameters_on_fp16_data() -> None:
    """Since opset 15 the parameters may be wider than the data; the weight keeps its own type."""
    found = rewritten(
        """g (float16[N,3,H,W] x) => (float16[N,4,H,W] y) <float16[4,3,1,1] w, NORM4> {
            c = Conv(x, w) y = BN(c) }""",
        opset=15,
    )
    assert found.ops == "Conv"
    assert found.weight("w").dtype == found.weight("w_bias").dtype == "float16"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "double"])
def test_other_float_types(dtype: str) -> None:
    """The fold happens in the model's own type."""
    found = rewritten(
        f"""g ({dtype}[N,3,H,W] x) => ({dtype}[N,4,H,W] y) <{dtype}[4,3,1,1] w, {dtype}[4] k, NORM4:{dtype}> {{
            c = Conv(x, w, k) y = BN(c) }}""",
        opset=22,
    )
    assert found.ops == "Conv"
    assert found.weight("w").dtype == found.weight("k").dtype


SCALER = """
    <ir_version: 8, opset_import: ["": 17, "ai.onnx.ml": 1]>
    g ({kind} x) => (float[N,3] y) <float[4,3] w, float[3] b> {{
        [it] n = ai.onnx.ml.Scaler<offset = {offset}, scale = {scale}>(x) y = Gemm(n, w, b) }}"""


@pytest.mark.parametrize(
    ("offset", "scale"), [("[1.0, 2.0, 3.0, 4.0]", "[0.5, 2.0, 1.0, -1.0]"), ("[1.5]", "[1.0, 2.0, 3.0, 4.0]"), ("[0.5]", "[2.0]")]
)  # fmt: skip
def test_a_scaler_folds_into_what_follows(offset: str, scale: str) -> None:
    """(x - offset) * scale, for each feature or for all."""
    found = rewritten(SCALER.format(kind="float[N,4]", offset=offset, scale=scale))
    assert found.ops == "Gemm"
    assert found.applied == "Scaler 'it' folded into Gemm 'y' further down"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("double[N,4]", "its input is not known to be float32"),
        ("float[N,2,4]", "its input is not known to have two dimensions"),
    ],
)
def test_scalers_refuse(kind: str, words: str) -> None:
    """Its output is float32 whatever it is given."""
    found = rewritten(
        SCALER.format(kind=kind, offset="[1.0]", scale="[2.0]").replace(
            "Gemm(n, w, b)", "MatMul(n, w) y0 = Neg(b)"
        ).replace("(float[N,3] y)", "(float[a,b] y, float[3] y0)"),
        compare=False,
    )  # fmt: skip
    assert words in found.refused["it"]
