"""What a file is that turns out not to be an ONNX model, told by its first bytes."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 256  # bytes looked at

# What the file starts with, what it is, and the way out.
_STARTS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"version https://git-lfs", "it is a Git LFS pointer: run `git lfs pull` in its folder"),
    (
        b"PK\x03\x04",
        "it is a zip archive, perhaps a PyTorch or Keras file: export it to ONNX first",
    ),
    (b"\x1f\x8b", "it is gzip-compressed: unpack it first"),
    (b"BZh", "it is bzip2-compressed: unpack it first"),
    (b"\xfd7zXZ\x00", "it is xz-compressed: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is zstd-compressed: unpack it first"),
    (b"\x89HDF", "it is an HDF5 file, perhaps of Keras: export it to ONNX first"),
    (b"GGUF", "it is a GGUF file: export the model to ONNX"),
    (b"\x93NUMPY", "it is a NumPy array: name the model instead"),
    (b"\x80\x02", "it is a Python pickle: export the model to ONNX"),
    (b"\x80\x04", "it is a Python pickle: export the model to ONNX"),
    (b"<", "it is a web page or XML, perhaps an error page in place of the file: fetch it again"),
    (b"{", "it is JSON text: name the .onnx file instead"),
)
_TFLITE: Final = b"TFL3"  # at byte 4
_ORT: Final = b"ORTM"  # at byte 4


def recognised(head: bytes) -> str | None:
    """What a file that starts with `head` is, and the way out; None when it is nothing known."""
    start = head[:LONGEST]
    if start[4:8] == _TFLITE:
        return "it is a TensorFlow Lite file: export the model to ONNX"
    if start[4:8] == _ORT:
        return "it is in ONNX Runtime's own format: name the .onnx file it was made from"
    if start[8:9] == b"{" and start[2:8] == bytes(6):
        return "it is a safetensors file, which holds weights only: export the model to ONNX"
    stripped = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for known, what in _STARTS:
        if stripped.startswith(known):
            return what
    if start and all(byte in b"\t\r\n" or 0x20 <= byte < 0x7F for byte in start):  # noqa: PLR2004
        return "it is a text file: name the .onnx file instead"
    return None
