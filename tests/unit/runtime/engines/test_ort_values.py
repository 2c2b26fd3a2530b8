"""ONNX Runtime: types that its bindings don't take from NumPy, and inputs with defaults."""

# ruff: noqa: ANN401  # arrays of every type

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from normonnx.runtime.engines import ort_values
from tests.unit.runtime.engines.conftest import Run

TYPES = {
    "bfloat16": (16, ml_dtypes.bfloat16),
    "float8e4m3fn": (17, ml_dtypes.float8_e4m3fn),
    "float8e4m3fnuz": (18, ml_dtypes.float8_e4m3fnuz),
    "float8e5m2": (19, ml_dtypes.float8_e5m2),
    "float8e5m2fnuz": (20, ml_dtypes.float8_e5m2fnuz),
    "uint4": (21, ml_dtypes.uint4),
    "int4": (22, ml_dtypes.int4),
}
SHAPES = ((3,), (2, 2), (1, 3, 5), (0,), ())


@pytest.mark.parametrize("kind", TYPES)
def test_types_that_numpy_lacks_go_in_and_out(run: Run, kind: str) -> None:
    """Each entry arrives as it was sent, in any shape; packed ones lie two a byte on the way."""
    code, dtype = TYPES[kind]
    inputs, outputs, nodes, sent = [], [], [], []
    feeds: dict[str, Any] = {}
    for n, shape in enumerate(SHAPES):
        numbers = np.resize([1, 3, 2, 0, 1], shape).astype(np.float32)
        sent.append(numbers if kind == "uint4" else -numbers)
        feeds |= {f"x{n}": sent[n].astype(dtype), f"f{n}": sent[n]}
        spelled = f"[{', '.join(map(str, shape))}]" if shape else ""
        inputs += [f"{kind}{spelled} x{n}", f"float{spelled} f{n}"]
        outputs += [f"float{spelled} y{n}", f"{kind}{spelled} z{n}"]
        nodes.append(f"y{n} = Cast<to = 1>(x{n}) z{n} = Cast<to = {code}>(f{n})")
    head = '<ir_version: 10, opset_import: ["": 21]>'
    text = f"{head} g ({', '.join(inputs)}) => ({', '.join(outputs)}) {{ {' '.join(nodes)} }}"
    (found,) = run("ort:cpu", text, feeds).outputs
    for n, numbers in enumerate(sent):
        assert found[f"y{n}"].tolist() == numbers.tolist()
        assert found[f"z{n}"].dtype == np.dtype(dtype)
        assert found[f"z{n}"].astype(np.float32).tolist() == numbers.tolist()


@pytest.mark.parametrize("dtype", [*(dtype for _, dtype in TYPES.values()), np.float16, np.int8])
def test_foreign_types_are_told_from_numpys(dtype: Any) -> None:
    """By who registered them: NumPy calls float8_e5m2 a kind of float."""
    foreign = ort_values.is_foreign(np.zeros(2, dtype))
    assert foreign == (np.dtype(dtype) in {np.dtype(found) for _, found in TYPES.values()})
    assert not ort_values.is_foreign(["text"])
    assert not ort_values.is_foreign(np.asarray(["text"], object))


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 9])
def test_packing_is_undone_by_unpacking(width: int, size: int) -> None:
    """Any width that divides a byte, any number of entries; the first lies in the lowest bits."""
    entries = np.random.default_rng(size).integers(0, 1 << width, size).astype(np.uint8)
    packed = ort_values._packed(entries, width)
    assert packed.shape == entries.shape
    used = packed[: -(-size * width // 8)]
    assert ort_values._unpacked(used, width)[:size].tolist() == entries.tolist()
    if size:
        assert packed[0] % (1 << width) == entries[0]


def test_inputs_with_a_default_may_be_given_or_left_out(run: Run) -> None:
    """An initializer that is an input too."""
    text = '<ir_version: 8, opset_import: ["": 17]>\n'
    text += "g (float[n] x, float[1] w) => (float[n] y) <float[1] w = {3}> { y = Mul(x, w) }"
    x = {"x": np.ones(2, np.float32)}
    outcome = run("ort:cpu", text, x, {**x, "w": np.full(1, 5, np.float32)})
    assert [case["y"].tolist() for case in outcome.outputs] == [[3, 3], [5, 5]]
