"""Every handler, in both directions: each takes an affine, and each carrier passes a refusal on."""

from __future__ import annotations

import pytest

from normonnx.fold.tables import DOWN, UP
from tests.rewriting import rewritten

# How each carrier reads r [N,4,5,4], what else is declared, and the opset.
NODES = {
    "Add": ("Add(r, z)", "", 17),
    "AveragePool": ("AveragePool<kernel_shape=[2,2]>(r)", "", 17),
    "Cast": ("Cast<to = 11>(r)", "", 17),
    "Concat": ("Concat<axis = 1>(r, z)", "", 17),
    "Expand": ("Expand(r, s)", ", int64[4] s = {1,1,1,1}", 17),
    "Gather": ("Gather<axis = 2>(r, s)", ", int64[2] s = {1,0}", 17),
    "GlobalAveragePool": ("GlobalAveragePool(r)", "", 17),
    "GlobalMaxPool": ("GlobalMaxPool(r)", "", 17),
    "LeakyRelu": ("LeakyRelu(r)", "", 17),
    "MaxPool": ("MaxPool<kernel_shape=[2,2]>(r)", "", 17),
    "PRelu": ("PRelu(r, s)", ", float[4,1,1] s", 17),
    "Pad": ("Pad(r, s)", ", int64[8] s = {0,0,1,0,0,0,1,0}", 17),
    "ReduceMax": ("ReduceMax<axes=[2]>(r)", "", 17),
    "ReduceMean": ("ReduceMean<axes=[3]>(r)", "", 17),
    "ReduceMin": ("ReduceMin<axes=[2]>(r)", "", 17),
    "ReduceSum": ("ReduceSum(r, s)", ", int64[1] s = {2}", 17),
    "Relu": ("Relu(r)", "", 17),
    "Reshape": ("Reshape(r, s)", ", int64[3] s = {0, 4, 20}", 17),
    "Resize": ('Resize(r, "", s)', ", float[4] s = {1, 1, 2, 2}", 17),
    "Slice": ("Slice(r, s, e, s)", ", int64[1] s = {2}, int64[1] e = {4}", 17),
    "Split": ("Split<axis = 1>(r, s)", ", int64[1] s = {4}", 17),
    "Squeeze": ("Squeeze(r, s)", ", int64[1] s = {4}", 17),
    "Sub": ("Sub(r, z)", "", 17),
    "Sum": ("Sum(r, z)", "", 17),
    "Transpose": ("Transpose<perm=[0,1,3,2]>(r)", "", 17),
    "Unsqueeze": ("Unsqueeze(r, s)", ", int64[1] s = {4}", 17),
    "Upsample": ("Upsample(r, s)", ", float[4] s = {1, 1, 2, 2}", 9),
}
INPUTS = "(float[N,4,5,4{more}] x, float[N,4,5,4] z)"


def test_every_carrier_is_here() -> None:
    """What the tables list has a file of its own, or is tried below."""
    absorb = {"Conv", "ConvTranspose", "Flatten", "Gemm", "MatMul"}
    absorb |= {"DequantizeLinear", "QuantizeLinear"}  # which refuse; see test_quantized
    norms = {op for op in {*UP, *DOWN} if op.endswith("Normalization")}
    assert {*UP, *DOWN} - absorb - norms == set(NODES)


@pytest.mark.parametrize("op_type", NODES)
@pytest.mark.parametrize("affine", ["Mul(c, var1)", "Neg(c)", "Add(c, k)"])
def test_refusals_are_passed_up(op_type: str, affine: str) -> None:
    """A Sigmoid above it takes nothing."""
    node, declared, opset = NODES[op_type]
    inputs = INPUTS.format(more=",1" if op_type == "Squeeze" else "")
    declared += ", float var1" if "var1" in affine else ", float k" if "k" in affine else ""
    if op_type == "Cast":
        declared = declared.replace("float", "double")
    unused = "" if "z" in node else " w = Abs(z)"
    outputs = f"({'double' if op_type == 'Cast' else 'float'}[a] y{'' if not unused else ', float[N,4,5,4] w'})"
    found = rewritten(
        f"g {inputs} => {outputs} <{declared.removeprefix(', ')}> {{ r = Sigmoid(x) c = {node} y = {affine}{unused} }}",
        opset=opset,
        compare=False,
        passes=("fold-affine",),
    )
    assert not found.report.modified


