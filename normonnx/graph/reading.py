"""Load a model: weights stay in the file until they are needed.

`load` maps the file, cuts the weights out of the message (see `wire`) and gives back a model
whose large tensors are views of the map; external data files are mapped alike.
"""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import checks, paths, tensors, walk, wire

_SOURCE = "normonnx.source"  # key in model.meta: the path a model was loaded from
_EXTERNAL = onnx.TensorProto.EXTERNAL


def load(path: str | os.PathLike[str]) -> ir.Model:
    """Load an ONNX file; weights stay memory-mapped until they are read.

    Args:
        path: The .onnx file. External data must lie beside or below it.

    Returns:
        The model. Its large tensors are read-only views of the file: keep the file in place while
        the model is in use.

    Raises:
        UsageError: There is no such file, or it can't be read.
        InvalidModelError: The file is damaged, is not ONNX, has an unsupported opset, or its external
            data is missing, too short or outside the model's folder.
    """
    found = paths.readable_model(path)
    with found.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            message = f"{found} is empty, expected an ONNX model; fetch it again"
            raise InvalidModelError(message)
        buffer = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        window = wire.FileWindow(file.fileno())
        model = parse(buffer, name=str(found), folder=found, window=window)
    model.meta[_SOURCE] = found
    return model


def source_of(model: ir.Model) -> Path | None:
    """The file that `load` read this model from; None for models from elsewhere."""
    found = model.meta.get(_SOURCE)
    return found if isinstance(found, Path) else None


def data_locations(path: Path) -> set[str]:
    """Names of the external data files that the model at `path` refers to.

    Raises:
        InvalidModelError: The file is no ONNX model.
    """
    with path.open("rb") as file:
        window = wire.FileWindow(file.fileno())
        skeleton = wire.strip(window, lambda _: b"", tensors.STREAM_FROM).skeleton
    try:
        proto = onnx.ModelProto.FromString(skeleton)
    except DecodeError:
        message = f"{path} is damaged or no ONNX model"
        raise InvalidModelError(message) from None
    return {
        entry.value
        for tensor in onnx.external_data_helper._get_all_tensors(proto)  # noqa: SLF001
        for entry in tensor.external_data
        if entry.key == "location"
    }


def parse(
    buffer: memoryview,
    *,
    name: str,
    folder: Path | None = None,
    window: wire.Readable | None = None,
) -> ir.Model:
    """Parse an encoded ModelProto; large tensors become views of `buffer`.

    Args:
        buffer: The encoded ModelProto; must not change while the model is in use.
        name: What to call it in error messages.
        folder: Path of the model file, for external data; None if it has no file.
        window: The same bytes, for reading the headers; None reads `buffer`.

    Raises:
        InvalidModelError: The bytes are not a legal ONNX model.
    """
    secret = secrets.token_bytes(16)
    try:
        stripped = wire.strip(
            window or buffer, lambda index: secret + index.to_bytes(8, "little"), tensors.STREAM_FROM
        )
        proto = onnx.ModelProto.FromString(stripped.skeleton)
    except (DecodeError, InvalidModelError) as error:
        detail = f" ({error})" if isinstance(error, InvalidModelError) else ""
        message = f"{name} is damaged or no ONNX model{detail}; fetch or export it again"
        raise InvalidModelError(message) from None
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        message = f"{name} holds no graph, expected an ONNX model; export it again"
        raise InvalidModelError(message)
    embedded = {
        secret + index.to_bytes(8, "little"): span for index, span in enumerate(stripped.payloads)
    }
    reader = _TensorReader(buffer, name, folder, embedded)
    _prepare(proto, reader)
    model = _deserialize(proto, name)
    checks.check_opsets(model, name)
    checks.check_structure(model, name)
    walk.replace_tensors(model, reader.resolve)
    return model


def _deserialize(proto: onnx.ModelProto, name: str) -> ir.Model:
    try:
        return ir.serde.deserialize_model(proto)
    except (ValueError, TypeError, KeyError, RuntimeError, ir.serde.SerdeError) as error:
        reason = str(error.__cause__ or error).splitlines()[0][:200]
        message = f"{name} is no legal ONNX model: {reason}; export it again"
        raise InvalidModelError(message) from None


