"""Tensors that lie in a memory map or an array, and are streamed when a model is saved.

onnx_ir writes a tensor by asking it for `tobytes()`. While a `Collector` is active, a large
`StreamedTensor` answers with a short token instead and remembers itself; `files.save` then
replaces the tokens by the real bytes, written straight to the file. Everywhere else a
StreamedTensor is an ordinary tensor.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from normonnx.graph import mapping

STREAM_FROM = 1024  # bytes; what is smaller travels inside the protobuf message
_CHUNK = 1 << 24  # bytes handed to the operating system at once

_collector: ContextVar[Collector | None] = ContextVar("normonnx_collector", default=None)


class Collector:
    """Remembers the large tensors met while a model is serialized, in order.

    Attributes:
        tensors: The tensors met.
        secret: What every token starts with; the index of its tensor follows.
        token_length: Length of a token in bytes.
    """

    def __init__(self) -> None:
        self.tensors: list[StreamedTensor] = []
        self.secret = secrets.token_bytes(24)
        self.token_length = len(self.secret) + 8

    def take(self, tensor: StreamedTensor) -> bytes:
        """Remember a tensor; what is returned stands for its bytes until they are filled in."""
        self.tensors.append(tensor)
        return self.secret + (len(self.tensors) - 1).to_bytes(8, "little")

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within this context large StreamedTensors give tokens instead of bytes."""
        reset = _collector.set(self)
        try:
            yield
        finally:
            _collector.reset(reset)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file the bytes of a tensor lie.

    Attributes:
        path: The file.
        offset: In bytes.
        stamp: Device, number, size and time of the last change of the file when it was read.
    """

    path: Path
    offset: int
    stamp: tuple[int, int, int, int]

    @classmethod
    def of(cls, path: Path, offset: int) -> Place:
        """In a file as it is now.

        Raises:
            OSError: It can't be asked about.
        """
        return cls(path, offset, _stamp(path))

    def is_current(self) -> bool:
        """Whether the file is still as it was."""
        with suppress(OSError):
            return _stamp(self.path) == self.stamp
        return False


def _stamp(path: Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class StreamedTensor(ir.LazyTensor):
    """A tensor whose bytes are read from a buffer when needed and never copied as a whole.

    Attributes:
        external: Whether the model it came from kept it in an external data file.
        place: Where in a file it lies; None for one that was computed.
    """

    def __init__(  # noqa: PLR0913
        self,
        buffer: Callable[[], memoryview],
        dtype: ir.DataType,
        shape: ir.Shape,
        *,
        external: bool = False,
        place: Place | None = None,
        name: str | None = None,
        doc_string: str | None = None,
        metadata_props: dict[str, str] | None = None,
    ) -> None:
        super().__init__(
            self._tensor_of_buffer,
            dtype,
            shape,
            name=name,
            doc_string=doc_string,
            metadata_props=metadata_props,
        )
        self._buffer = buffer
        self.external = external
        self.place = place

    def __repr__(self) -> str:
        """Name, type and shape; the content stays unread."""
        return f"{type(self).__name__}({self.name!r}, {self.dtype}, {list(self.shape.numpy())})"

    def _bytes(self) -> memoryview:
        """Where they lie, to be read now.

        Raises:
            UsageError: The file that they lie in has lost its end.
        """
        buffer = self._buffer()
        if isinstance(buffer.obj, mapping.MappedFile):
            buffer.obj.check_whole()
        return buffer

    def _tensor_of_buffer(self) -> ir.TensorProtocol:
        return ir.Tensor(self.numpy(), dtype=self.dtype, name=self.name)

    def numpy(self) -> npt.NDArray[Any]:
        """The tensor as a read-only array; a view of the buffer except for sub-byte types."""
        return array_of(self._bytes(), self.dtype, tuple(self.shape.numpy()))

    def __array__(  # numpy prescribes the arguments
        self,
        dtype: Any = None,  # noqa: ANN401
        copy: bool | None = None,  # noqa: FBT001
    ) -> npt.NDArray[Any]:
        """The tensor as an array, for numpy."""
        del copy
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def tobytes(self) -> bytes:
        """Its bytes as `raw_data` holds them; a token while a Collector is active."""
        collector = _collector.get()
        if collector is not None and (self.nbytes >= STREAM_FROM or self.external):
            return collector.take(self)
        return bytes(self._bytes())

    def tofile(self, file: BinaryIO) -> None:
        """Write its bytes to an open file, in pieces."""
        file.writelines(self.chunks())

    def checked_buffer(self) -> memoryview:
        """Its bytes, in one piece, where they lie.

        Raises:
            ValueError: There are more or fewer bytes than its type and shape need.
            UsageError: The file that they lie in has lost its end.
        """
        buffer = self._bytes()
        if len(buffer) != self.nbytes:
            message = f"tensor {self.name!r} has {len(buffer)} bytes, expected {self.nbytes}"
            raise ValueError(message)
        return buffer

    def chunks(self) -> Iterator[memoryview]:
        """Its bytes in pieces; what is mapped from a file leaves memory behind the reader.

        Raises:
            ValueError: There are more or fewer bytes than its type and shape need.
        """
        buffer = self.checked_buffer()
        for start in range(0, len(buffer), _CHUNK):
            chunk = buffer[start : start + _CHUNK]
            yield chunk
            mapping.release(chunk)


def array_of(buffer: memoryview, dtype: ir.DataType, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """View little-endian `raw_data` bytes as an array of the given type and shape."""
    if dtype.bitwidth < 8:  # noqa: PLR2004  # packed: onnx knows how
        proto = onnx.TensorProto(data_type=dtype.value, dims=shape, raw_data=bytes(buffer))
        return np.asarray(onnx.numpy_helper.to_array(proto))
    return np.frombuffer(buffer, dtype=dtype.numpy()).reshape(shape)


def nbytes(dtype: ir.DataType, shape: tuple[int, ...]) -> int:
    """Number of bytes of `raw_data` for a tensor of this type and shape."""
    return math.ceil(dtype.bitwidth * math.prod(shape) / 8)


def of_array(array: npt.NDArray[Any], name: str | None = None) -> StreamedTensor:
    """A tensor holding `array`, which must not be changed afterwards."""
    contiguous = np.ascontiguousarray(array).reshape(array.shape)
    flat = contiguous.reshape(-1).view(np.uint8)
    return StreamedTensor(
        lambda: flat.data,
        ir.DataType.from_numpy(contiguous.dtype),
        ir.Shape(contiguous.shape),
        name=name,
    )


def streamed(tensor: ir.TensorProtocol) -> StreamedTensor:
    """Wrap any tensor so that saving streams it; `tensor` itself is not changed."""
    return StreamedTensor(
        lambda: memoryview(tensor.tobytes()),
        tensor.dtype,
        ir.Shape(tensor.shape.numpy()),
        external=isinstance(tensor, ir.ExternalTensor),
        name=tensor.name,
        doc_string=tensor.doc_string,
        metadata_props=dict(tensor.metadata_props),
    )