@pytest.mark.parametrize("op_type", [op for op in NODES if op in DOWN])
@pytest.mark.parametrize("affine", ["Mul(x, var1)", "Neg(x)", "Add(x, k)"])
def test_refusals_are_passed_down(op_type: str, affine: str) -> None:
    """A Sigmoid below it takes nothing."""
    node, declared, opset = NODES[op_type]
    inputs = INPUTS.format(more=",1" if op_type == "Squeeze" else "")
    declared += ", float var1" if "var1" in affine else ", float k" if "k" in affine else ""
    unused = "" if "z" in node else " w = Abs(z)"
    outputs = f"({'double' if op_type == 'Cast' else 'float'}[a] y{'' if not unused else ', float[N,4,5,4] w'})"
    found = rewritten(
        f"g {inputs} => {outputs} <{declared.removeprefix(', ')}> {{ r = {affine} c = {node} y = Sigmoid(c){unused} }}",
        opset=opset,
        compare=False,
        passes=("fold-affine",),
    )
    assert not found.report.modified


RANKS = {"Reshape": 3, "Unsqueeze": 5}  # of what comes out, where it isn't 4
ABSORB_UP = {  # what is declared, what makes c, and the opset
    "Conv": ("float[4,3,1,1] w", "c = Conv(x, w)", 17),
    "ConvTranspose": ("float[3,4,2,2] w", "c = ConvTranspose(x, w)", 17),
    "Flatten": ("float[4,3,1,1] w", "b = Conv(x, w) c = Flatten<axis = 3>(b)", 17),
    "Gemm": ("float[4,7] w", "b = Flatten<axis = 3>(x) c = Gemm(b, w)", 17),
    "GroupNormalization": (
        "float[3] s, float[3] b",
        "c = GroupNormalization<num_groups = 3>(x, s, b)",
        21,
    ),
    "InstanceNormalization": (
        "float[3] s, float[3] b",
        "c = InstanceNormalization(x, s, b)",
        17,
    ),
    "LayerNormalization": ("float[4] s", "c = LayerNormalization(x, s)", 17),
    "MatMul": ("float[4,7] w", "c = MatMul(x, w)", 17),
    "RMSNormalization": ("float[4] s", "c = RMSNormalization(x, s)", 23),
}
ABSORB_DOWN = {  # what is declared, what reads n, and the affine
    "Conv": ("float[4,3,1,1] w", "y = Conv(n, w)", "Mul"),
    "ConvTranspose": ("float[3,4,2,2] w", "y = ConvTranspose(n, w)", "Mul"),
    "Flatten": ("float[4,7] w", "y = Flatten<axis = 3>(n) z = MatMul(y, w)", "Mul"),
    "Gemm": ("float[4,7] w", "b = Flatten<axis = 3>(n) y = Gemm(b, w)", "Mul"),
    "InstanceNormalization": (
        "float[3] s, float[3] b",
        "y = InstanceNormalization(n, s, b)",
        "Add",
    ),
    "LayerNormalization": ("float[4] s", "y = LayerNormalization(n, s)", "Add"),
    "MatMul": ("float[4,7] w", "y = MatMul(n, w)", "Mul"),
}


def test_every_handler_is_here() -> None:
    """Those for integers refuse whatever they are asked; see test_quantized."""
    refuse = {"DequantizeLinear", "QuantizeLinear"}
    assert {*NODES, *ABSORB_UP} == set(UP) - refuse
    assert {op for op in NODES if op in DOWN} | set(ABSORB_DOWN) == set(DOWN) - refuse


