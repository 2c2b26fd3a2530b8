"""Is this a legal model? Structure only, in one pass, weights untouched.

onnx.checker needs the serialized model in memory and stops at 2 GB; what normonnx relies on is
checked here: versions, tensors whose bytes match their shape, nodes that fit their operator, and
graphs in which every value is defined once and before its uses (ONNX IR specification, sections
"Graphs" and "Names").
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from normonnx.core.errors import InvalidModelError
from normonnx.graph import calls, schemas, tensors, walk

LOWEST_OPSET = 7
LOWEST_IR_VERSION = 3
_DEFAULT_DOMAINS = ("", "ai.onnx")
_ELEMENT_TYPES = {int(dtype): dtype for dtype in ir.DataType}
_LARGEST_RANK = 64  # numpy's
_MOST_ELEMENTS = 1 << 59  # of 16 bytes: what a 64-bit size can count
_BITS_OF_A_BYTE = 8
_TYPED_FIELDS = (
    "float_data",
    "double_data",
    "int32_data",
    "int64_data",
    "uint64_data",
    "string_data",
)
_DEEPEST = 33  # graphs; protobuf nests 100 messages, three for each

Kind = tuple[ir.DataType, tuple[int, ...]]


def opset_of(model: ir.Model) -> int:
    """Version of the default operator set; 0 where the model imports none."""
    imports = model.opset_imports
    return max((imports[domain] for domain in _DEFAULT_DOMAINS if domain in imports), default=0)


def imports_at(model: ir.Model, graph: ir.Graph | None) -> MutableMapping[str, int]:
    """The operator sets that a graph's nodes are written in: of its function, or of the model."""
    for function in model.functions.values():
        if graph is function.graph or any(graph is inner for inner in function.subgraphs()):
            return function.opset_imports
    return model.opset_imports


def opset_at(model: ir.Model, node: ir.Node) -> int:
    """Version of the default operator set that a node is written in; 1 where none is imported."""
    graph = node.graph if isinstance(node.graph, ir.Graph) else None
    imports = imports_at(model, graph)
    return max((imports[name] for name in _DEFAULT_DOMAINS if name in imports), default=1)


def check_versions(model: ir.Model, name: str) -> None:
    """Refuse versions of the IR and of the default operator set that nothing here can interpret.

    Raises:
        InvalidModelError: The IR version is below 3, or the opset below 7, or one of them is newer
            than the onnx package.
    """
    if not LOWEST_IR_VERSION <= model.ir_version <= onnx.IR_VERSION:
        message = (
            f"{name}: IR version {model.ir_version} is not supported, expected "
            f"{LOWEST_IR_VERSION} to {onnx.IR_VERSION}; export it again, or install a newer onnx "
            f"than {onnx.__version__}"
        )
        raise InvalidModelError(message)
    highest = onnx.defs.onnx_opset_version()
    found = opset_of(model)
    if not any(domain in model.opset_imports for domain in _DEFAULT_DOMAINS):
        if model.opset_imports and not _uses_default_domain(model):
            return
        message = (
            f"{name}: imports no default operator set, expected one of {LOWEST_OPSET} to "
            f"{highest}; export it again"
        )
        raise InvalidModelError(message)
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


def _uses_default_domain(model: ir.Model) -> bool:
    return any(
        node.domain in _DEFAULT_DOMAINS for graph in walk.all_graphs(model) for node in graph
    )


def check_kind(name: str, tensor: onnx.TensorProto) -> Kind:
    """Element type and shape of a tensor whose bytes lie elsewhere.

    Raises:
        InvalidModelError: Unknown element type, strings, or an impossible shape.
    """
    dtype = _ELEMENT_TYPES.get(tensor.data_type, ir.DataType.UNDEFINED)
    shape = tuple(tensor.dims)
    fault = _fault_of(tensor, dtype, shape)
    if fault:
        message = f"{name}: tensor {tensor.name!r} {fault}; export it again"
        raise InvalidModelError(message)
    return dtype, shape


def _fault_of(tensor: onnx.TensorProto, dtype: ir.DataType, shape: tuple[int, ...]) -> str:
    """What is impossible about a tensor; empty where nothing is."""
    if dtype is ir.DataType.UNDEFINED:
        return f"has unknown element type {tensor.data_type}"
    if tensor.HasField("segment"):
        return "is stored in segments, which nothing supports"
    if min(shape, default=0) < 0:
        return f"has a negative dimension in {list(shape)}"
    counted = [dim or 1 for dim in shape] if 0 in shape else shape
    if len(shape) > _LARGEST_RANK or math.prod(counted) > _MOST_ELEMENTS:
        return (
            f"has the impossible shape {list(shape)}, expected at most {_LARGEST_RANK} "
            "dimensions and 2^59 elements"
        )
    if dtype is ir.DataType.STRING and (
        tensor.HasField("raw_data") or tensor.data_location == onnx.TensorProto.EXTERNAL
    ):
        return "holds strings as bytes, expected string_data"
    return ""


