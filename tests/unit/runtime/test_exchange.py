"""Arrays between parent and worker: every type, shape and name arrives as it was sent."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from normonnx.runtime import exchange

NUMBERS = (
    "bool",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
EXOTIC = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn",
    "int4",
    "uint4",
    "int2",
    "uint2",
)


def _sent(folder: Path, found: Any, name: str = "x") -> Any:
    exchange.write_arrays(folder / "there", {name: found})
    return exchange.read_arrays(folder / "there")[name]


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays are the same to the bit."""
    left, right = np.asarray(one), np.asarray(other)
    return (left.dtype, left.shape, left.tobytes()) == (right.dtype, right.shape, right.tobytes())


@pytest.mark.parametrize("dtype", [*NUMBERS, *(getattr(ml_dtypes, name) for name in EXOTIC)])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0,), (2, 0, 3)], ids=str)
def test_every_type_travels_in_every_shape(
    tmp_path: Path, dtype: Any, shape: tuple[int, ...]
) -> None:
    """Type, shape and bits, those that only ml_dtypes knows included."""
    sent = np.asarray(np.resize([1, 0, 1, 1, 0], shape)).astype(dtype)
    assert _same(_sent(tmp_path, sent), sent)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_odd_numbers_keep_their_bits(tmp_path: Path, dtype: Any) -> None:
    """NaN, infinity, minus zero, subnormals."""
    with np.errstate(all="ignore"):
        sent = np.asarray([np.nan, -np.nan, np.inf, -np.inf, -0.0, 1e-40, 1e-310]).astype(dtype)
    assert _same(_sent(tmp_path, sent), sent)


LAYOUTS = {
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "every other": np.arange(8, dtype=np.int16)[::2],
    "backwards": np.arange(4, dtype=np.float64)[::-1],
    "Fortran order": np.asfortranarray(np.arange(6, dtype=np.int8).reshape(2, 3)),
    "broadcast": np.broadcast_to(np.float32(3), (2, 2)),
    "read-only": np.frombuffer(b"\1\2\3\4", np.uint16),
    "numpy scalar": np.float16(1.5),
}


@pytest.mark.parametrize("sent", LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_in_memory_does_not_matter(tmp_path: Path, sent: Any) -> None:
    """What arrives is in C order and has the same entries; it may be written to."""
    found = _sent(tmp_path, sent)
    assert _same(found, sent)
    assert found.flags.c_contiguous
    assert found.flags.writeable


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">u2", "<f8"])
def test_byte_order_is_translated(tmp_path: Path, dtype: str) -> None:
    """Numbers stay, whichever end comes first; runtimes take the machine's own order."""
    sent = np.asarray([1, 2, 300]).astype(dtype)
    found = _sent(tmp_path, sent)
    assert found.tolist() == [1, 2, 300]
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


STRINGS = {
    "objects": np.asarray([["a", "bc"], ["", "d"]], object),
    "of fixed width": np.asarray([["a", "bc"], ["", "d"]]),
    "bytes": np.asarray([[b"a", b"bc"], [b"", b"d"]]),
    "bytes as objects": np.asarray([[b"a", b"bc"], [b"", b"d"]], object),
}


@pytest.mark.parametrize("sent", STRINGS.values(), ids=STRINGS)
def test_strings_arrive_as_objects(tmp_path: Path, sent: Any) -> None:
    """As ONNX has them, whatever NumPy held them in."""
    found = _sent(tmp_path, sent)
    assert found.dtype == np.object_
    assert found.tolist() == [["a", "bc"], ["", "d"]]


@pytest.mark.parametrize(
    "text", ["", "ü中\U0001f600", "a\0b", "line\nline", '"\\', "\udcff"], ids=ascii
)
def test_strings_of_any_characters(tmp_path: Path, text: str) -> None:
    """Line ends, zeros and lone surrogates too; also without dimensions."""
    assert _sent(tmp_path, np.asarray(text, object)).tolist() == text


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    """As the surrogates that stand for them."""
    found = _sent(tmp_path, np.asarray([b"\xff\xfe"], object))
    assert found[0].encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_no_strings_keep_their_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Empty, and still strings."""
    found = _sent(tmp_path, np.empty(shape, object))
    assert (found.shape, found.dtype) == (shape, np.object_)


def test_what_is_no_tensor_stays_none(tmp_path: Path) -> None:
    """Beside others, which keep their places."""
    sent = {"a": np.ones(2), "b": None, "c": np.zeros(1)}
    exchange.write_arrays(tmp_path / "there", sent)
    found = exchange.read_arrays(tmp_path / "there")
    assert list(found) == ["a", "b", "c"]
    assert found["b"] is None
    assert found["c"].tolist() == [0]


@pytest.mark.parametrize(
    "name",
    ["", "/", "../up", "index.json", "0", "a b", "ÿ中", "n" * 300, "nul\0", "\udcff"],
    ids=ascii,
)
def test_names_are_never_names_of_files(tmp_path: Path, name: str) -> None:
    """Any name travels, and nothing is written outside the folder."""
    assert _sent(tmp_path, np.ones(2), name).tolist() == [1, 1]
    assert [found.name for found in tmp_path.iterdir()] == ["there"]
    assert sorted(found.name for found in (tmp_path / "there").iterdir()) == ["0", "index.json"]


def test_no_arrays_travel_too(tmp_path: Path) -> None:
    """A model without inputs has a case all the same."""
    exchange.write_cases(tmp_path, [{}, {"x": np.ones(1)}])
    assert exchange.read_arrays(exchange.folder(tmp_path, "inputs", 0)) == {}
    assert list(exchange.read_arrays(exchange.folder(tmp_path, "inputs", 1))) == ["x"]


def test_the_index_is_plain_text(tmp_path: Path) -> None:
    """Any program can read it: JSON in ASCII, raw bytes beside it."""
    exchange.write_arrays(tmp_path / "there", {"ÿ": np.asarray([1, 2], np.int16)})
    index = (tmp_path / "there" / "index.json").read_bytes()
    assert index.isascii()
    assert json.loads(index) == [{"name": "ÿ", "shape": [2], "dtype": "int16"}]
    assert (tmp_path / "there" / "0").read_bytes() == np.asarray([1, 2], np.int16).tobytes()
