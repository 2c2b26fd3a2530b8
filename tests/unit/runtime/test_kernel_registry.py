"""The registry of the installed ONNX Runtime, held to what sessions really load."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from normonnx.core.kernels import Kernel, Kernels
from normonnx.runtime import kernel_registry
from normonnx.runtime.kernel_registry import element_types, ending, installed, merged

CPU = "CPUExecutionProvider"
ONNX_NAMES = {"float32": "float", "float64": "double"}
UNARY = "{kind}[2, 3, 4] x"
LOADABLE = {
    "Neg": (13, UNARY, "Neg(x)"),
    "Reciprocal": (13, UNARY, "Reciprocal(x)"),
    "Exp": (13, UNARY, "Exp(x)"),
    "Sqrt": (13, UNARY, "Sqrt(x)"),
    "Tanh": (13, UNARY, "Tanh(x)"),
    "Add": (14, UNARY, "Add(x, x)"),
    "Pow": (15, UNARY, "Pow(x, x)"),
    "ReduceMean": (13, UNARY, "ReduceMean(x)"),
    "ReduceL2": (13, UNARY, "ReduceL2(x)"),
    "LpNormalization": (1, UNARY, "LpNormalization(x)"),
    "LRN": (13, UNARY, "LRN <size = 3> (x)"),
    "MatMul": (13, "{kind}[2, 3] x, {kind}[3, 4] w", "MatMul(x, w)"),
    "InstanceNormalization": (
        6,
        "{kind}[2, 3, 4] x, {kind}[3] s",
        "InstanceNormalization(x, s, s)",
    ),
    "LayerNormalization": (17, "{kind}[2, 3, 4] x, {kind}[4] s", "LayerNormalization(x, s)"),
    "BatchNormalization": (
        15,
        "{kind}[2, 3, 4] x, {kind}[3] s",
        "BatchNormalization(x, s, s, s, s)",
    ),
}


def _loads(operator: str, opset: int, dtype: str) -> bool:
    _, inputs, call = LOADABLE[operator]
    kind = ONNX_NAMES.get(dtype, dtype)
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> '
        f"g ({inputs.format(kind=kind)}) => ({kind} y) {{ y = {call} }}"
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    except Exception:  # noqa: BLE001  # onnxruntime raises many kinds
        return False
    return True


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("operator", LOADABLE)
def test_a_kernel_is_listed_where_a_session_loads(operator: str, dtype: str) -> None:
    """For types that ONNX Runtime never casts by itself, as it does float16."""
    kernels = installed(CPU)
    assert kernels is not None
    version = LOADABLE[operator][0]
    assert kernels.has("", operator, version, dtype) is _loads(operator, 17, dtype)


def test_what_has_no_kernel_is_not_listed() -> None:
    """GroupNormalization and the fused group norms are taken apart, or fail, on CPUs."""
    kernels = installed(CPU)
    assert kernels is not None
    assert not kernels.has("", "GroupNormalization", 21, "float32")
    assert not kernels.has("com.microsoft", "GroupNorm", 1, "float32")
    assert kernels.has("com.microsoft", "SkipLayerNormalization", 1, "float32")
    assert kernels.has("ai.onnx.ml", "Scaler", 1, "float32")


def test_types_are_those_of_the_first_input() -> None:
    """Not of the output, and not of an index."""
    kernels = installed(CPU)
    assert kernels is not None
    assert kernels.has("", "ConstantOfShape", 20, "int64")
    assert not kernels.has("", "ConstantOfShape", 20, "float32")
    assert kernels.has("", "Where", 16, "bool")
    assert not kernels.has("", "Where", 16, "float32")
    assert kernels.has("", "Gather", 13, "float32")


def test_the_source_names_runtime_and_provider() -> None:
    """With the version that was asked."""
    kernels = installed(CPU)
    assert kernels is not None
    assert kernels.source == f"onnxruntime {onnxruntime.__version__}, {CPU}"
    assert Kernels.of_plain(kernels.plain).plain == kernels.plain


def test_a_provider_that_is_not_here_has_none() -> None:
    """None, not an empty list: a shipped table takes its place."""
    assert installed("NoSuchExecutionProvider") is None
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert installed("CUDAExecutionProvider") is None


@pytest.mark.parametrize("broken", [None, SimpleNamespace()])
def test_without_onnxruntime_there_is_nothing(
    monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    """Not installed, or damaged."""
    monkeypatch.setitem(sys.modules, "onnxruntime", broken)
    kernel_registry.installed.cache_clear()
    kernel_registry.highest_opset.cache_clear()
    try:
        assert installed(CPU) is None
        assert kernel_registry.highest_opset() is None
    finally:
        kernel_registry.installed.cache_clear()
        kernel_registry.highest_opset.cache_clear()


def test_the_highest_opset_loads_and_the_next_does_not() -> None:
    """It is found by trying."""
    found = kernel_registry.highest_opset()
    assert found is not None
    assert _loads("Neg", found, "float32")
    assert found >= 21
    if found < onnx.defs.onnx_opset_version():
        assert not _loads("Neg", found + 1, "float32")


def test_float16_is_cast_where_there_is_no_kernel() -> None:
    """The session loads although the registry has none; hence `Kernels.casts`."""
    kernels = installed(CPU)
    assert kernels is not None
    assert not kernels.has("", "Neg", 13, "float16")
    assert _loads("Neg", 17, "float16")
    assert kernels.casts == {"float16": "float32"}


def test_rows_of_one_span_are_joined_and_spans_that_follow_on_too() -> None:
    """What is left is the fewest rows that say the same."""
    f32, f64 = frozenset({"float32"}), frozenset({"float64"})
    rows = [
        Kernel("", "A", 13, None, f64),
        Kernel("", "A", 1, 12, f32 | f64),
        Kernel("", "A", 13, None, f32),
        Kernel("", "B", 1, 5, f32),
        Kernel("", "B", 6, 7, f64),
        Kernel("", "C", 1, 5, f32),
        Kernel("", "C", 7, 8, f32),
        Kernel("", "D", 1, 5, f32),
        Kernel("", "D", 1, 5, frozenset()),
    ]
    assert merged(rows) == (
        Kernel("", "A", 1, None, f32 | f64),
        Kernel("", "B", 1, 5, f32),
        Kernel("", "B", 6, 7, f64),
        Kernel("", "C", 1, 5, f32),
        Kernel("", "C", 7, 8, f32),
        Kernel("", "D", 1, 5),
    )


@pytest.mark.parametrize(
    ("first", "last", "versions", "expected"),
    [
        (13, None, [1, 6, 13], None),
        (6, None, [1, 6, 22], 21),
        (6, 21, [1, 6, 22], 21),
        (6, None, [], None),
        (1, 17, [1, 11, 13, 18], 17),
    ],
)
def test_an_open_end_ends_where_the_operator_changes(
    first: int, last: int | None, versions: list[int], expected: int | None
) -> None:
    """ONNX Runtime takes such a kernel for no newer version."""
    assert ending(first, last, versions) == expected


def test_types_are_named_as_numpy_does() -> None:
    """What is no tensor of numbers keeps its name."""
    given = ["tensor(float)", "tensor(bfloat16)", "tensor(int64)", "seq(tensor(float))"]
    assert element_types(given) == {"float32", "bfloat16", "int64", "seq(tensor(float))"}
    assert np.dtype("float32").name in element_types(given)
