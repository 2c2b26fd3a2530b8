"""The chains that ONNX Runtime makes one kernel of are spelled as it wants them.

Read from the graph that it saves after its optimizations: which operators run. With a scale and a
bias or without, at every opset that it loads, with axes as an attribute or as an input.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.catalogue.call import NormCall
from tests.unit.catalogue.uses import Use, call_of, highest_opset

onnxruntime = pytest.importorskip("onnxruntime", reason="it is what fuses: normonnx[cpu]")

OPSETS: Final = (7, 9, 11, 12, 13, 14, 16, 17, 18, 21, 23)
ROWS: Final = (4, 6, 8)
LAYER: Final = {"LayerNormalization": 1}
RMS: Final = {"SimplifiedLayerNormalization": 1}
CENTERED: Final = {"ReduceMean": 1, "Sub": 1, **LAYER}
FUSED: Final = {
    "LayerNorm": (Use("LayerNorm", ROWS), "chain with Pow and Div", LAYER),
    "LayerNorm without bias": (
        Use("LayerNorm", ROWS, given=("scale",)),
        "chain with Pow and Div",
        LAYER,
    ),
    "LayerNorm without both": (Use("LayerNorm", ROWS, given=()), "chain with Pow and Div", LAYER),
    "LayerNorm, centered": (
        Use("LayerNorm", ROWS),
        "centered, then chain with Pow and Div",
        CENTERED,
    ),
    "LayerNorm, centered, without both": (
        Use("LayerNorm", ROWS, given=()),
        "centered, then chain with Pow and Div",
        CENTERED,
    ),
    "AdaptiveLayerNorm": (
        Use("AdaptiveLayerNorm", ROWS, given=()),
        "chain with Mul and Add, then Mul-Add",
        LAYER,
    ),
    "RMSNorm": (Use("RMSNorm", ROWS), "chain with Pow and Div", RMS),
    "RMSNorm without scale": (Use("RMSNorm", ROWS, given=()), "chain with Pow and Div", RMS),
    "LpNorm": (Use("LpNorm", ROWS), "chain of an RMS norm", RMS),
}


def _optimized(call: NormCall, form: str, opset: int, folder: Path) -> Counter[str]:
    """The operators that run."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    model = ir.to_proto(call.model(form, opset=opset)).SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node)


@pytest.mark.parametrize(("use", "form", "operators"), FUSED.values(), ids=FUSED)
def test_a_chain_becomes_one_kernel(
    use: Use, form: str, operators: dict[str, int], tmp_path: Path
) -> None:
    """At every opset."""
    call, _ = call_of(use, np.float32)
    for opset in sorted({*OPSETS, highest_opset()}):
        assert _optimized(call, form, opset, tmp_path) == operators, opset


@pytest.mark.parametrize(
    ("use", "form"),
    [
        (Use("RMSNorm", ROWS), "chain with Pow and Reciprocal"),
        (Use("RMSNorm", ROWS), "chain with Mul and Div"),
        (Use("LayerNorm", ROWS), "chain with Mul and Reciprocal"),
        (Use("LayerNorm", ROWS), "corrected chain"),
    ],
    ids=lambda each: each if isinstance(each, str) else each.norm,
)
def test_other_spellings_do_not(use: Use, form: str, tmp_path: Path) -> None:
    """torch's RMSNorm among them: why there is a form of the spelling that is."""
    call, _ = call_of(use, np.float32)
    for opset in (13, 18):
        assert "LayerNormalization" not in str(_optimized(call, form, opset, tmp_path))
