"""Save a model: streamed, atomic, byte-identical for the same model.

Everything is written to temporary files beside the target and renamed at the end, the data file
first; what replaces a file is on the disk before. A data file that an older model at the same path
still needs is never replaced: the new one then carries a digest of its content in its name, and
the old one goes when no model in the folder refers to it any more. So the old model is whole until
the new one is.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir
from google.protobuf.message import EncodeError

from normonnx.core.collecting import rarely_collecting
from normonnx.core.errors import InvalidModelError, NormonnxError, UsageError
from normonnx.core.files import flush_folder
from normonnx.graph import (
    kept_types,
    paths,
    protos,
    reading,
    sharing,
    tensors,
    walk,
    wire,
)
from normonnx.graph.new_files import NewFile, alone_in
from normonnx.graph.sharing import Shared

_LARGEST_MESSAGE: Final = 2**31 - 1  # bytes; protobuf's limit
_ALIGNMENT: Final = 64  # bytes; what vector loads like
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14  # fields of TensorProto


@rarely_collecting()
def save(
    model: ir.Model,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    durable: bool | None = None,
    share_data: bool = False,
) -> None:
    """Write a model to `path`, whole or not at all; `model` is not changed.

    Tensors that came from external data, and all of them when the file would exceed 2 GB, go to
    one data file named after the model, without gaps beyond alignment.

    Args:
        model: What to write.
        path: The .onnx file. An existing file is replaced at the very end.
        force: Allow replacing the file that `model` was loaded from.
        durable: Wait until it is on the disk. None waits where a file is replaced: what it held
            must not be lost with the power. Nothing is lost with a new one, as the source stays.

        share_data: Leave weights that are unchanged in the files that `model` was loaded from,
            which must lie in the folder of `path`: the new model refers to them.

    Raises:
        UsageError: The path can't be written, is one of the files that `model` was loaded from or
            that another model shares, or the disk is full; or `model` came from another folder and
            is to share its data.
        InvalidModelError: `model` can't be represented as ONNX.
    """
    out = paths.writable_output(path, inputs=reading.source_files(model), force=force)
    durable = os.path.lexists(out) if durable is None else durable
    skeleton, collected = _skeleton(model)
    offsets = wire.find_tokens(skeleton, collected.secret, collected.token_length)
    sizes = [tensor.nbytes for tensor in collected.tensors]
    sources = reading.source_files(model)
    sharing.check_free(out, sources)
    shared = sharing.places(collected.tensors, sources, out) if share_data else [None] * len(sizes)
    everything = share_data or len(skeleton) + sum(sizes) + 64 * len(sizes) > _LARGEST_MESSAGE
    external = [
        place is None and (everything or tensor.external)
        for tensor, place in zip(collected.tensors, shared, strict=True)
    ]
    layout = _Layout.of(sizes, external)
    used = {place.location for place in shared if place is not None}
    try:
        with _Attempt(out, sources, used, durable=durable).files() as attempt:
            location = attempt.write_data(collected.tensors, layout) if any(external) else ""
            places = [
                place or (None if offset is None else Shared(location, offset))
                for place, offset in zip(shared, layout.offsets, strict=True)
            ]
            pieces = wire.fill(skeleton, offsets, lambda i: _pieces(i, sizes[i], places[i]))
            attempt.write_model(pieces, collected.tensors)
    except OSError as error:
        message = f"can't write {out}: {error.strerror or error}; nothing was changed"
        raise UsageError(message) from error
    except ValueError as error:
        message = f"can't write {out}: {error}; nothing was changed"
        raise InvalidModelError(message) from error


def _skeleton(model: ir.Model) -> tuple[bytes, tensors.Collector]:
    """Serialize a model with tokens in place of its large tensors."""
    collector = tensors.Collector()
    try:
        with collector.active():
            proto = ir.serde.serialize_model(_with_streamed_tensors(model))
        kept_types.put_back(proto, model)
        for tensor in protos.Parts(proto).tensors():
            _drop_repeated_metadata(tensor)
        return proto.SerializeToString(deterministic=True), collector
    except (EncodeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200] or type(error).__name__
        message = f"the model can't be written as ONNX: {reason}; check what was added to it"
        raise InvalidModelError(message) from error


def _drop_repeated_metadata(tensor: onnx.TensorProto) -> None:
    """Undo onnx_ir's writing the metadata of a tensor again behind those that it copied."""
    if len(tensor.metadata_props) > 1:
        found = {entry.key: entry.value for entry in tensor.metadata_props}
        del tensor.metadata_props[:]
        for key, value in found.items():
            tensor.metadata_props.add(key=key, value=value)


def _with_streamed_tensors(model: ir.Model) -> ir.Model:
    """The model itself, or a copy of it where tensors of other kinds are large or external."""
    if not any(_is_foreign(tensor) for tensor in walk.all_tensors(model)):
        return model
    copy = model.clone()
    walk.replace_tensors(
        copy, lambda tensor: tensors.streamed(tensor) if _is_foreign(tensor) else None
    )
    return copy


def _is_foreign(tensor: ir.TensorProtocol) -> bool:
    if isinstance(tensor, tensors.StreamedTensor) or tensor.dtype is ir.DataType.STRING:
        return False
    return isinstance(tensor, ir.ExternalTensor) or tensor.nbytes >= tensors.STREAM_FROM


