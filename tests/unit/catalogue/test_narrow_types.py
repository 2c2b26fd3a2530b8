"""Of float16 and bfloat16 nothing is summed, squared or normalized: that is done in float32."""

from __future__ import annotations

from typing import Final

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from normonnx.catalogue.operators import NORM_OPERATORS
from tests.unit.catalogue.uses import Use, call_of, every_use, highest_opset

NARROW: Final = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
SUMS: Final = ("Conv", "MatMul", "AveragePool", "Pow", "Exp", "Div", "Sqrt")
IN_FLOAT32_BY_ITSELF: Final = ("com.microsoft",)  # its kernels sum in float32, whatever X is
OPSETS: Final = (7, 11, 13, 17, 18, 21, 23)


def _narrow_sums(model: onnx.ModelProto) -> list[str]:
    """The nodes that compute a statistic of narrow numbers."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = inferred.graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    found = []
    for node in graph.node:
        square = node.op_type == "Mul" and node.input[0] == node.input[1]
        norm = (node.domain, node.op_type) in NORM_OPERATORS
        sums = node.op_type.startswith("Reduce") or node.op_type in SUMS
        if node.domain in IN_FLOAT32_BY_ITSELF or not (square or norm or sums):
            continue
        kinds = [types[name] for name in node.input if name]
        if any(kind in NARROW for kind in kinds):
            found.append(node.op_type)
    return found


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("use", every_use(), ids=lambda use: use.id)
def test_statistics_are_computed_in_float32(use: Use, kind: npt.DTypeLike) -> None:
    """In every form at every opset."""
    call, _ = call_of(use, kind)
    for opset in sorted({*OPSETS, highest_opset()}):
        for form in call.forms_at(opset):
            model = ir.to_proto(call.model(form.name, opset=opset))
            assert _narrow_sums(model) == [], (opset, form.name)


def test_a_sum_of_narrow_numbers_is_seen() -> None:
    """So the test above can fail."""
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float16[2, 4] x) => (float16[2, 4] y) {'
        "m = ReduceMean <axes = [1]> (x) d = Sub (x, m) s = Mul (d, d)"
        " v = ReduceMean <axes = [1]> (s) y = Add (d, v) }"
    )
    assert _narrow_sums(model) == ["ReduceMean", "Mul", "ReduceMean"]