def check_tensor(name: str, tensor: onnx.TensorProto) -> None:
    """Refuse a tensor whose stored bytes don't match its type and shape.

    Raises:
        InvalidModelError: As `check_kind`, or a wrong number of bytes or entries.
    """
    dtype, shape = check_kind(name, tensor)
    if tensor.HasField("raw_data"):
        check_length(name, tensor.name, (dtype, shape), len(tensor.raw_data))
        return
    _check_typed_fields(name, tensor, dtype)


def _check_typed_fields(name: str, tensor: onnx.TensorProto, dtype: ir.DataType) -> None:
    field = onnx.helper.tensor_dtype_to_field(tensor.data_type)
    found = len(getattr(tensor, field))
    for other in _TYPED_FIELDS:
        if other != field and len(getattr(tensor, other)):
            message = (
                f"{name}: tensor {tensor.name!r} of type {dtype} holds entries in {other}, "
                f"expected them in {field} alone; export it again"
            )
            raise InvalidModelError(message)
    shape = tuple(tensor.dims)
    expected = math.prod(shape)
    if dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        expected *= 2
    elif dtype is not ir.DataType.STRING and dtype.bitwidth < _BITS_OF_A_BYTE:
        expected = tensors.nbytes(dtype, shape)
    if found != expected:
        message = (
            f"{name}: tensor {tensor.name!r} of shape {list(shape)} holds {found} entries in "
            f"{field}, expected {expected}; the file is damaged or truncated, fetch it again"
        )
        raise InvalidModelError(message)


def check_length(name: str, tensor_name: str | None, kind: Kind, found: int) -> None:
    """Refuse a tensor that has too few or too many bytes for its type and shape.

    Raises:
        InvalidModelError: `found` is not the number of bytes that (type, shape) `kind` needs.
    """
    dtype, shape = kind
    expected = tensors.nbytes(dtype, shape)
    if found != expected:
        message = (
            f"{name}: tensor {tensor_name!r} of type {dtype} and shape {list(shape)} holds "
            f"{found} bytes, expected {expected}; the file is damaged or truncated, fetch it again"
        )
        raise InvalidModelError(message)


def check_structure(model: ir.Model, name: str) -> None:
    """Refuse nodes that don't fit their operator, and values undefined, repeated or used too early.

    So are functions that call themselves.

    Raises:
        InvalidModelError: Naming the value and the node.
    """
    calls.check_recursion(model, name)
    opsets = model.opset_imports
    _Checker(name, opsets, model.functions.keys()).check_graph(model.graph, set())
    for function in model.functions.values():
        own = {**opsets, **function.opset_imports}
        checker = _Checker(name, own, model.functions.keys())
        checker.check_nodes(function, {id(value) for value in function.inputs}, 0)


@dataclass(frozen=True, slots=True)
class _Checker:
    """Checks the graphs of one model, or of one function with its own operator sets."""

    name: str
    opsets: Mapping[str, int]
    functions: Collection[ir.OperatorIdentifier]

    def check_graph(self, graph: ir.Graph, outer: set[int], depth: int = 0) -> None:
        if depth > _DEEPEST:
            message = (
                f"{self.name}: graphs are nested more than {_DEEPEST} deep, which no ONNX file "
                "can hold; flatten them"
            )
            raise InvalidModelError(message)
        visible = set(outer)
        visible.update(id(value) for value in graph.inputs)
        visible.update(id(value) for value in graph.initializers.values())
        self.check_nodes(graph, visible, depth)
        for value in graph.outputs:
            if id(value) not in visible:
                message = (
                    f"{self.name}: graph output {value.name!r} is produced by no node; "
                    "export it again"
                )
                raise InvalidModelError(message)

    def check_nodes(self, nodes: Iterable[ir.Node], visible: set[int], depth: int) -> None:
        names: set[str] = set()
        for node in nodes:
            schemas.check_node(node, self.opsets, self.functions, self.name)
            for value in node.inputs:
                if value is not None and id(value) not in visible and value.name:
                    message = (
                        f"{self.name}: node {node.name or node.op_type!r} uses {value.name!r}, "
                        "which is not defined before it; export it again"
                    )
                    raise InvalidModelError(message)
            for graph in _bodies(node):
                self.check_graph(graph, visible, depth + 1)
            for value in node.outputs:
                found = value.name
                if found and found in names:
                    message = f"{self.name}: {found!r} is defined by two nodes; export it again"
                    raise InvalidModelError(message)
                names.add(found or "")
                visible.add(id(value))


def _bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.data.values():
        kind = attribute.type
        if kind is ir.AttributeType.GRAPH and not attribute.is_ref():
            yield attribute.as_graph()
        elif kind is ir.AttributeType.GRAPHS and not attribute.is_ref():
            yield from attribute.as_graphs()