@dataclass(frozen=True, slots=True)
class _Layout:
    """Offset of each tensor in the data file, in bytes; None for one that is embedded."""

    offsets: tuple[int | None, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], external: Sequence[bool]) -> _Layout:
        offsets: list[int | None] = []
        end = 0
        for size, outside in zip(sizes, external, strict=True):
            if not outside:
                offsets.append(None)
                continue
            start = -(-end // _ALIGNMENT) * _ALIGNMENT
            offsets.append(start)
            end = start + size
        return cls(tuple(offsets))


def _pieces(index: int, size: int, place: Shared | None) -> wire.Pieces:
    """The fields of TensorProto that hold tensor `index`: its bytes, or where they are."""
    if place is None:
        header = wire.length_delimited(_RAW_DATA, size)
        return wire.Pieces((header, index), len(header) + size)
    fields = b""
    location, offset = place.location, str(place.offset)
    for key, value in (("location", location), ("offset", offset), ("length", str(size))):
        entry = onnx.StringStringEntryProto(key=key, value=value).SerializeToString()
        fields += wire.length_delimited(_EXTERNAL_DATA, len(entry)) + entry
    fields += wire.varint(_DATA_LOCATION << 3) + wire.varint(onnx.TensorProto.EXTERNAL)
    return wire.Pieces((fields,), len(fields))


class _Attempt:
    """One try at replacing a model and its data file; leaves nothing behind if it fails."""

    def __init__(
        self, out: Path, sources: Sequence[Path], shared: Collection[str], *, durable: bool
    ) -> None:
        self._out = out
        self._shared = frozenset(shared)
        self._durable = durable
        self._sources = sources
        name = f".normonnx-{secrets.token_hex(6)}"
        self._model = out.with_name(f"{name}.tmp")
        self._data = out.with_name(f"{name}.data.tmp")
        self._data_name: str | None = None
        self._locked = False

    @contextmanager
    def files(self) -> Iterator[_Attempt]:
        """Within this context write to temporary files; they are renamed at its end."""
        with ExitStack() as self._held:
            try:
                yield self
                self._take_turns()
                self._commit()
            finally:
                self._model.unlink(missing_ok=True)
                self._data.unlink(missing_ok=True)

    def _take_turns(self) -> None:
        """Wait for others that are about to put files into this folder, and let them wait.

        Of two that write the same model at once, one would put its data where the other's model
        looks for its own. The lock goes with the process, whatever ends it.
        """
        if not self._locked:
            self._held.enter_context(alone_in(self._out.parent))
            self._locked = True

    def write_data(self, collected: Sequence[tensors.StreamedTensor], layout: _Layout) -> str:
        """Write the data file; returns the name that it will get."""
        with NewFile(self._data, durable=self._durable).opened() as file:
            for tensor, offset in zip(collected, layout.offsets, strict=True):
                if offset is not None:
                    file.pad_to(offset)
                    file.stream(tensor)
        self._take_turns()
        self._data_name = self._free_data_name()
        return self._data_name

    def write_model(self, pieces: wire.Pieces, collected: Sequence[tensors.StreamedTensor]) -> None:
        """Write the model file."""
        with NewFile(self._model, durable=self._durable).opened() as file:
            wire.write(pieces, file.write, lambda index: file.stream(collected[index]))

    def _free_data_name(self) -> str:
        name = f"{self._out.name}.data"
        existing = self._out.with_name(name)
        free = not os.path.lexists(existing) or _same_content(existing, self._data)
        if free and name not in self._shared:
            return name
        with self._data.open("rb") as file:
            digest = hashlib.file_digest(file, "blake2b").hexdigest()[:12]
        return f"{self._out.name}.{digest}.data"

    def _commit(self) -> None:
        obsolete = self._obsolete()
        new_data = None if self._data_name is None else self._out.with_name(self._data_name)
        added = new_data is not None and not os.path.lexists(new_data)
        if self._out.exists():
            mode = stat.S_IMODE(self._out.stat().st_mode)
            self._model.chmod(mode)
            if new_data is not None:
                self._data.chmod(mode)
        if new_data is not None:
            self._data.replace(new_data)
        try:
            self._model.replace(self._out)
        except OSError:
            if added and new_data is not None:
                new_data.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # the new model is in place: what follows can't undo that
            if self._durable:
                flush_folder(self._out.parent)
            for name in obsolete:
                self._out.with_name(name).unlink(missing_ok=True)

    def _obsolete(self) -> set[str]:
        """Data files of the old model at this path that no model will need any more."""
        found = _data_files_of(self._out) - {self._data_name} - self._shared
        if not found or not _is_among(self._out, self._sources):
            found -= {source.name for source in self._sources}
        if found:
            for other in self._out.parent.glob("*.onnx"):
                if other.name != self._out.name:
                    found -= _locations(other)
        return found


def _is_among(path: Path, others: Sequence[Path]) -> bool:
    return any(path.exists() and other.exists() and path.samefile(other) for other in others)


def _same_content(existing: Path, new: Path) -> bool:
    return existing.is_file() and filecmp.cmp(existing, new, shallow=False)


def _data_files_of(out: Path) -> set[str]:
    """Data files that `save` once wrote for the model now at `out`."""
    ours = re.compile(re.escape(out.name) + r"(\.[0-9a-f]{12})?\.data")
    return {name for name in _locations(out) if ours.fullmatch(name)}


def _locations(path: Path) -> set[str]:
    """Data files that the model at `path` names; none if there is no model."""
    try:
        return reading.data_locations(path) if path.is_file() else set()
    except (NormonnxError, OSError):
        return set()
