"""What a parsed ModelProto may not hold, checked before it becomes onnx_ir.

onnx_ir keeps names in dictionaries: of two initializers, attributes or functions with one name the
last would silently win. What is illegal is refused here, and so is what is legal but would be lost
on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import protos

_A = onnx.AttributeProto
_SPARSE = (_A.SPARSE_TENSOR, _A.SPARSE_TENSORS)
_PLAIN = (_A.FLOAT, _A.INT, _A.STRING, _A.FLOATS, _A.INTS, _A.STRINGS)
_TEXT = frozenset([str])
_SINGLE = {_A.TENSOR: "t", _A.GRAPH: "g", _A.TYPE_PROTO: "tp"}


def check_proto(parts: protos.Parts, name: str) -> None:
    """Refuse what is illegal or can't be represented, apart from tensors and the order of nodes.

    Raises:
        InvalidModelError: Something has no name or type, or has the name of something else.
        UsageError: The model is legal, but holds sparse tensors or training information.
    """
    proto = parts.proto
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        message = f"{name} holds no graph, expected an ONNX model; export it again"
        raise InvalidModelError(message)
    if not proto.graph.output:
        message = f"{name}: the graph has no outputs, so it computes nothing; export it again"
        raise InvalidModelError(message)
    if proto.training_info:
        message = (
            f"{name}: holds training information, which can't be kept; remove it first with "
            "`del model.training_info[:]`"
        )
        raise UsageError(message)
    _check_names(proto, name)
    for graph in parts.main_graphs:
        _check_graph(graph, name, in_function=False)
    for graph in parts.function_graphs:
        _check_graph(graph, name, in_function=True)
    for function in proto.functions:
        where = f"{name}: function {function.name!r}"
        _refuse_repeated(where, "input", function.input)
        for attribute in function.attribute_proto:
            _check_attribute(attribute, where)
        for node in function.node:
            _check_node(node, name, in_function=True)


def _check_names(proto: onnx.ModelProto, name: str) -> None:
    """Names of functions, operator sets and metadata."""
    _require_text(name, (entry.key for entry in proto.metadata_props))
    _require_text(name, (imported.domain for imported in proto.opset_import))
    domains = (imported.domain or "ai.onnx" for imported in proto.opset_import)
    _refuse_repeated(name, "operator set import", domains)
    for function in proto.functions:
        _require_text(name, (function.name, function.domain, function.overload, *function.output))
    functions = (f"{f.domain}::{f.name}:{f.overload}" for f in proto.functions)
    _refuse_repeated(name, "function", functions)


def _check_graph(graph: onnx.GraphProto, name: str, *, in_function: bool) -> None:
    _require_text(name, (graph.name,))
    where = f"{name}: graph {graph.name!r}"
    if graph.sparse_initializer:
        sparse = graph.sparse_initializer[0].values.name
        message = f"{where}: sparse initializer {sparse!r} is not supported; make it dense first"
        raise UsageError(message)
    initializers = [tensor.name for tensor in graph.initializer]
    if not all(initializers):
        message = f"{where}: an initializer has no name; export it again"
        raise InvalidModelError(message)
    _refuse_repeated(where, "initializer", initializers)
    for what, values in (("input", graph.input), ("output", graph.output)):
        if not all(value.name for value in values):
            message = f"{where}: an {what} has no name; export it again"
            raise InvalidModelError(message)
    _refuse_repeated(where, "input", (value.name for value in graph.input))
    for node in graph.node:
        _check_node(node, name, in_function=in_function)


def _check_node(node: onnx.NodeProto, name: str, *, in_function: bool) -> None:
    names = (node.name, node.op_type, node.domain, *node.input, *node.output)
    if not node.attribute and _TEXT.issuperset(map(type, names)):
        return
    where = f"{name}: node {node.name or node.op_type!r}"
    _require_text(where, names)
    _refuse_repeated(where, "attribute", (attribute.name for attribute in node.attribute))
    for attribute in node.attribute:
        _check_attribute(attribute, where)
        if attribute.ref_attr_name and not in_function:
            message = (
                f"{where} refers to attribute {attribute.ref_attr_name!r} of a function, but "
                "stands in none; export the model again"
            )
            raise InvalidModelError(message)


def _check_attribute(attribute: onnx.AttributeProto, where: str) -> None:
    kind, refers_to = attribute.type, attribute.ref_attr_name
    _require_text(where, (attribute.name, refers_to))
    if kind in _PLAIN:
        return
    if kind in _SPARSE:
        message = (
            f"{where}: sparse attribute {attribute.name!r} is not supported; make it dense first"
        )
        raise UsageError(message)
    if kind == _A.UNDEFINED:
        message = f"{where}: attribute {attribute.name!r} has no type; export the model again"
        raise InvalidModelError(message)
    if kind == _A.TENSOR:
        _require_text(where, (attribute.t.name,))
    field = _SINGLE.get(kind)
    if field is not None and not refers_to and not attribute.HasField(field):
        message = f"{where}: attribute {attribute.name!r} is empty; export the model again"
        raise InvalidModelError(message)


def _require_text(where: str, names: Iterable[str | bytes]) -> None:
    """Protobuf gives bytes for a string that is no UTF-8."""
    given = tuple(names)
    if not _TEXT.issuperset(map(type, given)):
        found = next(name for name in given if not isinstance(name, str))
        message = f"{where}: the name {found!r} is no UTF-8 text; export the model again"
        raise InvalidModelError(message)


def _refuse_repeated(where: str, what: str, names: Iterable[str]) -> None:
    given = tuple(names)
    _require_text(where, given)
    if len(set(given)) < len(given):
        found = next(name for name, times in Counter(given).items() if times > 1)
        message = f"{where}: {what} {found!r} occurs twice, expected once; export the model again"
        raise InvalidModelError(message)
