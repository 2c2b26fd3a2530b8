"""Is this a legal model? Structure only, in one pass, weights untouched.

onnx.checker needs the serialized model in memory and stops at 2 GB; what normonnx relies on is
checked here: operator set versions, tensors whose bytes match their shape, and graphs in which every value is
defined once and before its uses (ONNX IR specification, sections "Graphs" and "Names").
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError
from normonnx.graph import tensors

LOWEST_OPSET = 7
_DEFAULT_DOMAINS = ("", "ai.onnx")


def opset_of(model: ir.Model) -> int:
    """Version of the default operator set; 0 where the model imports none."""
    return max((model.opset_imports.get(domain, 0) for domain in _DEFAULT_DOMAINS), default=0)


def check_opsets(model: ir.Model, name: str) -> None:
    """Refuse operator set versions that nothing here can interpret.

    Raises:
        InvalidModelError: The default domain is older than 7 or newer than the onnx package.
    """
    highest = onnx.defs.onnx_opset_version()
    found = opset_of(model)
    if not model.opset_imports:
        message = f"{name}: imports no operator set, expected one of {LOWEST_OPSET} to {highest}; export it again"
        raise InvalidModelError(message)
    if found == 0:
        return
    if found < LOWEST_OPSET:
        message = (
            f"{name}: opset {found} is not supported, expected {LOWEST_OPSET} to {highest}; "
            "convert it first with onnx.version_converter.convert_version"
        )
        raise InvalidModelError(message)
    if found > highest:
        message = (
            f"{name}: opset {found} is newer than onnx {onnx.__version__} knows, expected "
            f"{LOWEST_OPSET} to {highest}; install a newer onnx"
        )
        raise InvalidModelError(message)


def check_tensor(name: str, tensor: onnx.TensorProto) -> None:
    """Refuse a tensor whose stored bytes don't match its type and shape.

    Raises:
        InvalidModelError: Unknown element type, negative dimension, or wrong number of bytes.
    """
    try:
        dtype = ir.DataType(tensor.data_type)
    except ValueError:
        dtype = ir.DataType.UNDEFINED
    if dtype is ir.DataType.UNDEFINED:
        message = f"{name}: tensor {tensor.name!r} has unknown element type {tensor.data_type}; export it again"
        raise InvalidModelError(message)
    if any(dim < 0 for dim in tensor.dims):
        message = f"{name}: tensor {tensor.name!r} has a negative dimension in {list(tensor.dims)}"
        raise InvalidModelError(message)
    if dtype is ir.DataType.STRING or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    if tensor.HasField("raw_data"):
        check_length(name, tensor.name, (dtype, tuple(tensor.dims)), len(tensor.raw_data))
        return
    _check_typed_fields(name, tensor, dtype)


def _check_typed_fields(name: str, tensor: onnx.TensorProto, dtype: ir.DataType) -> None:
    field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
    found = len(getattr(tensor, field))
    shape = tuple(tensor.dims)
    if dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        found //= 2
    expected = tensors.nbytes(dtype, shape) if dtype.bitwidth < 8 else _count(shape)  # noqa: PLR2004
    if found != expected:
        message = (
            f"{name}: tensor {tensor.name!r} of shape {list(shape)} holds {found} entries in {field}, "
            f"expected {expected}; the file is damaged or truncated, fetch it again"
        )
        raise InvalidModelError(message)


def check_length(
    name: str, tensor_name: str | None, kind: tuple[ir.DataType, tuple[int, ...]], found: int
) -> None:
    """Refuse a tensor that has too few or too many bytes for its type and shape.

    Raises:
        InvalidModelError: `found` is not the number of bytes that (type, shape) `kind` needs.
    """
    dtype, shape = kind
    expected = tensors.nbytes(dtype, shape)
    if found != expected:
        message = (
            f"{name}: tensor {tensor_name!r} of type {dtype} and shape {list(shape)} holds {found} bytes, "
            f"expected {expected}; the file is damaged or truncated, fetch it again"
        )
        raise InvalidModelError(message)


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for dim in shape:
        total *= dim
    return total


def check_structure(model: ir.Model, name: str) -> None:
    """Refuse graphs in which a value is undefined, defined twice or used before its definition.

    Raises:
        InvalidModelError: Naming the value and the node.
    """
    _check_graph(model.graph, set(), name)
    for function in model.functions.values():
        _check_nodes(function, {id(value) for value in function.inputs}, name)


def _check_graph(graph: ir.Graph, outer: set[int], name: str) -> None:
    visible = set(outer)
    visible.update(id(value) for value in graph.inputs)
    visible.update(id(value) for value in graph.initializers.values())
    _check_nodes(graph, visible, name)
    for value in graph.outputs:
        if id(value) not in visible:
            message = f"{name}: graph output {value.name!r} is produced by no node; export it again"
            raise InvalidModelError(message)


def _check_nodes(nodes: Iterable[ir.Node], visible: set[int], name: str) -> None:
    names: set[str] = set()
    for node in nodes:
        for value in node.inputs:
            if value is not None and value.name and id(value) not in visible:
                message = (
                    f"{name}: node {node.name or node.op_type!r} uses {value.name!r}, which is not "
                    "defined before it; export it again"
                )
                raise InvalidModelError(message)
        for attribute in node.attributes.values():
            if attribute.is_ref():
                continue
            if attribute.type == ir.AttributeType.GRAPH:
                _check_graph(attribute.as_graph(), visible, name)
            elif attribute.type == ir.AttributeType.GRAPHS:
                for graph in attribute.as_graphs():
                    _check_graph(graph, visible, name)
        for value in node.outputs:
            if value.name and value.name in names:
                message = f"{name}: {value.name!r} is defined by two nodes; export it again"
                raise InvalidModelError(message)
            names.add(value.name or "")
            visible.add(id(value))