def _value(name: str, op_type: str, kind: str = "float") -> str:
    dims = ",".join(f"{name}{axis}" for axis in range(RANKS.get(op_type, 4)))
    return f"{kind}[{dims}] {name}"


@pytest.mark.parametrize("op_type", NODES)
def test_carriers_carry_up(op_type: str) -> None:
    """A positive factor goes through each of them into every Conv above it."""
    node, declared, opset = NODES[op_type]
    more = ",1" if op_type == "Squeeze" else ""
    kind = "double" if op_type == "Cast" else "float"
    branch = " z = Conv(x, v)" if ", z" in node else ""
    declared += f", float[4,3,1,1{more}] v" if branch else ""
    found = rewritten(
        f"g (float[N,3,5,4{more}] x) => ({_value('y', op_type, kind)}) <float[4,3,1,1{more}] w, {kind} var1 = {{0.5}}{declared}>"
        f" {{ r = Conv(x, w){branch} c = {node} y = Mul(c, var1) }}",
        opset=opset,
        passes=("fold-affine",),
    )
    assert "Mul" not in found.ops
    assert "Mul 'y' folded into Conv 'r'" in found.applied
    assert f"through {op_type} 'c'" in found.applied


@pytest.mark.parametrize("op_type", [op for op in NODES if op in DOWN])
def test_carriers_carry_down(op_type: str) -> None:
    """A positive factor, or a shift of a summand, goes through each of them into a Conv below it."""
    node, declared, opset = NODES[op_type]
    more = ",1" if op_type == "Squeeze" else ""
    kind = "double" if op_type == "Cast" else "float"
    affine = "Add" if op_type in ("Add", "Sub", "Sum") else "Mul"
    kernel = ",1" * (RANKS.get(op_type, 4) - 2)
    channels = 8 if op_type == "Concat" else 4
    other = ", float[N,4,5,4] z" if ", z" in node else ""
    found = rewritten(
        f"g (float[N,4,5,4{more}] x{other}) => ({_value('y', op_type, kind)}) <{kind}[2,{channels}{kernel}] w, float var1{declared}>"
        f" {{ r = {affine}(x, var1) c = {node} y = Conv(c, w) }}",
        opset=opset,
    )
    assert found.ops.split().count(affine) == (affine == op_type)
    assert f"{affine} 'r' folded into Conv 'y' through {op_type} 'c' further down" in found.applied


@pytest.mark.parametrize("op_type", ABSORB_UP)
def test_absorbers_absorb_up(op_type: str) -> None:
    """A factor of the output goes in."""
    declared, body, opset = ABSORB_UP[op_type]
    rank = 2 if "Flatten" in body else 4
    dims = ",".join(f"y{axis}" for axis in range(rank))
    found = rewritten(
        f"g (float[N,3,5,4] x) => (float[{dims}] y) <{declared}, float k> {{ {body} y = Mul(c, k) }}",
        opset=opset,
    )
    assert "Mul" not in found.ops.split()
    assert f"{op_type} 'c'" in found.applied


@pytest.mark.parametrize("op_type", ABSORB_DOWN)
def test_absorbers_absorb_down(op_type: str) -> None:
    """A factor of the input goes in, or a shift vanishes with the mean."""
    declared, body, affine = ABSORB_DOWN[op_type]
    rank = 2 if "Flatten" in body else 4
    last = "z" if " z = " in body else "y"
    dims = ",".join(f"y{axis}" for axis in range(rank))
    found = rewritten(
        f"g (float[N,3,5,4] x) => (float[{dims}] {last}) <{declared}, float k> {{ n = {affine}(x, k) {body} }}"
    )
    assert affine not in found.ops.split()
    assert f"{op_type} 'y'" in found.applied
