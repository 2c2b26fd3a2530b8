"""A model, however it is handed in."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from google.protobuf.message import EncodeError

from normonnx.core.errors import InvalidModelError, UsageError
from normonnx.graph import files, source
from tests.unit.graph import samples


def test_a_path_a_string_a_proto_and_ir_are_one_model(tmp_path: Path) -> None:
    """All four forms give the same graph."""
    path = tmp_path / "m.onnx"
    onnx.save(samples.convolution(), path)
    for form in (path, str(path), samples.convolution(), files.load(path)):
        model = source.as_model(form)
        assert [node.op_type for node in model.graph] == ["Conv", "BatchNormalization", "Relu"]
        assert model.graph.inputs[0].name == "x"


def test_a_proto_is_copied_and_never_changed() -> None:
    """Renaming a weight in the model made from it leaves the proto as it was."""
    proto = samples.rich()
    before = proto.SerializeToString(deterministic=True)
    model = source.own_model(proto)
    for value in list(model.graph.initializers.values()):
        value.name = f"new {value.name}"
    assert proto.SerializeToString(deterministic=True) == before


def test_own_model_copies_ir_with_its_origin(tmp_path: Path) -> None:
    """The copy can be changed, and still knows which file must not be overwritten."""
    path = tmp_path / "m.onnx"
    onnx.save(samples.rich(), path)
    model = files.load(path)
    copy = source.own_model(model)
    assert copy is not model
    assert files.source_of(copy) == path
    copy.graph.remove(copy.graph.node(-1))
    copy.graph.node(0).name = "changed"
    assert len(list(model.graph)) == len(list(copy.graph)) + 1
    assert model.graph.node(0).name == "conv"


def test_as_model_gives_ir_back_as_it_is() -> None:
    """No copy is made for reading."""
    model = ir.from_proto(samples.convolution())
    assert source.as_model(model) is model


@pytest.mark.parametrize("odd", [None, 3, b"m.onnx", [samples.convolution()], onnx.GraphProto()])
def test_other_things_are_refused(odd: object) -> None:
    """The error names the type found and the three that are expected."""
    with pytest.raises(UsageError, match=type(odd).__name__):
        source.as_model(odd)  # type: ignore[arg-type]


def test_an_empty_proto_is_refused() -> None:
    """It has no bytes to parse."""
    with pytest.raises(InvalidModelError, match="is empty"):
        source.as_model(onnx.ModelProto())


def test_a_proto_with_external_data_is_refused() -> None:
    """In memory nothing says where the data file is."""
    proto = samples.linear()
    onnx.external_data_helper.convert_model_to_external_data(proto, location="w", size_threshold=0)
    proto.graph.initializer[0].ClearField("raw_data")
    with pytest.raises(InvalidModelError, match="pass the model's path instead"):
        source.as_model(proto)


def test_a_proto_above_two_gigabytes_is_refused() -> None:
    """Protobuf can't encode it (an EncodeError, not a ValueError): the way out is a path."""

    class Large:
        def SerializeToString(self) -> bytes:  # noqa: N802  # protobuf's name
            message = "Failed to serialize proto"
            raise EncodeError(message)

    with pytest.raises(InvalidModelError, match="above 2 GB pass a path instead"):
        source._parse_proto(Large())  # type: ignore[arg-type]


def test_ir_is_checked_too() -> None:
    """A graph made by a program is held to the same rules as a file."""
    model = ir.from_proto(samples.convolution())
    model.opset_imports[""] = 6
    with pytest.raises(InvalidModelError, match="the model given: opset 6"):
        source.as_model(model)
    model = ir.from_proto(samples.convolution())
    first = model.graph.node(0)
    model.graph.remove(first)
    model.graph.append(first)
    with pytest.raises(InvalidModelError, match=r"the model given: node .* uses 'c'"):
        source.as_model(model)


def test_a_loop_of_ten_thousand_graphs_in_ir_is_refused() -> None:
    """Nesting that no file could hold is an error, not the end of Python's stack."""
    model = ir.from_proto(samples.convolution())
    graph = ir.Graph([], [], nodes=[], name="innermost")
    for _ in range(10_000):
        branch = ir.AttrGraph("then_branch", graph)
        node = ir.Node("far", "Op", [model.graph.inputs[0]], attributes=[branch])
        graph = ir.Graph([], [], nodes=[node], name="outer")
    model.graph.append(
        ir.Node("far", "Op", [model.graph.inputs[0]], attributes=[ir.AttrGraph("body", graph)])
    )
    with pytest.raises(InvalidModelError, match="nested more than"):
        source.as_model(model)
