"""A model in float16: weights, inputs and outputs, but not what normalizations are made of.

Operators of a normalization that an exporter took apart (Pow, ReduceMean, ...) overflow and
underflow in float16 as no native operator does, so they stay in float32 between casts. Native
normalizations are in float16: what their kernels do there is what is to be found out.
"""

from __future__ import annotations

import warnings
from typing import Final

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as passes

_KEPT: Final = (
    "Div",
    "Exp",
    "Pow",
    "Reciprocal",
    "ReduceL2",
    "ReduceMean",
    "ReduceSum",
    "ReduceSumSquare",
    "Sqrt",
)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in float16; integers stay as they are.

    Raises:
        onnx.checker.ValidationError: It could not be converted into a legal model.
    """
    from onnxruntime.transformers import float16

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers below float16's range are cut off, as they must
        found = float16.convert_float_to_float16(
            copy, op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *_KEPT]
        )
    del found.graph.value_info[:]
    loaded = ir.from_proto(found)
    passes.TopologicalSortPass()(loaded)  # the converter appends its casts at the end
    sorted_model: onnx.ModelProto = ir.to_proto(loaded)
    onnx.checker.check_model(sorted_model, full_check=True)
    return sorted_model
