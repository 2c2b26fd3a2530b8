"""Equivalent spellings of each normalization, as small ONNX models: what a runtime may be given.

`FORMS[norm]` names the forms; the first is the reference, the operator of that name where ONNX has
one. `build(norm, form, shape, dtype)` makes a model with one input x and one output y of that shape
and type. Scale and bias are constants.

All numbers are chosen so that the forms are the same function, not only nearly: epsilons are powers
of two, scales and biases have few bits, and variances plus epsilon have exact square roots. In
float64 the forms agree to 1e-12, whatever type the constants are stored in but float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from models.norm_forms import channels, pointwise, rows
from models.norm_forms.sheet import Form, Shape, Sheet

__all__ = ["FORMS", "build"]

_IR_VERSION: Final = 10
_TYPES: Final = {"float": np.float32, "float16": np.float16}

FORMS: Final[Mapping[str, Mapping[str, Form]]] = {
    "LayerNorm": {
        "native": Form(17, rows.layer_native),
        "chain with Pow and Div": Form(13, rows.layer_chain),
        "chain with Mul and Reciprocal": Form(13, rows.layer_reciprocal),
        "centered first, native": Form(17, rows.layer_accurate),
        "Reshape-InstanceNorm-Reshape-Mul-Add": Form(13, rows.layer_instance),
    },
    "RMSNorm": {
        "native": Form(23, rows.rms_native),
        "chain with Pow and Reciprocal": Form(13, rows.rms_chain),
        "chain with Mul and Div": Form(13, rows.rms_division),
        "chain with ReduceSumSquare": Form(13, rows.rms_sum),
    },
    "GroupNorm": {
        "native": Form(21, channels.group_native),
        "Reshape-InstanceNorm-Reshape-Mul-Add": Form(13, channels.group_instance),
        "Reshape-InstanceNorm-Reshape-BatchNorm": Form(15, channels.group_batch),
        "Reshape-LayerNorm-Reshape-Mul-Add": Form(17, channels.group_layer),
        "chain": Form(13, channels.group_chain),
        "centered first, InstanceNorm": Form(13, channels.group_accurate),
    },
    "InstanceNorm": {
        "native": Form(13, channels.instance_native),
        "chain": Form(13, channels.instance_chain),
        "Reshape-LayerNorm-Reshape-Mul-Add": Form(17, channels.instance_layer),
        "GroupNormalization": Form(21, channels.instance_group),
        "centered first, native": Form(13, channels.instance_accurate),
    },
    "ChannelsFirstLayerNorm": {
        "chain": Form(13, channels.channels_chain),
        "Transpose-LayerNorm-Transpose": Form(17, channels.channels_transposed),
    },
    "LRN": {
        "native": Form(13, pointwise.lrn_native),
        "AveragePool of a volume": Form(13, pointwise.lrn_volume),
        "AveragePool of a plane": Form(13, pointwise.lrn_plane),
        "banded Conv": Form(13, pointwise.lrn_banded),
        "banded Conv, square roots": Form(13, pointwise.lrn_roots),
    },
    "L2": {
        "ReduceL2-Clip-Div": Form(13, rows.l2_clip),
        "LpNormalization": Form(13, rows.l2_native),
        "RMSNormalization": Form(23, rows.l2_rms),
        "chain": Form(13, rows.l2_chain),
    },
    "BatchNorm": {
        "native": Form(15, pointwise.batch_native),
        "Mul-Add": Form(13, pointwise.batch_affine),
        "depthwise Conv": Form(13, pointwise.batch_convolution),
        "Sub-Div-Mul-Add": Form(13, pointwise.batch_chain),
    },
}


def build(norm: str, form: str, shape: Shape, dtype: str = "float") -> onnx.ModelProto:
    """A model of one normalization in one form.

    Args:
        norm: A key of `FORMS`.
        form: A key of `FORMS[norm]`.
        shape: Of x and y; rank 4 (N, C, H, W) for norms over channels and pixels. Norms over the
            last axis take any rank.
        dtype: "float" or "float16", of everything that is no shape.

    Raises:
        KeyError: There is no such norm, form or type.
    """
    chosen, kind = FORMS[norm][form], _TYPES[dtype]
    sheet = Sheet(shape)
    nodes = chosen.write(sheet)
    dims = ",".join(map(str, shape))
    model: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: {_IR_VERSION}, opset_import: ["": {chosen.opset}]>\n'
        f"norm ({dtype}[{dims}] x) => ({dtype}[{dims}] y) {{ {nodes} }}"
    )
    read = {name for node in model.graph.node for name in node.input}
    for name, array in sheet.constants.items():
        if name in read:
            stored = array if array.dtype == np.int64 else array.astype(kind)
            model.graph.initializer.append(numpy_helper.from_array(stored, name))
    return model
