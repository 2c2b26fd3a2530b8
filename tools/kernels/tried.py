"""Kernels as they are found by trying: each operator alone, converted and compiled by the runtime.

The operators are cut out of the forms of the catalogue, so that they have the attributes, shapes
and constants that matter here. One that fails in any form counts as missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import ml_dtypes  # noqa: F401  # numpy's bfloat16
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from normonnx.core.kernels import Kernel, Kernels
from normonnx.runtime import kernel_registry
from normonnx.runtime.engines.openvino import imported
from tools.kernels import operators

_FLOAT: Final = "float32"
_ONNX: Final = ("", "ai.onnx")
_MICROSOFT: Final = "com.microsoft"
_FUSED: Final = (
    "SkipLayerNormalization (x, x, s, s)",
    "SkipSimplifiedLayerNormalization (x, x, s)",
    "SimplifiedLayerNormalization (x, s)",
    "GroupNorm <groups = 2, activation = 0> (c, f, f)",
    "SkipGroupNorm <groups = 2, activation = 0> (c, f, f, c)",
)
_USES: Final = 2  # of one normalization
_TYPES: Final = {"float32": "float", "float64": "double"}

Key = tuple[str, str, int, str]  # domain, name, version, type of the first input


def openvino(_text: str, _version: str) -> Kernels:
    """The operators that the installed OpenVINO converts and compiles for its CPU device.

    Raises:
        SystemExit: It is not installed.
    """
    try:
        runtime = imported()
    except ImportError:
        message = "openvino is not installed; pip install 'normonnx[openvino]'"
        raise SystemExit(message) from None
    core = runtime.Core()
    tried: dict[Key, bool] = {}
    seen: set[tuple[object, ...]] = set()
    for key, model in _alone():
        spelling = (key, *_spelling(model))
        if not tried.get(key) and spelling not in seen:
            seen.add(spelling)
            tried[key] = _compiles(core, model.SerializeToString())
    version = runtime.__version__.partition("-")[0]
    return Kernels(f"openvino {version}, CPU, tried", kernel_registry.merged(_kernels(tried)))


def _kernels(tried: Mapping[Key, bool]) -> Iterator[Kernel]:
    for (domain, name, version, dtype), works in tried.items():
        if works:
            schemas = onnx.defs.get_all_schemas_with_history()
            known = [s.since_version for s in schemas if (s.domain, s.name) == (domain, name)]
            last = kernel_registry.ending(version, None, known)
            yield Kernel(domain, name, version, last, frozenset({dtype} - {""}))


def _spelling(model: onnx.ModelProto) -> tuple[object, ...]:
    """What tells apart two uses of an operator: attributes given, and inputs that are constants."""
    (node,) = model.graph.node
    constants = {tensor.name for tensor in model.graph.initializer}
    attributes = tuple(sorted(each.name for each in node.attribute))
    return attributes, tuple(name in constants for name in node.input), len(node.output)


def _compiles(core: Any, encoded: bytes) -> bool:  # noqa: ANN401
    try:
        core.compile_model(core.read_model(encoded), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except Exception:  # noqa: BLE001  # of many kinds
        return False
    return True


def _alone() -> Iterator[tuple[Key, onnx.ModelProto]]:
    """Each operator in a model of its own."""
    for dtype in operators.TYPES:
        for text in _FUSED:
            yield _fused(text, dtype)
    for model in operators.models(_FLOAT, _USES):
        if model.functions:
            continue
        for (domain, name, version, dtype), alone in _cut(model):
            for kind in operators.TYPES if dtype == _FLOAT else (dtype,):
                yield (domain, name, version, kind), _retyped(alone, kind)


def _fused(text: str, dtype: str) -> tuple[Key, onnx.ModelProto]:
    kind = _TYPES.get(dtype, dtype)
    name = text.split(maxsplit=1)[0]
    domain = "" if name.startswith("Simplified") else _MICROSOFT
    call = f"{domain}.{text}" if domain else text
    given = {"x": "[2, 3, 8]", "s": "[8]", "c": "[2, 4, 4, 8]", "f": "[8]"}
    inputs = ", ".join(
        f"{'float' if each == 'f' else kind}{given[each]} {each}"
        for each in given
        if f"{each}," in text or f"{each})" in text
    )
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17, "{_MICROSOFT}": 1]> '
        f"g ({inputs}) => ({kind}[] y) {{ y = {call} }}"
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return (domain, name, 1, dtype), model


def _cut(model: onnx.ModelProto) -> Iterator[tuple[Key, onnx.ModelProto]]:
    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    known = {value.name: value for value in (*graph.input, *graph.value_info, *graph.output)}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    opsets = {each.domain: each.version for each in model.opset_import}
    for node in graph.node:
        domain = "" if node.domain in _ONNX else node.domain
        names = list(dict.fromkeys(filter(None, node.input)))
        outputs = [known.get(name) for name in node.output]
        if any(name not in known and name not in constants for name in names) or None in outputs:
            continue
        alone = helper.make_graph(
            [node],
            "alone",
            [known[name] for name in names if name not in constants],
            [value for value in outputs if value is not None],
            [constants[name] for name in names if name in constants],
        )
        schema = onnx.defs.get_schema(node.op_type, opsets[node.domain], domain)
        dtype = _type_of(node.input[0], known, constants) if node.input else ""
        made = helper.make_model(
            alone, opset_imports=model.opset_import, ir_version=model.ir_version
        )
        yield (domain, node.op_type, schema.since_version, dtype), made


def _retyped(model: onnx.ModelProto, dtype: str) -> onnx.ModelProto:
    """The same with another type in place of float32."""
    if dtype == _FLOAT:
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    for value in (*made.graph.input, *made.graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = kind
    for tensor in made.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(tensor).astype(dtype)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return made


def _type_of(
    name: str,
    known: Mapping[str, onnx.ValueInfoProto],
    constants: Mapping[str, onnx.TensorProto],
) -> str:
    number = (
        constants[name].data_type if name in constants else known[name].type.tensor_type.elem_type
    )
    (found,) = kernel_registry.element_types(
        [f"tensor({TensorProto.DataType.Name(number).lower()})"]
    )
    return found
