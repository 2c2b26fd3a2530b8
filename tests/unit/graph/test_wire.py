"""Reading and writing the protobuf wire format around weights."""

from __future__ import annotations

import time
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from normonnx.core.errors import InvalidModelError
from normonnx.graph import wire
from tests.unit.graph import samples

SECRET = b"sixteen bytes...sixteen bytes..."


def token(index: int) -> bytes:
    """What stands for the index-th weight."""
    return SECRET + index.to_bytes(8, "little")


def nested(depth: int) -> bytes:
    """An encoded model whose graphs hold graphs, `depth` times, around 2,000 bytes."""
    body = wire.length_delimited(2, 2000) + bytes(2000)
    for _ in range(depth):
        for field in (6, 5, 1):  # AttributeProto.g, NodeProto.attribute, GraphProto.node
            body = wire.length_delimited(field, len(body)) + body
    return wire.length_delimited(7, len(body)) + body


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_encoded_as_protobuf_does(number: int) -> None:
    """Field 3 of a TensorProto-like message: protobuf reads back what `varint` wrote."""
    encoded = wire.varint(1 << 3) + wire.varint(number)
    assert onnx.ModelProto.FromString(encoded).ir_version & (2**64 - 1) == number


def test_what_is_cut_out_is_the_raw_data_and_nothing_else() -> None:
    """The payloads are exactly the large raw_data; the skeleton parses, with tokens in place."""
    model = samples.rich()
    encoded = model.SerializeToString()
    stripped = wire.strip(encoded, token, 1024)
    contents = {encoded[start : start + length] for start, length in stripped.payloads}
    named = ("W", "constant", "inner", "in function", "default", "large")
    assert contents == {
        samples.tensor(name, *shape).raw_data
        for name, shape in zip(
            named, [(4, 3, 8, 8), (600,), (300,), (512,), (400,), (300,)], strict=True
        )
    }
    assert len(stripped.skeleton) < len(encoded) - sum(map(len, contents)) + 400
    assert len(onnx.ModelProto.FromString(stripped.skeleton).graph.node) == len(model.graph.node)


def test_filling_is_the_inverse_of_cutting_out() -> None:
    """strip, then fill with the same bytes, gives the same encoded model."""
    encoded = samples.rich().SerializeToString()
    stripped = wire.strip(encoded, token, 1024)
    places = wire.find_tokens(stripped.skeleton, SECRET, len(SECRET) + 8)
    assert sorted(places.values()) == list(range(len(stripped.payloads)))

    def pieces(index: int) -> wire.Pieces:
        length = stripped.payloads[index][1]
        header = wire.length_delimited(9, length)
        return wire.Pieces((header, index), len(header) + length)

    filled = wire.fill(stripped.skeleton, places, pieces)
    written = bytearray()

    def stream(index: int) -> None:
        start, length = stripped.payloads[index]
        written.extend(encoded[start : start + length])

    wire.write(filled, written.extend, stream)
    assert bytes(written) == encoded
    assert filled.length == len(encoded)


def test_a_model_without_large_weights_is_its_own_skeleton() -> None:
    """Nothing to cut out: same bytes, no payload."""
    encoded = onnx.parser.parse_model(samples.CONVOLUTION).SerializeToString()
    assert wire.strip(encoded, token, 1024) == wire.Stripped(encoded, ())


def test_a_file_window_reads_what_the_file_holds(tmp_path: Path) -> None:
    """Bytes, spans and length of a window are those of the file, beyond one window too."""
    content = bytes(range(256)) * 200
    path = tmp_path / "f"
    path.write_bytes(content)
    with path.open("rb") as file:
        window = wire.FileWindow(file.fileno())
        assert len(window) == len(content)
        assert window[300:40_000] == content[300:40_000]
        assert [window[i] for i in (0, 50_000, 16_384, 3)] == [
            content[i] for i in (0, 50_000, 16_384, 3)
        ]


@pytest.mark.parametrize("kept", [1, 3, 10, 100, 700, -1000, -100, -2, -1])
def test_a_truncated_message_is_refused(kept: int) -> None:
    """Cut inside a field, the bytes don't parse, here or in protobuf."""
    encoded = samples.convolution().SerializeToString()[:kept]
    with pytest.raises((InvalidModelError, DecodeError)) as caught:
        onnx.ModelProto.FromString(wire.strip(encoded, token, 1024).skeleton)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        (b"\x3b", "unknown wire type 3"),
        (b"\x3f", "unknown wire type 7"),
        (b"\x00\x00", "ends at byte"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends at byte"),
        (b"\xff" * 20, "unreadable number"),
        (b"\x3a", "unreadable number"),
        (b"\x0d\x00", "ends at byte"),
        (b"\x09\x00", "ends at byte"),
    ],
)
def test_what_is_no_message_is_refused(encoded: bytes, reason: str) -> None:
    """Groups, field number 0, lengths beyond the end and endless numbers are named."""
    with pytest.raises(InvalidModelError, match=reason):
        wire.strip(encoded, token, 1024)


def test_deep_nesting_is_refused_before_python_runs_out_of_stack() -> None:
    """10,000 nested graphs: an error, no RecursionError."""
    with pytest.raises(InvalidModelError, match="nested more than 100 deep"):
        wire.strip(nested(10_000), token, 1024)
    assert wire.strip(nested(30), token, 1024).payloads == ()


def test_numbers_that_are_stored_one_by_one_are_not_walked_over() -> None:
    """Millions of them in an attribute: protobuf itself reads them in no time."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1000], bytes(4000), raw=True)
    node = helper.make_node("Odd", [], ["y"], domain="odd", t=weight, axes=list(range(300_000)))
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    encoded = model.SerializeToString()
    began = time.process_time()
    stripped = wire.strip(encoded, lambda index: bytes([index]) * 8, 64)
    assert time.process_time() - began < 5
    assert [length for _, length in stripped.payloads] == [4000]
