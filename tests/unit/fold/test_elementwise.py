"""Casts, and activations that a positive scale gets through."""

from __future__ import annotations

import pytest

from tests.rewriting import rewritten

SCALED = "g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w, float[4,1,1] var1{}> {{ c = Conv(x, w) r = {} [it] y = Mul(r, var1) }}"
RECTIFIERS = [("Relu(c)", ""), ("LeakyRelu<alpha=0.3>(c)", ""), ("PRelu(c, k)", ", float[4,1,1] k")]


@pytest.mark.parametrize(("node", "declared"), RECTIFIERS)
def test_positive_scales_get_through_upwards(node: str, declared: str) -> None:
    """Conv, Relu, Mul: the Mul goes into the Conv."""
    found = rewritten(SCALED.format(declared, node))
    assert found.ops == f"Conv {node.split('<', maxsplit=1)[0].split('(', maxsplit=1)[0]}"


@pytest.mark.parametrize(("node", "declared"), RECTIFIERS)
def test_positive_scales_get_through_downwards(node: str, declared: str) -> None:
    """Mul, Relu, Conv: the Mul goes into the Conv, even past its padding."""
    node = node.replace("(c", "(m")
    found = rewritten(f"""
        g (float[N,4,H,W] x) => (float[N,a,b,c] y) <float[2,4,3,3] w, float[4,1,1] var1{declared}> {{
            m = Mul(x, var1) r = {node} y = Conv<pads=[1,1,1,1]>(r, w) }}""")
    assert found.ops == f"{node.split('<')[0].split('(')[0]} Conv"


@pytest.mark.parametrize(("node", "declared"), RECTIFIERS)
@pytest.mark.parametrize(
    ("affine", "more"),
    [
        ("BN(r)", ", NORM4"),
        ("Sub(k1, r)", ", float k1"),
        ("Add(r, k1)", ", float k1"),
        ("Neg(r)", ""),
        ("Mul(r, k1)", ", float k1 = {0}"),
    ],
)
def test_other_affines_do_not(node: str, declared: str, affine: str, more: str) -> None:
    """Neither a shift nor a scale that is negative, or zero."""
    found = rewritten(f"""
        g (float[N,3,H,W] x) => (float[N,4,H,W] y) <float[4,3,1,1] w{declared}{more}> {{
            c = Conv(x, w) r = {node} y = {affine} }}""")
    assert not found.report.modified


def test_a_slope_is_no_data() -> None:
    """What a PRelu reads as its slope is not scaled with its input."""
    found = rewritten("""
        g (float[N,4,H,W] x, float[4,1,1] s) => (float[N,a,b,c] y) <float[2,4,1,1] w, float[4,1,1] var1> {
            m = Mul(s, var1) r = PRelu(x, m) y = Conv(r, w) }""")
    assert not found.report.modified


CASTS = [
    # from, to, scale, whether it folds upwards
    pytest.param("float16", 1, "0.5", True, id="fp16 to fp32, halved"),
    pytest.param(
        "float16", 1, "2", False, id="fp16 to fp32, doubled: might overflow before the cast"
    ),
    pytest.param("bfloat16", 1, "2", True, id="bf16 has the range of fp32"),
    pytest.param("float", 10, "2", True, id="fp32 to fp16, doubled"),
    pytest.param("float", 11, "0.5", True, id="fp32 to fp64, halved"),
    pytest.param("float16", 1, "1", True, id="fp16 to fp32, as it is"),
]


@pytest.mark.parametrize(("source", "target", "scale", "folds"), CASTS)
def test_casts_upwards(source: str, target: int, scale: str, folds: bool) -> None:  # noqa: FBT001
    """The type before the cast must hold every result."""
    name = {1: "float", 10: "float16", 11: "double"}[target]
    found = rewritten(
        f"""g ({source}[N,3,H,W] x) => ({name}[N,4,H,W] y) <{source}[4,3,1,1] w, float k32 = {{{scale}}}> {{
            k = Cast<to = {target}>(k32) c = Conv(x, w) d = Cast<to = {target}>(c) [it] y = Mul(d, k) }}""",
        opset=22,
    )
    assert found.ops == ("Conv Cast" if folds else "Cast Conv Cast Mul")
    if not folds:
        assert "Cast: the result might not fit float16" in found.refused["it"]


@pytest.mark.parametrize(("scale", "folds"), [("2", True), ("0.5", False)])
def test_casts_downwards(scale: str, folds: bool) -> None:  # noqa: FBT001
    """The type after the cast must hold everything that comes in."""
    found = rewritten(
        f"""g (float[N,4,H,W] x) => (float16[N,a,b,c] y) <float16[2,4,1,1] w, float k = {{{scale}}}> {{
            [it] m = Mul(x, k) d = Cast<to = 10>(m) y = Conv(d, w) }}""",
    )
    assert found.ops == ("Cast Conv" if folds else "Mul Cast Conv")
    if not folds:
        assert "Cast: its input might not fit float16" in found.refused["it"]


@pytest.mark.parametrize(("shift", "folds"), [("0.5", False), ("0", True)])
def test_casts_of_shifted_values(shift: str, folds: bool) -> None:  # noqa: FBT001
    """The largest number of the type, shifted, is beyond it."""
    found = rewritten(
        f"""g (float16[N,3,H,W] x) => (float[N,4,H,W] y) <float16[4,3,1,1] w, float h = {{{shift}}}> {{
            c = Conv(x, w) d = Cast<to = 1>(c) y = Add(d, h) }}""",
        opset=22,
    )
    assert (found.ops == "Conv Cast") == folds


@pytest.mark.parametrize(("shift", "folds"), [("1", False), ("0.5", True), ("-1", False)])
def test_casts_of_shifted_values_downwards(shift: str, folds: bool) -> None:  # noqa: FBT001
    """Before the shift a value may be beyond the type after the cast, unless the scale makes up."""
    scale = "1.0625" if folds else "1"
    found = rewritten(
        f"""g (float[N,4,H,W] x) => (float16[N,a,b,c] y)
            <float16[2,4,1,1] w, float k = {{{scale}}}, float h = {{{shift}}}> {{
            m = Mul(x, k) [it] n = Add(m, h) d = Cast<to = 10>(n) y = Conv(d, w) }}""",
    )
    assert (found.ops == "Cast Conv") == folds


def test_casts_from_integers_carry_nothing() -> None:
    """Integers can't be scaled."""
    found = rewritten("""
        g (int32[N,4] x) => (float[N,4] y) <float k> { a = Add(x, x) c = Cast<to = 1>(a) y = Mul(c, k) }""")
    assert not found.report.modified
