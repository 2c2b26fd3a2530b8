"""Load a model: weights stay in the file until they are needed.

`load` maps the file, cuts the weights out of the message (see `wire`) and gives back a model
whose large tensors are views of the map; external data files are mapped alike.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError

from normonnx.core.collecting import rarely_collecting
from normonnx.core.errors import InvalidModelError, NormonnxError, UsageError
from normonnx.graph import (
    checks,
    kept_types,
    mapping,
    paths,
    proto_checks,
    protos,
    signatures,
    tensors,
    walk,
    wire,
)

_SOURCE = "normonnx.source"  # key in model.meta: the files a model was loaded from
_EXTERNAL = onnx.TensorProto.EXTERNAL
_METADATA = 14  # number of the field metadata_props of ModelProto
_TOKEN_LENGTH = 24  # bytes
_SEARCHED: Final = 1 << 26  # bytes; many nodes take longer to skip than as many bytes to search
_MAP_FROM = 1 << 16  # bytes; a smaller data file is read: a map holds one of few file descriptors


@rarely_collecting()
def load(path: str | os.PathLike[str]) -> ir.Model:
    """Load an ONNX file; weights stay memory-mapped until they are read.

    Args:
        path: The .onnx file. External data must lie beside or below it.

    Returns:
        The model. Its large tensors are read-only views of the file: keep the file in place while
        the model is in use.

    Raises:
        UsageError: There is no such file, or it can't be read.
        InvalidModelError: The file is damaged, is not ONNX, has an unsupported opset, or its
            external data is missing, too short or outside the model's folder.
    """
    found = paths.readable_model(path)
    try:
        with found.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                message = f"{found} is empty, expected an ONNX model; fetch it again"
                raise InvalidModelError(message)
            buffer = mapping.view_of(file, found)
            window = wire.FileWindow(file.fileno())
            return parse(buffer, name=str(found), folder=found, window=window)
    except OSError as error:
        message = f"{found} can't be read: {error.strerror or error}; copy it to a local disk first"
        raise UsageError(message) from None


def source_of(model: ir.Model) -> Path | None:
    """The file that `load` read this model from; None for models from elsewhere."""
    files = source_files(model)
    return files[0] if files else None


def source_files(model: ir.Model) -> tuple[Path, ...]:
    """The file that `load` read this model from, then its external data files."""
    found = model.meta.get(_SOURCE)
    return found if isinstance(found, tuple) else ()


def data_locations(path: Path, *, naming: str = "") -> set[str]:
    """Names of the external data files that the model at `path` refers to.

    Args:
        path: The file; a damaged one that names no file has none.
        naming: A part of the names that are asked for.

    Raises:
        InvalidModelError: The file is no ONNX model.
    """
    with path.open("rb") as file:
        if not (_may_hold(file, b"location") and _may_hold(file, os.fsencode(naming))):
            return set()
        proto, _ = _skeleton(wire.FileWindow(file.fileno()), str(path), b"")
    return {
        entry.value
        for tensor in protos.Parts(proto).tensors()
        if tensor.data_location == _EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _may_hold(file: BinaryIO, text: bytes) -> bool:
    """Whether a file holds bytes; True where it is too long to look."""
    size = os.fstat(file.fileno()).st_size
    if not 0 < size < _SEARCHED:
        return size > 0
    return text in os.pread(file.fileno(), size, 0)  # a map of what is cut short ends the process


def metadata_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """The metadata of a model file; nothing else of the file is read.

    Raises:
        UsageError: There is no such file, or it can't be read.
        InvalidModelError: The file is no ONNX model.
    """
    found = paths.readable_model(path)
    with found.open("rb") as file:
        window = wire.FileWindow(file.fileno())
        try:
            entries = [
                onnx.StringStringEntryProto.FromString(bytes(window[each.body : each.end]))
                for each in wire.fields(window, 0, len(window))
                if each.number == _METADATA
            ]
        except (DecodeError, InvalidModelError) as error:
            raise _damaged(window, str(found), error) from None
    return {entry.key: entry.value for entry in entries}


def files_of(model: Path) -> tuple[Path, ...]:
    """A model file and its external data files; of a damaged model the file alone.

    Raises:
        UsageError: There is no such file, or it can't be read.
    """
    found = paths.readable_model(model)
    if not found.stat().st_size:
        return (found,)
    try:
        data = {paths.external_file(found, location) for location in data_locations(found)}
    except InvalidModelError:
        return (found,)  # loading it says what is wrong, and better
    return (found, *sorted(data))


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
    secret = secrets.token_bytes(_TOKEN_LENGTH - 8)
    proto, embedded = _skeleton(window or buffer, name, secret)
    reader = _TensorReader(buffer, name, folder, embedded)
    try:
        model = _model_of(proto, reader)
    except NormonnxError:
        raise
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        message = f"{name} is no legal ONNX model: {reason}; export it again"
        raise InvalidModelError(message) from None
    if folder is not None:
        model.meta[_SOURCE] = (folder.absolute(), *reader.files)
    return model


def _skeleton(
    encoded: wire.Readable, name: str, secret: bytes
) -> tuple[onnx.ModelProto, dict[bytes, tuple[int, int]]]:
    """The parsed model with tokens for its large tensors, and where these lie (offset, length)."""
    try:
        stripped = wire.strip(
            encoded, lambda index: secret + index.to_bytes(8, "little"), tensors.STREAM_FROM
        )
        proto = onnx.ModelProto.FromString(stripped.skeleton)
    except (DecodeError, InvalidModelError) as error:
        raise _damaged(encoded, name, error) from None
    places = enumerate(stripped.payloads)
    return proto, {secret + index.to_bytes(8, "little"): span for index, span in places}


def _damaged(encoded: wire.Readable, name: str, error: Exception) -> InvalidModelError:
    """The error of a file that is no ONNX model, saying what it is where that can be seen."""
    detail = f" ({error})" if isinstance(error, InvalidModelError) else ""
    known = signatures.recognised(bytes(encoded[0 : signatures.LONGEST]))
    way_out = known or "fetch or export it again"
    return InvalidModelError(
        f"{name} is damaged or no ONNX model{'' if known else detail}; {way_out}"
    )


def _model_of(proto: onnx.ModelProto, reader: _TensorReader) -> ir.Model:
    """Check a parsed skeleton and turn it into IR."""
    parts = protos.Parts(proto)
    proto_checks.check_proto(parts, reader.name)
    for tensor in parts.tensors():
        reader.prepare(tensor)
    for node in parts.nodes:
        if not node.HasField("name"):
            node.name = ""  # onnx_ir invents a name where the field is absent
    kept = kept_types.take_out(parts, reader.name)
    with _silent_warnings():
        model = ir.serde.deserialize_model(proto)
    kept_types.attach(model, kept)
    checks.check_versions(model, reader.name)
    checks.check_structure(model, reader.name)
    walk.replace_tensors(model, reader.resolve)
    return model


@contextmanager
def _silent_warnings() -> Iterator[None]:
    """Keep onnx_ir from printing what the checks afterwards raise as errors."""
    found = logging.getLogger("onnx_ir.serde")
    level = found.level
    found.setLevel(logging.ERROR)
    try:
        yield
    finally:
        found.setLevel(level)


@dataclass(slots=True)
class _TensorReader:
    """Turns the tensors of one model into views of its file or of its data files."""

    buffer: memoryview
    name: str
    folder: Path | None
    embedded: Mapping[bytes, tuple[int, int]]

    files: list[Path] = field(default_factory=list)
    _maps: dict[str, memoryview] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)
    _places: dict[Path, tensors.Place] = field(default_factory=dict)
    _pending: dict[str, tensors.StreamedTensor] = field(default_factory=dict)

    def prepare(self, tensor: onnx.TensorProto) -> None:
        """Check a tensor; one to be streamed becomes a reference that `resolve` understands."""
        external = tensor.data_location == _EXTERNAL
        is_token = not external and len(tensor.raw_data) == _TOKEN_LENGTH
        span = self.embedded.get(tensor.raw_data) if is_token else None
        if span is None and not external:
            checks.check_tensor(self.name, tensor)
            return
        dtype, shape = checks.check_kind(self.name, tensor)
        if span is not None:
            offset, length = span
            checks.check_length(self.name, tensor.name, (dtype, shape), length)
            view = self.buffer[offset : offset + length]
            place = None if self.folder is None else self._place(self.folder.absolute(), offset)
        else:
            view, place = self._external_view(tensor, tensors.nbytes(dtype, shape))
        key = str(len(self._pending))
        self._pending[key] = tensors.StreamedTensor(
            lambda: view,
            dtype,
            ir.Shape(shape),
            external=external,
            place=place,
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

    def _place(self, path: Path, offset: int) -> tensors.Place | None:
        """Where in a file a tensor lies; each file is asked about once."""
        if path not in self._places:
            with suppress(OSError):
                self._places[path] = tensors.Place.of(path, 0)
        start = self._places.get(path)
        return None if start is None else replace(start, offset=offset)

    def _external_view(
        self, tensor: onnx.TensorProto, expected: int
    ) -> tuple[memoryview, tensors.Place | None]:
        """The bytes of a tensor, and where they lie."""
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
            message = (
                f"{where} has length {length} at offset {offset}, expected {expected} bytes; "
                "export it again"
            )
            raise InvalidModelError(message)
        view = self._map(entries.get("location", ""))
        if offset + length > len(view):
            message = (
                f"{where}: the file {entries['location']!r} has {len(view)} bytes, expected at "
                f"least {offset + length}; it is truncated, fetch it again"
            )
            raise InvalidModelError(message)
        file_path = self._paths[entries.get("location", "")]
        return view[offset : offset + length], self._place(file_path, offset)

    def _map(self, location: str) -> memoryview:
        if location not in self._maps:
            file_path = paths.external_file(self.folder or Path(), location)
            try:
                self._maps[location] = _view_of(file_path)
            except OSError as error:
                way_out = "check it"
                if error.errno == errno.EMFILE:
                    way_out = "allow more open files with `ulimit -n`, or join the data files"
                message = (
                    f"{self.name}: external data {location!r} can't be read: {error.strerror}; "
                    f"{way_out}"
                )
                raise UsageError(message) from None
            self.files.append(file_path)
            self._paths[location] = file_path
        return self._maps[location]


def _view_of(path: Path) -> memoryview:
    """The content of a data file, mapped unless it is small."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < _MAP_FROM:
            return memoryview(file.read())
        return mapping.view_of(file, path)
