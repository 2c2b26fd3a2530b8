"""Reading and writing the protobuf wire format around weights, without touching the weights.

A model file is mostly weights, and protobuf copies each of them several times. `strip` therefore
walks the encoded bytes once, cuts the large `raw_data` fields out and says where they lie; what
remains (the skeleton) is small and parsed as usual. `fill` is the inverse: it puts tensors into
a skeleton whose `raw_data` fields hold short tokens, and returns pieces to be written one after the
other. Neither ever holds the weights.

Source: protobuf encoding specification, and the field numbers of onnx.proto (IR version 13).
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple, Protocol, overload

from normonnx.core.errors import InvalidModelError

Buffer = bytes | memoryview


class Readable(Protocol):
    """Bytes that can be read at any position: bytes, a memoryview or a `FileWindow`."""

    def __len__(self) -> int:
        """Number of bytes."""
        ...

    @overload
    def __getitem__(self, position: int, /) -> int: ...
    @overload
    def __getitem__(self, span: slice, /) -> Buffer: ...


class FileWindow:
    """A file as bytes, read in small windows.

    Walking over the headers of a mapped file would bring up to 2 MB around each into memory.
    """

    _SIZE: Final = 1 << 14  # bytes

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._length = os.fstat(descriptor).st_size
        self._start = 0
        self._window = b""

    def __len__(self) -> int:
        """Size of the file in bytes."""
        return self._length

    @overload
    def __getitem__(self, position: int, /) -> int: ...
    @overload
    def __getitem__(self, span: slice, /) -> Buffer: ...
    def __getitem__(self, position: int | slice, /) -> int | Buffer:
        """One byte as a number, or a span of bytes."""
        if isinstance(position, slice):
            return self._span(position.start or 0, min(position.stop, self._length))
        offset = position - self._start
        if not 0 <= offset < len(self._window):
            self._start, offset = position, 0
            self._window = os.pread(self._descriptor, self._SIZE, position)
        return self._window[offset]

    def _span(self, start: int, stop: int) -> bytes:
        parts = []
        while start < stop:
            part = os.pread(self._descriptor, stop - start, start)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)


Schema = Mapping[int, str]

_MODEL: Final = "ModelProto"
_TENSOR: Final = "TensorProto"

# message -> field number -> message of that field; only what can contain a tensor.
# Numbers that are stored one by one are no raw data, and take a long time to skip over here.
_MOST_FIELDS: Final[Mapping[str, int]] = {
    "AttributeProto": 1 << 16,
    "NodeProto": 1 << 12,  # with as many inputs
    _TENSOR: 1 << 16,
}
_CHILDREN: Final[Mapping[str, Schema]] = {
    _MODEL: {7: "GraphProto", 25: "FunctionProto"},
    "GraphProto": {1: "NodeProto", 5: _TENSOR},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {5: _TENSOR, 6: "GraphProto", 10: _TENSOR, 11: "GraphProto"},
    _TENSOR: {},
}
_RAW_DATA: Final = 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_AT_ONCE: Final = 1 << 20  # bytes; a message of as many is read at once
_DEEPEST: Final = 100  # protobuf's own limit on nesting
_VARINT_BITS: Final = 64


class Field(NamedTuple):
    """One field of an encoded message: its number, where it starts, its body, where it ends."""

    number: int
    wire_type: int
    start: int
    body: int
    end: int


Piece = Buffer | int  # bytes to write, or the index of a tensor to stream


@dataclass(frozen=True, slots=True)
class Pieces:
    """Encoded bytes with tensors between them, and the length of it all in bytes."""

    parts: tuple[Piece, ...]
    length: int


def varint(number: int) -> bytes:
    """Encode a non-negative number as a protobuf varint."""
    encoded = bytearray()
    while number > 0x7F:  # noqa: PLR2004
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def length_delimited(number: int, body_length: int) -> bytes:
    """Encode tag and length of a length-delimited field; its body follows."""
    return varint(number << 3 | _BYTES) + varint(body_length)


def fields(buffer: Readable, start: int, end: int) -> list[Field]:
    """Split an encoded message into its fields.

    Raises:
        InvalidModelError: The bytes are no protobuf message.
    """
    return list(_fields(buffer, start, end))


def _fields(buffer: Readable, start: int, end: int) -> Iterator[Field]:
    base = 0  # of the buffer, in the file
    if isinstance(buffer, FileWindow) and end - start <= _AT_ONCE:
        buffer, base = buffer[start:end], start
    position, end = start - base, min(end - base, len(buffer))
    while position < end:
        tag, body = _read_varint(buffer, position, end, base)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _BYTES:
            length, body = _read_varint(buffer, body, end, base)
            field_end = body + length
        elif wire_type == _VARINT:
            _, field_end = _read_varint(buffer, body, end, base)
        elif wire_type == _FIXED32:
            field_end = body + 4
        elif wire_type == _FIXED64:
            field_end = body + 8
        else:
            message = f"not an ONNX file: unknown wire type {wire_type} at byte {base + position}"
            raise InvalidModelError(message)
        if field_end > end or number == 0:
            message = (
                f"truncated or not an ONNX file: the field at byte {base + position} "
                f"ends at byte {base + field_end}, but its message ends at byte {base + end}"
            )
            raise InvalidModelError(message)
        yield Field(number, wire_type, base + position, base + body, base + field_end)
        position = field_end


def _read_varint(buffer: Readable, position: int, end: int, base: int) -> tuple[int, int]:
    number = shift = 0
    while position < end:
        byte = buffer[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return number, position
        shift += 7
        if shift >= _VARINT_BITS:
            break
    message = f"truncated or not an ONNX file: unreadable number before byte {base + position}"
    raise InvalidModelError(message)


@dataclass(frozen=True, slots=True)
class Stripped:
    """A skeleton, and where in the original bytes each cut-out `raw_data` lies."""

    skeleton: bytes
    payloads: tuple[tuple[int, int], ...]  # (offset, length) in bytes


def strip(buffer: Readable, token: Callable[[int], bytes], threshold: int) -> Stripped:
    """Cut `raw_data` of at least `threshold` bytes out of an encoded ModelProto.

    Args:
        buffer: The encoded ModelProto.
        token: token(i) replaces the i-th cut-out `raw_data`.
        threshold: Smaller `raw_data`, in bytes, stays where it is.

    Raises:
        InvalidModelError: The bytes are no protobuf message.
    """
    payloads: list[tuple[int, int]] = []

    def replace(start: int, end: int) -> Pieces | None:
        if end - start < threshold:
            return None
        payloads.append((start, end - start))
        mark = token(len(payloads) - 1)
        return Pieces((mark,), len(mark))

    def worth_entering(start: int, end: int) -> bool:
        return end - start >= threshold

    span = _Span(_MODEL, 0, len(buffer))
    pieces = _rewrite(buffer, span, _How(worth_entering, replace, most=_MOST_FIELDS))
    if pieces is None:
        return Stripped(bytes(buffer[0 : len(buffer)]), ())
    return Stripped(
        b"".join(part for part in pieces.parts if not isinstance(part, int)), tuple(payloads)
    )


def fill(
    skeleton: bytes, token_at: Mapping[int, int], pieces_of: Callable[[int], Pieces]
) -> Pieces:
    """Put tensors into an encoded ModelProto whose `raw_data` fields hold tokens.

    Args:
        skeleton: The encoded ModelProto.
        token_at: Offset of each token in `skeleton`, in bytes, to the index of its tensor.
        pieces_of: The encoded fields (tag included) that stand for tensor i's content.
    """
    offsets = sorted(token_at)

    def replace_field(start: int, _end: int) -> Pieces | None:
        index = token_at.get(start)
        return None if index is None else pieces_of(index)

    def worth_entering(start: int, end: int) -> bool:
        found = bisect_left(offsets, start)
        return found < len(offsets) and offsets[found] < end

    span = _Span(_MODEL, 0, len(skeleton))
    pieces = _rewrite(skeleton, span, _How(worth_entering, replace_field, whole_field=True))
    return pieces or Pieces((skeleton,), len(skeleton))


@dataclass(frozen=True, slots=True)
class _Span:
    message: str
    start: int
    end: int
    depth: int = 0


@dataclass(frozen=True, slots=True)
class _How:
    """How to rebuild messages.

    Attributes:
        worth_entering: Whether anything between two offsets may change.
        replace: What takes the place of `raw_data`; None where it stays.
        whole_field: A replacement brings its own tag; otherwise it is the field's new body.
        most: Messages of these kinds stay as they are where they have more fields.
    """

    worth_entering: Callable[[int, int], bool]
    replace: Callable[[int, int], Pieces | None]
    whole_field: bool = False
    most: Mapping[str, int] | None = None


def _rewrite(buffer: Readable, span: _Span, how: _How) -> Pieces | None:
    """Rebuild one message with some `raw_data` replaced; None when nothing in it changes."""
    if span.depth > _DEEPEST:
        message = f"not an ONNX file: messages are nested more than {_DEEPEST} deep"
        raise InvalidModelError(message)
    children = _CHILDREN[span.message]
    parts: list[Piece] = []
    length = 0
    copied = span.start
    for field in _at_most(
        _fields(buffer, span.start, span.end), (how.most or {}).get(span.message)
    ):
        if field.wire_type != _BYTES:
            continue
        new: Pieces | None = None
        if span.message == _TENSOR and field.number == _RAW_DATA:
            new = how.replace(field.body, field.end)
        elif field.number in children and how.worth_entering(field.body, field.end):
            child = _Span(children[field.number], field.body, field.end, span.depth + 1)
            new = _rewrite(buffer, child, how)
        if new is None:
            continue
        header = length_delimited(field.number, new.length)
        if how.whole_field and span.message == _TENSOR:
            header = b""
        parts += (bytes(buffer[copied : field.start]), header, *new.parts)
        length += field.start - copied + len(header) + new.length
        copied = field.end
    if not parts:
        return None
    parts.append(bytes(buffer[copied : span.end]))
    return Pieces(tuple(parts), length + span.end - copied)


def _at_most(found: Iterator[Field], limit: int | None) -> Iterable[Field]:
    """All of them; none where they are more than the limit."""
    if limit is None:
        return found
    listed = list(islice(found, limit + 1))
    return listed if len(listed) <= limit else ()


def write(
    pieces: Pieces, emit: Callable[[Buffer], object], stream: Callable[[int], object]
) -> None:
    """Write pieces in order: `emit` takes bytes, `stream` the index of a tensor."""
    for part in pieces.parts:
        if isinstance(part, int):
            stream(part)
        else:
            emit(part)


def find_tokens(skeleton: bytes, secret: bytes, length: int) -> dict[int, int]:
    """Offset of each token in `skeleton`, in bytes, to its index.

    Args:
        skeleton: The encoded ModelProto.
        secret: What every token starts with; its index follows, little-endian.
        length: Length of a token in bytes.
    """
    found = {}
    offset = skeleton.find(secret)
    while offset >= 0:
        index = skeleton[offset + len(secret) : offset + length]
        found[offset] = int.from_bytes(index, "little")
        offset = skeleton.find(secret, offset + length)
    return found
