"""Whatever is drawn, a folded model computes the same function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import UNTIMED
from tests.rewriting import rewritten

FLOATS = st.sampled_from(["float", "float", "float16", "bfloat16"])


@st.composite
def _convolutions(draw: st.DrawFn, dtype: str) -> tuple[list[str], str, str, int, int]:
    """Declarations, node, input shape, output channels and rank of a Conv or ConvTranspose."""
    group, inputs, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    spatial = draw(st.integers(1, 3))
    kernel = [draw(st.integers(1, 3)) for _ in range(spatial)]
    op_type = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    rows = (group * outputs, inputs) if op_type == "Conv" else (group * inputs, outputs)
    declared = [f"{dtype}[{','.join(map(str, (*rows, *kernel)))}] w"]
    bias = draw(st.sampled_from(["", ', ""', ", k"]))
    if bias == ", k":
        declared.append(f"{dtype}[{group * outputs}] k")
    attributes = [f"group={group}"]
    padding = draw(st.sampled_from(["", "SAME_UPPER", "VALID", "pads"]))
    if padding == "pads":
        attributes.append(
            f"pads={[draw(st.integers(0, 1)) for _ in range(2 * spatial)]}".replace("'", "")
        )
    elif padding:
        attributes.append(f'auto_pad="{padding}"')
    if draw(st.booleans()):
        attributes.append(f"strides={[draw(st.integers(1, 2)) for _ in range(spatial)]}")
    shape = ",".join(map(str, (2, group * inputs, *[4] * spatial)))
    return (
        declared,
        f"{op_type}<{', '.join(attributes)}>(x, w{bias})",
        shape,
        group * outputs,
        spatial + 2,
    )


@st.composite
def _gemms(draw: st.DrawFn, dtype: str) -> tuple[list[str], str, str, int, int]:
    rows, depth, columns = (draw(st.integers(1, 4)) for _ in range(3))
    trans_a, trans_b = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    weight = (columns, depth) if trans_b else (depth, columns)
    declared = [f"{dtype}[{weight[0]},{weight[1]}] w"]
    bias = draw(st.sampled_from([None, "", "1", "{n}", "1,{n}", "{m},1", "{m},{n}"]))
    if bias is not None:
        declared.append(f"{dtype}[{bias.format(m=rows, n=columns)}] k")
    attributes = f"transA={trans_a}, transB={trans_b}, alpha={draw(st.sampled_from([1.0, -0.5]))}"
    attributes += f", beta={draw(st.sampled_from([1.0, 0.0, 2.5]))}"
    shape = f"{depth},{rows}" if trans_a else f"{rows},{depth}"
    return (
        declared,
        f"Gemm<{attributes}>(x, w{', k' if bias is not None else ''})",
        shape,
        columns,
        2,
    )


@st.composite
def _matmuls(draw: st.DrawFn, dtype: str) -> tuple[list[str], str, str, int, int]:
    """The channels are axis 1, which is the weight's columns, rows or batch, or none of its axes."""
    batch = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 2)))]
    rows, depth, columns = (draw(st.integers(1, 3)) for _ in range(3))
    weight_batch = batch[draw(st.integers(0, len(batch))) :]
    at_left = draw(st.booleans())
    weight = [*weight_batch, *((rows, depth) if at_left else (depth, columns))]
    data = [*batch, *((depth, columns) if at_left else (rows, depth))]
    output = [*batch, rows, columns]
    node = "MatMul(w, x)" if at_left else "MatMul(x, w)"
    return (
        [f"{dtype}[{','.join(map(str, weight))}] w"],
        node,
        ",".join(map(str, data)),
        output[1],
        len(output),
    )


@st.composite
def _affines(
    draw: st.DrawFn, dtype: str, channels: int, rank: int, index: int
) -> tuple[list[str], str]:
    """Declarations and node, with {0} for its input, of one affine."""
    kind = draw(st.sampled_from(["BN", "Mul", "Add", "Sub", "Div", "Neg", "Identity", "Dropout"]))
    if kind in ("Neg", "Identity", "Dropout"):
        return [], f"{kind}({{0}})"
    if kind == "BN":
        names = [f"{name}{index}" for name in ("scale", "bias", "mean", "var")]
        epsilon = draw(st.sampled_from(["", "<epsilon=0.01>", "<training_mode=0>"]))
        return (
            [f"{dtype}[{channels}] {name}" for name in names],
            f"BatchNormalization{epsilon}({{0}}, {', '.join(names)})",
        )
    shape = draw(
        st.sampled_from(
            ["", "1", ",".join(["1"] * rank), ",".join(map(str, [channels, *[1] * (rank - 2)]))]
        )
    )
    name = f"var{index}"
    first = kind != "Div" and draw(st.booleans())
    return [
        f"{dtype}[{shape}] {name}"
    ], f"{kind}({name}, {{0}})" if first else f"{kind}({{0}}, {name})"


@st.composite
def _models(draw: st.DrawFn, operators: str) -> str:
    dtype = draw(FLOATS)
    kind = {"convolution": _convolutions, "gemm": _gemms, "matmul": _matmuls}[operators]
    declared, node, shape, channels, rank = draw(kind(dtype))
    body, previous = [f"v = {node}"], "v"
    for index in range(draw(st.integers(1, 4))):
        more, text = draw(_affines(dtype, channels, rank, index))
        declared += more
        body.append(f"v{index} = {text.format(previous)}")
        previous = f"v{index}"
    output = ",".join(f"d{axis}" for axis in range(rank))
    return f"g ({dtype}[{shape}] x) => ({dtype}[{output}] {previous}) <{', '.join(declared)}> {{ {' '.join(body)} }}"


@UNTIMED
@given(_models("convolution"), st.integers(0, 99))
def test_convolutions(text: str, seed: int) -> None:
    """Conv and ConvTranspose of any group, padding, stride and type, then a chain: nothing is left."""
    found = rewritten(text, opset=22, seed=seed)
    if found.report.applied and "would not fit" not in str(found.refused):
        assert set(found.ops.split()) <= {"Conv", "ConvTranspose", "Identity", "Dropout"}


@UNTIMED
@given(_models("gemm"), st.integers(0, 99))
def test_gemm(text: str, seed: int) -> None:
    """Gemm of any alpha, beta, transposition and C, then a chain: nothing is left."""
    found = rewritten(text, opset=22, seed=seed)
    if found.report.applied and "would not fit" not in str(found.refused):
        assert set(found.ops.split()) <= {"Gemm", "Identity", "Dropout"}


@UNTIMED
@given(_models("matmul"), st.integers(0, 99))
def test_matmul(text: str, seed: int) -> None:
    """MatMul with the constant at either side, batched or not, then a chain of affines."""
    rewritten(text, opset=22, seed=seed)
