"""The ONNX functions `normonnx::NAME`: legal, runnable, inlinable, and they survive a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
import onnxscript.optimizer
import pytest

import normonnx
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UsageError
from tests.unit.catalogue.uses import Use, call_of, every_use, highest_opset, input_of, run, uses_of

pytest.importorskip("onnxruntime", reason="functions run on it: install normonnx[cpu]")

USES = every_use()
IDS = [use.id for use in USES]


def _function_model(use: Use, opset: int) -> tuple[onnx.ModelProto, dict[str, Any]]:
    call, runtime = call_of(use, np.float32)
    return ir.to_proto(call.model(opset=opset)), {"X": input_of(use, np.float32), **runtime}


@pytest.mark.parametrize("use", USES, ids=IDS)
def test_functions_run_at_every_opset(use: Use) -> None:
    """From 13 to the highest that ONNX Runtime loads, checked by onnx, with one call node."""
    for opset in range(13, highest_opset() + 1):
        model, feeds = _function_model(use, opset)
        onnx.checker.check_model(model, full_check=True)
        assert [(node.domain, node.op_type) for node in model.graph.node] == [
            ("normonnx", use.norm)
        ]
        assert run(model, feeds)[0].shape == use.shape


@pytest.mark.parametrize("use", USES, ids=IDS)
def test_inliners_give_the_same_numbers(use: Use) -> None:
    """onnx's and onnxscript's leave no call and change no digit that counts."""
    for opset in (13, 17, 21, highest_opset()):
        model, feeds = _function_model(use, opset)
        (plain,) = run(model, feeds)
        by_onnx = onnx.inliner.inline_local_functions(model)
        by_onnxscript = ir.from_proto(model)
        onnxscript.optimizer.inline(by_onnxscript)
        for inlined in (by_onnx, ir.to_proto(by_onnxscript)):
            assert not [node for node in inlined.graph.node if node.domain == "normonnx"]
            (found,) = run(inlined, feeds)
            assert np.allclose(found, plain, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_functions_survive_a_file(name: str, tmp_path: Path) -> None:
    """Saved and loaded, by onnx and by normonnx, the same bytes and numbers."""
    for opset in (13, highest_opset()):
        model, feeds = _function_model(uses_of(CATALOGUE[name])[0], opset)
        (plain,) = run(model, feeds)
        onnx.save(model, tmp_path / "one.onnx")
        normonnx.save(normonnx.load(tmp_path / "one.onnx"), tmp_path / "two.onnx")
        for path in ("one.onnx", "two.onnx"):
            loaded = onnx.load(tmp_path / path)
            onnx.checker.check_model(loaded, full_check=True)
            assert [function.name for function in loaded.functions] == [name]
            assert np.array_equal(run(loaded, feeds)[0], plain)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_bodies_read_every_input_and_attribute(name: str) -> None:
    """Nothing that a caller gives is ignored."""
    for opset in (13, 15, highest_opset()):
        proto = ir.to_proto(CATALOGUE[name].function(opset))
        read = {value for node in proto.node for value in node.input}
        referred = {
            a.ref_attr_name for node in proto.node for a in node.attribute if a.ref_attr_name
        }
        assert set(proto.input) <= read
        given = {*proto.attribute, *(attribute.name for attribute in proto.attribute_proto)}
        assert given == referred


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_functions_carry_the_defaults(name: str) -> None:
    """A call without attributes means the catalogue's defaults."""
    norm = CATALOGUE[name]
    proto = ir.to_proto(norm.function(17))
    defaults = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute_proto}
    for attribute in norm.attributes:
        if attribute.default is None:
            assert attribute.name in proto.attribute
        elif isinstance(attribute.default, tuple):
            assert tuple(defaults[attribute.name]) == attribute.default
        else:
            assert defaults[attribute.name] == pytest.approx(attribute.default)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_functions_are_made_alike(name: str) -> None:
    """Two runs give the same bytes."""
    one, two = (ir.to_proto(CATALOGUE[name].function(17)) for _ in range(2))
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)


def test_functions_need_opset_13() -> None:
    """The error says what to do."""
    with pytest.raises(UsageError, match="needs opset 13 or later and the model has 11"):
        CATALOGUE["GroupNorm"].function(11)


def test_training_outputs() -> None:
    """All outputs of a function with several are those of the reference."""
    norm = CATALOGUE["BatchNormTraining"]
    use = Use("BatchNormTraining", (4, 3, 5), {"momentum": 0.75, "ddof": 1})
    call, _ = call_of(use, np.float32)
    x = input_of(use, np.float32, mean=3.0)
    model = ir.to_proto(call.model(opset=17))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=v) for v in model.graph.node[0].output)
    found = run(model, {"X": x})
    truth = norm.reference(x, **call.parameters, **call.stored, outputs=3)
    for one, other in zip(found, truth, strict=True):
        assert np.allclose(one, other, rtol=1e-6, atol=1e-6)


def test_layer_norm_statistics() -> None:
    """Mean and 1 / sqrt(var + epsilon), in the shape that ONNX gives them, native and function."""
    use = Use("LayerNorm", (2, 3, 4, 5), {"axis": 2})
    call, _ = call_of(use, np.float32)
    x = input_of(use, np.float32, mean=3.0)
    truth = CATALOGUE["LayerNorm"].reference(x, **call.parameters, **call.stored, outputs=3)
    model = ir.to_proto(call.model(opset=17))
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=v) for v in model.graph.node[0].output)
    for one, other in zip(run(model, {"X": x}), truth, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)
