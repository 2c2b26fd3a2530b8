"""Every carrier passes a refusal on, in both directions, and nothing is changed."""

from __future__ import annotations

import pytest

from normonnx.fold.tables import DOWN, UP
from tests.rewriting import rewritten

# How each carrier reads r [N,4,5,4], what else is declared, and the opset.
NODES = {
    "Add": ("Add(r, z)", "", 17),
    "AveragePool": ("AveragePool<kernel_shape=[2,2]>(r)", "", 17),
    "Cast": ("Cast<to = 11>(r)", "", 17),
    "Concat": ("Concat<axis = 2>(r, z)", "", 17),
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
    )
    assert not found.report.modified