@dataclass(slots=True)
class _TensorReader:
    """Turns the tensors of one model into views of its file or of its data files."""

    buffer: memoryview
    name: str
    folder: Path | None
    embedded: Mapping[bytes, tuple[int, int]]

    _maps: dict[str, memoryview] = field(default_factory=dict)
    _pending: dict[str, tensors.StreamedTensor] = field(default_factory=dict)

    def prepare(self, tensor: onnx.TensorProto) -> None:
        """Check a tensor; one to be streamed becomes a reference that `resolve` understands."""
        span = self.embedded.get(tensor.raw_data) if len(tensor.raw_data) == 24 else None  # noqa: PLR2004
        external = tensor.data_location == _EXTERNAL
        if span is None:
            checks.check_tensor(self.name, tensor)
            if not external:
                return
        dtype, shape = ir.DataType(tensor.data_type), tuple(tensor.dims)
        if span is not None:
            offset, length = span
            checks.check_length(self.name, tensor.name, (dtype, shape), length)
            view = self.buffer[offset : offset + length]
        else:
            view = self._external_view(tensor, tensors.nbytes(dtype, shape))
        key = str(len(self._pending))
        self._pending[key] = tensors.StreamedTensor(
            lambda: view,
            dtype,
            ir.Shape(shape),
            external=external,
            name=tensor.name,
            doc_string=tensor.doc_string or None,
            metadata_props={entry.key: entry.value for entry in tensor.metadata_props},
        )
        tensor.ClearField("raw_data")
        tensor.data_location = _EXTERNAL
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=key)

    def resolve(self, tensor: ir.TensorProtocol) -> tensors.StreamedTensor | None:
        """The streamed tensor for a reference; None for anything else."""
        if isinstance(tensor, ir.ExternalTensor):
            return self._pending[os.fspath(tensor.location)]
        return None

    def _external_view(self, tensor: onnx.TensorProto, expected: int) -> memoryview:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        where = f"{self.name}: external data of tensor {tensor.name!r}"
        if self.folder is None:
            message = f"{where} can't be found for a model in memory; pass the model's path instead"
            raise InvalidModelError(message)
        try:
            offset = int(entries.get("offset", 0))
            length = int(entries.get("length", expected))
        except ValueError:
            message = f"{where} has an unreadable offset or length: {entries}; export it again"
            raise InvalidModelError(message) from None
        if length != expected or offset < 0:
            message = f"{where} has length {length} at offset {offset}, expected {expected} bytes"
            raise InvalidModelError(message)
        view = self._map(entries.get("location", ""))
        if offset + length > len(view):
            message = (
                f"{where}: the file {entries['location']!r} has {len(view)} bytes, expected at least "
                f"{offset + length}; it is truncated, fetch it again"
            )
            raise InvalidModelError(message)
        return view[offset : offset + length]

    def _map(self, location: str) -> memoryview:
        if location not in self._maps:
            file_path = paths.external_file(self.folder or Path(), location)
            try:
                with file_path.open("rb") as file:
                    empty = os.fstat(file.fileno()).st_size == 0
                    mapped = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError as error:
                message = f"{self.name}: external data {location!r} can't be read: {error.strerror}"
                raise InvalidModelError(message) from None
            self._maps[location] = memoryview(mapped)
        return self._maps[location]


def _prepare(proto: onnx.ModelProto, reader: _TensorReader) -> None:
    """Check every tensor of a parsed skeleton; keep nameless nodes nameless."""
    _prepare_graph(proto.graph, reader)
    for function in proto.functions:
        for node in function.node:
            _prepare_node(node, reader)


def _prepare_graph(graph: onnx.GraphProto, reader: _TensorReader) -> None:
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        message = f"{reader.name}: sparse initializer {name!r} is not supported; make it dense first"
        raise UsageError(message)
    for tensor in graph.initializer:
        if not tensor.name:
            message = f"{reader.name}: an initializer of graph {graph.name!r} has no name; export it again"
            raise InvalidModelError(message)
        reader.prepare(tensor)
    for node in graph.node:
        _prepare_node(node, reader)


def _prepare_node(node: onnx.NodeProto, reader: _TensorReader) -> None:
    if not node.HasField("name"):
        node.name = ""  # onnx_ir invents a name where the field is absent
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR and attribute.HasField("t"):
            reader.prepare(attribute.t)
        elif attribute.type == onnx.AttributeProto.TENSORS:
            for tensor in attribute.tensors:
                reader.prepare(tensor)
        elif attribute.type == onnx.AttributeProto.GRAPH and attribute.HasField("g"):
            _prepare_graph(attribute.g, reader)
        elif attribute.type == onnx.AttributeProto.GRAPHS:
            for graph in attribute.graphs:
                _prepare_graph(graph, reader)
